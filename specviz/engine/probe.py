"""Where the time of a run goes, learnt by whoever drives it: no function is wrapped or replaced for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import ParamSpec, TypeVar

from specviz.backends import Session
from specviz.drafters.asks import Ask, Judge, Look

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Answer = TypeVar("Answer")


class Probe:
    """`seconds` by part: "draft" and "verify" (the forwards), "distributions" (logits to probabilities), "judge", "loop"
    (noise, drawing, the walk, bookkeeping), and whatever others count with `counting`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.verifiers: set[Session] = set()

    def counting(
        self, part: str, function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """Calls a function and counts its time under `part`."""
        began = perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            self.seconds[part] += perf_counter() - began

    def answer(self, ask: Ask[Answer]) -> Answer:
        """Answers an ask; of a look, the forward is told from the rest."""
        if not isinstance(ask, Look):
            return self.counting("judge" if isinstance(ask, Judge) else "other", ask.answer)
        before, began = ask.session.seconds, perf_counter()
        answer = ask.answer()
        forward = ask.session.seconds - before
        self.seconds["verify" if ask.session in self.verifiers else "draft"] += forward
        self.seconds["distributions"] += perf_counter() - began - forward
        return answer
