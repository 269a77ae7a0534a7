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
    flips = "alpha"

    alpha: float = knob(
        0.0, "How much more confident the verifier must be, per unit of disagreement: -1 is almost always strict, 1 never.",
        low=-1.0, high=1.0,
    )  # fmt: skip

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return torch.where(_defers(self.alpha, verifier_probs, draft_probs).unsqueeze(-1), verifier_probs, draft_probs)

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """A token that a strict check keeps is kept at any alpha, any other from max verifier - max draft = alpha TV on."""
        strict = uniform * dists.at(draft_probs, token) < dists.at(verifier_probs, token)
        ahead, apart = verifier_probs.amax(-1) - draft_probs.amax(-1), dists.tv(draft_probs, verifier_probs)
        flip = torch.where(apart > 0, ahead.double() / apart, -1.0).clamp(-1, 1)
        return torch.where(strict, -1.0, flip)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        alpha = torch.from_numpy(knob_values(settings, "alpha"))
        verifier, draft = (torch.from_numpy(part)[:, None] for part in (rows.verifier, rows.draft))
        return either(rows, strict=_defers(alpha, verifier, draft).numpy())


def _defers(alpha: float | Tensor, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Whether the verifier is asked, [...]. Never at alpha 1, whatever rounding says: no two probabilities differ by more than tv."""
    return (draft_probs.amax(-1) < verifier_probs.amax(-1) - alpha * dists.tv(draft_probs, verifier_probs)) & (
        alpha < 1
    )
