from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from specviz.rules import Rule
from specviz.rules.member import MemberRule
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class ExactMatch(MemberRule):
    """Keeps the drafted token only where it is the verifier's likeliest; otherwise takes that token. Nothing random."""

    name = "exact_match"
    summary = "Greedy. Keeps a token only if it is the verifier's own favourite, and writes that favourite otherwise."
    source = "Stern et al. 2018 (arXiv 1811.03115), blockwise parallel decoding"
    formula = "keep n iff n = argmax q; else write argmax q"
    helps = "For greedy decoding: the text is then exactly what the verifier alone would write at temperature 0."
    hurts = "At any other temperature it writes only favourites: all variety of the verifier is lost, and where the verifier is unsure that strays far from it."

    def members(self, verifier_probs: Tensor) -> Tensor:
        return favourite(verifier_probs).bool()

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return favourite(verifier_probs)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        liked, tally = rows.liked, Tally(rows, len(settings))
        tally.scaled(liked.verifier[:, :1], 1 / liked.verifier[:, :1])
        tally.scaled(liked.verifier_above[:, 1:2], np.zeros(1))
        return tally.outcome(liked.draft[:, :1])


def favourite(probs: Tensor) -> Tensor:
    """One-hot at the largest probability of each row [..., V]; of several equal ones, the first."""
    return F.one_hot(probs.argmax(-1), probs.shape[-1]).to(probs.dtype)
