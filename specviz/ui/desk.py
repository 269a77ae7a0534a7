"""Who may use the models: they are loaded once, and serve one job at a time, so that measured clocks stay honest.

A job gets a `Turn` and makes messages, dicts that the page receives as JSON texts. Of every job there may be
    {"kind": "wait", "message"}             it is in the line, or the models are still loading
    {"kind": "error", "field", "message"}   a sentence, and the control it belongs to
and its own, see `runs` and `sweeping`. Messages of a job that the page numbers carry that number as "run".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from specviz import optional
from specviz.backends import Pair
from specviz.types import ModelError
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
    """Loads the models once, in the background, and lets one job at a time use them, `deadline` seconds each."""

    def __init__(self, load: Callable[[], Pair], deadline: float = DEADLINE):
        self.deadline = deadline
        self._load = load
        self._ready = threading.Event()
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._waiting = 0
        self._stopped: dict[str, threading.Event] = {}
        self._pair: Pair | None = None
        self._problem = ""

    def open(self) -> None:
        """Starts loading the models."""
        threading.Thread(target=self._fetch, daemon=True).start()

    def _fetch(self) -> None:
        try:
            self._pair = self._load()
        except (ModelError, ValueError) as error:
            self._problem = optional.missing(error) or str(error)
        except Exception as error:  # whatever it is, the page must say so instead of waiting for ever
            self._problem = optional.missing(error) or f"The models could not be loaded: {type(error).__name__}."
            raise
        finally:
            self._ready.set()

    def stop(self, run: str) -> None:
        """Asks a run to end after the round it is in."""
        if run in self._stopped:
            self._stopped[run].set()

    def messages(self, run: str, job: Job) -> Generator[Message, None, None]:
        """The messages of a job that `stop` can end. Closing the generator ends its compute within a round."""
        stopped = self._stopped[run] = threading.Event()
        try:
            for message in self.in_turn(job, stopped):
                yield {"run": run, **message}
        finally:
            self._stopped.pop(run, None)

    def in_turn(self, job: Job, stopped: threading.Event | None = None) -> Generator[Message, None, None]:
        """The messages of a job, once it is its turn."""
        stopped = stopped or threading.Event()
        with self._place() as free:
            if not free:
                words = f"{WAITING} runs are already waiting here. Try again in a minute; what you see stays."
                yield failed(Refused("prompt", words))
                return
            try:
                pair = yield from self._until_ready(stopped)
                yield from self._until_turn(stopped)
            except Refused as error:
                yield failed(error)
                return
        try:
            yield from job(Turn(pair, stopped, self.deadline))
        finally:
            self._turn.release()

    def borrow(self, work: Callable[[Pair], Message], patience: float = 60.0) -> Message:
        """What `work` makes of the models, once it is its turn at them; {"error": a sentence, "field"?} if it cannot."""
        with self._place() as free:
            if not free:
                return {"error": f"{WAITING} runs are already waiting here. Try again in a minute."}
            if not self._ready.wait(patience):
                return {"error": "The models are still loading. Try again in a moment."}
            if self._pair is None:
                return {"error": self._problem}
            taken = self._turn.acquire(timeout=patience)
        if not taken:
            return {"error": "Another run is using the models. Try again when it has ended."}
        try:
            return work(self._pair)
        except (ValueError, ModelError) as error:
            return {"error": str(error), "field": getattr(error, "field", "")}
        except Exception as error:  # an odd trace must not leave the page waiting
            return {"error": f"This could not be computed: {type(error).__name__}."}
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

    def _until_ready(self, stopped: threading.Event) -> Generator[Message, None, Pair]:
        while not self._ready.wait(timeout=0.5):
            if stopped.is_set():
                raise Refused("prompt", "Stopped before the models were loaded.")
            yield {"kind": "wait", "message": "The models are still loading."}
        if self._pair is None:
            raise Refused("prompt", self._problem)
        return self._pair


def failed(error: Exception, field: str = "prompt") -> Message:
    """The message that says an error; `field`: the control it belongs to, unless it was Refused for one."""
    return {"kind": "error", "field": error.field if isinstance(error, Refused) else field, "message": str(error)}
