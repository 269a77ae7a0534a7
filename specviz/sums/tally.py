"""How far many output laws lie from the verifier, added up group of tokens by group of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from specviz.sums.rows import Floats, Indices, Mask, pick
from specviz.sums.sorted_rows import SortedRows


class Outcome(NamedTuple):
    """What K settings of a rule do at B positions: arrays [B, K]. Divergences are of the output law, in nats; tv in [0, 1]."""

    acceptance: Floats  # probability that a drafted token is kept
    kl: Floats  # KL(output law || verifier)
    tv: Floats  # total variation between the two
    reverse_kl: Floats  # KL(verifier || output law)


class Tally:
    """Adds up how far K output laws lie from the verifier at each position, one group of tokens after the other.

    `short` is the sum of what the law falls short of the verifier, which is the total variation, so groups in which it is
    above add nothing to it. Arguments are [B, K], or broadcast to it.
    """

    def __init__(self, rows: SortedRows, count: int):
        self.rows, self.shape = rows, (len(rows.ratio), count)
        self.kl, self.short, self.reverse = (np.zeros(self.shape) for _ in range(3))

    def scaled(self, mass: Floats, factor: Floats) -> None:
        """The law is `factor` times the verifier on tokens of verifier mass `mass`."""
        log = np.log(np.where(factor > 0, factor, 1.0))
        self.kl += factor * mass * log
        self.reverse += np.where((factor > 0) | (mass <= 0), -mass * log, np.inf)
        self.short += mass * np.maximum(1 - factor, 0.0)

    def draft_itself(self, start: ArrayLike, stop: ArrayLike) -> None:
        """The law is the draft itself on the tokens of rank `start` to `stop` in rising order of the ratio."""
        rows = self.rows
        start, stop = np.asarray(start), np.asarray(stop)
        self.kl += pick(rows.kl_below, stop) - pick(rows.kl_below, start)
        self.reverse += pick(rows.reverse_below, stop) - pick(rows.reverse_below, start)
        self.reverse[np.broadcast_to(np.minimum(stop, rows.never) > start, self.shape)] = np.inf
        low, high = np.minimum(start, rows.even), np.minimum(stop, rows.even)
        self.short += pick(rows.verifier_below, high) - pick(rows.verifier_below, low)
        self.short -= pick(rows.draft_below, high) - pick(rows.draft_below, low)

    def laws(self, laws: Floats) -> None:
        """The laws themselves, [B, K, V]."""
        rows = self.rows
        weight = np.where(rows.possible, rows.verifier, 1.0)[:, None]
        kl, reverse = (
            part.reshape(laws.shape)
            for part in nats(np.broadcast_to(weight, laws.shape).ravel(), (laws / weight).ravel())
        )
        for total, part in ((self.kl, kl), (self.reverse, reverse), (self.short, np.maximum(weight - laws, 0.0))):
            total += np.where(rows.possible[:, None], part, 0.0).sum(-1)
        self.ruled_out(np.where(rows.possible[:, None], 0.0, laws).sum(-1))

    def lines(self, start: ArrayLike, slope: ArrayLike, stop: ArrayLike) -> Indices:
        """The law is `start` times the verifier plus `slope` times the draft on the `stop` tokens of least ratio: both
        divergences then follow from sums of ln(law/verifier) alone, and `short` is left out.

        Laws are summed a few at a time, up to the least `stop` above 0 among them; returns where that was, [B, K].
        """
        start, slope, stop = (np.broadcast_to(values, self.shape) for values in (start, slope, stop))
        ratios, weights = self.rows.straight
        least, last = self.rows.ratio[:, :1], pick(self.rows.ratio, np.maximum(stop - 1, 0))  # the ratios rise
        zero = (np.minimum(start + slope * least, start + slope * last) <= 0) & (stop > 0)
        self.reverse[zero] = np.inf
        both = np.stack([start, slope], -1)  # [B, K, 2]
        sums, done = np.zeros(both.shape), np.zeros_like(stop)
        few, many = max(8, 2**15 // ratios.shape[-1]), 2**12  # laws and tokens: 256 KB stay in the cache
        for row in range(len(done)):
            laws = np.flatnonzero(stop[row])
            for some in (laws[k : k + few] for k in range(0, len(laws), few)):
                done[row, some] = end = stop[row, some].min()
                for part in (slice(k, min(k + many, end)) for k in range(0, end, many)):
                    times = both[row, some] @ ratios[row, :, part]
                    if zero[row, some].any():
                        np.maximum(times, 1e-300, out=times)
                    sums[row, some] += np.log(times, out=times) @ weights[row, :, part].T
        self.reverse -= sums[..., 0]
        self.kl += (both * sums).sum(-1)
        return done

    def first_liked(self, kept: Indices, relative: Callable[[Indices, Indices], Floats]) -> None:
        """The law is the verifier times `relative` on the first `kept` of the tokens it likes; see `Liked.sums`."""

        def apart(law: Indices, token: Indices) -> tuple[Floats, ...]:
            times, verifier = relative(law, token), self.rows.liked.verifier.ravel()[token]
            return *nats(verifier, times), np.maximum(1 - times, 0.0) * verifier

        kl, reverse, short = self.rows.liked.sums(kept, apart)
        self.kl += kl
        self.reverse += reverse
        self.short += short

    def ruled_out(self, mass: Floats) -> None:
        """The law writes `mass` on tokens the verifier rules out."""
        self.kl[np.broadcast_to(mass, self.shape) > 0] = np.inf

    def put(self, which: Mask, part: Tally) -> None:
        """Takes over the sums of `part` for the laws `which`."""
        for name in ("kl", "short", "reverse"):
            setattr(self, name, np.where(which, getattr(part, name), getattr(self, name)))

    def outcome(self, acceptance: Floats) -> Outcome:
        """The sums as an Outcome, rounding errors below 0 removed."""
        acceptance = np.clip(np.broadcast_to(acceptance, self.shape), 0.0, 1.0)
        return Outcome(acceptance, np.maximum(self.kl, 0), np.clip(self.short, 0, 1), np.maximum(self.reverse, 0))


def loose(rows: SortedRows) -> Tally:
    """The sums of one law that is the draft itself."""
    tally = Tally(rows, 1)
    tally.draft_itself(np.zeros_like(rows.size), rows.size)
    tally.ruled_out(rows.outside)
    return tally


def either(rows: SortedRows, strict: Mask) -> Outcome:
    """Settings [B, K] that either are strict, or keep every token and so write the draft itself."""
    tally = Tally(rows, strict.shape[-1])
    tally.put(~strict, loose(rows))
    return tally.outcome(np.where(strict, 1 - rows.tv, 1.0))


def nats(verifier: Floats, times: Floats) -> tuple[Floats, Floats]:
    """What tokens of probability `verifier` add to KL(law || verifier) and to KL(verifier || law), the law being `times` that, [n]."""
    if len(times) and times.min() <= 0:
        log = np.log(np.where(times > 0, times, 1.0))
        return log * times * verifier, np.where(times > 0, -log, np.inf) * verifier
    log = np.log(times) * verifier
    return log * times, -log
