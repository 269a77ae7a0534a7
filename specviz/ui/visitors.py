"""Who asks, and whether anybody still listens: what Gradio knows of an open page and of the event that it triggered."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from gradio import Blocks, Request
from gradio.context import LocalContext

from specviz.ui.line import Visitor


@dataclass(frozen=True)
class Reader(Visitor):
    """The visitor of an event, as Gradio's `queue` has it."""

    queue: Any = None
    event: str = ""

    def listening(self) -> bool:
        unread = self.queue.pending_messages_per_session.get(self.session)
        return unread is not None and unread.empty()

    def gone(self) -> bool:
        event = self.queue.event_ids_to_events.get(self.event)
        return event is None or not event.alive


def of(blocks: Blocks, request: Request) -> Reader:
    """The visitor of the event that is being handled."""
    event = LocalContext.event_id.get(None) or ""
    return Reader(str(request.session_hash), address(request), blocks._queue, event)


def address(request: Request) -> str:
    """The network address of a request; on a Space, which stands behind a proxy, what that says it to be."""
    forwarded = request.headers.get("x-forwarded-for", "") if os.environ.get("SPACE_ID") else ""
    client = request.client
    return forwarded.split(",")[0].strip() or (client.host if client else "")
