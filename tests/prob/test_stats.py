"""Intervals and tests: against textbooks and SciPy's own, and by how often they hold."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from specviz.prob import stats


def test_quantiles_of_the_tables():
    """The normal and Student quantiles are those of printed tables, to all their digits."""
    assert stats.normal_quantile(0.975) == pytest.approx(1.959964, abs=5e-7)
    assert stats.normal_quantile(0.05) == pytest.approx(-1.644854, abs=5e-7)
    for freedom, value in (
        (1, 12.7062),
        (2, 4.3027),
        (3, 3.1824),
        (5, 2.5706),
        (10, 2.2281),
        (30, 2.0423),
        (120, 1.9799),
    ):
        assert stats.student_quantile(0.975, freedom) == pytest.approx(value, abs=5e-5)
    assert stats.student_quantile(0.95, 4) == pytest.approx(2.1318, abs=5e-5)


def test_wilsons_interval():
    """It is SciPy's for every count of 12 and for large ones, at two levels; without trials there is none."""
    for level in (0.95, 0.99):
        for successes, trials in [*((k, 12) for k in range(13)), (50, 100), (3, 100_000)]:
            known = binomtest(successes, trials).proportion_ci(level, method="wilson")
            assert stats.wilson(successes, trials, level) == pytest.approx((known.low, known.high), abs=1e-12)
    assert [round(end, 3) for end in stats.wilson(50, 100)] == [0.404, 0.596]
    assert stats.wilson(0, 0) is None


def test_a_ratio_has_its_interval_by_unit():
    """Against Cochran's formula by NumPy; over 4,000 seeded sets of 40 units it holds the true ratio about 95 times in 100.

    Five standard errors of that share are 0.017; the t interval of a ratio is a little short for few units.
    """
    generator = np.random.default_rng(0)
    rounds = generator.integers(3, 30, (4000, 40))
    accepted = generator.binomial(4 * rounds, generator.beta(8, 2, rounds.shape))  # units differ in how much is kept
    estimates = [stats.ratio(a.tolist(), r.tolist()) for a, r in zip(accepted, rounds)]
    a, r = accepted[0], rounds[0]
    error = np.sqrt(np.var(a - a.sum() / r.sum() * r, ddof=1) / 40) / r.mean()
    assert (estimates[0].high - estimates[0].low) / 2 == pytest.approx(2.0227 * error, rel=2e-5)
    held = np.mean([estimate.low <= 3.2 <= estimate.high for estimate in estimates])
    assert 0.95 - 0.017 < held < 0.95 + 0.017
    assert stats.ratio([3], [2]) == (1.5, None, None)
    assert stats.ratio([1.0, math.inf], [2, 2]) == (math.inf, None, None)
    assert stats.ratio([0.0, 0.1], [2, 2]).low == 0 and math.isnan(stats.ratio([0], [0]).value)


def test_a_quotient_of_two_ratios_has_an_interval_that_holds():
    """Over 4,000 seeded pairs of lanes the interval of how much faster one is holds the truth about 95 times in 100; without
    an interval below there is none above."""
    generator = np.random.default_rng(1)
    written, seconds = generator.integers(1, 6, (4000, 40)), generator.gamma(16, 1 / 80, (4000, 40))  # 3 and 0.2
    alone = generator.gamma(25, 1 / 250, (4000, 60))  # 0.1
    found = [
        stats.quotient(stats.ratio(w.tolist(), s.tolist()), stats.ratio([1.0] * 60, p.tolist()))
        for w, s, p in zip(written, seconds, alone)
    ]
    held = np.mean([estimate.low <= 1.5 <= estimate.high for estimate in found])
    assert 0.95 - 0.017 < held < 0.95 + 0.017
    one = stats.ratio([3], [2])
    assert stats.quotient(one, one) == (1, None, None) and math.isnan(
        stats.quotient(one, stats.Estimate(0, 0, 1)).value
    )


@pytest.mark.parametrize("change", [0.02, 0.3])
def test_paired_differences_have_an_interval_that_holds(change):
    """6,000 seeded sets of 100 matched units: never far below 95 in 100, though few pairs differ; five standard errors are 0.014."""
    generator = np.random.default_rng(1)
    plain = generator.random((6000, 100)) < 0.8
    rule = np.where(generator.random(plain.shape) < change, generator.random(plain.shape) < 0.5, plain)
    truth = change * (0.5 - 0.8)
    estimates = [stats.paired_difference(first.tolist(), second.tolist()) for first, second in zip(rule, plain)]
    assert estimates[0].value == pytest.approx(rule[0].mean() - plain[0].mean())
    assert np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]) > 0.95 - 0.014
    same = stats.paired_difference([True] * 50, [True] * 50)
    assert same.value == 0 and same.low == -same.high and 0.01 < same.high < 0.06


def test_a_paired_difference_by_hand():
    """Ten units, of which 3 are gained and 1 is lost: (3 - 1)/12 plus and minus 1.96 sqrt((5/12 - (2/12)^2)/12)."""
    first, second = [True] * 3 + [False] + [True] * 6, [False] * 3 + [True] + [True] * 6
    half = 1.959964 * math.sqrt((5 / 12 - 1 / 36) / 12)
    assert stats.paired_difference(first, second) == pytest.approx((0.2, 1 / 6 - half, 1 / 6 + half), abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_prediction_interval_holds_for_units_of_one_population(noise):
    """From six units of a normal population it holds a seventh 95 times in 100, and at least as often with chance within units.

    10,000 seeded draws; five standard errors are 0.011, a false alarm less than once in a million.
    """
    generator = np.random.default_rng(1)
    known = generator.normal(2.0, 0.3, (6, 10_000))
    fresh = generator.normal(2.0, 0.3, 10_000) + generator.normal(0.0, noise**0.5, 10_000)
    low, high = stats.prediction_interval(known, np.full(known.shape, noise))
    share = np.mean((low <= fresh) & (fresh <= high))
    assert share > 0.95 - 0.011 and (noise or share < 0.95 + 0.011)


def test_probability_of_an_uneven_split():
    """The sign test of paired answers, against values worked out by hand."""
    assert stats.sign_test(0, 0) == stats.sign_test(3, 3) == 1.0
    assert stats.sign_test(5, 0) == pytest.approx(2 / 32) and stats.sign_test(1, 7) == pytest.approx(2 * 9 / 256)


def test_scipy_waits_until_it_is_needed():
    """Importing the statistics, and what builds on them, imports no SciPy: a cold start stays short."""
    code = "import sys; from specviz.prob import stats; print('scipy' in sys.modules or 'numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
