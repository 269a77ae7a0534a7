"""What the page does, for whoever runs it: a line of log for each job, `GET /health`, and `GET /metrics` for Prometheus.

    desk.counted("run").messages(...)     # as `desk.messages`, and the job is counted and logged as a "run"

A line is a JSON object {time, event: "job", kind, outcome, cause, waited, computed, tokens}, its seconds those in the line
and those at the models. An outcome is one of
    done      it came to its end
    stopped   a person, or the deadline, ended it
    left      whoever asked went away
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
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from specviz import __version__
from specviz.types import ModelError

if TYPE_CHECKING:
    from specviz.backends import Pair
    from specviz.ui.desk import Desk, Job, Message, Turn

LOG = logging.getLogger("specviz.jobs")
STARTED = time.time()
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


@dataclass
class Entry:
    """A job on its way: when it was asked for, when its turn came (None: not yet), and what became of it."""

    kind: str
    asked: float = field(default_factory=time.monotonic)
    began: float | None = None
    tokens: int = 0
    outcome: str = ""  # empty as long as nothing is decided
    cause: str = ""
    _seen: int = 0  # deltas whose tokens are counted

    def timed(self, job: Callable[..., Any]) -> Callable[..., Any]:
        """The job, which notes when its turn comes."""

        def begins(subject: Any) -> Any:
            self.began = time.monotonic()
            return job(subject)

        return begins

    def note(self, message: Mapping[str, Any]) -> None:
        """Reads off a job's message how it goes."""
        for delta in message.get("deltas", ()):
            if delta["seq"] > self._seen:
                self._seen = delta["seq"]
                self.tokens += sum(len(round_["emitted"]) for _, round_ in delta["rounds"])
        if message["kind"] == "error":
            self.refuse(str(message["field"]), broken="final" in message)
        elif message["kind"] == "end" or message.get("ended"):
            self.outcome = "stopped" if message.get("message") else "done"
            self.tokens += sum(int(row["emitted"]) for row in message.get("rows", ()))

    def refuse(self, control: str, broken: bool = False) -> None:
        """It was answered with a sentence about a control; `broken`: after it had begun to write."""
        self.outcome, self.cause = "refused", re.sub(r"\d+$", "", control) or "request"
        if broken:
            self.outcome, self.cause = "failed", "model"
        elif self.began is None and control != "pair":
            self.cause = "line"


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
        entry = Entry(kind, began=time.monotonic())
        entry.refuse(control)
        self.close(entry)

    def close(self, entry: Entry) -> None:
        """Counts a job that has ended, and logs it."""
        now = time.monotonic()
        turn = now if entry.began is None else entry.began
        waited, computed = turn - entry.asked, now - turn
        entry.outcome = entry.outcome or "done"
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


class Watched:
    """A desk whose jobs of one kind are counted. It takes what the desk itself takes."""

    def __init__(self, watch: Watch, kind: str, desk: Desk):
        self._watch, self._kind, self._desk = watch, kind, desk

    def messages(self, run: str, job: Job, *more: Any) -> Generator[Message, None, None]:
        """See `Desk.messages`."""
        return self._told(lambda timed: self._desk.messages(run, timed, *more), job)

    def in_turn(self, job: Job, *more: Any) -> Generator[Message, None, None]:
        """See `Desk.in_turn`."""
        return self._told(lambda timed: self._desk.in_turn(timed, *more), job)

    def borrow(self, work: Callable[[Pair], Message], *more: Any) -> Message:
        """See `Desk.borrow`."""
        entry = Entry(self._kind)
        try:
            answer = self._desk.borrow(entry.timed(work), *more)
            if answer.get("error"):
                entry.refuse(str(answer.get("field", "")))
            return answer
        finally:
            self._watch.close(entry)

    def _told(
        self, ask: Callable[[Job], Generator[Message, None, None]], job: Callable[[Turn], Iterable[Message]]
    ) -> Generator[Message, None, None]:
        entry = Entry(self._kind)
        try:
            with closing(ask(entry.timed(job))) as messages:
                for message in messages:
                    entry.note(message)
                    yield message
        except GeneratorExit:
            entry.outcome = entry.outcome or "left"
            raise
        except Exception as error:
            entry.outcome, entry.cause = "failed", "model" if isinstance(error, ModelError) else type(error).__name__
            raise
        finally:
            self._watch.close(entry)


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
        own = desk.models.peek()
        state = {"ok": own["state"] != "failed", "version": __version__, "pair": own, "waiting": desk.waiting}
        return JSONResponse(state, 200 if state["ok"] else 503)

    def metrics(_: Request) -> Response:
        return PlainTextResponse(desk.watch.metrics(desk.waiting), media_type=PROMETHEUS)

    return [Route("/health", health), Route("/metrics", metrics)]


def memory() -> int | None:
    """Bytes that this process has in memory; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
