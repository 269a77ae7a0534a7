"""Visitors of a page without a browser: they talk to Gradio's queue as the page's own client does."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from gradio_client.utils import apply_diff

LANES = [{"rule": "sps", "knobs": {}}, {"rule": "cactus", "knobs": {"delta": 1.0}}, {"rule": None, "knobs": {}}]
RUN = {
    "prompt": "One day a dog", "style": "tiny", "temperature": 1.0, "top_k": 0, "top_p": 1.0, "draft_length": 4,
    "max_new_tokens": 60, "seed": 1, "lanes": LANES,
}  # fmt: skip
SWEEP = {"rules": ["sps"], "questions": 40, "families": ["reverse"], "temperature": 1.0, "draft_length": 4, "seed": 0}
WORKERS = SWEEP | {"rules": ["sps", "cactus:delta=0.1,1"], "questions": 900}  # so many texts that processes start
LIMITS = httpx.Limits(max_keepalive_connections=0)  # a server that is busy closes those that idle


def run(**changes: Any) -> dict[str, Any]:
    """What the page sends for a run."""
    return {"settings": json.dumps(RUN | changes)}


def sweep(**changes: Any) -> dict[str, Any]:
    """What the page sends for a sweep."""
    return {"settings": json.dumps(SWEEP | changes)}


def question(kind: str, trace: str, **asked: Any) -> dict[str, Any]:
    """What the page sends for a question about a trace."""
    return {"kind": kind, "question": json.dumps({"trace": trace, **asked})}


class Full(Exception):
    """Gradio's own queue took no more (HTTP 503)."""


class Page:
    """An open page at the address `home`: one session, from a network address of its own where one is named."""

    def __init__(self, home: str, address: str = ""):
        self.session = uuid.uuid4().hex[:12]
        headers = {"x-forwarded-for": address} if address else {}
        self.http = httpx.AsyncClient(base_url=home, headers=headers, timeout=None, limits=LIMITS, verify=False)
        self._listeners: dict[str, int] = {}
        self._view = 0

    async def __aenter__(self) -> Page:
        config = (await self.http.get("config")).json()
        for number, dependency in enumerate(config["dependencies"]):
            for view, event in dependency["targets"]:
                self._listeners[event], self._view = dependency.get("id", number), view
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, event: str, data: Mapping[str, Any], session: str = "") -> None:
        """Triggers an event, for another session if one is named, and hears nothing of it. Full if it is not taken."""
        body = {
            "data": [], "event_data": data, "fn_index": self._listeners[event], "trigger_id": self._view,
            "session_hash": session or self.session,
        }  # fmt: skip
        answer = await self.http.post("gradio_api/queue/join", json=body)
        if answer.status_code == 503:
            raise Full
        answer.raise_for_status()

    async def stop(self, name: str) -> None:
        """Presses Stop."""
        await self.http.post(
            "gradio_api/run/predict",
            json={
                "data": [], "event_data": {"id": name}, "fn_index": self._listeners["stop"], "trigger_id": self._view,
                "session_hash": self.session,
            },
        )  # fmt: skip

    async def ask(self, event: str, data: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The messages of a job. Leaving them closes the connection."""
        await self.post(event, {"id": uuid.uuid4().hex, **data})
        async for message in self.heard():
            yield message

    async def heard(self) -> AsyncIterator[dict[str, Any]]:
        """What comes for this page until there is nothing more to come. RuntimeError if an event failed."""
        value: Any = None
        async with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": self.session}) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "close_stream":
                    return
                if not message.get("success", True):
                    raise RuntimeError(f"An event failed: {message}")
                if message["msg"] != "process_generating" or not message["output"]["data"]:
                    continue
                (change,) = message["output"]["data"]
                value = change if value is None else apply_diff(value, change)
                yield json.loads(value)
