from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import Rule
from specviz.rules.exact_match import favourite
from specviz.rules.inputs import knob_values, knob_words
from specviz.rules.member import MemberRule
from specviz.sums.rows import Indices, pick
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class Tas(MemberRule):
    """Typical acceptance: keeps n iff verifier[n] > min(epsilon, alpha exp(-H(verifier))), H in nats.

    A refused token is replaced by the verifier's likeliest (fallback greedy, as in vLLM's typical acceptance
    sampler) or by a draw from the verifier (fallback sample). The draft distribution is never read.
    """

    name = "tas"
    summary = "Plausible is enough: keeps any token whose verifier probability passes a bar that is lower where the verifier is unsure."
    source = "Cai et al. 2024, Medusa (arXiv 2401.10774), typical acceptance"
    formula = "keep n iff q(n) > min(ε, α exp(−H(q))); else write argmax q, or a draw from q"
    helps = "In open-ended text: the less sure the verifier is, the lower the bar, so plausible tokens pass whatever the draft model gave them."
    hurts = "Tokens over the bar come as often as the draft model likes them, and refused ones become the favourite. With many tokens below the bar it keeps fewer than sps, and still distorts."
    flips, loose_below = "epsilon", True

    epsilon: float = knob(0.09, "The bar is never higher than this probability.", low=0.0, high=1.0, scale="log")
    alpha: float = knob(
        0.3, "Lowers the bar where the verifier is unsure: alpha times exp(-entropy).", low=0.0, high=10.0, scale="log"
    )
    fallback: str = knob(
        "greedy",
        "What replaces a refused token: the verifier's favourite, or a draw from the verifier.",
        choices=("greedy", "sample"),
    )

    def members(self, verifier_probs: Tensor) -> Tensor:
        return verifier_probs > self.bar(dists.entropy(verifier_probs)).unsqueeze(-1)

    def bar(self, verifier_entropy: Tensor) -> Tensor:
        """The probability a token must exceed, [...], given the verifier's entropy in nats."""
        return (self.alpha * torch.exp(-verifier_entropy)).clamp_max(self.epsilon)

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return favourite(verifier_probs) if self.fallback == "greedy" else verifier_probs

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """A token over the entropy's bar is kept at any epsilon, any other at those below its probability."""
        verifier, bar = dists.at(verifier_probs, token), self.alpha * torch.exp(-dists.entropy(verifier_probs))
        return torch.where(verifier > bar, torch.inf, verifier.double())

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        entropy = dists.entropy(torch.from_numpy(rows.verifier)).numpy()[:, None]
        bar = np.minimum(knob_values(settings, "epsilon"), knob_values(settings, "alpha") * np.exp(-entropy))
        kept = rows.liked.over(bar, ties=False)
        tally, fallbacks = Tally(rows, len(settings)), knob_words(settings, "fallback")
        for fallback, part in (("greedy", _greedy), ("sample", _sampled)):
            if (which := fallbacks == fallback).any():
                tally.put(which, part(rows, kept))
        return tally.outcome(1 - pick(rows.liked.draft_above, kept))


def _greedy(rows: SortedRows, kept: Indices) -> Tally:
    """The law is the draft on the first `kept` [B, K] of the tokens the verifier likes, and what is left on its favourite."""
    tally, liked, count = Tally(rows, kept.shape[1]), rows.liked, np.maximum(kept, 1)
    ratio, extra = liked.ratio.ravel(), (pick(liked.draft_above, count) / liked.verifier[:, :1]).ravel()
    first = np.arange(len(ratio)) % liked.ratio.shape[-1] == 0
    tally.first_liked(count, lambda law, token: ratio[token] + np.where(first[token], extra[law], 0.0))
    tally.scaled(pick(liked.verifier_above, count), np.zeros(1))
    return tally


def _sampled(rows: SortedRows, kept: Indices) -> Tally:
    """The law is the draft on the first `kept` [B, K] of the tokens the verifier likes, and what is left times the verifier."""
    tally, liked = Tally(rows, kept.shape[1]), rows.liked
    left = pick(liked.draft_above, kept)
    ratio, extra = liked.ratio.ravel(), left.ravel()
    tally.first_liked(kept, lambda law, token: ratio[token] + extra[law])
    tally.scaled(pick(liked.verifier_above, kept), left)
    return tally
