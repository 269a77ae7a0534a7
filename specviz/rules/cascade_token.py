from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.registry import knob
from specviz.rules import Rule, TargetRule
from specviz.rules.inputs import by_token, knob_values
from specviz.sums.rows import Floats, after, find, pick
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally, loose


@dataclass(frozen=True)
class CascadeToken(TargetRule):
    """Speculative cascade, token by token: with A = {v: verifier[v] >= (1 - alpha) max verifier}, the target is the
    draft on A, plus the verifier times the draft's mass outside A. At alpha = 0 it is not `sps`."""

    name = "cascade_token"
    summary = "Trusts the draft model on the tokens the verifier likes nearly as much as its favourite, and the verifier elsewhere."
    source = "Narasimhan et al. 2025 (arXiv 2405.19261), token-specific rule V3"
    formula = "A = {v : q(v) ≥ (1 − α) max q}\ntarget = p on A, plus q times the mass of p outside A\nkeep n with chance min(1, target(n) / p(n)); else draw from norm(max(target − p, 0))"
    helps = "Where several answers are equally good: the draft model may choose among the verifier's favourites, and the verifier handles the rest."
    hurts = "Where the verifier is unsure nearly every token is a favourite, so the draft model writes alone. Even at alpha 0 it is not lossless."

    flips, loose_below = "alpha", True

    alpha: float = knob(
        0.3,
        "How far below its favourite the verifier still likes a token: 0 is only the favourite, 1 every token.",
        low=0.0,
        high=1.0,
    )

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        liked = verifier_probs >= (1 - self.alpha) * verifier_probs.amax(-1, keepdim=True)
        outside = torch.where(liked, 0.0, draft_probs).sum(-1, keepdim=True)
        return torch.where(liked, draft_probs, 0.0) + outside * verifier_probs

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """A token outside A is kept while the draft has enough mass there: at alphas below this. From 1 - verifier/max
        verifier on it is in A itself and kept again."""
        return by_token(_flip, verifier_probs, draft_probs, token, uniform)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        liked = rows.liked
        bar = (1 - knob_values(settings, "alpha")) * liked.verifier[:, :1]
        count = liked.over(bar, ties=True)  # A is the first so many
        everything = bar == 0  # even what the verifier rules out
        left = np.where(everything, 0.0, pick(liked.draft_above, count))
        above = find(rows.ratio, left, right=True)
        moved = pick(rows.draft_above, above) - left * pick(
            rows.verifier_above, above
        )  # sum of max(draft - left verifier, 0)
        ratio, verifier, outside = liked.ratio.ravel(), liked.verifier.ravel(), left.ravel()
        stays = liked.sums(count, lambda law, token: (np.maximum(ratio[token] - outside[law], 0.0) * verifier[token],))
        moved -= stays[0]  # on A nothing is
        tally = Tally(rows, len(settings))
        tally.first_liked(count, lambda law, token: ratio[token] + outside[law])
        tally.scaled(pick(liked.verifier_above, count), left)
        tally.put(everything, loose(rows))
        return tally.outcome(1 - np.where(everything, 0.0, moved))


def _flip(verifier: Floats, draft: Floats, token: int, uniform: float) -> float:
    order = np.argsort(-verifier)
    outside = after(draft[order][None])[0, 1:]  # the draft's mass outside A, by how many tokens A has beyond the first
    enough = outside * verifier[token] > uniform * draft[token]
    return float(1 - verifier[order[np.argmin(enough)]] / verifier[order[0]])
