"""One verifier row and one draft row, sorted once, so that whole families of output laws cost a few sums each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy import ndarray


class Outcome(NamedTuple):
    """What K settings of a rule do at one position: arrays [K]. Divergences are of the output law, in nats; tv in [0, 1]."""

    acceptance: ndarray  # chance that a drafted token is kept
    kl: ndarray  # KL(output law || verifier)
    tv: ndarray  # total variation between the two
    reverse_kl: ndarray  # KL(verifier || output law)


class Pair:
    """A verifier row and a draft row, float64 arrays [V], with prefix sums over tokens in rising order of draft/verifier.

    In that order, sums "below i" run over the i smallest ratios (arrays [n + 1]), those "above" over all others. The
    n tokens are those the verifier allows; `outside` is the draft's mass on the rest.
    """

    def __init__(self, verifier: ndarray, draft: ndarray):
        self.verifier, self.draft = verifier, draft
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = draft / verifier
        self.possible = np.isfinite(ratio)
        order = np.flatnonzero(self.possible)
        self.order = order[np.argsort(ratio[order])]
        self.ratio, self.draft_sorted, self.verifier_sorted = ratio[self.order], draft[self.order], verifier[self.order]
        self.size = len(self.order)
        self.outside = float(draft[~self.possible].sum()) if self.size < len(draft) else 0.0
        self.never = int(np.searchsorted(self.ratio, 0.0, side="right"))  # allowed tokens that are never drafted
        self.even = int(np.searchsorted(self.ratio, 1.0))  # the first token at least as likely in the draft
        self.draft_below, self.verifier_below = before(self.draft_sorted), before(self.verifier_sorted)
        self.draft_above = before(self.draft_sorted[::-1])[::-1] + self.outside
        self.verifier_above = before(self.verifier_sorted[::-1])[::-1]
        self.tv = max(self.outside, float(np.maximum(draft - verifier, 0).sum()))

    @cached_property
    def log_ratio(self) -> ndarray:
        """ln(draft/verifier), 0 where a token is never drafted, [n]."""
        return np.log(np.where(self.ratio > 0, self.ratio, 1.0))

    @cached_property
    def kl_below(self) -> ndarray:
        """Prefix sums of draft ln(draft/verifier), [n + 1]."""
        return before(self.draft_sorted * self.log_ratio)

    @cached_property
    def reverse_below(self) -> ndarray:
        """Prefix sums of verifier ln(verifier/draft) over tokens that are ever drafted, [n + 1]."""
        return before(-self.verifier_sorted * self.log_ratio)

    @cached_property
    def liked(self) -> Liked:
        """The same row in the order of the verifier's liking."""
        return Liked(self)

    @cached_property
    def clips(self) -> Clips:
        """The clips of the draft between two multiples of the verifier."""
        return Clips(self)


class Liked:
    """The tokens the verifier allows in falling order of its probability, with running sums [n + 1]. The first is its argmax."""

    def __init__(self, pair: Pair):
        order = np.argsort(-pair.verifier)[: np.count_nonzero(pair.verifier)]
        first = np.flatnonzero(order == pair.verifier.argmax())[0]
        order[[0, first]] = order[[first, 0]]
        self.verifier, self.draft = pair.verifier[order], pair.draft[order]
        self.size = len(order)
        self.ratio = self.draft / self.verifier
        self.verifier_above = before(self.verifier[::-1])[::-1]  # index i: all but the first i
        self.draft_above = before(self.draft[::-1])[::-1] + pair.outside


class Tally:
    """Adds up how far K output laws lie from the verifier, one group of tokens after the other.

    tv is the sum of what the law falls short of the verifier, so groups in which it is above add nothing to it.
    """

    def __init__(self, pair: Pair, count: int):
        self.pair = pair
        self.kl, self.short, self.reverse = np.zeros(count), np.zeros(count), np.zeros(count)

    def scaled(self, mass, factor) -> None:
        """The law is `factor` [K] times the verifier on tokens of verifier mass `mass` [K]."""
        log = np.log(np.where(factor > 0, factor, 1.0))
        self.kl += factor * mass * log
        self.reverse += np.where((factor > 0) | (mass <= 0), -mass * log, np.inf)
        self.short += mass * np.maximum(1 - factor, 0.0)

    def kept(self, start, stop) -> None:
        """The law is the draft itself on the tokens of rank `start` to `stop` [K] in rising order of the ratio."""
        pair = self.pair
        self.kl += pair.kl_below[stop] - pair.kl_below[start]
        self.reverse += pair.reverse_below[stop] - pair.reverse_below[start]
        self.reverse[np.broadcast_to(np.minimum(stop, pair.never) > start, self.reverse.shape)] = np.inf
        low, high = np.minimum(start, pair.even), np.minimum(stop, pair.even)
        self.short += (pair.verifier_below[high] - pair.verifier_below[low]) - (pair.draft_below[high] - pair.draft_below[low])

    def mixed(self, verifier, relative) -> None:
        """The law is verifier [n] times `relative` [K, n] (which is overwritten) on tokens the verifier allows."""
        self.short += np.maximum(1 - relative, 0.0) @ verifier
        self.blended(verifier, lambda part: relative[part])

    def blended(self, verifier, relative: Callable[[slice], ndarray]) -> None:
        """`mixed`, with `relative` made for a few of the K laws at a time (a new array), and without tv."""
        if not len(verifier):
            return
        few = max(1, 2**14 // len(verifier))  # 128 KB stay in the cache, and are not given back to the system each time
        for start in range(0, len(self.kl), few):
            part = slice(start, start + few)
            times = relative(part)
            if times.min() <= 0:
                self.reverse[part][(times <= 0).any(-1)] = np.inf
                np.maximum(times, 1e-300, out=times)
            log = np.log(times)
            self.reverse[part] -= log @ verifier
            log *= times
            self.kl[part] += log @ verifier

    def lines(self, start: ndarray, slope: ndarray, count: int | None = None) -> None:
        """`blended` with the law start [K] times the verifier plus slope [K] times the draft on the `count` (default all) tokens
        of least ratio: both divergences then follow from sums of ln(law/verifier) alone."""
        pair = self.pair
        both = np.stack([pair.verifier_sorted[:count], pair.draft_sorted[:count]])  # [2, n]
        if not both.size:
            return
        few = max(1, 2**15 // both.size)
        for k in range(0, len(self.kl), few):
            part = slice(k, k + few)
            times = line(start[part], slope[part], pair.ratio[:count])
            if times[:, 0].min() <= 0 or times[:, -1].min() <= 0:  # the ratios rise, so the ends are the extremes
                self.reverse[part][(times <= 0).any(-1)] = np.inf
                np.maximum(times, 1e-300, out=times)
            sums = np.log(times, out=times) @ both.T  # [k, 2]
            self.reverse[part] -= sums[:, 0]
            self.kl[part] += start[part] * sums[:, 0] + slope[part] * sums[:, 1]

    def first_liked(self, kept, relative: Callable[[ndarray, ndarray], ndarray]) -> None:
        """Law k is the verifier times `relative` on the first kept[k] of the tokens it likes; laws that keep equally many
        are the same. relative(k, rank) gets arrays [n] of which law and which token, 0 the best liked, and returns [n]."""
        counts, first, inverse = np.unique(kept, return_index=True, return_inverse=True)
        sums = np.zeros((3, len(counts)))
        groups = np.cumsum(counts) // 2**15  # laws that are summed in one go, so that memory stays small
        for group in np.unique(groups):
            some = np.flatnonzero(groups == group)
            size = counts[some]
            law = np.repeat(some, size)
            rank = np.arange(len(law)) - np.repeat(np.cumsum(size) - size, size)
            times, verifier = relative(first[law], rank), self.pair.liked.verifier[rank]
            log = np.log(np.where(times > 0, times, 1.0))
            for total, part in zip(sums, (log * times, np.maximum(1 - times, 0.0), np.where(times > 0, -log, np.inf)), strict=True):
                total += np.bincount(law, part * verifier, len(counts))
        self.kl += sums[0][inverse]
        self.short += sums[1][inverse]
        self.reverse += sums[2][inverse]

    def ruled_out(self, mass) -> None:
        """The law writes `mass` [K] on tokens the verifier rules out."""
        self.kl[np.broadcast_to(mass, self.kl.shape) > 0] = np.inf

    def put(self, which, part: Tally) -> None:
        """Takes over the sums of `part` for the laws `which` [K], a mask."""
        self.kl[which], self.short[which], self.reverse[which] = part.kl, part.short, part.reverse

    def outcome(self, acceptance) -> Outcome:
        """The sums as an Outcome, rounding errors below 0 removed."""
        acceptance = np.clip(np.broadcast_to(acceptance, self.kl.shape), 0.0, 1.0)
        return Outcome(acceptance, np.maximum(self.kl, 0), np.clip(self.short, 0, 1), np.maximum(self.reverse, 0))


class Clips:
    """All clips of the draft between two multiples of the verifier, ordered by how much draft mass they move.

    `moved` runs from 0, or from `outside` for a clip that writes nothing the verifier rules out, to `most` = TV(draft,
    verifier), where the clip is the verifier itself. A clip takes `moved` from the tokens whose ratio is above `high`
    (first of all from `outside`) and gives it to those below `low`; it accepts 1 - moved. Methods take and return
    floats or arrays of any number of clips.
    """

    def __init__(self, pair: Pair):
        self.pair, self.outside, self.most = pair, pair.outside, pair.tv
        given = pair.ratio * pair.verifier_below[:-1] - pair.draft_below[:-1]  # mass given if low = ratio[i]
        taken = pair.draft_above[1:] - pair.ratio * pair.verifier_above[1:]  # mass taken if high = ratio[i]
        self._given, self._taken = np.maximum.accumulate(given), np.maximum.accumulate(taken[::-1])

    def bounds(self, moved):
        """(i, j, low, high): the i smallest ratios lie below `low`, all but the j smallest above `high` (inf if none)."""
        pair = self.pair
        moved = np.asarray(moved, dtype=np.float64)
        i = np.searchsorted(self._given, moved, side="right")  # at least 1
        j = np.maximum(i, pair.size - np.searchsorted(self._taken, moved, side="right"))
        low = (moved + pair.draft_below[i]) / pair.verifier_below[i]
        with np.errstate(divide="ignore", invalid="ignore"):
            high = np.where(j < pair.size, (pair.draft_above[j] - moved) / pair.verifier_above[j], np.inf)
        return i, j, np.minimum(low, 1.0), np.maximum(high, 1.0)

    def measure(self, moved, divergence: str, bounds=None):
        """KL(clip || verifier) ("kl") or KL(verifier || clip) ("reverse_kl"), nats: convex and falling in `moved`."""
        pair = self.pair
        i, j, low, high = self.bounds(moved) if bounds is None else bounds
        high = np.where(j < pair.size, high, 1.0)  # weighs nothing
        log_low, log_high = np.log(np.where(low > 0, low, 1.0)), np.log(high)
        below, above = pair.verifier_below[i], pair.verifier_above[j]
        if divergence == "kl":
            between = pair.kl_below[j] - pair.kl_below[i]
            return np.maximum(low * below * log_low + between + high * above * log_high, 0.0)
        between = pair.reverse_below[j] - pair.reverse_below[i]
        return np.where(low > 0, np.maximum(between - below * log_low - above * log_high, 0.0), np.inf)

    def price(self, divergence: str, bounds):
        """Divergence per acceptance, -d measure / d moved: falls to 0 as the clip approaches the verifier."""
        _, _, low, high = bounds
        with np.errstate(divide="ignore"):
            return np.log(high) - np.log(low) if divergence == "kl" else 1 / low - 1 / high

    def start(self, divergence: str) -> float:
        """The least `moved` there is a finite divergence for."""
        return self.outside if divergence == "kl" else 0.0

    def spend(self, budget, divergence: str = "kl"):
        """The least `moved` whose clip diverges by at most `budget`. Newton's method on the root of the divergence, which is
        nearly a straight line, halving where it would leave the bracket."""
        budget = np.asarray(budget, dtype=np.float64)
        left, right = np.full(budget.shape, self.start(divergence)), np.full(budget.shape, self.most)
        fixed = np.where(budget <= 0, self.most, np.nan)
        full = self.measure(left, divergence)
        fixed = np.where(full <= budget, left, fixed)
        share = np.where(np.isnan(fixed) & np.isfinite(full), np.sqrt(np.maximum(budget, 0.0) / np.maximum(full, 1e-300)), 0.5)
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
        price = np.asarray(price, dtype=np.float64)
        pair, start = self.pair, self.start(divergence)
        moved, floor = np.full(price.shape, (start + self.most) / 2), start
        pushes = 0
        for _ in range(200):
            i, j, _, _ = bounds = self.bounds(moved)
            below, above = pair.verifier_below[i], pair.verifier_above[j]
            given, taken = pair.draft_below[i], pair.draft_above[j]
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

    def target(self, moved: float) -> ndarray:
        """The clip itself, [V], for `moved` >= `outside`."""
        pair = self.pair
        _, _, low, high = self.bounds(moved)
        clip = np.maximum(pair.draft, low * pair.verifier)
        if high < np.inf:
            clip = np.minimum(clip, high * pair.verifier)
        return np.where(pair.possible, clip, 0.0)


def line(start: ndarray, slope: ndarray, at: ndarray) -> ndarray:
    """start [K] + slope [K] times `at` [n], as [K, n]."""
    values = np.multiply.outer(slope, at)
    values += start[:, None]
    return values


def loose(pair: Pair) -> Tally:
    """The sums of one law that is the draft itself."""
    tally = Tally(pair, 1)
    tally.kept(0, pair.size)
    tally.ruled_out(pair.outside)
    return tally


def either(pair: Pair, strict: ndarray) -> Outcome:
    """K settings that either are strict, or keep every token and so write the draft itself."""
    tally = Tally(pair, len(strict))
    tally.put(~strict, loose(pair))
    return tally.outcome(np.where(strict, 1 - pair.tv, 1.0))


def before(values: ndarray) -> ndarray:
    """Prefix sums with a leading 0, [n + 1]."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


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
