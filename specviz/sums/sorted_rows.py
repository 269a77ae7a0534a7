"""Verifier and draft rows, sorted once, so that whole families of output laws cost a few sums each.

Every array has the rows first, since the work on one row is too small to be worth a call: B rows, V tokens, K laws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from specviz.sums.rows import (
    Floats,
    Indices,
    Mask,
    after_both,
    along,
    before,
    before_both,
    chunks,
    find,
    pick,
    spread,
    sums_of,
)

Bounds: TypeAlias = tuple[Indices, Indices, Floats, Floats]
Divergence: TypeAlias = Literal["kl", "reverse_kl"]


class SortedRows:
    """Verifier and draft rows, float64 arrays [B, V] (or one of each, [V]), with prefix sums over tokens in rising order of
    draft/verifier.

    In that order, sums "below i" run over the i smallest ratios (arrays [B, V + 1]), those "above" over all others. The
    tokens that the verifier rules out come last, with a ratio of infinity: `size` counts all others, and `outside` is the
    draft's mass on the rest. These, `never`, `even` and `tv` are columns [B, 1].
    """

    def __init__(self, verifier: Floats, draft: Floats):
        self.verifier, self.draft = verifier, draft = np.atleast_2d(verifier, draft)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = draft / verifier
        self.possible: Mask = np.isfinite(ratio)
        allowed = verifier
        if not self.possible.all():
            ratio, allowed = np.where(self.possible, ratio, np.inf), np.where(self.possible, verifier, 0.0)
        self.size: Indices = np.count_nonzero(self.possible, -1)[:, None]
        self.order: Indices = np.argsort(ratio)
        self.ratio, self.draft_sorted, self.verifier_sorted = along(self.order, ratio, draft, allowed)
        self.never = find(self.ratio, 0.0, right=True)  # allowed tokens that are never drafted
        self.even = find(self.ratio, 1.0)  # the first token at least as likely in the draft
        self.draft_below, self.verifier_below = before_both(self.draft_sorted, self.verifier_sorted)
        self.draft_above, self.verifier_above = after_both(self.draft_sorted, self.verifier_sorted)
        self.outside = pick(self.draft_above, self.size)
        self.tv: Floats = np.maximum(self.outside, np.maximum(draft - verifier, 0).sum(-1, keepdims=True))

    @cached_property
    def log_ratio(self) -> Floats:
        """ln(draft/verifier), 0 where a token is never drafted or ruled out, [B, V]."""
        return np.log(np.where((self.ratio > 0) & (self.ratio < np.inf), self.ratio, 1.0))

    @cached_property
    def kl_below(self) -> Floats:
        """Prefix sums of draft ln(draft/verifier), [B, V + 1]."""
        return before(self.draft_sorted * self.log_ratio)

    @cached_property
    def reverse_below(self) -> Floats:
        """Prefix sums of verifier ln(verifier/draft) over tokens that are ever drafted, [B, V + 1]."""
        return before(-self.verifier_sorted * self.log_ratio)

    @cached_property
    def js(self) -> Floats:
        """Jensen-Shannon divergence of the two, nats, [B, 1]."""
        mixed = np.log1p(np.where(self.ratio < np.inf, self.ratio, 0.0)) * (self.draft_sorted + self.verifier_sorted)
        js: Floats = np.log(2) + (pick(self.kl_below, self.size) - mixed.sum(-1, keepdims=True)) / 2
        return np.maximum(js, 0.0)

    @cached_property
    def liked(self) -> Liked:
        """The same rows in the order of the verifier's liking."""
        return Liked(self)

    @cached_property
    def clips(self) -> Clips:
        """The clips of the draft between two multiples of the verifier."""
        return Clips(self)

    @cached_property
    def straight(self) -> tuple[Floats, Floats]:
        """(1 and draft/verifier, verifier and draft), each [B, 2, V]: what a law between the two is made of, and weighed with."""
        return np.stack([np.ones(self.ratio.shape), self.ratio], 1), np.stack(
            [self.verifier_sorted, self.draft_sorted], 1
        )


class Liked:
    """The tokens in falling order of the verifier's probability, [B, V], with running sums [B, V + 1]. The first is its
    argmax; the first `size` [B, 1] are those it allows."""

    def __init__(self, rows: SortedRows):
        order, top = np.argsort(-rows.verifier), rows.verifier.argmax(-1)
        every, first = np.arange(len(top)), (order == top[:, None]).argmax(-1)
        order[every, first], order[:, 0] = order[:, 0], top
        self.verifier, self.draft = along(order, rows.verifier, rows.draft)
        self.size: Indices = np.count_nonzero(rows.verifier, -1)[:, None]
        self.ratio: Floats = np.divide(
            self.draft, self.verifier, out=np.zeros_like(self.draft), where=self.verifier > 0
        )
        self.verifier_above, self.draft_above = after_both(self.verifier, self.draft)  # index i: all but the first i
        self._rising = -self.verifier

    def over(self, bar: Floats, ties: bool) -> Indices:
        """How many tokens have a verifier probability above `bar` [B, K], or, with `ties`, at least that: the first so many."""
        return np.minimum(find(self._rising, -bar, right=ties), self.size)

    def sums(self, kept: Indices, terms: Callable[[Indices, Indices], tuple[Floats, ...]]) -> list[Floats]:
        """The sums of each of some terms(law, token) over the first `kept` [B, K] tokens of each row, [B, K]. They must
        be the same for all laws of a row that keep equally many. `law` and `token` are flat indices [n] into [B, K] and,
        in the order of liking, into [B, V]."""
        count, size = len(kept), self.verifier.shape[-1]
        _, first, inverse = np.unique(
            kept + np.arange(count)[:, None] * (size + 1), return_index=True, return_inverse=True
        )
        counts, starts = kept.ravel()[first], first // kept.shape[1] * size
        parts = []
        for some in chunks(counts):
            which, token = spread(starts[some], counts[some])
            parts.append([sums_of(part, counts[some]) for part in terms(first[some][which], token)])
        return [np.concatenate(part)[inverse].reshape(kept.shape) for part in zip(*parts)]


class Clips:
    """All clips of the draft between two multiples of the verifier, ordered by how much draft mass they move.

    `moved` runs from 0, or from `outside` for a clip that writes nothing the verifier rules out, to `most` = TV(draft,
    verifier), where the clip is the verifier itself. A clip takes `moved` from the tokens whose ratio is above `high`
    (first of all from `outside`) and gives it to those below `low`; it accepts 1 - moved. `moved`, budgets and prices are
    arrays [B, K], or broadcast to it.
    """

    def __init__(self, rows: SortedRows):
        self.rows, self.outside, self.most = rows, rows.outside, rows.tv
        given = rows.ratio * rows.verifier_below[:, :-1] - rows.draft_below[:, :-1]  # mass given if low = ratio[i]
        with np.errstate(invalid="ignore"):
            taken = rows.draft_above[:, 1:] - rows.ratio * rows.verifier_above[:, 1:]  # mass taken if high = ratio[i]
        taken = np.where(rows.ratio < np.inf, taken, -np.inf)[:, ::-1]
        self._given, self._taken = np.maximum.accumulate(given, -1), np.maximum.accumulate(taken, -1)

    def bounds(self, moved: Floats) -> Bounds:
        """(i, j, low, high): the i smallest ratios lie below `low`, all but the j smallest above `high` (inf if none)."""
        rows = self.rows
        i = find(self._given, moved, right=True)  # at least 1
        j = np.maximum(i, self._taken.shape[-1] - find(self._taken, moved, right=True))
        low = (moved + pick(rows.draft_below, i)) / pick(rows.verifier_below, i)
        with np.errstate(divide="ignore", invalid="ignore"):
            high = np.where(j < rows.size, (pick(rows.draft_above, j) - moved) / pick(rows.verifier_above, j), np.inf)
        return i, j, np.minimum(low, 1.0), np.maximum(high, 1.0)

    def measure(self, moved: Floats, divergence: Divergence, bounds: Bounds | None = None) -> Floats:
        """KL(clip || verifier) ("kl") or KL(verifier || clip) ("reverse_kl"), nats: convex and falling in `moved`."""
        rows = self.rows
        i, j, low, high = self.bounds(moved) if bounds is None else bounds
        high = np.where(j < rows.size, high, 1.0)  # weighs nothing
        log_low, log_high = np.log(np.where(low > 0, low, 1.0)), np.log(high)
        below, above = pick(rows.verifier_below, i), pick(rows.verifier_above, j)
        if divergence == "kl":
            between = pick(rows.kl_below, j) - pick(rows.kl_below, i)
            return np.maximum(low * below * log_low + between + high * above * log_high, 0.0)
        between = pick(rows.reverse_below, j) - pick(rows.reverse_below, i)
        return np.where(low > 0, np.maximum(between - below * log_low - above * log_high, 0.0), np.inf)

    def price(self, divergence: Divergence, bounds: Bounds) -> Floats:
        """Divergence per acceptance, -d measure / d moved: falls to 0 as the clip approaches the verifier."""
        _, _, low, high = bounds
        with np.errstate(divide="ignore"):
            return np.log(high) - np.log(low) if divergence == "kl" else 1 / low - 1 / high

    def start(self, divergence: Divergence) -> Floats:
        """The least `moved` there is a finite divergence for, [B, 1]."""
        return self.outside if divergence == "kl" else np.zeros_like(self.outside)

    def spend(self, budget: ArrayLike, divergence: Divergence = "kl") -> Floats:
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

    def at_price(self, price: ArrayLike, divergence: Divergence) -> Floats:
        """`moved` of the clip at which one more unit of acceptance costs `price` > 0 of divergence.

        While i and j stay the same, low and high are linear in `moved` and the answer has a closed form; extended
        further it errs to the left, so repeating it climbs to the answer.
        """
        rows, floor = self.rows, self.start(divergence)
        moved, price = np.broadcast_arrays((floor + self.most) / 2, np.asarray(price, dtype=np.float64))
        pushes = 0
        for _ in range(200):
            i, j, _, _ = bounds = self.bounds(moved)
            below, above = pick(rows.verifier_below, i), pick(rows.verifier_above, j)
            given, taken = pick(rows.draft_below, i), pick(rows.draft_above, j)
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

    def target(self, moved: Floats) -> Floats:
        """The clips themselves, [B, V], for `moved` [B, 1] >= `outside`."""
        rows = self.rows
        _, _, low, high = self.bounds(moved)
        clip = np.maximum(rows.draft, low * rows.verifier)
        with np.errstate(invalid="ignore"):
            clip = np.where(high < np.inf, np.minimum(clip, high * rows.verifier), clip)
        return np.where(rows.possible, clip, 0.0)
