"""The best that any lossless rule can do with k siblings."""

from __future__ import annotations

import numpy as np

from specviz.sets.base import chosen, normalised
from specviz.sums.arrivals import Arrivals
from specviz.sums.rows import Floats, Indices
from specviz.sums.sorted_rows import SortedRows
from specviz.types import Drawing

PARTS = 128  # into which all that is left is divided at a time
SLACK = 1e-15


def least(verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
    """min over H of 1 + verifier(H) - P(all k siblings in H), [B]."""
    if drawing in ("greedy", "picked"):
        # H holds what is chosen, or the minimum is 1; of the rest it is the surplus of the drawn one's law.
        fixed = chosen(draft, k, drawing)
        law = normalised(np.where(fixed, 0.0, draft), np.zeros_like(draft))
        kept: Floats = np.where(fixed, verifier, np.minimum(verifier, law if drawing == "greedy" else 0.0)).sum(-1)
        return kept.clip(0, 1)
    rows = SortedRows(verifier, draft)  # beginnings in rising order of verifier/draft are ends in this one
    if drawing == "iid":
        best: Floats = (1 + rows.verifier_above - rows.draft_above.clip(0, 1) ** k).min(-1)
    else:
        best = np.array([_least(*row, k) for row in zip(rows.verifier_above, rows.draft_sorted)])
    return best.clip(0, 1)


def _least(verifier_above: Floats, draft: Floats, k: int) -> float:
    """For one place, drawn without replacement: `draft` [V] in the order of `verifier_above` [V + 1].

    Both terms rise with H, so that between two ends none is below the verifier of the smaller less the chance of the larger:
    where that is not below what was found, nobody need look. What is left is divided again, until no set is between two.
    """
    arrivals = Arrivals(draft, k)
    weight = verifier_above + arrivals.above
    ends = np.array([0, len(draft)])
    held = arrivals.held(ends)
    while True:
        best = float((1 + verifier_above[ends] - held).min())
        left = (np.diff(ends) > 1) & (1 + verifier_above[ends[1:]] - held[:-1] < best - SLACK)
        if not left.any():
            return best
        new = _between(weight, ends[:-1][left], ends[1:][left])
        order = np.argsort(np.concatenate([ends, new]), kind="stable")
        ends = np.concatenate([ends, new])[order]
        held = np.concatenate([held, arrivals.held(new)])[order]


def _between(falling: Floats, first: Indices, last: Indices) -> Indices:
    """Places between each of `first` [n] and its `last` [n] that divide the way from one to the other into even parts, of
    those at hand; at least one each."""
    parts = max(4, PARTS // len(first))
    share = np.arange(1, parts) / parts
    heights = falling[first, None] + (falling[last] - falling[first])[:, None] * share
    places = len(falling) - falling[::-1].searchsorted(heights)
    return np.unique(places.clip(first[:, None] + 1, last[:, None] - 1))
