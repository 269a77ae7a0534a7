from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specviz.sets.base import SetRule
from specviz.sets.best import least
from specviz.sums.rows import Floats
from specviz.sums.sorted_rows import SortedRows
from specviz.types import Drawing


@dataclass(frozen=True)
class TwoStep(SetRule):
    """One of the siblings is selected, and only that one is judged, strictly, as if it were drawn from the law p_I that the
    selection gives it. With the best selection this is optimal.

    Which laws a selection can have: those with p_I(H) >= draft(H)^k for every set H of tokens, since siblings that are all
    in H leave no other choice. Of these the one closest to the verifier is found without a linear program: in rising order
    of verifier/draft, p_I has the slopes of the least concave curve above draft(H)^k over verifier(H). For two siblings that is
    the optimum of the paper's own linear program, over weights w_ij with p_I(i) = p(i)^2 + sum over j of 2 w_ij p(i) p(j) and
    w_ij + w_ji = 1. For more the paper selects by a tournament of such pairs; this is the best selection instead.
    """

    name = "two_step"
    drawings = ("iid",)
    summary = (
        "One sibling is selected with weights that favour what the verifier lacks, and that one is judged strictly."
    )
    formula = "select I with weights such that X_I has law p_I, p_I(H) ≥ p(H)^k for every H\nkeep X_I with chance min(1, q(X_I) / p_I(X_I)), else draw from norm(max(q − p_I, 0))\nacceptance: Σ min(q, p_I)"
    helps = "As the yardstick for independent siblings: no rule keeps more of them. With two it is what the paper's linear program finds."
    hurts = "The weights of the selection must be solved for at every place, over the whole vocabulary; the paper cuts that short for large ones. With more than two siblings the paper selects by a tournament, which keeps less than is shown here."
    source = "Khisti et al. 2025 (arXiv 2410.18234): its two steps, with the best selection for any number of siblings"

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        return least(verifier, draft, k, drawing)


def selected(verifier: Floats, draft: Floats, k: int) -> Floats:
    """p_I, the law of the selected one of k independent siblings, [B, V]."""
    rows = SortedRows(verifier, draft)
    laws = np.zeros(draft.shape)
    for law, order, inside, heights in zip(laws, rows.order, rows.verifier_above, rows.draft_above.clip(0, 1) ** k):
        law[order[::-1]] = _slopes(inside[::-1], heights[::-1])
    return laws


def _slopes(places: Floats, heights: Floats) -> Floats:
    """[V]: how much the least concave curve above the points (`places`, `heights`) [V + 1], which both rise, climbs from each
    to the next. Where places are equal, it climbs as the points do."""
    corners = [0]
    for i in range(1, len(places)):
        if places[i] == places[corners[0]]:
            corners = [i]  # the curve starts at the top of a wall
            continue
        while len(corners) > 1 and _below(places, heights, corners[-2], corners[-1], i):
            corners.pop()
        corners.append(i)
    curve = np.interp(places, places[corners], heights[corners])
    curve[: corners[0] + 1] = heights[: corners[0] + 1]
    return np.diff(curve).clip(min=0)


def _below(places: Floats, heights: Floats, left: int, middle: int, right: int) -> bool:
    """Whether the middle point lies on or below the line between the two others."""
    rise, run = heights[right] - heights[left], places[right] - places[left]
    return bool((heights[middle] - heights[left]) * run <= rise * (places[middle] - places[left]))
