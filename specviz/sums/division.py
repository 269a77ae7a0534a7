"""The number by which k independent siblings have the verifier divided, so that all can be judged alike."""

from __future__ import annotations

import numpy as np

from specviz.sums.rows import Floats, root
from specviz.sums.sorted_rows import SortedRows


def division(verifier: Floats, draft: Floats, k: int) -> tuple[Floats, Floats]:
    """(g, beta(g)), each [B]. beta is draft(A) + verifier(not A)/g, where A are the tokens of draft/verifier up to 1/g; at
    the ratio of every token it is at hand, and between two of them g is searched for."""
    rows = SortedRows(verifier, draft)
    count = len(verifier)
    with np.errstate(divide="ignore"):
        edges = (1 / rows.ratio).clip(1, k)  # falling; at edges[i] the tokens up to i are in A
    below, above = rows.draft_below[:, 1:], rows.verifier_above[:, 1:]
    inside = np.count_nonzero(_excess(edges, below, above, k) < 0, -1)  # of these tokens g is below the edge
    every = np.arange(count)
    low = np.where(inside < edges.shape[1], edges[every, np.minimum(inside, edges.shape[1] - 1)], 1.0)
    high = np.where(inside > 0, edges[every, np.maximum(inside, 1) - 1], float(k))
    mass, rest = rows.draft_below[every, inside], rows.verifier_above[every, inside]
    left, right = ((point, _excess(point, mass, rest, k)) for point in (low, high))
    g = root(lambda point, which: _excess(point, mass[which], rest[which], k), left, right, np.full(count, 1e-16))
    return g, np.minimum(draft, verifier / g[:, None]).sum(-1).clip(0, 1)


def _excess(g: Floats, mass: Floats, rest: Floats, k: int) -> Floats:
    """1 - (1 - beta)^k - g beta, for beta = mass + rest/g."""
    beta = (mass + rest / g).clip(0, 1)
    with np.errstate(divide="ignore"):
        excess: Floats = -np.expm1(k * np.log1p(-beta)) - g * beta
    return excess
