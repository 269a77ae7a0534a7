from dataclasses import dataclass

import numpy as np
import torch

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import TokenRule, numbers
from specviz.sums.rows import before, pick
from specviz.sums.sorted_rows import Tally


@dataclass(frozen=True)
class TopK(TokenRule):
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

    def accept_probs(self, verifier_probs, draft_probs):
        kth = verifier_probs.topk(min(int(self.k), verifier_probs.shape[-1]), -1).values[..., -1:]
        return ((verifier_probs >= kth) & (verifier_probs > 0)).to(verifier_probs.dtype)

    def residual_probs(self, verifier_probs, draft_probs, token):
        return dists.residual(self.accept_probs(verifier_probs, draft_probs), draft_probs)

    def flip(self, draft_prob, verifier_prob, uniform, verifier_entropy=None, rank=None):
        """The rank itself: from this k on the token is kept. `rank` is 1 + how many tokens the verifier likes better."""
        verifier_prob, rank = numbers(verifier_prob, rank)
        return torch.where(verifier_prob > 0, rank, torch.inf)

    @classmethod
    def sweep(cls, pair, settings):
        liked = pair.liked
        most = np.minimum([int(rule.k) for rule in settings], liked.size)
        kept = liked.over(pick(liked.verifier, most - 1), ties=True)
        refused = pick(liked.draft_above, kept)
        room = kept - pick(before(liked.draft), kept)  # sum of 1 - draft over the top k
        share = np.divide(refused, room, out=np.zeros_like(refused), where=room > 0)
        tally = Tally(pair, len(settings))
        ratio, verifier, given = liked.ratio.ravel(), liked.verifier.ravel(), share.ravel()
        tally.first_liked(kept, lambda law, token: ratio[token] * (1 - given[law]) + given[law] / verifier[token])
        tally.scaled(pick(liked.verifier_above, kept), np.zeros(1))
        return tally.outcome(1 - refused)
