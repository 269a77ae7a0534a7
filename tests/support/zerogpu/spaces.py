"""A stand-in for the package `spaces` as it is on ZeroGPU, without a GPU: put its folder on the path, and `import spaces`
finds it. As there, a decorated generator function runs in a daemonic process that is forked when it is first called and kept
for later calls, in a thread of that; arguments and what is yielded are pickled, and closing the generator ends the task at
its next message."""

from __future__ import annotations

import inspect
import multiprocessing
import threading
from multiprocessing.queues import SimpleQueue

CONTEXT = multiprocessing.get_context("fork")
END = "end"


class Error(Exception):
    """As gradio's: `message` may hold markup."""

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message


refusal: str | None = None  # what the next call is refused with
asked: list[float] = []  # seconds of each call
workers: list[Worker] = []


class Worker:
    def __init__(self, task):
        self.arguments, self.results = SimpleQueue(ctx=CONTEXT), SimpleQueue(ctx=CONTEXT)
        self.stopped = CONTEXT.Event()
        self.process = CONTEXT.Process(target=self.serve, args=(task,), daemon=True)
        self.process.start()

    def serve(self, task) -> None:
        while True:
            arguments = self.arguments.get()
            self.stopped.clear()
            thread = threading.Thread(target=self.compute, args=(task, arguments))
            thread.start()
            thread.join()
            self.results.put((END, None))

    def compute(self, task, arguments) -> None:
        made = task(*arguments)
        try:
            for value in made:
                if self.stopped.is_set():
                    made.close()
                    return
                self.results.put(("value", value))
        except Exception as error:
            self.results.put(("error", type(error).__name__))


def GPU(task=None, *, duration=None):
    assert inspect.isgeneratorfunction(task), "only generator functions are lent a GPU here"

    def handler(*arguments):
        if refusal is not None:
            raise Error(refusal)
        asked.append(duration(*arguments))
        if not workers or not workers[0].process.is_alive():
            workers[:] = [Worker(task)]
        (worker,) = workers
        worker.arguments.put(arguments)  # pickled here: what cannot be is refused
        kind = None
        try:
            while True:
                kind, value = worker.results.get()
                if kind == END:
                    return
                if kind == "error":
                    raise Error(value)
                yield value
        finally:
            if kind == "value":  # closed by who reads
                worker.stopped.set()
            while kind != END:
                kind, _ = worker.results.get()

    return handler


def end() -> None:
    for worker in workers:
        worker.process.kill()
        worker.process.join()
    workers.clear()
