from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.prob import dists
from specviz.rules import BlockRule, Rule, checked
from specviz.rules.inputs import Numbers
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, either
from specviz.types import Verdict


@dataclass(frozen=True)
class Block(BlockRule):
    """Block verification: the drafted tokens are judged together, so a good later token rescues an earlier one.

    For drafted x_1 .. x_m, reach_0 = 1 and reach_i = min(1, reach_(i-1) verifier(x_i)/draft(x_i)). Position i < m
    passes with S_i/(S_i + 1 - reach_i), where S_i = sum over y of max(reach_i verifier(y|x_<=i) - draft(y|x_<=i), 0),
    and position m with reach_m. The accepted length is the largest i that passes; then a draw from
    norm(max(reach_i verifier - draft, 0)). Lossless for the whole sequence, and keeps at least as many tokens as `sps`.
    """

    name = "block"
    lossless = True
    summary = "Strict, but judges the drafted tokens together: never keeps fewer of them, and distorts nothing."
    source = "Sun et al. 2024 (arXiv 2403.10444), block verification"
    formula = "r_i = min(1, r_(i−1) q(x_i) / p(x_i)), S_i = Σ_y max(r_i q(y) − p(y), 0)\nposition i passes with chance S_i / (S_i + 1 − r_i), the last of the block with r_m\nkeep all up to the last that passes; then draw from norm(max(r_i q − p, 0))"
    helps = "With long drafts: a likely later token can rescue an unlikely earlier one, and nothing is paid for it in quality."
    hurts = "It gains nothing with a draft of one token, where it is sps, and it can say what is kept only once the whole block is judged."
    servers = {"vLLM": '"rejection_sample_method": "block"'}

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        draft, verifier = dists.at(draft_probs, token), dists.at(verifier_probs, token)  # [..., m]
        reaches = [torch.ones_like(draft[..., 0])]
        for i in range(token.shape[-1]):
            scaled = reaches[-1] * verifier[..., i]
            reaches.append(torch.where(scaled < draft[..., i], scaled / draft[..., i], 1.0))
        reach = torch.stack(reaches, -1)  # [..., m + 1]
        surplus = (reach[..., :-1, None] * verifier_probs - draft_probs).clamp_min(0)
        mass = surplus.sum(-1)  # S_0 .. S_(m-1)
        least = mass[..., 1:] + (1 - reach[..., 1:-1])  # never below the mass, even in float arithmetic
        passes = torch.where(least > 0, mass[..., 1:] / least, 1.0)
        accept = torch.cat([passes, reach[..., -1:]], -1)
        mass = mass.unsqueeze(-1)
        return Verdict(accept, torch.where(mass > 0, surplus / mass.where(mass > 0, 1.0), verifier_probs))

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """The verifier's distribution: the whole emitted sequence follows the verifier (Sun 2024, Thm 1)."""
        return verifier_probs

    def acceptance(self, verifier_probs: Numbers, draft_probs: Numbers) -> Tensor:
        """That of a block of one token, 1 - TV(draft, verifier); longer blocks keep more per token."""
        return torch.minimum(*checked(verifier_probs, draft_probs)).sum(-1)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        return either(rows, strict=np.ones((1, len(settings)), dtype=bool))
