"""Arithmetic on many rows at once, float64 arrays [B, n]: sums, look-ups, searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specviz.stopping import checkpoint

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]
Mask: TypeAlias = NDArray[np.bool_]


def few(size: int) -> int:
    """How many rows of `size` to work on at once: enough to be worth a call, not so many that they leave the cache."""
    return min(max(1, 2**16 // max(1, size)), 256)


def chunks(counts: Indices) -> Iterator[slice]:
    """Slices of `counts` that add up to some 30,000 each, so that memory stays small."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // 2**15, append=-1)) + 1
    return (slice(start, end) for start, end in zip([0, *ends[:-1]], ends))


def spread(starts: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """For ranges `starts` .. `starts` + `counts` [m], one after the other: which range, and the number within it, [n]."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) + (starts - np.cumsum(counts) + counts)[which]


def sums_of(values: Floats, counts: Indices) -> Floats:
    """Sums of the first counts[0] of `values` [n], of the next counts[1], and so on, [m]; `counts` [m] add up to n."""
    sums = np.zeros(len(counts))
    some = np.flatnonzero(counts)
    if len(some):  # many times faster than np.bincount
        sums[some] = np.add.reduceat(values, (np.cumsum(counts) - counts)[some])
    return sums


def pick(values: Floats, index: Indices) -> Floats:
    """values [B, n] at `index` [B, K]."""
    picked: Floats = values[np.arange(len(values))[:, None], index]
    return picked


def along(order: Indices, *values: Floats) -> list[Floats]:
    """Each of `values` [B, V] in the order [B, V]."""
    flat = order + np.arange(len(order))[:, None] * order.shape[1]
    return [part.take(flat, mode="clip") for part in values]  # mode "raise" would look at every index once more


def find(rising: Floats, values: ArrayLike, right: bool = False) -> Indices:
    """How many of `rising` [B, n] are below `values` [B, K] (or broadcast to it), or with `right` at most that, [B, K]."""
    values = np.asarray(values, dtype=np.float64)
    values = np.broadcast_to(values, (len(rising), values.shape[-1] if values.ndim else 1))
    count: Indices = np.zeros(values.shape, dtype=np.intp)
    size = rising.shape[1]
    if size >= 1024 or len(rising) == 1:
        for row, wanted, part in zip(rising, values, count):
            part[:] = row.searchsorted(wanted, "right" if right else "left")
        return count
    flat, start = rising.ravel(), np.arange(len(rising))[:, None] * size - 1
    step = 1 << size.bit_length()
    while step := step >> 1:  # bisection, all rows at once: many short rows are not worth a call each
        further = count + step
        there = flat.take(start + np.minimum(further, size))
        count = np.where((further <= size) & (there <= values if right else there < values), further, count)
    return count


def before(values: Floats) -> Floats:
    """Prefix sums of [B, n] with a leading 0, [B, n + 1]."""
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, 1, out=sums[:, 1:])
    return sums


def after(values: Floats) -> Floats:
    """Sums of all but the first i values of [B, n], [B, n + 1]."""
    return before(values[:, ::-1])[:, ::-1]


def before_both(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """`before` of two arrays in the time of one: a sum waits for the one before it, and two of them wait together."""
    both = np.zeros((len(first), first.shape[1] + 1), dtype=np.complex128)
    both.real[:, 1:], both.imag[:, 1:] = first, second
    np.cumsum(both, 1, out=both)
    return both.real, both.imag


def after_both(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """`after` of two arrays in the time of one."""
    first, second = before_both(first[:, ::-1], second[:, ::-1])
    return first[:, ::-1], second[:, ::-1]


Ends: TypeAlias = tuple[Floats, Floats]


def root(function: Callable[[Floats, Indices], Floats], left: Ends, right: Ends, tolerance: Floats) -> Floats:
    """Roots [K] of `function`(points, which of the K) to |function| <= tolerance [K] (Chandrupatla 1997).

    `left` and `right` are (points [K], values [K]) with values of opposite signs. Inverse quadratic interpolation where
    it can be trusted, halving elsewhere.
    """
    which: Indices = np.arange(len(tolerance))
    (new, at_new), (old, at_old) = left, right
    roots = np.where(np.abs(at_new) < np.abs(at_old), new, old)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.clip(at_new / (at_new - at_old), 0.01, 0.99)
        step = np.where(np.isfinite(step), step, 0.5)
        for _ in range(200):
            checkpoint()
            point = new + step * (old - new)
            value = function(point, which)
            same = np.sign(value) == np.sign(at_new)
            oldest, at_oldest = np.where(same, new, old), np.where(same, at_new, at_old)
            old, at_old = np.where(same, old, new), np.where(same, at_old, at_new)
            new, at_new = point, value
            roots[which] = np.where(np.abs(at_new) < np.abs(at_old), new, old)
            narrow = 4e-16 * np.maximum(np.abs(new), 1e-3) / np.abs(old - new)
            active = (np.minimum(np.abs(at_new), np.abs(at_old)) > tolerance[which]) & (narrow < 0.5)
            if not active.any():
                break
            place, height = (new - old) / (oldest - old), (at_new - at_old) / (at_oldest - at_old)
            trusted = (height**2 < place) & ((1 - height) ** 2 < 1 - place)
            guess = at_new / (at_old - at_new) * at_oldest / (at_old - at_oldest)
            guess += (oldest - new) / (old - new) * at_new / (at_oldest - at_new) * at_old / (at_oldest - at_old)
            step = np.clip(np.where(trusted & np.isfinite(guess), guess, 0.5), narrow, 1 - narrow)
            which, new, old, oldest = which[active], new[active], old[active], oldest[active]
            at_new, at_old, at_oldest, step = at_new[active], at_old[active], at_oldest[active], step[active]
    return roots
