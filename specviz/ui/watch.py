"""What the page does, for whoever runs it: a line of log for each job, `GET /health`, and `GET /metrics` for Prometheus.

A line is a JSON object {time, event: "job", kind, outcome, cause, waited, computed, tokens}, its seconds those in the line
and those at the models. An outcome is one of
    done      it came to its end
    stopped   a person, or the deadline, ended it
    left      whoever asked went away before
    refused   it was answered with a sentence; `cause`: the control or argument that this is about, "line" if it never was
              its turn, "pair" if its models could not be had
    failed    it broke off; `cause`: "model", or the name of an exception
Never a prompt, a text or anything else that a person wrote.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from specviz import __version__
from specviz.ui.line import Job, Message, Turn

if TYPE_CHECKING:
    from specviz.ui.desk import Desk
    from specviz.ui.models import Loading

KINDS = {"run", "sweep", "verify", "advise", "drafters", "shapes", "tryout", "buys", "judge", "law"}
LOG = logging.getLogger("specviz.jobs")
STARTED = time.time()
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


@dataclass
class Entry:
    """A job on its way: when it was asked for, where it is in the line (None: not admitted yet), and what became of it."""

    kind: str
    asked: float = field(default_factory=time.monotonic)
    job: Job | None = None
    tokens: int = 0
    outcome: str = ""  # empty as long as nothing is decided
    cause: str = ""
    _seen: int = 0  # deltas whose tokens are counted

    @property
    def turn(self) -> Turn | None:
        """Its turn at the models; None if that has not come."""
        return self.job.turn if self.job is not None else None

    def note(self, message: Message) -> None:
        """Reads off a job's message how it goes."""
        for delta in message.get("deltas", ()):
            if delta["seq"] > self._seen:
                self._seen = delta["seq"]
                self.tokens += sum(len(round_["emitted"]) for _, round_ in delta["rounds"])
        if self.outcome:
            return
        if "outcome" in message:  # see `line.failed`
            self.outcome, self.cause = message["outcome"], message.get("cause", "")
        elif message["kind"] == "error":
            self.refuse(str(message["field"]))
        elif message["kind"] in ("end", "answer", "verified") or message.get("ended"):
            self.outcome = "stopped" if message["kind"] != "verified" and message.get("message") else "done"
            self.tokens += sum(int(row["emitted"]) for row in message.get("rows", ()))

    def refuse(self, control: str) -> None:
        """It was answered with a sentence about a control, or about the line if its turn never came."""
        in_line = self.turn is None and control != "pair"
        self.outcome, self.cause = "refused", "line" if in_line else named(control)


def named(control: str) -> str:
    """A control without the number of its lane."""
    return re.sub(r"\d+$", "", control) or "request"


@dataclass
class Metric:
    """A counter or a gauge as Prometheus knows them: a number for each combination of its labels."""

    name: str
    kind: str
    words: str
    labels: Labels = ()
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, *labels: str, by: float = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + by

    def text(self) -> str:
        """In Prometheus' text format."""
        lines = [f"# HELP {self.name} {self.words}", f"# TYPE {self.name} {self.kind}"]
        for words, value in sorted(self.values.items()):
            named = ",".join(f'{label}="{word}"' for label, word in zip(self.labels, words, strict=True))
            lines.append(f"{self.name}{{{named}}} {value!r}" if named else f"{self.name} {value!r}")
        return "\n".join(lines) + "\n"


class Watch:
    """What the jobs of a desk came to, counted since it was made."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._jobs = Metric("specviz_jobs_total", "counter", "Jobs that ended.", ("kind", "outcome"))
        self._refusals = Metric("specviz_refusals_total", "counter", "Jobs refused, by what it was about.", ("cause",))
        self._tokens = Metric("specviz_tokens_total", "counter", "Tokens written.", ("kind",))
        self._waited = Metric("specviz_wait_seconds_total", "counter", "Seconds in the line.", ("kind",))
        self._computed = Metric("specviz_compute_seconds_total", "counter", "Seconds at the models.", ("kind",))

    def refused(self, kind: str, control: str) -> None:
        """Counts a job that was refused before it came into the line."""
        self.close(Entry(kind, outcome="refused", cause=named(control)))

    def close(self, entry: Entry) -> None:
        """Counts a job that has ended, and logs it."""
        now = time.monotonic()
        began, ended = (entry.turn.began, entry.turn.ended or now) if entry.turn else (now, now)
        waited, computed = began - entry.asked, ended - began
        entry.kind = entry.kind if entry.kind in KINDS else "other"  # a visitor may name any
        entry.outcome = entry.outcome or "left"
        with self._one:
            self._jobs.add(entry.kind, entry.outcome)
            if entry.outcome == "refused":
                self._refusals.add(entry.cause)
            self._tokens.add(entry.kind, by=entry.tokens)
            self._waited.add(entry.kind, by=waited)
            self._computed.add(entry.kind, by=computed)
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "event": "job", "kind": entry.kind,
            "outcome": entry.outcome, "cause": entry.cause, "waited": round(waited, 3), "computed": round(computed, 3), "tokens": entry.tokens,
        }  # fmt: skip
        LOG.info(json.dumps(line))

    def metrics(self, waiting: int) -> str:
        """All counts in Prometheus' text format; `waiting`: people in the line."""
        now = [
            Metric("specviz_info", "gauge", "The version that runs.", ("version",), {(__version__,): 1}),
            Metric("specviz_waiting", "gauge", "People in the line.", (), {(): waiting}),
            Metric("process_start_time_seconds", "gauge", "When this process started, Unix time.", (), {(): STARTED}),
        ]
        if (held := memory()) is not None:
            words = "Memory of this process, without its workers."
            now.append(Metric("process_resident_memory_bytes", "gauge", words, (), {(): held}))
        counted = [self._jobs, self._refusals, self._tokens, self._waited, self._computed]
        with self._one:
            return "".join(metric.text() for metric in (*counted, *now))


def log_to(stream: TextIO) -> None:
    """Has every job logged to a stream, a line each."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOG.handlers, LOG.propagate = [handler], False
    LOG.setLevel(logging.INFO)


def routes(desk: Desk) -> list[Route]:
    """`GET /health` and `GET /metrics`, for `launch`."""

    def health(_: Request) -> Response:
        """503 once the page's own models could not be loaded; while they load it is well."""
        own = state_of(desk.models.peek())
        state = {"ok": own["state"] != "failed", "version": __version__, "pair": own, "waiting": desk.line.waiting}
        return JSONResponse(state, 200 if state["ok"] else 503)

    def metrics(_: Request) -> Response:
        return PlainTextResponse(desk.watch.metrics(desk.line.waiting), media_type=PROMETHEUS)

    return [Route("/health", health), Route("/metrics", metrics)]


def state_of(loading: Loading | None) -> dict[str, Any]:
    """How far a pair is, without the pair itself: {"state": "none"} where nobody asked for it yet."""
    state = {"state": "none"} if loading is None else loading.state()
    return {name: value for name, value in state.items() if name != "pair"}


def memory() -> int | None:
    """Bytes that this process has in memory; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
