from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.prob import dists
from specviz.rules import Rule, TargetRule
from specviz.rules.base import SiblingVerdict
from specviz.rules.inputs import by_rows, ratio
from specviz.sums.division import division
from specviz.sums.rows import Floats
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, either
from specviz.types import Drawing


@dataclass(frozen=True)
class KSeq(TargetRule):
    """k independent siblings are judged alike, against the verifier divided by one number g in [1, k], and the residual comes
    after the last. A single candidate is judged as `sps` does. `specviz.sets.k_seq` has its exact acceptance.
    """

    name = "k_seq"
    lossless = True
    summary = "Strict; several candidates for one place are judged alike, each a little more strictly than alone."
    source = "Sun et al. 2023, SpecTr (arXiv 2310.15141), Alg. 2"
    formula = "β(g) = Σ min(p, q/g), g from 1 to k with 1 − (1 − β)^k = g β\nkeep n with chance min(1, q(n) / (g p(n))), in order; none of k kept: draw from norm(q − g min(p, q/g))"
    helps = "With several independent candidates for one place: it keeps more of them than judging each against what the one before left over."
    hurts = "It takes candidates drawn independently, which repeat each other; with those drawn without replacement other rules keep more."

    @property
    def drawings(self) -> frozenset[Drawing]:
        return frozenset({"iid"})

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return verifier_probs

    def judge_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> SiblingVerdict:
        count, draft = token.shape[-1], draft_probs[..., 0, :]

        def divided(verifier: Floats, draft: Floats) -> Floats:
            return division(verifier, draft, count)[0][:, None]

        g = by_rows(divided, verifier_probs, draft, dtype=torch.float64)  # [..., 1]
        against = verifier_probs.unsqueeze(-2).expand_as(draft_probs)
        accept = ratio(dists.at(against, token), g * dists.at(draft_probs, token)).to(draft)
        residual = dists.residual(verifier_probs, torch.minimum(g * draft, verifier_probs).to(draft))
        return SiblingVerdict(accept, against, residual.unsqueeze(-2).expand_as(draft_probs), (self,) * count)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        return either(rows, strict=np.ones((1, len(settings)), dtype=bool))
