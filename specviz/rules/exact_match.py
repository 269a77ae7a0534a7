from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from specviz.rules import TokenRule
from specviz.sums.sorted_rows import Tally


@dataclass(frozen=True)
class ExactMatch(TokenRule):
    """Keeps the drafted token only where it is the verifier's likeliest; otherwise takes that token. Nothing random."""

    name = "exact_match"
    summary = "Greedy. Keeps a token only if it is the verifier's own favourite, and writes that favourite otherwise."
    source = "Stern et al. 2018 (arXiv 1811.03115), blockwise parallel decoding"
    formula = "keep n iff n = argmax q; else write argmax q"
    helps = "For greedy decoding: the text is then exactly what the verifier alone would write at temperature 0."
    hurts = "At any other temperature it writes only favourites: all variety of the verifier is lost, and where the verifier is unsure that strays far from it."

    def accept_probs(self, verifier_probs, draft_probs):
        return favourite(verifier_probs)

    def residual_probs(self, verifier_probs, draft_probs, token):
        return favourite(verifier_probs)

    @classmethod
    def sweep(cls, pair, settings):
        liked, tally = pair.liked, Tally(pair, len(settings))
        tally.scaled(liked.verifier[:, :1], 1 / liked.verifier[:, :1])
        tally.scaled(liked.verifier_above[:, 1:2], np.zeros(1))
        return tally.outcome(liked.draft[:, :1])


def favourite(probs: torch.Tensor) -> torch.Tensor:
    """One-hot at the largest probability of each row [..., V]; of several equal ones, the first."""
    return F.one_hot(probs.argmax(-1), probs.shape[-1]).to(probs.dtype)
