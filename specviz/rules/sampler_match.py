from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from specviz.rules import Rule, TokenRule
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally


@dataclass(frozen=True)
class SamplerMatch(TokenRule):
    """The verifier draws its own token y; the draft is kept iff it equals y, else y is written.

    Judged as accept_prob = verifier[n], residual = verifier without n. Lossless: y is always what is written.
    Accepts sum over n of draft[n] verifier[n], never more than `sps`.
    """

    name = "sampler_match"
    lossless = True
    summary = (
        "Strict, the simple way. The verifier draws its own token, and the draft is kept only if it is the same one."
    )
    source = "What mlx-lm and the llama.cpp server do"
    formula = "draw y from q; keep n iff y = n; else write y"
    helps = "When it must be simple: the verifier's own sampler is all it needs, and the draft model's probabilities are never read."
    hurts = "Where many tokens are fine two draws rarely agree, even of two equal models: it keeps Σ p(n) q(n), never more than sps."
    servers = {"llama.cpp": ""}

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return verifier_probs.clamp_max(1)

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        others = verifier_probs.scatter(-1, token.unsqueeze(-1), 0.0)
        mass = others.sum(-1, keepdim=True)
        return (others / mass.where(mass > 0, 1.0)).where(mass > 0, verifier_probs)

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return verifier_probs

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        return Tally(rows, len(settings)).outcome((rows.draft * rows.verifier).sum(-1, keepdims=True))
