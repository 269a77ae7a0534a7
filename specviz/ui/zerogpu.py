"""ZeroGPU: a Space's GPU, lent for the seconds of one job. The job runs in another process, forked from this one, so it is
a module-level function (or a `functools.partial` of one) and plain data, and so are the messages that come back. The models
are put on the GPU before the page is launched; the other process finds them where they were when it was forked.

Everywhere else a job runs where it is asked for.
"""

from __future__ import annotations

import multiprocessing
import re
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from specviz import backends
from specviz.backends import Pair
from specviz.engine.workers import end_with_parent
from specviz.ui.line import OFTEN, Message, Turn, Work, answered

try:
    import spaces
except ImportError:  # no Space
    spaces = None

MOST = 60.0  # seconds that a GPU is asked for at most: what ZeroGPU lends unless it is told otherwise
LEAST = 10.0  # to bring the models, and to record their forwards
RATE = 40.0  # tokens a second that are counted on, all lanes together
RESERVE = 3.0  # seconds before the GPU is taken away at which a job ends by itself

_pair: Pair | None = None  # whose models are on the GPU


def place(pair: Pair) -> None:
    """Says that the models of `pair` were loaded onto the GPU. Before the page is launched, in the main thread."""
    global _pair
    _pair = pair


def seconds(work: Work, deadline: float) -> float:
    """How long to ask for the GPU: what a run's tokens may take, and the most for other jobs."""
    asked: Any = getattr(work, "keywords", {}).get("asked", {})
    lanes, tokens = asked.get("lanes"), asked.get("max_new_tokens")
    known = isinstance(lanes, list) and isinstance(tokens, int)
    return min(deadline, MOST, LEAST + len(lanes) * min(max(0, tokens), 10_000) / RATE if known else MOST)


def _computed(work: Work, deadline: float) -> Generator[Message, None, None]:
    """A job's messages, computed in the process that has the GPU."""
    assert _pair is not None
    end_with_parent()
    backends.use_threads(_pair)
    yield from answered(work, Turn(_pair, _stopped, max(1.0, seconds(work, deadline) - RESERVE)))


_lent: Callable[[Work, float], Generator[Message, None, None]] = (
    _computed if spaces is None else spaces.GPU(_computed, duration=seconds)
)
HERE = _lent is not _computed  # whether this is a Space on ZeroGPU: anywhere else `spaces.GPU` changes nothing
# Shared with the process that has the GPU, which is forked later; jobs come one after the other.
_stopped: Any = multiprocessing.get_context("fork").Event() if HERE else None


def messages(work: Work, turn: Turn) -> Iterator[Message]:
    """The messages of a job in its turn, computed here, or where the GPU is if its models are there."""
    return _borrowed(work, turn) if HERE and turn.pair is _pair else answered(work, turn)


def _borrowed(work: Work, turn: Turn) -> Iterator[Message]:
    try:
        with _stopping(turn), closing(_lent(work, turn.deadline)) as computed:
            yield from computed
    except Exception as error:  # the quota is used up, no GPU is free, or the process was ended
        words = re.sub(r"<[^>]*>", "", str(getattr(error, "message", error))).strip().rstrip(".")
        yield {"kind": "error", "field": "prompt", "message": f"The GPU was not lent: {words or type(error).__name__}."}


@contextmanager
def _stopping(turn: Turn) -> Iterator[None]:
    """Meanwhile the other process is told when the turn is stopped here."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(OFTEN):
            if turn.stopped.is_set():
                _stopped.set()

    _stopped.clear()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
