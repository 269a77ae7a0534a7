from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import Rule, TargetRule
from specviz.rules.inputs import knob_values
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class Interpolation(TargetRule):
    """The target is a mixture, alpha draft + (1 - alpha) verifier."""

    name = "interpolation"
    summary = "A blend. Aims at a mixture of the two models, with weight alpha on the draft model."
    source = (
        "Hao & Mou, ICLR 2026 (arXiv 2604.04987), baselines; as a weighted ensemble Fu et al. 2025 (arXiv 2502.01662)"
    )
    formula = (
        "target = α p + (1 − α) q\nkeep n with chance min(1, target(n) / p(n)); else draw from norm(max(q − p, 0))"
    )
    helps = "As a dial that is easy to explain, from strict at alpha 0 to the draft model alone at alpha 1."
    hurts = "Every drafted token is kept with chance alpha at least, even one the verifier rules out; the divergence is then infinite."
    flips = "alpha"

    alpha: float = knob(0.5, "Weight of the draft model: 0 is strict, 1 keeps every token.", low=0.0, high=1.0)

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return self.alpha * draft_probs + (1 - self.alpha) * verifier_probs

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """uniform draft < alpha draft + (1 - alpha) verifier, solved for alpha."""
        draft, verifier = dists.at(draft_probs, token).double(), dists.at(verifier_probs, token).double()
        short = uniform * draft - verifier
        return torch.where(short > 0, short / (draft - verifier), 0.0)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        alpha = knob_values(settings, "alpha")
        tally = Tally(rows, len(settings))
        tally.lines(1 - alpha, alpha, rows.size)
        tally.ruled_out(alpha * rows.outside)
        tally.short += alpha * rows.tv
        return tally.outcome(1 - (1 - alpha) * rows.tv)
