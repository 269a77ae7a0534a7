"""Draws without replacement as arrivals: k of them are the first k to arrive of independent exponentials whose rates are the
tokens' probabilities. By the time t token x has arrived with chance 1 - exp(-p(x) t), each by itself."""

from __future__ import annotations

from math import exp, lgamma, log, sqrt

import numpy as np

from specviz.sums.rows import Floats, Indices

STEP = 0.22  # of ln t in the sum that stands for an integral over t; its error falls as exp(-pi^2 / STEP)
SLIGHT = 1 / 16  # a token with p(x) t below this at all times counts by the powers of p(x) t
POWERS = 10  # as many of them


class Arrivals:
    """The tokens of `draft` [V] in some order, of which k are drawn without replacement; of fewer than k tokens with mass all.

    A set "from i on" is all tokens but the first i, i = 0 .. V. All k draws are in it iff no other token arrives before k
    of its own have: one less the integral over t of out exp(-out t) P(fewer than k have arrived by t), with `out` the mass
    of the others. That chance is held against the one of an Erlang clock of k ticks, whose integral is at hand: the two
    agree at both ends of time, so that few times will do. (A sum over even steps of ln t stands for the integral; its error
    falls as exp(-c / step^2), and lies below 1e-12.)
    """

    def __init__(self, draft: Floats, k: int):
        self.k = k = min(k, int(np.count_nonzero(draft)))
        likeliest = np.argpartition(draft, len(draft) - k + 1)[len(draft) - k + 1 :] if k > 1 else np.zeros(0, np.intp)
        rest = draft.copy()
        rest[likeliest] = 0.0
        self.rate = max(float(rest.sum()), 1e-300)  # by the time (40 + 2k) / rate, k have arrived
        first, last = (lgamma(k + 1) - 39) / (k + 1), log((40 + 2 * k) / self.rate)
        self.step = min(0.22, 0.7 / sqrt(k))
        self.times = np.exp(np.arange(first, last + self.step, self.step))
        self.below, self.above = np.append(0.0, np.cumsum(draft)), np.append(np.cumsum(draft[::-1])[::-1], 0.0)
        slight = draft * self.times[-1] < SLIGHT
        self.large = np.flatnonzero(~slight)
        scaled = np.where(slight, draft * self.times[-1], 0.0)
        self.sums = _power_sums(scaled)
        self.among = _counts(draft[self.large], self.times, k)

    def held(self, places: Indices) -> Floats:
        """The chance that all k draws are among the tokens from i on, for each i of `places` [G], [G]."""
        times, out = self.times[:, None], self.below[places]
        large = self.among[:, :, np.searchsorted(self.large, places)]  # [k, T, G]
        slight = np.cumsum(self._slight(places), 0)
        fewer = sum(large[j] * slight[self.k - 1 - j] for j in range(self.k))
        ticks = _erlang(self.rate * self.times, self.k)[:, None]
        total = self.step * (out * times * np.exp(-out * times) * (ticks - fewer)).sum(0)
        inside: Floats = (self.rate / (self.rate + out)) ** self.k + total
        return np.where(out > 0, inside, 1.0).clip(0, 1)

    def _slight(self, places: Indices) -> Floats:
        """[k, T, G]: the chance that exactly j of the slight tokens from each place on have arrived by each time, j < k. With
        odds x = exp(p t) - 1 it is exp(-sum of p t) times the sum over j-subsets of products of odds, which comes of the
        sums of the powers of the odds (Newton's identities)."""
        moments = self.sums[:, places]
        share = (self.times / self.times[-1])[:, None] ** np.arange(1, POWERS + 1)  # [T, POWERS]
        chances = [np.exp(-share[:, :1] * moments[0])]
        powers = [(share * weights) @ moments for weights in _odds_powers(min(self.k - 1, POWERS))]
        for j in range(1, self.k):
            terms = (powers[m] * chances[j - 1 - m] * (-1) ** m for m in range(min(j, len(powers))))
            chances.append(sum(terms, np.zeros_like(chances[0])) / j)
        return np.stack(chances)


def _power_sums(values: Floats) -> Floats:
    """[POWERS, V + 1]: sums of the powers of all but the first i of `values` [V]."""
    sums = np.zeros((POWERS, len(values) + 1))
    power, reverse = np.ones_like(values), values[::-1]
    for row in sums:
        power *= reverse
        np.cumsum(power, out=row[-2::-1])
    return sums


def _odds_powers(count: int) -> Floats:
    """[count, POWERS]: of (exp(x) - 1)^m, m = 1 .. count, what x, x^2, ... have as factors."""
    series = np.array([0.0] + [exp(-lgamma(n + 1)) for n in range(1, POWERS + 1)])
    rows, power = np.zeros((count, POWERS)), np.append(1.0, np.zeros(POWERS))
    for row in rows:
        power = np.convolve(power, series)[: POWERS + 1]
        row[:] = power[1:]
    return rows


def _counts(draft: Floats, times: Floats, k: int) -> Floats:
    """[k, T, V + 1]: the chance that exactly j of the tokens from i on have arrived by each time, j < k."""
    rates = draft * times[:, None]
    late, soon = np.exp(-rates), -np.expm1(-rates)
    counts = np.zeros((k, len(times), len(draft) + 1))
    counts[0, :, -1] = 1.0
    for i in range(len(draft) - 1, -1, -1):
        counts[:, :, i] = counts[:, :, i + 1] * late[:, i]
        counts[1:, :, i] += counts[:-1, :, i + 1] * soon[:, i]
    return counts


def _erlang(time: Floats, k: int) -> Floats:
    """The chance that a clock has ticked fewer than k times by `time`, if it ticks once a unit on average."""
    term, total = np.exp(-time), np.zeros_like(time)
    for j in range(k):
        total, term = total + term, term * time / (j + 1)
    return total
