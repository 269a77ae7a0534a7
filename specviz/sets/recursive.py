from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specviz.sets.base import SetRule, at, likeliest, others, residual, sibling_laws
from specviz.sets.elders import elders
from specviz.sums.rows import Floats, Indices
from specviz.types import Drawing


@dataclass(frozen=True)
class Recursive(SetRule):
    """Each sibling is judged against what the refusal of its elder left over: q_1 = q, q_(i+1) = norm(max(q_i - p_i, 0)).

    What `sps`, and by the same sentence every lossless token rule, does with the candidates of a tree. The residual never
    hits a refused sibling, so there are no lucky hits. With siblings drawn without replacement the law of a sibling depends
    on its elders, though what they leave over does not for the second: acceptance is exact for k = 2 in O(V log V), and for
    more of few tokens.
    """

    name = "recursive"
    drawings = ("iid", "without_replacement", "picked")
    summary = "Each sibling is judged strictly, against what the refusal of its elder left of the verifier."
    formula = "q_1 = q; keep X_i with chance min(1, q_i(X_i) / p_i(X_i)), else q_(i+1) = norm(max(q_i − p_i, 0))\nnone kept: draw from q_(k+1)"
    helps = "With siblings drawn without replacement, on any tree: each of them is judged for what is still missing, and the law of each is all that must be known."
    hurts = "With independent siblings, which repeat each other: k_seq mostly keeps more of them. It does not look at the younger when it judges the elder, so it falls short of the optimum."
    source = "Miao et al. 2024, SpecInfer (arXiv 2305.09781); Jeon et al. 2024, RSD (arXiv 2402.14160); Yang et al. 2024, MCSD (arXiv 2401.06706)"

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        if drawing == "picked":
            among: Floats = np.where(likeliest(draft, k), verifier, 0.0).sum(-1)
            return among
        if drawing == "without_replacement" and k > 1:
            if k == 2:
                return _pair(verifier, draft)
            return np.array([_walked(q, p, k) for q, p in zip(verifier, draft)])
        refused = np.ones(len(verifier))
        for _ in range(k):
            refused = refused * np.maximum(verifier - draft, 0).sum(-1).clip(0, 1)
            verifier = residual(verifier, draft)
        return 1 - refused

    def emits(self, verifier: Floats, draft: Floats, tokens: Indices, drawing: Drawing) -> Floats:
        law, left = np.zeros_like(verifier), np.ones((len(verifier), 1))
        for i, own in enumerate(sibling_laws(draft, tokens, drawing)):
            token = tokens[:, i : i + 1]
            with np.errstate(divide="ignore", invalid="ignore"):  # of a token that could not have come
                accept = np.fmin(1.0, at(verifier, token) / at(own, token))
            np.put_along_axis(law, token, at(law, token) + left * accept, -1)
            left, verifier = left * (1 - accept), residual(verifier, own)
        return law + left * verifier


def _pair(verifier: Floats, draft: Floats) -> Floats:
    """Two siblings without replacement: the second, given the first x, is drawn from draft / (1 - draft(x)) without x, and
    judged against what the first left, which is the same for every x. [B]"""
    left = residual(verifier, draft)
    refused = np.maximum(draft - verifier, 0)  # [B, V]: the chance that the first is x and refused
    with np.errstate(divide="ignore", invalid="ignore"):
        after_first = others(draft)
        scale = np.where(after_first > 0, 1 / after_first, 0.0)  # of the second's law
        bar = np.where(left > 0, left / draft, np.inf)  # up to this scale a token is kept whenever it is drawn
    bar = np.where(left > 0, bar, 0.0)
    order = np.argsort(bar, -1)
    rising, own, after = (np.take_along_axis(part, order, -1) for part in (bar, draft, left))
    zero = np.zeros((len(draft), 1))
    capped = np.concatenate(
        [zero, np.cumsum(after, -1)], -1
    )  # tokens of a bar below the scale give what is left of them
    free = np.concatenate([np.cumsum(own[:, ::-1], -1)[:, ::-1], zero], -1)  # the others all that is drawn
    kept = np.empty_like(draft)
    for row in range(len(draft)):
        below = np.searchsorted(rising[row], scale[row])
        kept[row] = capped[row, below] + scale[row] * free[row, below]
    kept -= np.minimum(left, scale * draft)  # x itself cannot come again
    first = np.minimum(verifier, draft).sum(-1)
    both: Floats = first + (refused * kept).sum(-1)
    return both.clip(0, 1)


def _walked(verifier: Floats, draft: Floats, k: int) -> float:
    """One place, through all elders."""
    count = min(k, int(np.count_nonzero(draft)))
    kept = 0.0
    for way, chance in elders(draft, count - 1):
        q, p = verifier[None], draft.copy()
        for token in way:
            own = p / p.sum()
            chance *= max(0.0, 1 - float(q[0, token] / own[token]))  # refused
            q = residual(q, own[None])
            p[token] = 0.0
        own = p / p.sum()
        kept += chance * (1 - float(np.minimum(q[0], own).sum()))
    return 1 - kept
