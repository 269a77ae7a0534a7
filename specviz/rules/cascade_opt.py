from dataclasses import dataclass

import torch

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import TargetRule
from specviz.sums.sorted_rows import either


@dataclass(frozen=True)
class CascadeOpt(TargetRule):
    """Speculative cascade, optimal deferral: strict where max draft < max verifier - alpha TV, else the draft itself."""

    name = "cascade_opt"
    summary = (
        "Asks the verifier only where it is clearly more confident than the draft model; elsewhere keeps everything."
    )
    source = "Narasimhan et al. 2025 (arXiv 2405.19261), rule OPT"
    formula = "max p < max q − α TV(p, q): as sps\nelse: keep every token"
    helps = "When the draft model is confident only where it is right: its sure positions then pass without a check."
    hurts = (
        "A draft model that is sure and wrong is believed in full, even where it writes what the verifier rules out."
    )

    alpha: float = knob(
        0.0, "How much more confident the verifier must be, per unit of disagreement: -1 is almost always strict, 1 never.",
        low=-1.0, high=1.0,
    )  # fmt: skip

    def target(self, verifier_probs, draft_probs):
        return torch.where(_defers(self.alpha, verifier_probs, draft_probs).unsqueeze(-1), verifier_probs, draft_probs)

    @classmethod
    def sweep(cls, pair, settings):
        alpha = torch.tensor([rule.alpha for rule in settings], dtype=torch.float64)
        return either(
            pair,
            strict=_defers(
                alpha, torch.from_numpy(pair.verifier)[:, None], torch.from_numpy(pair.draft)[:, None]
            ).numpy(),
        )


def _defers(alpha: float | torch.Tensor, verifier_probs: torch.Tensor, draft_probs: torch.Tensor) -> torch.Tensor:
    """Whether the verifier is asked, [...]. Never at alpha 1, whatever rounding says: no two probabilities differ by more than tv."""
    return (draft_probs.amax(-1) < verifier_probs.amax(-1) - alpha * dists.tv(draft_probs, verifier_probs)) & (
        alpha < 1
    )
