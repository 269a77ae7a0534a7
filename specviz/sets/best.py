"""The best that any lossless rule can do with k siblings."""

from __future__ import annotations

import numpy as np

from specviz.sets.base import chosen, normalised, others
from specviz.sums.rows import Floats
from specviz.sums.sorted_rows import SortedRows
from specviz.types import Drawing

STEP = 0.3  # of ln t in the sum that stands for an integral over t; its error falls as exp(-pi^2 / STEP)


def least(verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
    """min over H of 1 + verifier(H) - P(all k siblings in H), [B]."""
    if drawing in ("greedy", "picked"):
        # H holds what is chosen, or the minimum is 1; of the rest it is the surplus of the drawn one's law.
        fixed = chosen(draft, k, drawing)
        law = normalised(np.where(fixed, 0.0, draft), np.zeros_like(draft))
        kept: Floats = np.where(fixed, verifier, np.minimum(verifier, law if drawing == "greedy" else 0.0)).sum(-1)
        return kept.clip(0, 1)
    rows = SortedRows(verifier, draft)
    inside = rows.draft_above.clip(
        0, 1
    )  # [B, V + 1]: beginnings in rising order of verifier/draft are ends in this one
    within = inside**k if drawing == "iid" else np.stack([held(row, k) for row in rows.draft_sorted])
    best: Floats = (1 + rows.verifier_above - within).min(-1)
    return best.clip(0, 1)


def held(draft: Floats, k: int) -> Floats:
    """[V + 1]: for each i the chance that k draws without replacement from `draft` [V] are all among the tokens from i on;
    of fewer than k tokens with mass, that all of these are.

    The draws are the first k arrivals of independent exponentials with rates `draft`: they are among the tokens of H iff k
    of those arrive before any other does. That is an integral over the time t of this other one, and for one of k = 2 a sum.
    """
    k = min(k, int(np.count_nonzero(draft)))
    inside, outside = np.append(np.cumsum(draft[::-1])[::-1], 0.0).clip(0, 1), np.append(0.0, np.cumsum(draft))
    if k == 1:
        return np.where(outside > 0, inside, 1.0)
    if k == 2:
        # The sum over i in H of p_i (p(H) - p_i) / (1 - p_i), the likeliest token by itself.
        top, odds = int(draft.argmax()), draft / others(draft[None])[0]
        small = np.where(np.arange(len(draft)) == top, 0.0, odds)
        rest = np.where(np.arange(len(draft)) == top, 0.0, draft)
        sums = [np.append(np.cumsum(part[::-1])[::-1], 0.0) for part in (small, small * draft, rest)]
        pairs = sums[0] * inside - sums[1]
        pairs[: top + 1] += odds[top] * sums[2][: top + 1]
        return np.where(outside > 0, pairs, 1.0).clip(0, 1)
    total = np.zeros(len(inside))
    for time in np.exp(np.arange(-40, np.log(40 / max(draft[draft > 0].min(), 1e-30)), STEP)):
        arrives = outside * time * np.exp(-outside * time)
        total += STEP * arrives * (1 - _fewer(draft, k, time))
    return np.where(outside > 0, total, 1.0).clip(0, 1)


def _fewer(draft: Floats, k: int, time: float) -> Floats:
    """[V + 1]: the chance that fewer than k of the tokens from i on have arrived by `time`."""
    rates = draft * time
    sure = rates > 36  # has arrived, to the last digit
    rates = np.where(sure, 0.0, rates)
    surely = np.append(np.cumsum(sure[::-1])[::-1], 0)
    none = np.exp(-np.append(np.cumsum(rates[::-1])[::-1], 0.0))
    odds, ways = np.expm1(rates), np.ones(len(draft) + 1)  # ways: the sum over j-subsets of the product of their odds
    fewer = np.zeros(len(draft) + 1)
    for j in range(k):
        fewer += np.where(surely + j < k, none * ways, 0.0)
        ways = np.append(np.cumsum((odds * ways[1:])[::-1])[::-1], 0.0)
    return fewer.clip(0, 1)
