"""Intervals and tests for what was counted: the one room of statistics.

An interval holds the true value with probability `level`, 0.95 unless said otherwise. Quantiles and distributions are
SciPy's, imported inside the functions: `scipy.stats` takes a second, and most runs need none of this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

LEVEL = 0.95


class Estimate(NamedTuple):
    """A value with its interval, whose ends are None where one unit says nothing about how units differ."""

    value: float
    low: float | None
    high: float | None


@cache
def normal_quantile(probability: float) -> float:
    """The point that a standard normal variable stays below with this probability, 0 < probability < 1."""
    from scipy import special

    return float(special.ndtri(probability))


@cache
def student_quantile(probability: float, freedom: int) -> float:
    """The same for Student's t with `freedom` >= 1 degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(freedom, probability))


def wilson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float] | None:
    """Wilson's score interval for a proportion (Wilson 1927), in [0, 1]; None without trials."""
    if trials == 0:
        return None
    z = normal_quantile((1 + level) / 2)
    share, square = successes / trials, z * z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def ratio(above: Sequence[float], below: Sequence[float], level: float = LEVEL) -> Estimate:
    """sum(above) / sum(below) of quantities that are never negative, one entry of each per unit.

    The interval is that of the linearised standard error of a ratio (Cochran 1977, section 6.3) with Student's t, and
    begins at 0 at the least. With fewer than two units, or a ratio that is not finite, there is none.
    """
    count, total = len(below), sum(below)
    value = sum(above) / total if total else math.nan
    if count < 2 or not math.isfinite(value):
        return Estimate(value, None, None)
    squares = sum((a - value * b) ** 2 for a, b in zip(above, below, strict=True))
    half = student_quantile((1 + level) / 2, count - 1) * math.sqrt(count / (count - 1) * squares) / total
    return Estimate(value, max(0.0, value - half), value + half)


def jackknife(value: float, without: Sequence[float], level: float = LEVEL) -> Estimate:
    """An estimate from several units, and what it is `without` each of them. The interval is that of the jackknife's standard
    error (Efron & Stein 1981) with Student's t; there is none with fewer than two units."""
    count = len(without)
    if count < 2:
        return Estimate(value, None, None)
    middle = sum(without) / count
    error = math.sqrt((count - 1) / count * sum((other - middle) ** 2 for other in without))
    half = student_quantile((1 + level) / 2, count - 1) * error
    return Estimate(value, value - half, value + half)


def quotient(above: Estimate, below: Estimate) -> Estimate:
    """One estimate of what is never negative over another, independent one: relative half-widths add up as squares.

    The interval begins at 0 at the least; there is none where one of the two has none, or is 0.
    """
    value = above.value / below.value if below.value else math.nan
    if above.high is None or below.high is None or not (above.value > 0 and below.value > 0):
        return Estimate(value, None, None)
    half = value * math.hypot(above.high / above.value - 1, below.high / below.value - 1)
    return Estimate(value, max(0.0, value - half), value + half)


def paired_difference(first: Sequence[bool], second: Sequence[bool], level: float = LEVEL) -> Estimate:
    """Share of successes of `first` less that of `second` on the same units, at least one, in [-1, 1].

    The interval of Agresti & Min 2005: Wald's for matched pairs after half a unit is added to each of the four outcomes.
    """
    gained = sum(a and not b for a, b in zip(first, second, strict=True))
    lost = sum(b and not a for a, b in zip(first, second, strict=True))
    count = len(first) + 2
    middle = (gained - lost) / count
    half = normal_quantile((1 + level) / 2) * math.sqrt(((gained + lost + 1) / count - middle**2) / count)
    return Estimate((gained - lost) / len(first), max(-1.0, middle - half), min(1.0, middle + half))


def prediction_interval(
    values: NDArray[float64], noise: NDArray[float64], level: float = LEVEL
) -> tuple[NDArray[float64], NDArray[float64]]:
    """Where one further unit's value will lie, (low [K], high [K]), given the values [N, K] of N >= 2 units and the variance
    [N, K] of chance within each: the two add up, and Student's t has N - 1 degrees of freedom."""
    count = len(values)
    middle = values.mean(0)
    variance = values.var(0, ddof=1) * (1 + 1 / count) + noise.mean(0)
    half = student_quantile((1 + level) / 2, count - 1) * variance**0.5
    return middle - half, middle + half


def sign_test(gained: int, lost: int) -> float:
    """Two-sided probability of a split at least so uneven if either side were as likely: McNemar's exact test."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
