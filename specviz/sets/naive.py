from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specviz.sets.base import SetRule, chosen, normalised
from specviz.sets.elders import included
from specviz.sums.rows import Floats, Indices
from specviz.types import Drawing


@dataclass(frozen=True)
class Naive(SetRule):
    """The verifier draws its own token; the siblings save its forward wherever it is one of them.

    `sampler_match` over a set, and on picked siblings what EAGLE does. With siblings drawn without replacement acceptance
    is exact for k up to 2, and for more of few tokens.
    """

    name = "naive"
    drawings = ("iid", "without_replacement", "greedy", "picked")
    summary = "The verifier draws its own token, and it is kept if it is one of the siblings."
    formula = "draw y from q; keep it iff y is one of X_1 … X_k\nacceptance with independent siblings: Σ q(x) (1 − (1 − p(x))^k)"
    helps = "Where nothing but the verifier's own sampler is at hand: the siblings may come in any way, and their laws are never read. On picked siblings it is what EAGLE does."
    hurts = (
        "Where many tokens are fine its own draw is seldom among a few siblings, however good the draft: it keeps few."
    )
    source = "Sun et al. 2023, baseline of SpecTr (arXiv 2310.15141)"

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        if drawing == "iid":
            with np.errstate(divide="ignore"):
                among = -np.expm1(k * np.log1p(-np.minimum(draft, 1)))
        elif drawing == "without_replacement":
            among = included(draft, k)
        else:
            fixed = chosen(draft, k, drawing)
            law = normalised(np.where(fixed, 0.0, draft), np.zeros_like(draft))
            among = np.where(fixed, 1.0, law if drawing == "greedy" else 0.0)
        kept: Floats = (verifier * among).sum(-1)
        return kept

    def emits(self, verifier: Floats, draft: Floats, tokens: Indices, drawing: Drawing) -> Floats:
        return verifier
