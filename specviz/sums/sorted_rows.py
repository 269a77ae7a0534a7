"""Verifier and draft rows, sorted once, so that whole families of output laws cost a few sums each.

Every array has the rows first, since the work on one row is too small to be worth a call: B rows, V tokens, K laws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from specviz.sums.rows import after, along, before, chunks, find, pick, spread


class Outcome(NamedTuple):
    """What K settings of a rule do at B positions: arrays [B, K]. Divergences are of the output law, in nats; tv in [0, 1]."""

    acceptance: ndarray  # chance that a drafted token is kept
    kl: ndarray  # KL(output law || verifier)
    tv: ndarray  # total variation between the two
    reverse_kl: ndarray  # KL(verifier || output law)


class Pair:
    """Verifier and draft rows, float64 arrays [B, V] (or one of each, [V]), with prefix sums over tokens in rising order of
    draft/verifier.

    In that order, sums "below i" run over the i smallest ratios (arrays [B, V + 1]), those "above" over all others. The
    tokens that the verifier rules out come last, with a ratio of infinity: `size` counts all others, and `outside` is the
    draft's mass on the rest. These, `never`, `even` and `tv` are columns [B, 1].
    """

    def __init__(self, verifier: ndarray, draft: ndarray):
        self.verifier, self.draft = verifier, draft = np.atleast_2d(verifier, draft)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = draft / verifier
        self.possible = np.isfinite(ratio)
        allowed = verifier
        if not self.possible.all():
            ratio, allowed = np.where(self.possible, ratio, np.inf), np.where(self.possible, verifier, 0.0)
        self.size = np.count_nonzero(self.possible, -1)[:, None]
        self.order = np.argsort(ratio)
        self.ratio, self.draft_sorted, self.verifier_sorted = (
            along(values, self.order) for values in (ratio, draft, allowed)
        )
        self.never = find(self.ratio, 0.0, right=True)  # allowed tokens that are never drafted
        self.even = find(self.ratio, 1.0)  # the first token at least as likely in the draft
        self.draft_below, self.verifier_below = before(self.draft_sorted), before(self.verifier_sorted)
        self.draft_above, self.verifier_above = after(self.draft_sorted), after(self.verifier_sorted)
        self.outside = pick(self.draft_above, self.size)
        self.tv = np.maximum(self.outside, np.maximum(draft - verifier, 0).sum(-1, keepdims=True))

    @cached_property
    def log_ratio(self) -> ndarray:
        """ln(draft/verifier), 0 where a token is never drafted or ruled out, [B, V]."""
        return np.log(np.where((self.ratio > 0) & (self.ratio < np.inf), self.ratio, 1.0))

    @cached_property
    def kl_below(self) -> ndarray:
        """Prefix sums of draft ln(draft/verifier), [B, V + 1]."""
        return before(self.draft_sorted * self.log_ratio)

    @cached_property
    def reverse_below(self) -> ndarray:
        """Prefix sums of verifier ln(verifier/draft) over tokens that are ever drafted, [B, V + 1]."""
        return before(-self.verifier_sorted * self.log_ratio)

    @cached_property
    def js(self) -> ndarray:
        """Jensen-Shannon divergence of the two, nats, [B, 1]."""
        mixed = np.log1p(np.where(self.ratio < np.inf, self.ratio, 0.0)) * (self.draft_sorted + self.verifier_sorted)
        return np.maximum(np.log(2) + (pick(self.kl_below, self.size) - mixed.sum(-1, keepdims=True)) / 2, 0.0)

    @cached_property
    def liked(self) -> Liked:
        """The same rows in the order of the verifier's liking."""
        return Liked(self)

    @cached_property
    def clips(self) -> Clips:
        """The clips of the draft between two multiples of the verifier."""
        return Clips(self)

    @cached_property
    def straight(self) -> tuple[ndarray, ndarray]:
        """(1 and draft/verifier, verifier and draft), each [B, 2, V]: what a law between the two is made of, and weighed with."""
        return np.stack([np.ones(self.ratio.shape), self.ratio], 1), np.stack(
            [self.verifier_sorted, self.draft_sorted], 1
        )


class Liked:
    """The tokens in falling order of the verifier's probability, [B, V], with running sums [B, V + 1]. The first is its
    argmax; the first `size` [B, 1] are those it allows."""

    def __init__(self, pair: Pair):
        order, top = np.argsort(-pair.verifier), pair.verifier.argmax(-1)
        rows, first = np.arange(len(top)), (order == top[:, None]).argmax(-1)
        order[rows, first], order[:, 0] = order[:, 0], top
        self.verifier, self.draft = along(pair.verifier, order), along(pair.draft, order)
        self.size = np.count_nonzero(pair.verifier, -1)[:, None]
        self.ratio = np.divide(self.draft, self.verifier, out=np.zeros_like(self.draft), where=self.verifier > 0)
        self.verifier_above, self.draft_above = after(self.verifier), after(self.draft)  # index i: all but the first i
        self._rising = -self.verifier

    def over(self, bar: ndarray, ties: bool) -> ndarray:
        """How many tokens have a verifier probability above `bar` [B, K], or, with `ties`, at least that: the first so many."""
        return np.minimum(find(self._rising, -bar, right=ties), self.size)

    def sums(self, kept: ndarray, terms: Callable[[ndarray, ndarray], tuple[ndarray, ...]]) -> list[ndarray]:
        """The sums of each of some terms(law, token) over the first `kept` [B, K] tokens of each row, [B, K]. They must
        be the same for all laws of a row that keep equally many. `law` and `token` are flat indices [n] into [B, K] and,
        in the order of liking, into [B, V]."""
        count, size = len(kept), self.verifier.shape[-1]
        _, first, inverse = np.unique(
            kept + np.arange(count)[:, None] * (size + 1), return_index=True, return_inverse=True
        )
        counts, starts = kept.ravel()[first], first // kept.shape[1] * size
        found = []
        for some in chunks(counts):
            which, token = spread(starts[some], counts[some])
            found.append([np.bincount(which, part, len(counts[some])) for part in terms(first[some][which], token)])
        return [np.concatenate(part)[inverse].reshape(kept.shape) for part in zip(*found)]


class Tally:
    """Adds up how far K output laws lie from the verifier at each position, one group of tokens after the other.

    tv is the sum of what the law falls short of the verifier, so groups in which it is above add nothing to it.
    Arguments are [B, K], or broadcast to it.
    """

    def __init__(self, pair: Pair, count: int):
        self.pair, self.shape = pair, (len(pair.ratio), count)
        self.kl, self.short, self.reverse = np.zeros((3, *self.shape))

    def scaled(self, mass, factor) -> None:
        """The law is `factor` times the verifier on tokens of verifier mass `mass`."""
        log = np.log(np.where(factor > 0, factor, 1.0))
        self.kl += factor * mass * log
        self.reverse += np.where((factor > 0) | (mass <= 0), -mass * log, np.inf)
        self.short += mass * np.maximum(1 - factor, 0.0)

    def kept(self, start, stop) -> None:
        """The law is the draft itself on the tokens of rank `start` to `stop` in rising order of the ratio."""
        pair = self.pair
        self.kl += pick(pair.kl_below, stop) - pick(pair.kl_below, start)
        self.reverse += pick(pair.reverse_below, stop) - pick(pair.reverse_below, start)
        self.reverse[np.broadcast_to(np.minimum(stop, pair.never) > start, self.shape)] = np.inf
        low, high = np.minimum(start, pair.even), np.minimum(stop, pair.even)
        self.short += pick(pair.verifier_below, high) - pick(pair.verifier_below, low)
        self.short -= pick(pair.draft_below, high) - pick(pair.draft_below, low)

    def laws(self, laws: ndarray) -> None:
        """The laws themselves, [B, K, V]."""
        pair = self.pair
        weight = np.where(pair.possible, pair.verifier, 1.0)[:, None]
        kl, reverse = (
            part.reshape(laws.shape)
            for part in nats(np.broadcast_to(weight, laws.shape).ravel(), (laws / weight).ravel())
        )
        for total, part in ((self.kl, kl), (self.reverse, reverse), (self.short, np.maximum(weight - laws, 0.0))):
            total += np.where(pair.possible[:, None], part, 0.0).sum(-1)
        self.ruled_out(np.where(pair.possible[:, None], 0.0, laws).sum(-1))

    def lines(self, start, slope, stop) -> ndarray:
        """The law is `start` times the verifier plus `slope` times the draft on the `stop` tokens of least ratio: both
        divergences then follow from sums of ln(law/verifier) alone, and tv is left out.

        Laws are summed a few at a time, up to the least `stop` above 0 among them; returns where that was, [B, K].
        """
        start, slope, stop = (np.broadcast_to(values, self.shape) for values in (start, slope, stop))
        ratios, weights = self.pair.straight
        least, last = self.pair.ratio[:, :1], pick(self.pair.ratio, np.maximum(stop - 1, 0))  # the ratios rise
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

    def first_liked(self, kept, relative: Callable[[ndarray, ndarray], ndarray]) -> None:
        """The law is the verifier times `relative` on the first `kept` of the tokens it likes; see `Liked.sums`."""

        def apart(law: ndarray, token: ndarray) -> tuple[ndarray, ...]:
            times, verifier = relative(law, token), self.pair.liked.verifier.ravel()[token]
            return *nats(verifier, times), np.maximum(1 - times, 0.0) * verifier

        kl, reverse, short = self.pair.liked.sums(kept, apart)
        self.kl += kl
        self.reverse += reverse
        self.short += short

    def ruled_out(self, mass) -> None:
        """The law writes `mass` on tokens the verifier rules out."""
        self.kl[np.broadcast_to(mass, self.shape) > 0] = np.inf

    def put(self, which, part: Tally) -> None:
        """Takes over the sums of `part` for the laws `which`, a mask."""
        for name in ("kl", "short", "reverse"):
            setattr(self, name, np.where(which, getattr(part, name), getattr(self, name)))

    def outcome(self, acceptance) -> Outcome:
        """The sums as an Outcome, rounding errors below 0 removed."""
        acceptance = np.clip(np.broadcast_to(acceptance, self.shape), 0.0, 1.0)
        return Outcome(acceptance, np.maximum(self.kl, 0), np.clip(self.short, 0, 1), np.maximum(self.reverse, 0))


class Clips:
    """All clips of the draft between two multiples of the verifier, ordered by how much draft mass they move.

    `moved` runs from 0, or from `outside` for a clip that writes nothing the verifier rules out, to `most` = TV(draft,
    verifier), where the clip is the verifier itself. A clip takes `moved` from the tokens whose ratio is above `high`
    (first of all from `outside`) and gives it to those below `low`; it accepts 1 - moved. `moved`, budgets and prices are
    arrays [B, K], or broadcast to it.
    """

    def __init__(self, pair: Pair):
        self.pair, self.outside, self.most = pair, pair.outside, pair.tv
        given = pair.ratio * pair.verifier_below[:, :-1] - pair.draft_below[:, :-1]  # mass given if low = ratio[i]
        with np.errstate(invalid="ignore"):
            taken = pair.draft_above[:, 1:] - pair.ratio * pair.verifier_above[:, 1:]  # mass taken if high = ratio[i]
        taken = np.where(pair.ratio < np.inf, taken, -np.inf)[:, ::-1]
        self._given, self._taken = np.maximum.accumulate(given, -1), np.maximum.accumulate(taken, -1)

    def bounds(self, moved):
        """(i, j, low, high): the i smallest ratios lie below `low`, all but the j smallest above `high` (inf if none)."""
        pair = self.pair
        i = find(self._given, moved, right=True)  # at least 1
        j = np.maximum(i, self._taken.shape[-1] - find(self._taken, moved, right=True))
        low = (moved + pick(pair.draft_below, i)) / pick(pair.verifier_below, i)
        with np.errstate(divide="ignore", invalid="ignore"):
            high = np.where(j < pair.size, (pick(pair.draft_above, j) - moved) / pick(pair.verifier_above, j), np.inf)
        return i, j, np.minimum(low, 1.0), np.maximum(high, 1.0)

    def measure(self, moved, divergence: str, bounds=None):
        """KL(clip || verifier) ("kl") or KL(verifier || clip) ("reverse_kl"), nats: convex and falling in `moved`."""
        pair = self.pair
        i, j, low, high = self.bounds(moved) if bounds is None else bounds
        high = np.where(j < pair.size, high, 1.0)  # weighs nothing
        log_low, log_high = np.log(np.where(low > 0, low, 1.0)), np.log(high)
        below, above = pick(pair.verifier_below, i), pick(pair.verifier_above, j)
        if divergence == "kl":
            between = pick(pair.kl_below, j) - pick(pair.kl_below, i)
            return np.maximum(low * below * log_low + between + high * above * log_high, 0.0)
        between = pick(pair.reverse_below, j) - pick(pair.reverse_below, i)
        return np.where(low > 0, np.maximum(between - below * log_low - above * log_high, 0.0), np.inf)

    def price(self, divergence: str, bounds):
        """Divergence per acceptance, -d measure / d moved: falls to 0 as the clip approaches the verifier."""
        _, _, low, high = bounds
        with np.errstate(divide="ignore"):
            return np.log(high) - np.log(low) if divergence == "kl" else 1 / low - 1 / high

    def start(self, divergence: str) -> ndarray:
        """The least `moved` there is a finite divergence for, [B, 1]."""
        return self.outside if divergence == "kl" else np.zeros_like(self.outside)

    def spend(self, budget, divergence: str = "kl"):
        """The least `moved` whose clip diverges by at most `budget`. Newton's method on the root of the divergence, which is
        nearly a straight line, halving where it would leave the bracket."""
        left, right, budget = np.broadcast_arrays(
            self.start(divergence), self.most, np.asarray(budget, dtype=np.float64)
        )
        fixed = np.where(budget <= 0, right, np.nan)
        full = self.measure(self.start(divergence), divergence)
        fixed = np.where(full <= budget, left, fixed)
        share = np.where(
            np.isnan(fixed) & np.isfinite(full), np.sqrt(np.maximum(budget, 0.0) / np.maximum(full, 1e-300)), 0.5
        )
        moved = np.where(np.isnan(fixed), right - share * (right - left), fixed)
        for _ in range(200):
            bounds = self.bounds(moved)
            nats = self.measure(moved, divergence, bounds)
            left, right = np.where(nats > budget, moved, left), np.where(nats > budget, right, moved)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = 2 * (nats - np.sqrt(nats * budget)) / self.price(divergence, bounds)
            newton = np.where(nats > 0, moved + step, np.nan)
            usable = ((newton > left) & (newton < right)) | (newton == moved)
            after = np.where(np.isnan(fixed), np.where(usable, newton, (left + right) / 2), fixed)
            settled = np.abs(after - moved) <= 1e-15
            moved = after
            if settled.all():
                break
        return moved

    def at_price(self, price, divergence: str):
        """`moved` of the clip at which one more unit of acceptance costs `price` > 0 of divergence.

        While i and j stay the same, low and high are linear in `moved` and the answer has a closed form; extended
        further it errs to the left, so repeating it climbs to the answer.
        """
        pair, floor = self.pair, self.start(divergence)
        moved, price = np.broadcast_arrays((floor + self.most) / 2, np.asarray(price, dtype=np.float64))
        pushes = 0
        for _ in range(200):
            i, j, _, _ = bounds = self.bounds(moved)
            below, above = pick(pair.verifier_below, i), pick(pair.verifier_above, j)
            given, taken = pick(pair.draft_below, i), pick(pair.draft_above, j)
            if divergence == "kl":  # high = e^price low
                shrink = np.exp(-price)
                after = (shrink * taken * below - given * above) / (shrink * below + above)
            else:  # 1/low - 1/high = price
                middle = below + above + price * (given + taken)
                root = np.sqrt(np.maximum(middle**2 - 4 * price * below * (given + taken), 0.0))
                after = 2 * below * (given + taken) / (middle + root) - given
            after = np.clip(after, floor, self.most)
            settled = np.abs(after - moved) <= 1e-16
            if settled.all():  # rounding can hold it just before tokens that the verifier hardly allows
                stuck = (self.price(divergence, bounds) > price * (1 + 1e-6)) & (moved < self.most)
                if not stuck.any() or pushes == 4:
                    break
                after, pushes = np.where(stuck, np.minimum(after + 1e-15, self.most), after), pushes + 1
            moved = floor = after
        return moved

    def target(self, moved: ndarray) -> ndarray:
        """The clips themselves, [B, V], for `moved` [B, 1] >= `outside`."""
        pair = self.pair
        _, _, low, high = self.bounds(moved)
        clip = np.maximum(pair.draft, low * pair.verifier)
        with np.errstate(invalid="ignore"):
            clip = np.where(high < np.inf, np.minimum(clip, high * pair.verifier), clip)
        return np.where(pair.possible, clip, 0.0)


def loose(pair: Pair) -> Tally:
    """The sums of one law that is the draft itself."""
    tally = Tally(pair, 1)
    tally.kept(np.zeros_like(pair.size), pair.size)
    tally.ruled_out(pair.outside)
    return tally


def either(pair: Pair, strict: ndarray) -> Outcome:
    """Settings [B, K] that either are strict, or keep every token and so write the draft itself."""
    tally = Tally(pair, strict.shape[-1])
    tally.put(~strict, loose(pair))
    return tally.outcome(np.where(strict, 1 - pair.tv, 1.0))


def nats(verifier: ndarray, times: ndarray) -> tuple[ndarray, ndarray]:
    """What tokens of probability `verifier` add to KL(law || verifier) and to KL(verifier || law), the law being `times` that, [n]."""
    if len(times) and times.min() <= 0:
        log = np.log(np.where(times > 0, times, 1.0))
        return log * times * verifier, np.where(times > 0, -log, np.inf) * verifier
    log = np.log(times) * verifier
    return log * times, -log
