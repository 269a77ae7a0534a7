"""The server's door: what nobody could answer is refused in a sentence, and the process ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gradio as gr
import pytest

from specviz.ui import door, page
from specviz.ui.desk import Desk
from specviz.ui.models import Models
from tests import fuzz
from tests.support.browser import PATIENCE, process
from tests.support.client import Client

SAMPLE = 150  # of the requests that `python -m tests.fuzz` sends
LONG = fuzz.RUN | {"max_new_tokens": 900, "lanes": [{"rule": "sps"}] * 5}
LARGE = fuzz.SWEEP | {"rules": ["sps", "cactus:delta=0.1,0.2,0.3"], "questions": 600, "families": ["sort", "word"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The real app: its process, a client and its log."""
    log = tmp_path_factory.mktemp("app") / "log.txt"
    with process(log, SPECVIZ_PAIR="small") as (started, url):
        yield started, Client(url), log


def test_malformed_requests_are_answered(served):
    """A sample of what `python -m tests.fuzz` sends: no 500, no traceback, no event without a sentence, and the page still runs."""
    _, client, log = served
    sample = fuzz.Fuzz(client, seed=0)
    for _ in range(SAMPLE):
        sample.once()
    assert sample.findings.wrong == [] and fuzz.works(client)
    assert fuzz.tracebacks(log) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "gradio_api/upload", 404),
        ("GET", "gradio_api/dev/reload", 404),
        ("GET", "monitoring/summary", 404),
        ("GET", "gradio_api/file=/etc/passwd", 404),
        ("GET", "gradio_api/proxy=http://127.0.0.1/", 404),
        ("GET", "openapi.json", 404),
        ("GET", "specviz/rules/sps.py", 404),
        ("GET", "specviz/assets/sweeps/trained.json", 200),
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(served, method, path, status):
    _, client, _ = served
    assert client.send(method, f"/{path}", b"x" if method == "POST" else None).status == status


def test_the_page_names_no_folder_of_the_server(served):
    _, client, _ = served
    for path in ("/", "/config", "/gradio_api/info"):
        assert str(Path(page.__file__).parents[2]) not in client.send("GET", path).body.decode()


def test_a_body_has_a_bound(served):
    """One byte too many is said to be that before it is sent."""
    _, client, _ = served
    sent = f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\nContent-Length: {door.MAX_BODY + 1}\r\nConnection: close\r\n\r\n"
    assert b" 413 " in client.raw(sent.encode()) and f"{door.MAX_BODY:,} bytes".encode() in client.raw(sent.encode())


@pytest.mark.parametrize("parts,status", [([100], 200), ([60, 60], 413), ([60, 30], 200)])
def test_a_body_is_counted_as_it_comes(monkeypatch, parts, status):
    """A body that does not say how long it is stops being read once it is too long; what was read is given back."""
    monkeypatch.setattr(door, "MAX_BODY", 100)
    read: list[bytes] = []

    async def inside(scope, receive, send):
        read.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    messages = iter(
        [{"type": "http.request", "body": b"x" * n, "more_body": i + 1 < len(parts)} for i, n in enumerate(parts)]
    )
    sent: list[dict] = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    guard = door.Door(inside, page.build(Desk(Models(lambda name, progress: None))))
    scope = {"type": "http", "method": "POST", "path": "/elsewhere", "headers": []}
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == status and guard._held == 0
    assert read == ([b"x" * sum(parts)] if status == 200 else [])


def test_an_error_that_nobody_foresaw_is_one_line_and_a_400(capsys):
    async def inside(scope, receive, send):
        raise KeyError("what\nis this")

    sent: list[dict] = []

    async def send(message):
        sent.append(message)

    guard = door.Door(inside, page.build(Desk(Models(lambda name, progress: None))))
    asyncio.run(guard({"type": "http", "method": "GET", "path": "/config", "headers": []}, None, send))
    assert sent[0]["status"] == 400 and b"could not be answered" in sent[1]["body"]
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "messages, wanted",
    [
        ([("start", 500), ("body", False)], [400]),  # as Starlette does before it hands on an error
        ([("start", 200), ("body", True)], [200, b"part", b""]),
        ([("start", 200), ("body", False)], [200, b"part"]),
    ],
)
@pytest.mark.parametrize("raises", [True, False])
def test_an_answer_that_breaks_off_is_ended_once(capsys, messages, wanted, raises):
    """Whatever a route had sent by then, what goes out is one whole answer, and never a 500."""
    sent: list[dict] = []

    async def inside(scope, receive, send):
        for kind, value in messages:
            start = {"type": "http.response.start", "status": value, "headers": []}
            await send(
                start if kind == "start" else {"type": "http.response.body", "body": b"part", "more_body": value}
            )
        if raises:
            raise KeyError("Host")

    async def send(message):
        sent.append(message)

    guard = door.Door(inside, gr.Blocks())
    asyncio.run(guard({"type": "http", "method": "GET", "path": "/config", "headers": []}, None, send))
    if wanted == [400]:
        assert sent[0]["status"] == 400 and b"could not be answered" in sent[1]["body"] and len(sent) == 2
    elif raises:
        assert [message.get("status", message.get("body")) for message in sent] == wanted
    assert capsys.readouterr().err.count("\n") == int(raises or wanted == [400])


def test_a_connection_that_fails_is_one_line(capsys):
    """Nothing comes out of the door, which the server would log as a traceback."""

    async def inside(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        raise RuntimeError("the connection is closed")

    guard = door.Door(inside, gr.Blocks())
    asyncio.run(guard({"type": "http", "method": "GET", "path": "/config", "headers": []}, None, send))
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_in_a_run_ends_the_process(served):
    """At once, with status 0, without a word, though the models are at work. (The last test of this server.)"""
    started, client, log = served
    begin(client, "run", LONG)
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(PATIENCE / 1000) == 0
    assert not fuzz.tracebacks(log) and "terminate called" not in log.read_text() and "Interrupt" not in log.read_text()


def test_sigterm_in_a_sweep_leaves_no_process(tmp_path):
    """The processes that a large sweep computes in end with the page."""
    log = tmp_path / "log.txt"
    with process(log, SPECVIZ_PAIR="small") as (started, url):
        client = Client(url)  # which stays: when who asked leaves, the sweep ends
        begin(client, "sweep", LARGE)
        children = until(lambda: len(found := children_of(started.pid)) > 1 and found)
        started.send_signal(signal.SIGTERM)
        assert started.wait(PATIENCE / 1000) == 0
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert not fuzz.tracebacks(log) and "terminate called" not in log.read_text()


def begin(client: Client, event: str, asked: dict) -> None:
    """Begins an event of the page, and returns once it has begun to answer."""
    body = {"data": [], "event_data": {"id": event, "settings": json.dumps(asked)}, "fn_index": client.events[event]}
    body |= {"trigger_id": client.component, "session_hash": client.session()}
    answer = client.post("/gradio_api/queue/join?", body)
    assert answer.status == 200, answer
    client.first_message(body["session_hash"])


def children_of(pid: int) -> set[int]:
    """The processes that any thread of a process has started."""
    children: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended since
            children |= set(map(int, (task / "children").read_text().split()))
    return children


def until(there: Callable[[], object]):
    """What is there, once it is."""
    began = time.monotonic()
    while not (found := there()):
        assert time.monotonic() - began < PATIENCE / 1000
        time.sleep(0.05)
    return found
