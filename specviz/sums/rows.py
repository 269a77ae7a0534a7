"""Arithmetic on many rows at once, float64 arrays [B, n]: sums, look-ups, searches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy import ndarray


def few(size: int) -> int:
    """How many rows of `size` to work on at once: enough to be worth a call, not so many that they leave the cache."""
    return min(max(1, 2**16 // max(1, size)), 256)


def chunks(counts: ndarray) -> Iterator[slice]:
    """Slices of `counts` that add up to some 30,000 each, so that memory stays small."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // 2**15, append=-1)) + 1
    return (slice(start, end) for start, end in zip([0, *ends[:-1]], ends))


def spread(starts: ndarray, counts: ndarray) -> tuple[ndarray, ndarray]:
    """For ranges `starts` .. `starts` + `counts` [m], one after the other: which range, and the number within it, [n]."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) + (starts - np.cumsum(counts) + counts)[which]


def pick(values: ndarray, index: ndarray) -> ndarray:
    """values [B, n] at `index` [B, K]."""
    return values[np.arange(len(values))[:, None], index]


def along(values: ndarray, order: ndarray) -> ndarray:
    """values [B, V] in the order [B, V]."""
    return torch.gather(torch.from_numpy(values), 1, torch.from_numpy(order)).numpy()


def find(rising: ndarray, values, right: bool = False) -> ndarray:
    """How many of `rising` [B, n] are below `values` [B, K] (or broadcast to it), or with `right` at most that, [B, K]."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape[:-1] != rising.shape[:1] or not (values.flags.c_contiguous and values.flags.owndata):
        values = np.broadcast_to(values, (len(rising), values.shape[-1] if values.ndim else 1)).copy()
    if len(values) == 1:
        return rising[0].searchsorted(values[0], "right" if right else "left")[None]
    return torch.searchsorted(torch.from_numpy(rising), torch.from_numpy(values), right=right).numpy()


def before(values: ndarray) -> ndarray:
    """Prefix sums of [B, n] with a leading 0, [B, n + 1]."""
    sums = np.zeros((len(values), values.shape[1] + 1))
    torch.cumsum(torch.from_numpy(values), 1, out=torch.from_numpy(sums)[:, 1:])  # many times faster than NumPy's
    return sums


def after(values: ndarray) -> ndarray:
    """Sums of all but the first i values of [B, n], [B, n + 1]."""
    return before(values[:, ::-1].copy())[:, ::-1]


def root(function, left: tuple[ndarray, ndarray], right: tuple[ndarray, ndarray], tolerance: ndarray) -> ndarray:
    """Roots [K] of `function`(points, which of the K) by Chandrupatla's method, to |function| <= tolerance [K].

    `left` and `right` are (points [K], values [K]) with values of opposite signs. Inverse quadratic interpolation where
    it can be trusted, halving elsewhere.
    """
    which = np.arange(len(tolerance))
    (new, at_new), (old, at_old) = left, right
    found = np.where(np.abs(at_new) < np.abs(at_old), new, old)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.clip(at_new / (at_new - at_old), 0.01, 0.99)
        step = np.where(np.isfinite(step), step, 0.5)
        for _ in range(200):
            point = new + step * (old - new)
            value = function(point, which)
            same = np.sign(value) == np.sign(at_new)
            oldest, at_oldest = np.where(same, new, old), np.where(same, at_new, at_old)
            old, at_old = np.where(same, old, new), np.where(same, at_old, at_new)
            new, at_new = point, value
            found[which] = np.where(np.abs(at_new) < np.abs(at_old), new, old)
            narrow = 4e-16 * np.maximum(np.abs(new), 1e-3) / np.abs(old - new)
            active = (np.minimum(np.abs(at_new), np.abs(at_old)) > tolerance[which]) & (narrow < 0.5)
            if not active.any():
                break
            place, height = (new - old) / (oldest - old), (at_new - at_old) / (at_oldest - at_old)
            trusted = (height**2 < place) & ((1 - height) ** 2 < 1 - place)
            guess = at_new / (at_old - at_new) * at_oldest / (at_old - at_oldest)
            guess += (oldest - new) / (old - new) * at_new / (at_oldest - at_new) * at_old / (at_oldest - at_old)
            step = np.clip(np.where(trusted & np.isfinite(guess), guess, 0.5), narrow, 1 - narrow)
            parts = which, new, old, oldest, at_new, at_old, at_oldest, step
            which, new, old, oldest, at_new, at_old, at_oldest, step = (part[active] for part in parts)
    return found
