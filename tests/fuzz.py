"""Malformed requests over every route of the page, and malformed links and files in a browser: `python -m tests.fuzz`.

    python -m tests.fuzz                     3,000 of them, from seed 0: one in thirty a link, one in a hundred a file
    python -m tests.fuzz --requests 500 --seed 7

Every one must be answered in time: by a sentence, by a 4xx, or as if it were in order. No traceback in the log, no 500, no event
that fails without a word, no script run. Prints what went wrong, and ends with status 1 if anything did.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import fuzz_page
from tests.support.browser import app
from tests.support.client import EVENTS, PATIENCE, Answer, Client
from tests.support.mutants import VALUES, is_sentence, mutant, mutate
from tests.support.traces import recorded, signed

DEEP = 1500  # lists inside each other
FUNCTIONS = ("load", "check", "export")
RUN: dict[str, Any] = {
    "pair": "small", "prompt": "One day", "style": "tiny", "system": None, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
    "draft_length": 4, "max_new_tokens": 6, "seed": 3, "drafter": {"name": "model", "knobs": {}},
    "lanes": [{"rule": "cactus", "knobs": {"delta": 0.5}}, {"rule": None}],
}  # fmt: skip
SWEEP: dict[str, Any] = {
    "rules": ["sps", "cactus:delta=0.5"], "questions": 1, "families": ["sort"], "temperature": 1.0, "draft_length": 4, "seed": 0,
}  # fmt: skip
PATHS = (
    "", "config", "config?deep_link=../../etc/passwd", "theme.css", "manifest.json", "robots.txt", "favicon.ico", "static/../../app.py",
    "assets/..%2f..%2fapp.py", "monitoring", "monitoring/summary", "monitoring/x", "login", "logout", "openapi.json", "docs",
    "specviz/", "specviz/assets/sweeps/trained.json", "specviz/assets/pairs/small/pair.json", "specviz/rules/sps.py", "specviz/view/%00.js",
    *(f"gradio_api/{path}" for path in (
        "", "info", "openapi.json", "upload", "upload_progress?upload_id=x", "dev/reload", "monitoring/summary", "file=/etc/passwd",
        "file=app.py", "file/app.py", "proxy=http://127.0.0.1:1/", "queue/data", "queue/data?session_hash=unknown", "queue/status",
        "call/run/x", "call/v2/run/x", "run/run", "call/run", "call/v2/run", "call/nothing", "api/run", "stream/x", "reset", "token",
        "user", "login_check", "heartbeat", "app_id", "startup-events", "deep_link", "runs", "vibe-code", "process_recording",
        "custom_component/x/client/y/z.js", "stream/a/1/1/playlist.m3u8", "component_server", "cancel", "queue/join",
    )),
)  # fmt: skip


@dataclass
class Findings:
    """What was sent, and what went wrong."""

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def _spoilt(rng: random.Random, text: str) -> str:
    """JSON text in which something is wrong: cut, filled with other characters, or nested deeply."""
    way, at = rng.randrange(4), rng.randrange(len(text) + 1)
    if way == 0:
        return text[:at]
    if way == 1:
        return (
            text[:at] + rng.choice(["\x00", "\ufeff", "{", "]", "\\", '"', "NaN", "1e999", "\u202e", "�"]) + text[at:]
        )
    if way == 2:
        return "[" * DEEP + "]" * DEEP
    return rng.choice(["", "null", "0", "[]", '""', "true", "1" + "0" * 5000])


def _odd(rng: random.Random, data: dict[str, Any]) -> str:
    """The text of data with something changed."""
    if rng.random() < 0.15:
        return _spoilt(rng, json.dumps(data))
    if rng.random() < 0.1:
        return json.dumps(data | {rng.choice(list(data)): _nested(rng.choice([3, 30, 300, DEEP]))})
    tree = json.loads(json.dumps(data))
    for _ in range(rng.choice((1, 1, 2))):
        mutate(rng, tree)
    return json.dumps(tree)


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(min(depth, 900)):
        value = [value]
    return value


class Fuzz:
    """Malformed requests of every kind, to a page, and what is wrong with the answers."""

    def __init__(self, client: Client, seed: int):
        self.client, self.rng, self.findings = client, random.Random(seed), Findings()
        self.trace = json.loads(
            min(recorded("small"), key=lambda path: path.stat().st_size).read_text(encoding="utf-8")
        )
        for lane in self.trace["lanes"]:
            del lane["rounds"][3:]
            lane["finished"] = "stopped"
        del self.trace["lanes"][2:]
        self.text = signed(self.trace)

    def kinds(self) -> list[Callable[[], None]]:
        return [self.event, self.event, self.function, self.function, self.body, self.route, self.bytes_]

    def once(self) -> None:
        kind = self.rng.choice(self.kinds())
        self.findings.sent[kind.__name__.strip("_")] += 1
        began = time.monotonic()
        try:
            kind()
        except TimeoutError:
            self.findings.wrong.append(f"{kind.__name__}: no answer within {PATIENCE} seconds")
        if (took := time.monotonic() - began) > PATIENCE / 2:
            self.findings.wrong.append(f"{kind.__name__}: {took:.0f} seconds")

    def judge(self, what: str, answer: Answer) -> None:
        """Notes an answer that is none, or a server's failure."""
        self.findings.answers[str(answer.status)] += 1
        if answer.status >= 500 and answer.status != 503:
            self.findings.wrong.append(f"{what[:300]}: {answer.status} {answer.body[:200]!r}")

    def odd_text(self, of: dict[str, Any]) -> Any:
        """What is sent where a JSON text is due."""
        return self.rng.choice(VALUES) if self.rng.random() < 0.1 else _odd(self.rng, of)

    def odd_trace(self) -> Any:
        pick = self.rng.random()
        if pick < 0.1:
            return self.rng.choice(VALUES)
        return _spoilt(self.rng, self.text) if pick < 0.3 else mutant(self.rng, self.trace)

    def event(self) -> None:
        """An event of the page with something wrong in it, or with nothing wrong."""
        name = self.rng.choice(EVENTS)
        data: Any = {"id": f"run{self.rng.random()}"}
        if name == "verify":
            data = {"trace": self.odd_trace(), "pair": "small"}
        elif name == "ask":
            kind = self.rng.choice(["buys", "advise", "drafters", "tryout", "x"])
            data |= {"kind": kind, "pair": "small", "question": json.dumps(self.question(kind))}
        elif name != "stop":
            data["settings"] = self.odd_text(RUN if name == "run" else SWEEP)
        body: dict[str, Any] = {
            "data": [],
            "event_data": data,
            "fn_index": self.client.events[name],
            "trigger_id": self.client.component,
        }
        body["session_hash"] = self.client.session()
        if self.rng.random() < 0.1:
            body["event_data"] = self.rng.choice(VALUES)
        elif self.rng.random() < 0.1:
            data[self.rng.choice(list(data))] = self.rng.choice(VALUES)
        answer, last = self.client.event(body)
        self.judge(f"{name} {json.dumps(body)}", answer)
        if answer.status == 200:
            self.judge_event(f"{name} {json.dumps(body)}", last)

    def question(self, kind: str) -> dict[str, Any]:
        """A question to the models with something wrong in it."""
        asked: dict[str, Any] = {"trace": self.odd_trace(), "pair": "small"}
        if kind == "buys":
            asked |= {
                "lane": self.rng.choice([0, 1, -1, 99, True, None, "x"]),
                "rules": self.rng.choice([[["sps", {}]], [["cactus", {"name": 1}]], *VALUES]),
            }
        elif kind == "advise":
            asked |= {
                "goal": self.rng.choice(["spend", "x", 5]),
                "value": self.rng.choice([-1, "x", None, 10**400]),
                "draft_length": None,
            }
        elif kind == "drafters":
            asked |= {"draft_length": self.rng.choice([0, "x", None, 10**400])}
        elif kind == "tryout":
            asked |= {
                "rule": "sps",
                "drafter": "model",
                "draft_length": 4,
                "interval": self.rng.choice([[0, 1], [], *VALUES]),
                "attempt": 0,
            }
        return asked

    def judge_event(self, what: str, last: dict[str, Any] | None) -> None:
        if last is None or last.get("success") is False:
            self.findings.wrong.append(f"{what[:2000]}: the event ended without a sentence: {json.dumps(last)[:200]}")
            return
        for value in last.get("output", {}).get("data") or []:
            if isinstance(value, str) and value.startswith("{") and (words := json.loads(value).get("message")):
                if not is_sentence(words):
                    self.findings.wrong.append(f"{what[:500]}: no sentence: {words[:300]}")

    def function(self) -> None:
        """A function of the page, asked for what it cannot do."""
        name, trace = self.rng.choice(FUNCTIONS), self.odd_trace()
        asked: dict[str, Any] = {"trace": trace, "pair": "small"}
        if name == "export":
            asked["name"] = self.rng.choice(["replay", "replay", "x", *VALUES])
        data: Any = (
            trace if name == "check" else self.rng.choice(["small", *VALUES]) if name == "load" else json.dumps(asked)
        )
        if self.rng.random() < 0.1:
            data = self.rng.choice(VALUES)
        body = {
            "data": data,
            "component_id": self.client.component,
            "fn_name": name,
            "session_hash": self.client.session(),
        }
        answer = self.client.post("/gradio_api/component_server/", body)
        self.judge(f"{name} {json.dumps(body)}", answer)
        if answer.status == 200:
            told = json.loads(answer.body)
            words = told.get("error") or (told.get("message") if told.get("state") == "failed" else None)
            if words and not is_sentence(words):
                self.findings.wrong.append(f"{name} {json.dumps(body)[:500]}: no sentence: {words[:300]}")

    def body(self) -> None:
        """A body of another shape than the route behind the address reads."""
        session = self.client.session()
        path, usual = self.rng.choice([
            ("queue/join", {"data": [], "event_data": {"id": "x"}, "fn_index": 1, "trigger_id": self.client.component, "session_hash": session}),
            ("component_server", {"data": "x", "component_id": self.client.component, "fn_name": "check", "session_hash": session}),
            ("cancel", {"session_hash": session, "fn_index": 0, "event_id": "x"}),
            ("reset", {"event_id": "x"}),
            ("run/stop", {"data": [], "event_data": {"id": "x"}, "fn_index": 1, "session_hash": session}),
            ("call/run", {"data": []}),
            ("call/v2/run", {"x": 1}),
        ])  # fmt: skip
        text = _odd(self.rng, usual)
        headers = {
            "Content-Type": self.rng.choice(
                ["application/json", "application/json", "text/plain", "multipart/form-data; boundary=x"]
            )
        }
        answer = self.client.send("POST", f"/gradio_api/{path}", text.encode("utf-8", "surrogatepass"), headers)
        self.judge(f"POST {path} {text}", answer)

    def route(self) -> None:
        """An address with a method that may not be meant for it."""
        path, method = (
            self.rng.choice(PATHS),
            self.rng.choice(["GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]),
        )
        headers = self.rng.choice(
            [
                {},
                {"Origin": "http://evil.example"},
                {"Range": "bytes=5-1"},
                {"X-Forwarded-Host": "a b"},
                {"Cookie": "=\x7f"},
            ]
        )
        answer = self.client.send(method, f"/{path}", b"x" * 20 if method in ("POST", "PUT") else None, headers)
        self.judge(f"{method} /{path} {headers}", answer)

    def bytes_(self) -> None:
        """No HTTP, or nearly none."""
        lines = [
            b"GET / HTTP/1.0\r\nOrigin: http://a\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /%00%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET http://evil.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n{}",
            b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{}",
            b"POST /gradio_api/cancel HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET /gradio_api/queue/data?session_hash=%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: [::\r\nOrigin: http://[\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
        sent = self.rng.choice(lines)
        if self.rng.random() < 0.4:
            at = self.rng.randrange(len(sent))
            sent = sent[:at] + self.rng.randbytes(self.rng.randrange(1, 20)) + sent[at:]
        back = self.client.raw(sent)
        status = back.split(b" ")[1:2]
        self.judge(f"bytes {sent[:300]!r}", Answer(int(status[0]) if status and status[0].isdigit() else 0, back))


def tracebacks(log: Path) -> list[str]:
    """The tracebacks in a log, each with what it says at its end."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [i for i, line in enumerate(lines) if "Traceback" in line]
    return ["\n".join(lines[i : i + 60]) for i in starts]


def works(client: Client) -> bool:
    """Whether an ordinary run comes to its end."""
    data = {"id": "ordinary", "settings": json.dumps(RUN)}
    body = {
        "data": [],
        "event_data": data,
        "fn_index": client.events["run"],
        "trigger_id": client.component,
        "session_hash": client.session(),
    }
    _, last = client.event(body)
    return bool(last) and last.get("success") is True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with app(log, SPECVIZ_PAIR="small") as url:
            fuzz = Fuzz(Client(url), options.seed)
            began = time.monotonic()
            links, files = options.requests // 30, options.requests // 100
            for number in range(options.requests - links - files):
                fuzz.once()
                if number % 100 == 99:
                    print(f"{number + 1} sent, {len(fuzz.findings.wrong)} wrong", file=sys.stderr, flush=True)
            fuzz.findings.sent |= {"link": links, "file": files}
            fuzz.findings.wrong += fuzz_page.fuzz(url, fuzz.trace, options.seed, links, files, Path(folder))
            if not works(fuzz.client):
                fuzz.findings.wrong.append("an ordinary run afterwards does not come to its end")
        wrong = [*fuzz.findings.wrong, *(f"log: {line}" for line in tracebacks(log))]
    print(f"{options.requests} requests in {time.monotonic() - began:.0f} seconds: {dict(fuzz.findings.sent)}")
    print(f"answers by status: {dict(sorted(fuzz.findings.answers.items()))}")
    print("\n".join(wrong) or "Nothing went wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
