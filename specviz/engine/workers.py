"""Processes that each hold the pair: a small model keeps one core busy, and one process of Python does not fill two.

    with Workers(pair) as workers:                       # as many as there are cores for; a few seconds to start
        for i, item in workers.each(function, parts):    # what the generator function(pair, *parts[i]) yields, as it comes

What is sent to a worker and what comes back is pickled, so functions are those of modules. Waiting for workers, while they
start and while they compute, can be stopped (see `specviz.stopping`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from specviz import backends
from specviz.stopping import checkpoint
from specviz.types import ModelError

Item = TypeVar("Item")
OFTEN = 0.1  # seconds between questions whether to go on waiting
EMPTY = 1_000_000_000  # bytes of a process before it has loaded anything, generously
_starting = threading.Lock()  # held while a process starts


def cores(pair: backends.Pair) -> int:
    """How many processes have the cores and the memory they need for this pair: 1 if one takes all cores by itself, or
    if it cannot be loaded again, or if this process may have none."""
    if pair.source is None or pair.threads is None or multiprocessing.current_process().daemon:
        return 1
    count = (getattr(os, "process_cpu_count", os.cpu_count)() or 1) // pair.threads
    free = backends.memory.free_bytes("cpu")
    each = EMPTY + 3 * 4 * sum(model.parameters for model in pair.models)  # weights, packed ones and caches
    return max(1, count if free is None else min(count, free // each))


class Workers:
    """`count` processes (default: `cores`), until `close`. ModelError if one of them cannot start, or is lost."""

    def __init__(self, pair: backends.Pair, count: int | None = None):
        if pair.source is None:
            raise ValueError("This pair was not loaded by load_pair, so no other process can load it.")
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[SpawnProcess] = []
        self._unheard: set[Connection] = set()  # stopped, but what they had still sent is in the pipe
        try:
            for _ in range(count or cores(pair)):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, pair.source), daemon=True)
                with _starting, _uninterrupted():
                    process.start()
                theirs.close()
                self._pipes.append(ours)
                self._processes.append(process)
            starting = [*self._pipes]
            while starting:
                for pipe in _ready(starting):
                    starting.remove(pipe)
                    if (error := _received(pipe)[1]) is not None:
                        raise error
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._pipes)

    def each(
        self, function: Callable[..., Iterator[Item | None]], parts: Sequence[tuple[object, ...]]
    ) -> Generator[tuple[int, Item], None, None]:
        """Runs the generator `function(pair, *parts[i])` in worker i; yields (i, item) for every item but None. At most as
        many parts as workers, one `each` at a time. What a function raises is raised here, and ends all. Closing the
        generator stops the functions at their next item."""
        if len(parts) > len(self):
            raise ValueError(f"There are {len(self)} workers for {len(parts)} parts.")
        while self._unheard:
            for pipe in _ready([*self._unheard]):
                if _received(pipe)[0]:
                    self._unheard.remove(pipe)
        working = dict(zip(self._pipes, range(len(parts)), strict=False))
        for pipe, i in working.items():
            pipe.send((function, parts[i]))
        try:
            while working:
                ready = _ready([*working])
                for pipe in [pipe for pipe in working if pipe in ready]:
                    ended, item = _received(pipe)
                    if not ended:
                        yield working[pipe], item
                        continue
                    del working[pipe]
                    if item is not None:
                        raise item
        finally:
            for pipe in working:
                if _stop(pipe):
                    self._unheard.add(pipe)

    def shared(
        self,
        function: Callable[..., Iterator[tuple[int, Item] | None]],
        jobs: Sequence[object],
        *more: object,
        most: int | None = None,
    ) -> Generator[tuple[int, Item], None, None]:
        """`each` over jobs dealt out to the workers, or to `most` of them: function(pair, its jobs, *more) yields (index among
        its jobs, item), and this (index in `jobs`, item)."""
        count = min(len(self), len(jobs), len(jobs) if most is None else most)
        with closing(self.each(function, [(jobs[first::count], *more) for first in range(count)])) as items:
            for first, (i, item) in items:
                yield first + i * count, item

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        for pipe, process in zip(self._pipes, self._processes):
            pipe.close()
            process.kill()
        for process in self._processes:
            process.join()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def end_children() -> None:
    """Ends the processes that this one has started, and lets no worker start any more: for one that is about to end itself."""
    _starting.acquire(timeout=1)
    for child in multiprocessing.active_children():
        child.kill()


@cache
def end_with_parent() -> None:
    """From now on this process ends when the one that started it has ended, however that came about."""
    if (parent := multiprocessing.parent_process()) is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()


def _received(pipe: Connection) -> tuple[bool, Any]:
    """(False, an item of the function), or (True, what it raised, if anything) at its end."""
    try:
        ended, item = pipe.recv()
        return ended, item
    except (EOFError, OSError) as error:
        raise ModelError("A process that computed is gone. Perhaps there was not enough memory for it.") from error


def _ready(pipes: Sequence[Connection]) -> list[Connection]:
    """Those that something has come through, once there are any. Stopped if that is not to be waited for any longer."""
    checkpoint()
    while not (ready := wait(pipes, OFTEN)):
        checkpoint()
    return [pipe for pipe in pipes if pipe in ready]


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that start inside get no Ctrl+C of their own: who started them gets it too, and closes them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(pipe: Connection) -> bool:
    """Has a worker end its function at its next item; whether it is there to do so."""
    try:
        pipe.send(None)
    except OSError:
        return False
    return True


def _serve(pipe: Connection, source: backends.PairSource) -> None:
    """What a worker does: loads the pair, then runs one function after the other until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it is interrupted too, and closes it
    end_with_parent()
    try:
        pair = backends.load_pair(**source)
        backends.dedicate_process(pair)
        pipe.send((True, None))
        while True:
            if (asked := pipe.recv()) is None:  # a stop that came when the function had just ended
                continue
            pipe.send((True, _run(pipe, pair, *asked)))
    except (EOFError, OSError):
        pass
    except Exception as error:
        pipe.send((True, _plain(error)))


def _run(
    pipe: Connection, pair: backends.Pair, function: Callable[..., Iterator[object]], arguments: tuple[object, ...]
) -> Exception | None:
    """Sends all items of the function, or those before a stop; returns what it raised."""
    try:
        for item in function(pair, *arguments):
            if pipe.poll():
                pipe.recv()
                return None
            if item is not None:
                pipe.send((False, item))
    except (EOFError, OSError):
        raise
    except Exception as error:
        return _plain(error)
    return None


def _plain(error: Exception) -> Exception:
    """An exception that can be pickled and says the same."""
    return (
        type(error)(str(error))
        if isinstance(error, ModelError | ValueError)
        else RuntimeError(f"{type(error).__name__}: {error}")
    )
