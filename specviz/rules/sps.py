from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from specviz.rules import Rule, TargetRule
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, either


@dataclass(frozen=True)
class Sps(TargetRule):
    """Speculative sampling: the target is the verifier itself, so nothing is distorted."""

    name = "sps"
    lossless = True
    summary = "Strict. Keeps a token only as often as the verifier itself would say it."
    source = "Leviathan et al. 2023 (arXiv 2211.17192), Alg. 1; Chen et al. 2023 (arXiv 2302.01318)"
    formula = "keep n with chance min(1, q(n) / p(n)); else draw from norm(max(q − p, 0))"
    helps = "When the text must be distributed exactly as the verifier's. No rule that judges one token by itself keeps more without distorting."
    hurts = "Where the models differ it refuses tokens that would have read just as well, so a draft model of another taste brings little speed."
    servers = {"vLLM": '"rejection_sample_method": "standard"', "transformers": "do_sample=True"}

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return verifier_probs

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        return either(rows, strict=np.ones((1, len(settings)), dtype=bool))
