"""The line in front of the models: first come, first served, one job at a time, and one thread that computes them all.

A job is admitted within bounds (`Line.admit`), enters the line, gets its `Turn`, and makes messages, dicts that it hands to
the event loop of whoever asked. It ends when its work is done, when it is stopped, or at its deadline, wherever its
computation is at that moment (see `specviz.stopping`).
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from specviz import backends
from specviz.backends import Pair
from specviz.stopping import Stopped, stoppable
from specviz.types import ModelError
from specviz.ui.requests import Refused

DEADLINE = 120.0  # seconds that one job may last
ALL = 32  # jobs, waiting or computing, before the next one is sent away
PER_ADDRESS = 24  # of them from one address, which may be a whole classroom's
PER_VISITOR = 2  # from one open page, no two of a kind
HELD = 64  # messages that a job may be ahead of who hears them
RECENT = 10  # durations that are remembered of each kind of job
OFTEN = 0.1  # seconds between looks at what may have changed meanwhile

Message = dict[str, Any]


@dataclass
class Turn:
    """A job's turn at the models. `stopped` is set when a person wants it to end; `deadline`: the seconds it may last;
    `left`: those that it still expects to take, if it says so. `began`, `ended`: monotonic seconds, None before its end."""

    pair: Pair
    stopped: threading.Event = field(default_factory=threading.Event)
    deadline: float = DEADLINE
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    left: float | None = None

    def over(self) -> str:
        """Why the job has to end now, in a sentence; empty as long as it may go on."""
        if self.stopped.is_set():
            return "Stopped."
        if time.monotonic() - self.began > self.deadline:
            return f"Stopped after {self.deadline:g} seconds, the longest a run may take here."
        return ""


Work = Callable[[Turn], Iterable[Message]]


@dataclass(frozen=True)
class Visitor:
    """An open page, by its `session`, and the network address that it comes from. This one always listens."""

    session: str
    address: str = ""

    def listening(self) -> bool:
        """Whether it has heard all that it was told so far: a page that never fetches its messages has not."""
        return True

    def gone(self) -> bool:
        """Whether its connection is closed, so that nothing more will be heard."""
        return False


def computed(work: Work, turn: Turn) -> Iterator[Message]:
    """The messages of a job. What it computes for them raises Stopped once its turn is over."""
    made = iter(work(turn))
    while True:
        with stoppable(turn.over):
            message = next(made, None)
        if message is None:
            return
        yield message


def answered(work: Work, turn: Turn) -> Iterator[Message]:
    """The messages of a job, the last of which says why if it could not be computed."""
    try:
        yield from computed(work, turn)
    except (Stopped, ValueError, ModelError) as error:
        yield failed(error)
    except Exception as error:  # whatever it is, the page must not wait for ever
        traceback.print_exc()
        sentence = ValueError(f"This could not be computed: {type(error).__name__}.")
        yield failed(sentence) | {"outcome": "failed", "cause": type(error).__name__}


def failed(error: Exception, field: str = "prompt") -> Message:
    """The message that says an error; `field`: the control it belongs to, unless it was Refused for one. `outcome` is there
    where the job was not refused: stopped, or failed and of what `cause`."""
    message = {"kind": "error", "field": error.field if isinstance(error, Refused) else field, "message": str(error)}
    if isinstance(error, Stopped):
        return message | {"outcome": "stopped"}
    return message | {"outcome": "failed", "cause": "model"} if isinstance(error, ModelError) else message


class Job:
    """What a visitor wants computed. Made in the event loop in which its messages are heard."""

    def __init__(self, kind: str, visitor: Visitor, name: str):
        self.kind, self.visitor, self.name = kind, visitor, name
        self.stopped = threading.Event()
        self.turn: Turn | None = None  # once it has begun
        self.work: Work | None = None
        self.pair: Pair | None = None
        self._messages: deque[Message] = deque()
        self._taken = threading.Condition()
        self._ended = self._left = False
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        self.context = copy_context()  # of who asked: whose share of a lent GPU it is

    async def hear(self) -> Message | None:
        """Its next message, if there is one within OFTEN seconds."""
        if not self._messages and not self._ended:
            self._told.clear()
            timer = self._loop.call_later(OFTEN, self._told.set)  # asyncio.wait_for may lose a cancellation
            try:
                await self._told.wait()
            finally:
                timer.cancel()
        with self._taken:
            self._taken.notify()
            return self._messages.popleft() if self._messages else None

    @property
    def over(self) -> bool:
        """Whether all has been computed, and heard."""
        return self._ended and not self._messages

    def tell(self, message: Message) -> None:
        """Hands a message over, from the thread that computes; waits while HELD others have not been heard."""
        with self._taken:
            self._taken.wait_for(lambda: len(self._messages) < HELD or self._left)
            self._messages.append(message)
        self._wake()

    def end(self) -> None:
        """There are no more messages."""
        self._ended = True
        self._wake()

    def leave(self) -> None:
        """Nobody hears it any more."""
        self.stopped.set()
        with self._taken:
            self._left = True
            self._taken.notify()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._told.set)
        except RuntimeError:  # the loop is closed, and nobody is left to hear
            self.leave()


class Line:
    """Jobs in the order in which they entered, and the thread that computes them, each for at most `deadline` seconds;
    `messages` makes the messages of one."""

    def __init__(self, deadline: float = DEADLINE, messages: Callable[[Work, Turn], Iterator[Message]] = answered):
        self.deadline, self._messages = deadline, messages
        self._here: list[Job] = []  # all that were admitted
        self._waiting: deque[Job] = deque()
        self._computing: Job | None = None
        self._lasted: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def admit(self, kind: str, visitor: Visitor, name: str = "") -> Job:
        """A job of this kind for a visitor, who may stop it by its name. Refused where there are too many already."""
        with self._changed:
            own = [job for job in self._here if job.visitor.session == visitor.session]
            if any(job.kind == kind for job in own):
                raise Refused("prompt", "What you asked for before has not ended yet. Stop it, or wait for its end.")
            if len(own) >= PER_VISITOR:
                raise Refused("prompt", f"{PER_VISITOR} things that you asked for have not ended yet. Wait for one.")
            near = sum(job.visitor.address == visitor.address for job in self._here)
            if self._closed or len(self._here) >= ALL or near >= PER_ADDRESS:
                count, where = (near, " from your address") if near >= PER_ADDRESS else (len(self._here), "")
                raise Refused(
                    "prompt",
                    f"The house is full: {count} visitors{where} are already waiting here. Try again in a minute; what you see "
                    "stays, and the recorded runs are there meanwhile.",
                )
            job = Job(kind, visitor, name)
            self._here.append(job)
            return job

    def enter(self, job: Job, pair: Pair, work: Work) -> None:
        """Puts a job at the end of the line."""
        with self._changed:
            job.pair, job.work = pair, work
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="specviz computes", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # a thread inside torch must not outlive the interpreter
            self._changed.notify_all()

    def leave(self, job: Job) -> None:
        """Ends a job, wherever it is: nobody waits for it any more."""
        job.leave()
        with self._changed:
            if job in self._here:
                self._here.remove(job)
            if job in self._waiting:
                self._waiting.remove(job)

    def stop(self, session: str, name: str) -> None:
        """Ends the job of that name of a visitor; what it has to say at its end is still heard."""
        with self._changed:
            for job in self._here:
                if (job.visitor.session, job.name) == (session, name):
                    job.stopped.set()

    def place(self, job: Job) -> tuple[int, float | None] | None:
        """The place of a job that waits, 1 for the next one, and the seconds until its turn as recent jobs of the same kinds
        lasted: None where there were none. None once it is no longer in the line."""
        with self._changed:
            if job not in self._waiting:
                return None
            place = self._waiting.index(job)
            ahead = [*([self._computing] if self._computing else []), *list(self._waiting)[:place]]
            seconds = [self._expected(other) for other in ahead]
            known = [value for value in seconds if value is not None]
            return place + 1, sum(known) if len(known) == len(seconds) else None

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        with self._changed:
            return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing is computed, and nothing waits for it."""
        with self._changed:
            return self._computing is None and not self._waiting

    def close(self) -> None:
        """Ends what is computed, and takes nothing more."""
        with self._changed:
            self._closed = True
            jobs, thread = [*self._here], self._thread
            self._changed.notify_all()
        for job in jobs:
            job.leave()
        if thread is not None:
            thread.join(10)

    def _expected(self, job: Job) -> float | None:
        """How much longer a job will take."""
        lasted = self._lasted[job.kind]
        if job.turn is None:
            return mean(lasted) if lasted else None
        since = time.monotonic() - job.turn.began
        rest = max(0.0, self.deadline - since)
        if job.turn.left is not None:
            return min(rest, job.turn.left)
        longer = [seconds for seconds in lasted if seconds > since]
        return mean(longer) - since if longer else None

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._computing = self._waiting.popleft()
                assert job.pair is not None
                job.turn = Turn(job.pair, job.stopped, self.deadline)
            job.context.run(self._compute, job, job.turn)
            with self._changed:
                self._computing, job.turn.ended = None, time.monotonic()
                if not job.stopped.is_set():
                    self._lasted[job.kind].append(job.turn.ended - job.turn.began)
            job.end()
            del job

    def _compute(self, job: Job, turn: Turn) -> None:
        assert job.work is not None
        backends.use_threads(turn.pair)
        for message in self._messages(job.work, turn):
            job.tell(message)
