from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import Rule
from specviz.rules.inputs import knob_values
from specviz.rules.member import MemberRule
from specviz.sums.rows import before, pick
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class TopK(MemberRule):
    """Keeps n iff it is among the verifier's k likeliest (ties included), else draws from norm(max(1[top k] - draft, 0)).

    A token of verifier probability 0 is never among them: where fewer than k tokens are possible at all, it is those.
    """

    name = "top_k"
    summary = "Keeps any token among the verifier's k favourites, however unlikely."
    source = "Hao & Mou, ICLR 2026 (arXiv 2604.04987), baselines"
    formula = "keep n iff q(n) is among the k largest; else draw from norm(max(1[top k] − p, 0))"
    helps = "When any of the verifier's first few choices will do, as in loose prose."
    hurts = "It counts ranks, not probabilities: where the verifier is almost certain, its second choice passes all the same, however unlikely."
    flips = "k"

    k: int = knob(5, "How many of the verifier's favourites are kept.", low=1, high=1000, unit="tokens", scale="log")

    def members(self, verifier_probs: Tensor) -> Tensor:
        kth = verifier_probs.topk(min(int(self.k), verifier_probs.shape[-1]), -1).values[..., -1:]
        return (verifier_probs >= kth) & (verifier_probs > 0)

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return dists.residual(self.accept_probs(verifier_probs, draft_probs), draft_probs)

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """The rank itself, 1 + how many tokens the verifier likes better: from this k on the token is kept."""
        verifier = dists.at(verifier_probs, token)
        rank = torch.count_nonzero(verifier_probs > verifier.unsqueeze(-1), -1) + 1
        return torch.where(verifier > 0, rank.double(), torch.inf)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        liked = rows.liked
        most = np.minimum(knob_values(settings, "k").astype(np.intp), liked.size)
        kept = liked.over(pick(liked.verifier, most - 1), ties=True)
        refused = pick(liked.draft_above, kept)
        room = kept - pick(before(liked.draft), kept)  # sum of 1 - draft over the top k
        share = np.divide(refused, room, out=np.zeros_like(refused), where=room > 0)
        tally = Tally(rows, len(settings))
        ratio, verifier, extra = liked.ratio.ravel(), liked.verifier.ravel(), share.ravel()
        tally.first_liked(kept, lambda law, token: ratio[token] * (1 - extra[law]) + extra[law] / verifier[token])
        tally.scaled(pick(liked.verifier_above, kept), np.zeros(1))
        return tally.outcome(1 - refused)
