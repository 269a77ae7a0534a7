from dataclasses import dataclass

import numpy as np
import torch

from specviz.registry import knob
from specviz.rules import TargetRule, numbers
from specviz.sums.sorted_rows import Tally


@dataclass(frozen=True)
class Interpolation(TargetRule):
    """The target is a mixture, alpha draft + (1 - alpha) verifier."""

    name = "interpolation"
    summary = "A blend. Aims at a mixture of the two models, with weight alpha on the draft model."
    source = "Hao & Mou, ICLR 2026 (arXiv 2604.04987), baselines"
    formula = (
        "target = α p + (1 − α) q\nkeep n with chance min(1, target(n) / p(n)); else draw from norm(max(q − p, 0))"
    )
    helps = "As a dial that is easy to explain, from strict at alpha 0 to the draft model alone at alpha 1."
    hurts = "Every drafted token is kept with chance alpha at least, even one the verifier rules out; the divergence is then infinite."
    flips = "alpha"

    alpha: float = knob(0.5, "Weight of the draft model: 0 is strict, 1 keeps every token.", low=0.0, high=1.0)

    def target(self, verifier_probs, draft_probs):
        return self.alpha * draft_probs + (1 - self.alpha) * verifier_probs

    def flip(self, draft_prob, verifier_prob, uniform, verifier_entropy=None, rank=None):
        """uniform draft < alpha draft + (1 - alpha) verifier, solved for alpha."""
        draft_prob, verifier_prob, uniform = numbers(draft_prob, verifier_prob, uniform)
        short = uniform * draft_prob - verifier_prob
        return torch.where(short > 0, short / (draft_prob - verifier_prob), 0.0)

    @classmethod
    def sweep(cls, pair, settings):
        alpha = np.array([rule.alpha for rule in settings], dtype=float)
        tally = Tally(pair, len(settings))
        tally.lines(1 - alpha, alpha, pair.size)
        tally.ruled_out(alpha * pair.outside)
        tally.short += alpha * pair.tv
        return tally.outcome(1 - (1 - alpha) * pair.tv)
