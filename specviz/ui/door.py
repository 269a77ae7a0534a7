"""What stands before every route of the server: a request that nobody could answer is refused here, in a sentence.

Gradio brings routes that the page does not use, which are closed, and trusts what is sent to the others: an event that does
not exist or a body of another shape ends in a traceback and a 500. So a body has a bound, is JSON, and names what there is.
An error that still comes out of a route is one line in the log, and to the sender a 400; so is a route's own 500.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import gradio as gr
import orjson
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from specviz.record.trace import MAX_BYTES

MAX_BODY = MAX_BYTES * 5 // 4  # bytes: a trace of MAX_BYTES, whose quotation marks are escaped twice
MAX_HELD = 2 * MAX_BODY  # bytes of all bodies that are being answered
MAX_NAME = 200  # characters of a session's or an event's name
API = "/gradio_api/"
OPEN = (  # of Gradio's own interface, what the page and its clients use
    "queue/join", "queue/data", "component_server", "cancel", "reset", "run/", "call/", "heartbeat/", "info", "startup-events",
    "app_id", "theme.css", "mcp/",
)  # fmt: skip
CLOSED = ("/monitoring", "/login", "/logout", "/svelte/")

Body = dict[str, Any]


class Refusal(Exception):
    """A request that is not let in: the status of the answer, and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class _Gone(Exception):
    """The sender left before the request was whole."""


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """For the app that Gradio makes: puts the door before all of it, Gradio's own middleware too."""
    app.middleware_stack = Door(app.middleware_stack, app.get_blocks())
    yield


class _Answer:
    """What a route answers, on its way. A 500, which Starlette sends before it hands on an error, is not let out."""

    def __init__(self, send: Send):
        self._send = send
        self._begun = self._whole = False
        self.failed = False  # it is a 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.failed = message["status"] == 500
            self._begun = not self.failed
        if not self.failed:
            await self._send(message)
            self._whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def end(self, scope: Scope, receive: Receive) -> None:
        """Ends what a route has left unfinished: a 400 where it has not begun."""
        if not self._begun:
            said = {"detail": "This request could not be answered. Send what the page sends."}
            await JSONResponse(said, 400)(scope, receive, self._send)
        elif not self._whole:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class Door:
    """An ASGI application before another, whose page is `blocks`."""

    def __init__(self, app: ASGIApp, blocks: gr.Blocks):
        self._app, self._blocks = app, blocks
        self._held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer, parts = _Answer(send), list[bytes]()
        try:
            _check_address(scope["path"])
            _check_host(dict(scope["headers"]))
            if scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
                await self._read(scope, receive, parts)
                body = b"".join(parts)
                self._check(scope["path"].rstrip("/"), body)
                receive = _again(body, receive)
            await self._app(scope, receive, answer.send)
            if answer.failed:
                raise RuntimeError("the route answered with a 500")
        except _Gone:
            pass
        except Refusal as error:
            await JSONResponse({"detail": str(error)}, error.status)(scope, receive, send)
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            print(f"specviz: {scope['method']} {scope['path'][:100]!r}: {told}", file=sys.stderr, flush=True)
            with suppress(Exception):  # of the connection, which may be what has failed
                await answer.end(scope, receive)
        finally:
            self._held -= sum(map(len, parts))

    async def _read(self, scope: Scope, receive: Receive, parts: list[bytes]) -> None:
        """Reads a body into `parts`. Refusal as soon as it is longer than MAX_BODY, or says that it will be."""
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        size, more = int(claimed[:20]) if claimed.isdigit() else 0, True
        if size <= MAX_BODY:
            size = 0
        while more and size <= MAX_BODY and self._held <= MAX_HELD:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
            size += len(parts[-1])
            self._held += len(parts[-1])
        if size > MAX_BODY:
            words = f"A request may have {MAX_BODY:,} bytes, room for the largest trace. This one has more."
            raise Refusal(413, words)
        if self._held > MAX_HELD:
            raise Refusal(503, "Other large requests are being read. Try again in a minute.")

    def _check(self, path: str, body: bytes) -> None:
        """Refusal unless the body is one that the route behind a path can read."""
        for start, check in self._checks.items():
            if path == start or (start.endswith("/") and path.startswith(start)):
                check(path.removeprefix(start), _object(body))

    @property
    def _checks(self) -> dict[str, Callable[[str, Body], None]]:
        return {
            f"{API}queue/join": self._check_event,
            f"{API}run/": self._check_event,
            f"{API}call/": self._check_call,
            f"{API}component_server": self._check_function,
            f"{API}cancel": self._check_cancel,
        }

    def _check_event(self, _: str, body: Body) -> None:
        events = {number: event for number, event in self._blocks.fns.items() if event.fn is not None}
        number = body.get("fn_index")
        if type(number) is not int or number not in events:
            raise Refusal(422, f"fn_index must be one of {', '.join(map(str, events))}.")
        _check_name("session_hash", body.get("session_hash"))
        event, data = events[number], body.get("data")
        if not isinstance(data, list) or len(data) != len(event.inputs):
            raise Refusal(422, f"data must be a list of {len(event.inputs)} values.")
        trigger, triggers = (
            body.get("trigger_id"),
            sorted({target for target, _ in event.targets if target is not None}),
        )
        if trigger is not None and (type(trigger) is not int or trigger not in triggers):
            raise Refusal(422, f"trigger_id must be one of {', '.join(map(str, triggers))}, or null.")
        if event.api_visibility == "private" and not isinstance(body.get("event_data"), dict):
            raise Refusal(422, "event_data must be an object.")
        if body.get("batched"):
            raise Refusal(422, "batched must be false: no event here takes several at once.")

    def _check_call(self, path: str, body: Body) -> None:
        named = {event.api_name: event for event in self._blocks.fns.values() if event.api_visibility != "private"}
        event = named.get(path.removeprefix("v2/"))
        if event is None:
            raise Refusal(404, "There is no such call. /gradio_api/info lists those there are.")
        if path.startswith("v2/"):  # arguments by their names
            return
        _check_name("session_hash", body.get("session_hash", "none"))
        if not isinstance(data := body.get("data"), list) or len(data) != len(event.inputs):
            raise Refusal(422, f"data must be a list of {len(event.inputs)} values.")

    def _check_function(self, _: str, body: Body) -> None:
        number, name = body.get("component_id"), body.get("fn_name")
        component = self._blocks.blocks.get(number) if type(number) is int else None
        if not isinstance(name, str) or not getattr(getattr(component, name, None), "_is_server_fn", False):
            raise Refusal(404, "component_id and fn_name must be those of a function that the page has.")
        _check_name("session_hash", body.get("session_hash"))
        if not isinstance(body.get("data", ""), str | None):
            raise Refusal(422, "data must be a text or null.")

    def _check_cancel(self, _: str, body: Body) -> None:
        if type(body.get("fn_index")) is not int:
            raise Refusal(422, "fn_index must be a whole number.")
        for field in ("session_hash", "event_id"):
            _check_name(field, body.get(field))


def _check_address(path: str) -> None:
    unused = path.startswith(API) and not path.removeprefix(API).startswith(OPEN)
    if unused or path.startswith(CLOSED):
        raise Refusal(404, "The page has no such address.")


def _check_host(headers: dict[bytes, bytes]) -> None:
    if b"origin" in headers and b"host" not in headers:  # Gradio compares the two
        raise Refusal(400, "A request that names its Origin must name its Host as well.")


def _check_name(field: str, value: object) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise Refusal(422, f"{field} must be a text of 1 to {MAX_NAME} characters.")


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that has been read, and then what comes after it."""
    first = True

    async def received() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return received


def _object(body: bytes) -> Body:
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body must be JSON: {error.msg}.") from None
    if not isinstance(read, dict):
        raise Refusal(422, "The body must be a JSON object.")
    return read
