"""Where the time of a run goes, learnt by whoever drives it: no function is wrapped or replaced for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import ParamSpec, TypeVar

from torch import Tensor

from specviz.backends import Session
from specviz.drafters.asks import Ask, Begin, Judgement, Look, Looked

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Probe:
    """`seconds` by part, each second under one part only.

    A run counts "draft" (the drafter) and "verify" (the verifier's forwards), "distributions" (logits to probabilities), "judge" (the
    rule), "measure" (the exact measures), "loop" (noise, drawing, the walk, the lanes' clocks) and "record" (the trace);
    who uses the run may count more.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.verifiers: set[Session] = set()
        self._counted = 0.0  # seconds under all parts so far

    def counting(
        self, part: str, function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """Calls a function and counts its time under `part`, without what is counted under others in the meantime."""
        before, began = self._counted, perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            whole = perf_counter() - began
            self._count(part, whole - (self._counted - before))

    def answer(self, ask: Ask[Looked] | Ask[Judgement] | Ask[Tensor]) -> Looked | Judgement | Tensor:
        """Answers an ask; of a look, the forward is told from the rest."""
        session = ask.session if isinstance(ask, Look) else None
        before, began = session.seconds if session else 0.0, perf_counter()
        answer = ask.answer()
        whole = perf_counter() - began
        if session is None:
            self._count("draft" if isinstance(ask, Begin) else "judge", whole)
        else:
            forward = session.seconds - before
            self._count("verify" if session in self.verifiers else "draft", forward)
            self._count("distributions", whole - forward)
        return answer

    def drafted(self, seconds: float) -> None:
        """Counts what a drafter took beside the forwards that it asked for: those of a head, or copying."""
        self._count("draft", max(0.0, seconds))

    def _count(self, part: str, seconds: float) -> None:
        self.seconds[part] += seconds
        self._counted += seconds
