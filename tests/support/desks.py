"""Desks over models that a test brings, and what they tell of a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from specviz.backends import Pair, PairFacts
from specviz.stopping import checkpoint
from specviz.ui.desk import Desk
from specviz.ui.line import DEADLINE, Message, Turn, Visitor, Work
from specviz.ui.models import Models


def desk_of(load: Callable[[], Pair], known: Mapping[str, PairFacts] | None = None, deadline: float = DEADLINE) -> Desk:
    """A desk whose every pair is what `load` gives, on offer under the names of `known`; its own is loading already."""
    desk = Desk(Models(lambda name, progress: load(), known), deadline)
    desk.open()
    return desk


def told(
    desk: Desk,
    work: Work,
    run: str = "a",
    *,
    kind: str = "run",
    name: str | None = None,
    visitor: Visitor | None = None,
) -> Iterator[Message]:
    """The messages of a job, from an event loop in a thread of its own (a browser test has one running in this), for a visitor
    of its own unless one is given. Closing this closes them."""
    loop = asyncio.new_event_loop()
    messages = desk.messages(visitor or Visitor(run), kind, work, run, name)
    with ThreadPoolExecutor(1) as thread:
        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield thread.submit(loop.run_until_complete, anext(messages)).result()
        finally:
            thread.submit(loop.run_until_complete, messages.aclose()).result()
            loop.close()


def idle(desk: Desk, seconds: float = 60.0) -> bool:
    """Whether nothing is computed any more, and nothing waits for it, within so many seconds."""
    until = time.monotonic() + seconds
    while not desk.line.idle and time.monotonic() < until:
        time.sleep(0.01)
    return desk.line.idle


def endless(turn: Turn) -> Iterator[Message]:
    """A job that computes until it is stopped, a message now and then."""
    while True:
        checkpoint()
        time.sleep(0.01)
        yield {"kind": "delta"}
