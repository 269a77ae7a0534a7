from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.registry import knob
from specviz.rules import Rule
from specviz.rules.inputs import by_rows, by_token, knob_values
from specviz.rules.lift import LiftedRule, lifts
from specviz.sums.rows import Floats
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome


@dataclass(frozen=True)
class CactusLaw(LiftedRule):
    """`cactus` with the delta that makes KL(output law || verifier) equal `budget` at each position, found by root search.

    So the budget is that of what is really written, not of one token's target. Where even keeping all it can costs
    less, it does that. Unlike `cactus` it must read both whole distributions. Its lift is the paper's approximation.
    """

    name = "cactus_law"
    summary = "Cactus with an honest budget: delta is chosen at each position so that what is written strays by exactly that much."
    source = "specviz, after Hao & Mou, ICLR 2026 (arXiv 2604.04987)"
    formula = "as cactus, with δ at each position such that KL(output law ‖ q) = b"
    helps = "When the promise must hold for what is really written: the drift at each position is at most the budget, known before the run."
    hurts = "It must read both whole distributions and search for delta at each position, which takes time, and mentored keeps at least as much for the same divergence."

    flips = spends = "budget"
    searches = True

    budget: float = knob(
        0.2,
        "How far what is written may stray from the verifier, per token: 0 is strict.",
        low=0.0,
        high=10.0,
        unit="nats",
        scale="log",
    )

    def allowance(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return by_rows(self._rows, verifier_probs, draft_probs, dtype=torch.float64)

    def _rows(self, verifier: Floats, draft: Floats) -> Floats:
        return lifts(SortedRows(verifier, draft), self.solver).allowance(np.array([self.budget]))

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """The divergence of what plain cactus writes at the delta that just keeps the token."""
        return by_token(_flip, verifier_probs, draft_probs, token, uniform)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        family = lifts(rows, cls.solver)
        return family.outcome(family.allowance(knob_values(settings, "budget")))


def _flip(verifier: Floats, draft: Floats, token: int, uniform: float) -> float:
    prob, rise = verifier[token], uniform * draft[token] - verifier[token]
    if rise <= 0:
        return 0.0
    if prob == 0:
        return np.inf
    allowance = np.array([rise**2 / (2 * prob * (1 - prob))])
    return float(lifts(SortedRows(verifier, draft), CactusLaw.solver).kl(allowance)[0, 0])
