from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import Rule, TokenRule
from specviz.rules.inputs import knob_values, ratio
from specviz.sums.rows import find, pick
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class Lenience(TokenRule):
    """Keeps with min(1, verifier/(factor draft)); a refused token is replaced as in `sps`."""

    name = "lenience"
    summary = "Strict with a discount: the draft model's probability is multiplied by a factor before the comparison."
    source = "Leviathan et al. 2023 (arXiv 2211.17192), appendix on lenience"
    formula = "keep n with chance min(1, q(n) / (l p(n))); else draw from norm(max(q − p, 0))"
    helps = "When a hard promise is wanted from a small change: no token is written more than 1/l times as often as the verifier would."
    hurts = "It discounts all tokens alike: an unlikely one may be written 1/l times too often just as a likely one, whether or not it fits."
    flips, loose_below = "factor", True

    factor: float = knob(
        0.5, "The draft probability counts this many times: 1 is strict, near 0 keeps almost all.",
        low=0.0, high=1.0, open_low=True, scale="log",
    )  # fmt: skip

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return ratio(verifier_probs, self.factor * draft_probs)

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return dists.residual(verifier_probs, draft_probs)

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """uniform factor draft < verifier, solved for factor; above 1 for a token that is kept at any factor."""
        verifier = dists.at(verifier_probs, token).double()
        return torch.where(verifier > 0, verifier / (uniform * dists.at(draft_probs, token)), 0.0)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        """The law is verifier/factor where the ratio is above 1/factor, the draft from there down to ratio 1, and
        below that the draft plus its share of what was refused, a blend of draft and verifier."""
        most = 1 / knob_values(settings, "factor")
        cut = np.maximum(find(rows.ratio, most, right=True), rows.even)
        left = pick(rows.verifier_above, cut)
        refused = np.maximum(pick(rows.draft_above, cut) - most * left, 0.0)
        share = np.minimum(np.divide(refused, rows.tv, out=np.zeros_like(refused), where=rows.tv > 0), 1.0)
        tally = Tally(rows, len(settings))
        tally.scaled(left, most)
        tally.draft_itself(np.where(share > 0, rows.even, 0), cut)
        tally.lines(share, 1 - share, np.where(share > 0, rows.even, 0))
        tally.short = (1 - share) * rows.tv
        return tally.outcome(1 - refused)
