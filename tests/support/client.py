"""A client of the page that sends whatever it is told to, well-formed or not, over a connection of its own each time."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

PATIENCE = 60  # seconds for an answer
EVENTS = ("run", "stop", "verify", "sweep", "ask")


@dataclass
class Answer:
    """A status, 0 for none, and what came with it."""

    status: int
    body: bytes = b""


class Client:
    """Sends requests to the page at an address."""

    def __init__(self, url: str):
        self.host = urlsplit(url).netloc
        self.events: dict[str, int] = {}  # of the page, and Gradio's numbers for them
        for number, event in enumerate(json.loads(self.send("GET", "/config").body)["dependencies"]):
            for component, name in event["targets"]:
                if name in EVENTS:
                    self.component, self.events[name] = component, event.get("id", number)
        self._session = 0

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request over a connection of its own; status 0 where the server gives none."""
        connection = HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            if answer.getheader("content-type", "").startswith("text/event-stream"):
                return Answer(answer.status, answer.read(2000) if "heartbeat" not in path else b"")
            return Answer(answer.status, answer.read())
        except (HTTPException, ConnectionError):
            return Answer(0)
        finally:
            connection.close()

    def post(self, path: str, body: object) -> Answer:
        """One request whose body is JSON; bytes go as they are."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "surrogatepass")
        return self.send("POST", path, sent, {"Content-Type": "application/json"})

    def session(self) -> str:
        self._session += 1
        return f"fuzz{self._session}"

    def event(self, body: Any) -> tuple[Answer, dict[str, Any] | None]:
        """Joins the queue with a body, and reads to the end what comes of it: the last message of the queue."""
        answer = self.post("/gradio_api/queue/join?", body)
        name = body.get("session_hash") if isinstance(body, dict) else None
        if answer.status != 200 or not isinstance(name, str):
            return answer, None
        connection, last = HTTPConnection(self.host, timeout=PATIENCE), None
        try:
            connection.request("GET", f"/gradio_api/queue/data?session_hash={quote(name)}")
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    message = json.loads(line[6:])
                    if message["msg"] in ("process_completed", "unexpected_error"):
                        last = message
                    if message["msg"] == "close_stream" or (message["msg"] == "process_generating" and _said(message)):
                        last = message if last is None else last
                        break
        finally:
            connection.close()
        return answer, last

    def first_message(self, session: str) -> None:
        """Waits until an event of a session has brought something."""
        connection = HTTPConnection(self.host, timeout=PATIENCE)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        self._open = connection, connection.getresponse()  # kept open: who leaves ends the event
        for line in self._open[1]:
            if b"process_generating" in line:
                return

    def raw(self, sent: bytes) -> bytes:
        """What comes back for bytes that may be no HTTP at all."""
        host, _, port = self.host.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as made:
            try:
                made.sendall(sent)
                made.shutdown(socket.SHUT_WR)
                parts = []
                while part := made.recv(65536):
                    parts.append(part)
                return b"".join(parts)
            except ConnectionError:
                return b""


def _said(message: dict[str, Any]) -> bool:
    """Whether a message of the queue brings an answer that ends an event: an error, or the result of a verification."""
    return any(isinstance(value, str) and '"kind":"error"' in value for value in message["output"].get("data") or [])
