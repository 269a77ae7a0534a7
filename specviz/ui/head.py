"""Puts the page's own head into the HTML that Gradio sends, before any script of Gradio's.

Gradio's own way, `launch(head=...)`, adds it once its scripts run: too late for an import map in some browsers, and the
page would open later.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FIRST = b"<script>window.gradio_config"  # the first script of Gradio's page


class Head:
    """Middleware that writes `text` before the first script of the page."""

    def __init__(self, app: ASGIApp, text: str):
        self._app, self._text = app, text.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start: Message = {}
        page = b""

        async def changed(message: Message) -> None:
            nonlocal start, page
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start:
                page += message.get("body", b"")
                if message.get("more_body"):
                    return
                page = page.replace(FIRST, self._text + FIRST, 1)
                if "content-length" in (headers := MutableHeaders(scope=start)):
                    headers["content-length"] = str(len(page))
                await send(start)
                message = {"type": "http.response.body", "body": page}
            await send(message)

        await self._app(scope, receive, changed)
