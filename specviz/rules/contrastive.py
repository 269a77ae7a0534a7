from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from specviz.registry import knob
from specviz.rules import TargetRule

ALPHA = {"tenth": 0.1, "half": 0.5, "whole": 1.0}  # words: a token's fate may change twice along a number


@dataclass(frozen=True)
class Contrastive(TargetRule):
    """The target is an ensemble of both models that leans away from the draft: verifier^(1 + alpha) / draft^alpha, normalised.

    These are the logits (1 + alpha) l_verifier - alpha l_draft. Where the draft has 0 they say nothing: there the target is the
    verifier's own probability, and what is left is shared by the others.
    """

    name = "contrastive"
    summary = "Aims beyond the verifier: at what it likes better than the draft model does."
    source = "Fu et al. 2025, Speculative Ensemble (arXiv 2502.01662); Li et al. 2023, contrastive decoding (arXiv 2210.15097)"
    formula = (
        "target ∝ q^(1 + α) / p^α\nkeep n with chance min(1, target(n) / p(n)); else draw from norm(max(target − p, 0))"
    )
    helps = (
        "When the draft model shows what a weak model would say, and the text should be better than the verifier's own."
    )
    hurts = "It keeps fewer tokens than sps, since the target moves away from the draft, and an unlikely token that the draft likes even less is lifted."

    lean: str = knob(
        "half", "How far the target leans away from the draft: alpha is a tenth, a half, or 1.", choices=tuple(ALPHA)
    )

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        known = draft_probs > 0
        both = known & (verifier_probs > 0)
        draft = draft_probs.where(both, 1.0)
        alpha = ALPHA[self.lean]
        scores = (1 + alpha) * verifier_probs.where(both, 1.0).log() - alpha * draft.log()
        shares = torch.softmax(scores.masked_fill(~both, -torch.inf), -1).where(both, 0.0)
        mass = (verifier_probs * known).sum(-1, keepdim=True)
        return torch.where(known, mass * shares, verifier_probs)
