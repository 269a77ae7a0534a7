from dataclasses import dataclass

import numpy as np
import torch

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import TokenRule, numbers
from specviz.rules.exact_match import favourite
from specviz.sums.rows import pick
from specviz.sums.sorted_rows import Tally


@dataclass(frozen=True)
class Tas(TokenRule):
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

    def accept_probs(self, verifier_probs, draft_probs):
        return (verifier_probs > self.bar(dists.entropy(verifier_probs)).unsqueeze(-1)).to(verifier_probs.dtype)

    def bar(self, verifier_entropy: torch.Tensor) -> torch.Tensor:
        """The probability a token must exceed, [...], given the verifier's entropy in nats."""
        return (self.alpha * torch.exp(-verifier_entropy)).clamp_max(self.epsilon)

    def residual_probs(self, verifier_probs, draft_probs, token):
        return favourite(verifier_probs) if self.fallback == "greedy" else verifier_probs

    def flip(self, draft_prob, verifier_prob, uniform, verifier_entropy=None, rank=None):
        """A token over the entropy's bar is kept at any epsilon, any other at those below its probability."""
        verifier_prob, verifier_entropy = numbers(verifier_prob, verifier_entropy)
        return torch.where(verifier_prob > self.alpha * torch.exp(-verifier_entropy), torch.inf, verifier_prob)

    @classmethod
    def sweep(cls, pair, settings):
        entropy = dists.entropy(torch.from_numpy(pair.verifier)).numpy()[:, None]
        liked = pair.liked
        epsilon, alpha = np.array([(rule.epsilon, rule.alpha) for rule in settings]).T
        kept = liked.over(np.minimum(epsilon, alpha * np.exp(-entropy)), ties=False)
        refused = pick(liked.draft_above, kept)
        ratio, favourites = liked.ratio.ravel(), liked.verifier[:, :1]
        tally = Tally(pair, len(settings))
        for fallback in {rule.fallback for rule in settings}:
            part = Tally(pair, len(settings))
            if fallback == "greedy":  # to keep the favourite or to write it instead is all the same
                count = np.maximum(kept, 1)
                given = (pick(liked.draft_above, count) / favourites).ravel()
                first = np.arange(len(ratio)) % liked.ratio.shape[-1] == 0
                part.first_liked(count, lambda law, token: ratio[token] + np.where(first[token], given[law], 0.0))  # noqa: B023
                part.scaled(pick(liked.verifier_above, count), np.zeros(1))
            else:
                given = refused.ravel()
                part.first_liked(kept, lambda law, token: ratio[token] + given[law])  # noqa: B023
                part.scaled(pick(liked.verifier_above, kept), refused)
            tally.put(np.array([rule.fallback == fallback for rule in settings]), part)
        return tally.outcome(1 - refused)
