"""What a visitor is told of a job from the moment it is asked for: loading, the place in the line, and what the job makes.

Messages are dicts that the page receives as JSON texts. Of every job there may be
    {"kind": "wait", "message", "place"?, "seconds"?}   its models are loading, or it is in the line, or it computes on quietly
    {"kind": "error", "field", "message"}               a sentence, and the control it belongs to
and its own, see `runs`, `sweeping` and `advice`. Each carries the name that the page gave the job, as "run".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from specviz.ui import zerogpu
from specviz.ui.line import DEADLINE, OFTEN, Job, Line, Message, Visitor, Work, failed
from specviz.ui.models import Models
from specviz.ui.requests import Refused
from specviz.ui.watch import Entry, Watch

UNHEARD = 5.0  # seconds that a page has to begin to listen
QUIET = 10.0  # seconds of silence after which the page hears that nothing is lost
PATIENCE = 1.0  # seconds that a page waits to hear how far its models are
ASIDE = 32  # calls that may wait for what needs no models
COMPUTING: Message = {"kind": "wait", "message": "Computing…"}


class Desk:
    """Takes what visitors ask for to the line, once the pair of `models` that it needs is loaded."""

    def __init__(self, models: Models, deadline: float = DEADLINE):
        self.models, self.line, self.watch = models, Line(deadline, zerogpu.messages), Watch()
        self._reading, self._asides = ThreadPoolExecutor(1, "specviz reads"), 0

    def open(self) -> None:
        """Starts loading the page's own pair."""
        self.models.get()

    def close(self) -> None:
        """Ends what is computed, and takes nothing more."""
        self.line.close()

    async def messages(
        self, visitor: Visitor, kind: str, work: Work, run: str = "", name: str | None = None
    ) -> AsyncGenerator[Message, None]:
        """The messages of a job called `run`, for the pair of that name (None: the page's own). Closing the generator ends
        the job wherever it is, and so does a visitor who is gone. The job is counted and logged."""
        entry = Entry(kind)
        try:
            async with aclosing(self._admitted(entry, visitor, work, run, name)) as messages:
                async for message in messages:
                    entry.note(message)
                    yield {"run": run, **message}
        finally:
            self.watch.close(entry)

    async def _admitted(
        self, entry: Entry, visitor: Visitor, work: Work, run: str, name: str | None
    ) -> AsyncGenerator[Message, None]:
        try:
            job = entry.job = self.line.admit(entry.kind, visitor, run)
        except Refused as error:
            yield failed(error)
            return
        try:
            async with aclosing(self._told(job, work, name)) as messages:
                async for message in messages:
                    yield message
        except Refused as error:
            entry.outcome = "stopped" if job.stopped.is_set() else ""
            yield failed(error)
        finally:
            self.line.leave(job)

    async def _told(self, job: Job, work: Work, name: str | None) -> AsyncGenerator[Message, None]:
        await _heard(job)
        try:
            loading = self.models.get(name)
        except ValueError as error:
            raise Refused("pair", str(error)) from None
        news = _News()
        while not loading.wait(0):
            if job.stopped.is_set():
                raise Refused("prompt", "Stopped before the models were loaded.")
            if job.visitor.gone():
                return
            if news.are({"kind": "wait", "message": loading.sentence}):
                yield news.message
            await asyncio.sleep(OFTEN)
        if loading.pair is None:
            raise Refused("pair", loading.problem)
        self.line.enter(job, loading.pair, work)
        while not job.over:
            message = await job.hear()
            if job.visitor.gone():
                return
            if message is not None:
                news.told(COMPUTING)
                yield message
            elif news.are(self._waiting(job)):
                yield news.message

    def _waiting(self, job: Job) -> Message:
        """What there is to say of a job that makes no messages."""
        if (place := self.line.place(job)) is None:
            return COMPUTING
        if job.stopped.is_set():
            raise Refused("prompt", "Stopped before it was this run's turn.")
        number, seconds = place
        words = f"{ordinal(number)} in the line" + (
            "." if seconds is None else f", about {spelt(seconds)} (estimated)."
        )
        return {"kind": "wait", "message": words, "place": number, "seconds": seconds}

    async def state(self, name: str | None) -> Message:
        """How far the pair of that name is, after a second or once it is over: see `Loading.state`."""
        try:
            loading = self.models.get(name)
        except ValueError as error:
            return {"state": "failed", "message": str(error)}
        until = time.monotonic() + PATIENCE
        while not loading.wait(0) and time.monotonic() < until:
            await asyncio.sleep(OFTEN)
        return loading.state()

    async def aside(self, work: Callable[[], Message]) -> Message:
        """What `work`, which needs no models, makes; one call after the other, in a thread of its own. {"error": a
        sentence} where too many wait."""
        if self._asides >= ASIDE:
            return {"error": "Too many visitors ask for this at once. Try again in a moment."}
        self._asides += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, work)
        finally:
            self._asides -= 1


class _News:
    """What was said last, so that it is said again only once it has changed, or after a long silence."""

    def __init__(self) -> None:
        self.told(COMPUTING)

    def told(self, message: Message) -> None:
        self.message, self._since = message, time.monotonic()

    def are(self, message: Message) -> bool:
        """Whether this message is worth telling; if so, it is now the one told last."""
        moved = message.get("place") != self.message.get("place")
        patience = QUIET if message["message"] == self.message["message"] else 0.0 if moved else 1.0
        if time.monotonic() - self._since < patience:
            return False
        self.told(message)
        return True


async def _heard(job: Job) -> None:
    """Waits until the page begins to listen. Refused if it does not: a job for nobody takes no place in the line."""
    until = time.monotonic() + UNHEARD
    while not job.visitor.listening():
        if job.visitor.gone() or time.monotonic() > until:
            raise Refused(
                "prompt", f"The page did not listen for {UNHEARD:g} seconds, so this was given up. Ask again."
            )
        await asyncio.sleep(0.01)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..., 11th, ..."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def spelt(seconds: float) -> str:
    """A duration in words, no more exact than an estimate is."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    return f"{5 * round(seconds / 5)} s" if seconds < 90 else f"{round(seconds / 60)} min"
