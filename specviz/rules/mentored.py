from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from specviz.registry import knob
from specviz.rules import Rule, TargetRule
from specviz.rules.inputs import by_rows, by_token, knob_values
from specviz.sums.rows import Floats, find, pick
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class Mentored(TargetRule):
    """The target is clip(draft, low verifier, high verifier), low <= 1 <= high, which sums to 1 and has
    KL(target || verifier) = budget; it is the draft itself where KL(draft || verifier) <= budget.

    No single-draft rule accepts more at the same KL(output law || verifier). Where the draft puts mass on tokens
    the verifier rules out, that mass always goes, and the divergence cannot exceed what is left.
    """

    name = "mentored"
    summary = "The best any rule can do: keeps as much as possible for a given true divergence from the verifier."
    source = "Tran-Thien 2023, mentored decoding; optimality: arXiv 2609.30474"
    formula = "target(n) = clip(p(n), low q(n), high q(n)), low ≤ 1 ≤ high such that it sums to 1 and KL(target ‖ q) = b\nkeep n with chance min(1, target(n) / p(n)); else draw from norm(max(target − p, 0))"
    helps = "When the drift you accept can be named: at the same true divergence no rule for a single draft keeps more."
    hurts = "It spends the same budget at every position, also where that buys little, and it must read both whole distributions and search at each one."

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

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return by_rows(self._rows, verifier_probs, draft_probs)

    def _rows(self, verifier: Floats, draft: Floats) -> Floats:
        if self.budget == 0:
            return verifier
        clips = SortedRows(verifier, draft).clips
        moved = clips.spend(self.budget)
        return np.where(moved == 0, draft, clips.target(moved))

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """The token stays while `high` exceeds uniform draft/verifier: the divergence of the clip whose `high` is just that."""
        return by_token(_flip, verifier_probs, draft_probs, token, uniform)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        budget = knob_values(settings, "budget")
        moved = rows.clips.spend(budget)
        below, above, low, high = rows.clips.bounds(moved)
        tally = Tally(rows, len(settings))
        tally.scaled(pick(rows.verifier_below, below), low)
        tally.draft_itself(below, above)
        tally.scaled(pick(rows.verifier_above, above), np.where(above < rows.size, high, 1.0))
        tally.put(budget == 0, Tally(rows, 1))  # a budget of 0 is the verifier to the last bit
        return tally.outcome(1 - moved)


def _flip(verifier: Floats, draft: Floats, token: int, uniform: float) -> float:
    if uniform * draft[token] <= verifier[token]:
        return 0.0
    if verifier[token] == 0:
        return np.inf
    rows, high = SortedRows(verifier, draft), uniform * draft[token] / verifier[token]
    above = find(rows.ratio, high)
    moved = pick(rows.draft_above, above) - high * pick(rows.verifier_above, above)
    return float(rows.clips.measure(moved, "kl")[0, 0])
