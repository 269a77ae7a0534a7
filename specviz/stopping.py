"""Stopping what takes long: who starts a computation says when it has to end, and the computation asks at each of its steps.

    with stoppable(over):       # over() gives a sentence once it is time to end, "" before
        ...                     # any checkpoint() in here raises Stopped with that sentence

Models ask before every forward, and the smaller ones in every layer, so whatever uses a model can be stopped. Where nobody
said anything a checkpoint does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_over: ContextVar[Callable[[], str] | None] = ContextVar("over", default=None)


class Stopped(Exception):
    """The computation was told to end; the sentence says why."""


@contextmanager
def stoppable(over: Callable[[], str]) -> Iterator[None]:
    """What is computed inside, in this thread, ends at its next checkpoint once `over` gives a sentence."""
    token = _over.set(over)
    try:
        yield
    finally:
        _over.reset(token)


def checkpoint() -> None:
    """A step of a long computation. Raises Stopped if it is to end here."""
    over = _over.get()
    if over is not None and (why := over()):
        raise Stopped(why)
