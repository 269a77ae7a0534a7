"""Where the time goes: timers around the rooms' functions, in runs of their own so that the rates stay unperturbed."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter

import orjson

from specviz.bench.ways import Way
from specviz.engine.settings import Settings

PARTS = {
    "draft": "the draft model's forwards",
    "verify": "the verifier's forwards",
    "sample": "noise, softmax, temperature, top-k, top-p and drawing",
    "judge": "the acceptance rule",
    "measure": "the exact measures of every judged position",
    "trace": "folding events into the trace",
    "loop": "the decode loop and the lanes' clocks",
    "stream": "the page's messages, as JSON, and the trace to download",
}


class Timers:
    """Time spent in functions by part, each without what it calls of the other parts."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def timed(self, function: Callable, part: str) -> Callable:
        """`function`, its time counted under `part`."""

        def wrapper(*arguments, **named):
            began = perf_counter()
            self._inner.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                whole = perf_counter() - began
                self.seconds[part] += whole - self._inner.pop()
                if self._inner:
                    self._inner[-1] += whole

        return wrapper

    def timed_steps(self, function: Callable, part: str) -> Callable:
        """The same for a generator function."""

        def wrapper(*arguments, **named):
            made = function(*arguments, **named)
            step = self.timed(lambda: next(made, None), part)
            try:
                while (item := step()) is not None:
                    yield item
            finally:
                made.close()

        return wrapper

    def model(self, session: Callable, part: str) -> Callable:
        """A model's `session`, with the forwards of what it makes counted under `part`."""

        def make():
            made = session()
            made.forward = self.timed(made.forward, part)
            return made

        return make


@contextmanager
def rooms_timed(pair) -> Iterator[Timers]:
    """Timers around the functions of every room while this is open."""
    from specviz.drafters import proposal
    from specviz.engine import measure, race
    from specviz.prob import dists, noise
    from specviz.record import trace

    timers = Timers()
    rooms = [
        (dists, "to_probs", "sample"), (dists, "draw", "sample"), (noise.Noise, "race", "sample"), (noise.Noise, "uniforms", "sample"),
        (proposal.Proposal, "judged_by", "judge"), (measure.Meter, "add", "measure"), (measure.Meter, "flush", "measure"), (trace.Trace, "add", "trace"),
    ]  # fmt: skip
    with ExitStack() as stack:
        for owner, name, part in rooms:
            stack.enter_context(_replaced(owner, name, timers.timed(getattr(owner, name), part)))
        stack.enter_context(_replaced(race, "race", timers.timed_steps(race.race, "loop")))
        for part, model in (("draft", pair.draft), ("verify", pair.verifier)):
            stack.enter_context(_replaced(model, "session", timers.model(model.session, part)))
        yield timers


@contextmanager
def _replaced(owner, name: str, value) -> Iterator[None]:
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before) if own else delattr(owner, name)


def breakdown(pair, asked: Sequence[tuple[str, str | None]], settings: dict, repeats: int) -> list[dict]:
    """One lane of sps as the page runs it, on each (prompt, style). Per part: its seconds per token and share of the whole."""
    with rooms_timed(pair) as timers:
        _page(pair, *asked[0], [{"rule": "sps"}], settings, 0)
        timers.seconds.clear()
        tokens, whole = 0, 0.0
        for seed in range(repeats):
            for prompt in asked:
                count, seconds = _page(pair, *prompt, [{"rule": "sps"}], settings, seed)
                tokens, whole = tokens + count, whole + seconds
    timers.seconds["stream"] = whole - sum(timers.seconds.values())
    return [
        {
            "part": part,
            "about": about,
            "seconds_per_token": timers.seconds[part] / tokens,
            "share": timers.seconds[part] / whole,
        }
        for part, about in PARTS.items()
    ]


def page_and_command_line(pair, asked: tuple[str, str | None], sampling, length: int) -> list[Way]:
    """Three lanes through the page's own stream of messages, and run and recorded directly, as the command line does."""
    from specviz import rules
    from specviz.engine import race
    from specviz.record import trace

    names = ("sps", "cactus", "tas")
    settings = dict(sampling=sampling, max_new_tokens=length, draft_length=4)

    def directly(prompt: list[int], seed: int) -> tuple[int, float]:
        began = perf_counter()
        lanes = [Settings(rule=rules.make(name), seed=seed, **settings) for name in names]
        record = trace.begin(pair, *asked, lanes)
        for step in race.race(pair, record.data["prompt_tokens"], lanes):
            record.add(step)
        record.to_json()
        return _tokens(record.data), perf_counter() - began

    def page(prompt: list[int], seed: int) -> tuple[int, float]:
        return _page(pair, *asked, [{"rule": name} for name in names], settings, seed)

    return [
        Way(f"3 lanes x {length} tokens by the command line", directly),
        Way("the same through the page's stream", page, f"3 lanes x {length} tokens by the command line"),
    ]


def _page(pair, prompt: str, style: str | None, lanes: list[dict], settings: dict, seed: int) -> tuple[int, float]:
    """Tokens and seconds of a run through the page's stream, every message made into JSON as the page has it."""
    from specviz.ui import stream

    sampling = settings["sampling"]
    form = {
        "prompt": prompt, "style": style, "lanes": lanes, "seed": seed, "draft_length": settings["draft_length"],
        "max_new_tokens": settings["max_new_tokens"], "temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p,
    }  # fmt: skip
    began = perf_counter()
    for message in stream.compute(pair, form, threading.Event()):
        orjson.dumps(message).decode()
    seconds = perf_counter() - began
    return _tokens(json.loads(message["final"])), seconds


def _tokens(data: dict) -> int:
    return sum(len(round_["emitted"]) for lane in data["lanes"] for round_ in lane["rounds"])
