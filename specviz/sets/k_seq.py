from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specviz.sets.base import SetRule, at, normalised
from specviz.sums.division import division
from specviz.sums.rows import Floats, Indices
from specviz.types import Drawing


@dataclass(frozen=True)
class KSeq(SetRule):
    """Every sibling is judged alike, against the verifier divided by one number g in [1, k] that makes the sum come out.

    beta(g) = sum min(p, q/g) is the chance that one sibling is kept, and g is the root of 1 - (1 - beta)^k = g beta, whose
    left side less its right falls in g. At least 1 - 1/e of the optimum.
    """

    name = "k_seq"
    drawings = ("iid",)
    summary = "All siblings are judged alike, each a little more strictly than if it were the only one."
    formula = "β(g) = Σ min(p, q/g), g from 1 to k with 1 − (1 − β)^k = g β\nkeep X_i with chance min(1, q(X_i) / (g p(X_i))), in order; none kept: draw from norm(q − g min(p, q/g))"
    helps = "With several independent siblings: one number, found once for a place, makes up for judging them alike. It keeps at least 1 − 1/e of what the best rule could."
    hurts = "It takes independent siblings only, which repeat each other; those drawn without replacement offer more, and other rules keep more of them."
    source = "Sun et al. 2023, SpecTr (arXiv 2310.15141), Alg. 2"

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        _, beta = division(verifier, draft, k)
        with np.errstate(divide="ignore"):
            kept: Floats = -np.expm1(k * np.log1p(-beta))
        return kept

    def emits(self, verifier: Floats, draft: Floats, tokens: Indices, drawing: Drawing) -> Floats:
        law, left = np.zeros_like(verifier), np.ones((len(verifier), 1))
        g, _ = division(verifier, draft, tokens.shape[1])
        for i in range(tokens.shape[1]):
            token = tokens[:, i : i + 1]
            with np.errstate(divide="ignore", invalid="ignore"):
                accept = np.fmin(1.0, at(verifier, token) / (g[:, None] * at(draft, token)))
            np.put_along_axis(law, token, at(law, token) + left * accept, -1)
            left = left * (1 - accept)
        return law + left * left_over(verifier, draft, g)


def left_over(verifier: Floats, draft: Floats, g: Floats) -> Floats:
    """[B, V]: what is drawn from where no sibling is kept. The chance that one is, is g beta, so each token is kept so often
    with g min(draft, verifier/g)."""
    return normalised(np.maximum(verifier - np.minimum(g[:, None] * draft, verifier), 0), verifier)
