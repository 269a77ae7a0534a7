from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import Rule, TargetRule
from specviz.rules.inputs import knob_values
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, either


@dataclass(frozen=True)
class Fuzzy(TargetRule):
    """Keeps everything where JS(draft, verifier) < threshold, and is strict elsewhere."""

    name = "fuzzy"
    summary = "Keeps every token where the two models nearly agree, and is strict where they do not."
    source = "Holsman et al. 2025, fuzzy speculative decoding (arXiv 2502.20704)"
    formula = "JS(p, q) < τ: keep every token\nelse: as sps"
    helps = "Where the two models mostly agree: small differences are then not worth a refusal."
    hurts = "It looks at whole distributions, never at the token: one bad token between two otherwise close distributions is kept unseen."
    flips = "threshold"

    threshold: float = knob(
        0.3,
        "Models this close (Jensen-Shannon divergence, at most 0.693) count as agreeing.",
        low=0.0,
        high=1.0,
        unit="nats",
    )

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        close = dists.js(draft_probs, verifier_probs) < self.threshold
        return torch.where(close.unsqueeze(-1), draft_probs, verifier_probs)

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """A token that a strict check keeps is kept at any threshold, any other at those above the divergence."""
        strict = uniform * dists.at(draft_probs, token) < dists.at(verifier_probs, token)
        return torch.where(strict, 0.0, dists.js(draft_probs, verifier_probs).double())

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        return either(rows, strict=~(rows.js < knob_values(settings, "threshold")))
