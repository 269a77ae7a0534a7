"""Sums over all elders that siblings drawn without replacement may have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from specviz.sets.base import others
from specviz.sums.rows import Floats

MOST_WAYS = 200_000


def elders(draft: Floats, count: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """All ways in which the first `count` tokens drawn from `draft` [V] without replacement may come, each with its chance.
    ValueError if they are too many to be gone through."""
    some = [int(token) for token in np.flatnonzero(draft)]
    if math.perm(len(some), count) > MOST_WAYS:
        raise ValueError(
            f"With {count + 1} siblings drawn without replacement from {len(some):,} tokens there are more than "
            f"{MOST_WAYS:,} ways to go through; this is exact for 2 siblings, or for fewer tokens."
        )
    for way in itertools.permutations(some, count):
        chance, left = 1.0, draft.copy()
        for token in way:
            chance *= float(left[token] / left.sum())
            left[token] = 0.0
        yield way, chance


def included(draft: Floats, k: int) -> Floats:
    """The chance that each token is among k drawn without replacement from its row of `draft` [B, V], [B, V]."""
    if k == 1:
        return draft
    if k == 2:
        left = others(draft)
        odds = np.where(left > 0, draft / np.where(left > 0, left, 1.0), 0.0)
        top = odds.argmax(-1)[:, None]
        small = odds.copy()
        np.put_along_axis(small, top, 0.0, -1)
        elder = small.sum(-1, keepdims=True) - small + np.take_along_axis(odds, top, -1)
        np.put_along_axis(elder, top, small.sum(-1, keepdims=True), -1)
        pairs: Floats = draft * (1 + elder)  # drawn first, or second behind another
        return np.where(left > 0, pairs, 1.0).clip(0, 1)
    rows = np.zeros_like(draft)
    for row, probs in zip(rows, draft):
        count = min(k, int(np.count_nonzero(probs)))
        for way, chance in elders(probs, count - 1):
            left = probs.copy()
            left[list(way)] = 0.0
            row += chance * left / left.sum()
            row[list(way)] += chance
    return rows
