from dataclasses import dataclass

import numpy as np
import torch

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import TargetRule
from specviz.sums.sorted_rows import either


@dataclass(frozen=True)
class Fuzzy(TargetRule):
    """Keeps everything where JS(draft, verifier) < threshold, and is strict elsewhere."""

    name = "fuzzy"
    summary = "Keeps every token where the two models nearly agree, and is strict where they do not."
    source = "Holsman et al. 2025, fuzzy speculative decoding (arXiv 2502.20704)"
    formula = "JS(p, q) < τ: keep every token\nelse: as sps"
    helps = "Where the two models mostly agree: small differences are then not worth a refusal."
    hurts = "It looks at whole distributions, never at the token: one bad token between two otherwise close distributions is kept unseen."

    threshold: float = knob(
        0.3,
        "Models this close (Jensen-Shannon divergence, at most 0.693) count as agreeing.",
        low=0.0,
        high=1.0,
        unit="nats",
    )

    def target(self, verifier_probs, draft_probs):
        close = dists.js(draft_probs, verifier_probs) < self.threshold
        return torch.where(close.unsqueeze(-1), draft_probs, verifier_probs)

    @classmethod
    def sweep(cls, pair, settings):
        return either(pair, strict=~(pair.js < np.array([rule.threshold for rule in settings])))
