from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import TokenRule


@dataclass(frozen=True)
class Alignment(TokenRule):
    """Conditional verification: keeps n iff verifier[n] > beta - alpha H(verifier), or n is its
    likeliest, H in nats.

    The bar falls with the verifier's entropy and is never above its likeliest token; below 0 it keeps whatever was drafted. A
    refused token is replaced by a draw from the verifier. The draft distribution is never read.
    """

    name = "alignment"
    summary = "Keeps any token over a bar that falls in a straight line with the verifier's entropy, and always its favourite."
    source = "Wang et al. 2025, Alignment-Augmented Speculative Decoding (arXiv 2505.13204), conditional verification"
    formula = "keep n iff q(n) > β − α H(q), or q(n) = max q; else draw from q"
    helps = "With copied drafts, which come without probabilities of their own: where the verifier is unsure, most of what was copied passes."
    hurts = "Where the entropy is above β / α nats it keeps every token, also one that the verifier rules out; the divergence is then infinite."
    flips, loose_below = "beta", True

    beta: float = knob(0.1, "The bar where the verifier is sure.", low=0.0, high=1.0)
    alpha: float = knob(0.1, "How much the bar falls for each nat of the verifier's entropy.", low=0.0, high=1.0)

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        bar = (self.beta - self.alpha * dists.entropy(verifier_probs)).unsqueeze(-1)
        favourite = verifier_probs >= verifier_probs.amax(-1, keepdim=True)
        return (favourite | (verifier_probs > bar)).to(verifier_probs.dtype)

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return verifier_probs

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """The favourite is kept at any beta, any other token at those up to its probability and alpha times the entropy."""
        verifier, entropy = dists.at(verifier_probs, token), dists.entropy(verifier_probs)
        return torch.where(verifier >= verifier_probs.amax(-1), torch.inf, verifier.double() + self.alpha * entropy)
