"""Who may use the models: they serve one job at a time, whichever pair it is for, so that measured clocks stay honest.

A job gets a `Turn` and makes messages, dicts that the page receives as JSON texts. Of every job there may be
    {"kind": "wait", "message"}             it is in the line, or its models are still loading
    {"kind": "error", "field", "message"}   a sentence, and the control it belongs to
and its own, see `runs` and `sweeping`. Messages of a job that the page numbers carry that number as "run".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from specviz import backends
from specviz.backends import Pair
from specviz.types import ModelError
from specviz.ui import zerogpu
from specviz.ui.models import Models
from specviz.ui.requests import Refused

DEADLINE = 120.0  # seconds that one job may last
WAITING = 8  # people in the line before the next one is sent away

Message = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """A job's turn at the models. `stopped` is set when a person wants it to end; `deadline`: the seconds it may last."""

    pair: Pair
    stopped: threading.Event = field(default_factory=threading.Event)
    deadline: float = DEADLINE
    began: float = field(default_factory=time.monotonic)

    def over(self) -> str:
        """Why the job has to end now, in a sentence; empty as long as it may go on."""
        if self.stopped.is_set():
            return "Stopped."
        if time.monotonic() - self.began > self.deadline:
            return f"Stopped after {self.deadline:g} seconds, the longest a run may take here."
        return ""


Job = Callable[[Turn], Iterable[Message]]


class Desk:
    """Lets one job at a time use a pair of `models`, `deadline` seconds each."""

    def __init__(self, models: Models, deadline: float = DEADLINE):
        self.models = models
        self.deadline = deadline
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._waiting = 0
        self._stopped: dict[str, threading.Event] = {}

    def open(self) -> None:
        """Starts loading the page's own pair."""
        self.models.get()

    def stop(self, run: str) -> None:
        """Asks a run to end after the round it is in."""
        if run in self._stopped:
            self._stopped[run].set()

    def messages(self, run: str, job: Job, name: str | None = None) -> Generator[Message, None, None]:
        """The messages of a job that `stop` can end, for the pair of that name (None: the page's own). Closing the generator
        ends its compute within a round."""
        stopped = self._stopped[run] = threading.Event()
        try:
            for message in self.in_turn(job, name, stopped):
                yield {"run": run, **message}
        finally:
            self._stopped.pop(run, None)

    def in_turn(
        self, job: Job, name: str | None = None, stopped: threading.Event | None = None
    ) -> Generator[Message, None, None]:
        """The messages of a job, once its pair is loaded and it is its turn."""
        stopped = stopped or threading.Event()
        with self._place() as free:
            if not free:
                words = f"{WAITING} runs are already waiting here. Try again in a minute; what you see stays."
                yield failed(Refused("prompt", words))
                return
            try:
                pair = yield from self._until_ready(name, stopped)
                yield from self._until_turn(stopped)
            except Refused as error:
                yield failed(error)
                return
        try:
            yield from _computed(pair, job, Turn(pair, stopped, self.deadline))
        finally:
            self._turn.release()

    def borrow(self, work: Callable[[Pair], Message], name: str | None = None, patience: float = 60.0) -> Message:
        """What `work` makes of the pair of that name, once it is its turn at it; {"error": a sentence, "field"?} if it
        cannot."""
        with self._place() as free:
            if not free:
                return {"error": f"{WAITING} runs are already waiting here. Try again in a minute."}
            try:
                loading = self.models.get(name)
            except ValueError as error:
                return {"error": str(error)}
            if not loading.wait(patience):
                return {"error": "The models are still loading. Try again in a moment."}
            if loading.pair is None:
                return {"error": loading.problem}
            taken = self._turn.acquire(timeout=patience)
        if not taken:
            return {"error": "Another run is using the models. Try again when it has ended."}
        try:
            turn = Turn(loading.pair, deadline=self.deadline)
            (answer,) = _computed(loading.pair, partial(_answered, work=work), turn)
            return {"error": answer["message"]} if answer.get("kind") == "error" else answer
        finally:
            self._turn.release()

    @contextmanager
    def _place(self) -> Iterator[bool]:
        """A place in the line, given up at the end; False if there is none left."""
        with self._count:
            free = self._waiting < WAITING
            self._waiting += free
        try:
            yield free
        finally:
            with self._count:
                self._waiting -= free

    def _until_turn(self, stopped: threading.Event) -> Iterator[Message]:
        """Waits for the models and takes them; the caller releases `_turn`."""
        while not self._turn.acquire(timeout=0.5):
            if stopped.is_set():
                raise Refused("prompt", "Stopped before it was this run's turn.")
            yield {"kind": "wait", "message": "Another run is using the models. Yours is in the line."}

    def _until_ready(self, name: str | None, stopped: threading.Event) -> Generator[Message, None, Pair]:
        try:
            loading = self.models.get(name)
        except ValueError as error:
            raise Refused("pair", str(error)) from None
        while not loading.wait(0.5):
            if stopped.is_set():
                raise Refused("prompt", "Stopped before the models were loaded.")
            yield {"kind": "wait", "message": loading.sentence}
        if loading.pair is None:
            raise Refused("pair", loading.problem)
        return loading.pair


def _computed(pair: Pair, job: Job, turn: Turn) -> Iterator[Message]:
    """The messages of a job. Each may be made in another thread of the server, and each thread counts its own threads."""
    backends.use_threads(pair)
    made = iter(zerogpu.messages(job, turn))
    with closing(made) if isinstance(made, Generator) else nullcontext():
        while (message := next(made, None)) is not None:
            yield message
            backends.use_threads(pair)


def _answered(turn: Turn, work: Callable[[Pair], Message]) -> list[Message]:
    """What some work makes of a pair, as a job: its one message is the answer, or {"error", "field"?}."""
    try:
        return [work(turn.pair)]
    except (ValueError, ModelError) as error:
        return [{"error": str(error), "field": getattr(error, "field", "")}]
    except Exception as error:  # an odd trace must not leave the page waiting
        return [{"error": f"This could not be computed: {type(error).__name__}."}]


def failed(error: Exception, field: str = "prompt") -> Message:
    """The message that says an error; `field`: the control it belongs to, unless it was Refused for one."""
    return {"kind": "error", "field": error.field if isinstance(error, Refused) else field, "message": str(error)}
