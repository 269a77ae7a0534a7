"""Laws whose targets lift the drafted token and scale all others to fit: what comes of them, whatever the lift.

A lift gives a token of verifier probability q the probability g(q, allowance) >= q in the target that it gets once it was
drafted. See `specviz.rules.lift` for the lifts there are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from specviz.sums.rows import Floats, Indices, after, chunks, find, pick, root, spread, sums_of
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally, nats


def lifted_law(verifier: Floats, draft: Floats, kept: Floats) -> Floats:
    """The output law [V] of any rule with lifted targets, given kept = min(draft, g) [V].

    A refused n spreads its w = draft - g over the tokens y with draft_y < c verifier_y, c = (1 - g)/(1 - verifier_n), in
    proportion to the difference. So with these y sorted into buckets by where draft_y/verifier_y falls among the c's,
    the sums over y (the masses Z) and then the sums over n (A, B) are running sums over buckets.
    """
    refused = draft - kept
    givers = np.flatnonzero(refused > 0)
    if not len(givers):
        return draft
    scale = (1 - kept[givers]) / (1 - verifier[givers])
    order = np.argsort(scale)
    givers, scale = givers[order], scale[order]
    weight = refused[givers]
    takers = np.flatnonzero(draft < verifier)
    draft_of, verifier_of = draft[takers], verifier[takers]
    bucket = np.searchsorted(scale, draft_of / verifier_of, side="right")  # givers from this index on reach the taker
    size = len(givers) + 1
    verifier_below = np.cumsum(np.bincount(bucket, verifier_of, size))[:-1]
    draft_below = np.cumsum(np.bincount(bucket, draft_of, size))[:-1]
    mass = np.maximum(scale * verifier_below - draft_below, weight.sum())  # Z; in exact arithmetic never below sum w
    share = np.append(weight / mass, 0.0)
    scaled_share = np.append(weight / mass * scale, 0.0)
    law = kept.copy()
    law[takers] += (
        verifier_of * np.cumsum(scaled_share[::-1])[::-1][bucket] - draft_of * np.cumsum(share[::-1])[::-1][bucket]
    )
    return np.maximum(law, 0.0)


class Lifts:
    """What lifted targets do at the B positions of `rows`, for any number of allowances [K] at once.

    `lift` gives g [n] for verifier probabilities and allowances [n]; `cost` is its inverse, the allowance [n] at which a
    verifier probability is lifted to a given g [n].
    """

    def __init__(
        self,
        rows: SortedRows,
        lift: Callable[[Floats, Floats], Floats],
        cost: Callable[[Floats, Floats], Floats],
    ):
        self.rows, self._lift = rows, lift
        above = np.flatnonzero((rows.draft > rows.verifier) & rows.possible)
        self.row: Indices = above // rows.draft.shape[-1]
        self.draft, self.verifier = rows.draft.ravel()[above], rows.verifier.ravel()[above]
        self.limit = cost(self.verifier, self.draft)  # from this allowance on the token is always kept, [n]

    def outcome(self, allowance: Floats) -> Outcome:
        """Acceptance and divergences of the output laws at allowances [K], or [B, K]: the same sums as in `lifted_law`."""
        rows, tally = self.rows, Tally(self.rows, allowance.shape[-1])
        allowance = np.broadcast_to(allowance, tally.shape)
        count = allowance.size  # laws, numbered through all positions
        some = np.flatnonzero(self.limit > allowance.min(-1)[self.row])
        which, column = np.nonzero(
            self.limit[some, None] > allowance[self.row[some]]
        )  # the tokens lifted less than they were drafted
        which = some[which]
        law = self.row[which] * tally.shape[1] + column
        draft, verifier = self.draft[which], self.verifier[which]
        lifted = self._lift(verifier, allowance.ravel()[law])

        tally.kl += pick(rows.kl_below, rows.size) - pick(rows.kl_below, rows.even)
        tally.reverse += pick(rows.reverse_below, rows.size) - pick(rows.reverse_below, rows.even)
        log_lift, log_ratio = np.log(lifted / verifier), np.log(draft / verifier)
        tally.kl += np.bincount(law, lifted * log_lift - draft * log_ratio, count).reshape(tally.shape)
        tally.reverse += np.bincount(law, verifier * (log_ratio - log_lift), count).reshape(tally.shape)

        refused = np.maximum(draft - lifted, 0.0)
        scale = (1 - lifted) / (1 - verifier)
        if rows.outside.any():  # tokens the verifier rules out are never lifted, and act as one
            law = np.append(law, np.arange(count))
            refused = np.append(refused, np.broadcast_to(rows.outside, tally.shape))
            scale = np.append(scale, np.ones(count))
            order = np.argsort(law, kind="stable")
            law, refused, scale = law[order], refused[order], scale[order]
        total: Floats = np.bincount(law, refused, count).astype(np.float64)
        row = law // tally.shape[1]
        ends = np.searchsorted(row, np.arange(len(rows.ratio) + 1))
        reach = np.zeros_like(law)  # a giver reaches the first so many takers, the tokens of ratio below 1
        for index, (start, stop) in enumerate(zip(ends[:-1], ends[1:])):
            reach[start:stop] = np.searchsorted(rows.ratio[index, : rows.even[index, 0]], scale[start:stop])
        mass = np.maximum(scale * rows.verifier_below[row, reach] - rows.draft_below[row, reach], total[law])
        share = np.divide(refused, mass, out=np.zeros_like(refused), where=mass > 0)
        order = np.lexsort((reach, law))
        self._give(tally, law[order], reach[order], share[order], (share * scale)[order])
        total = total.reshape(tally.shape)
        tally.short = np.maximum(rows.tv - total, 0.0)
        return tally.outcome(1 - total)

    def _give(self, tally: Tally, law: Indices, reach: Indices, share: Floats, scaled: Floats) -> None:
        """Adds up the law on the takers: each of the givers [n], in order of law and reach, takes `share` of the draft on
        the first `reach` takers and gives them `scaled` of the verifier.

        So the law is a straight line in the ratio up to the least reach of all, steps up to the largest, then the draft.
        """
        rows, count = self.rows, tally.kl.size
        givers = np.bincount(law, minlength=count)
        stop = np.cumsum(givers)
        start = stop - givers
        place = law, np.arange(len(law)) - start[law]
        kept, gained = np.zeros((2, count, givers.max(initial=0)))
        kept[place], gained[place] = share, scaled
        kept, gained = (
            1 - after(kept)[place],
            after(gained)[place],
        )  # on the takers between the reach before and this one

        refusing = givers > 0
        first, last = np.zeros((2, count), dtype=np.int64)
        first[refusing], last[refusing] = reach[start[refusing]], reach[stop[refusing] - 1]
        slope, level = np.ones(count), np.zeros(count)
        slope[refusing], level[refusing] = kept[start[refusing]], gained[start[refusing]]
        done = tally.lines(*(values.reshape(tally.shape) for values in (level, slope, first))).ravel()
        tally.draft_itself(last.reshape(tally.shape), np.broadcast_to(rows.even, tally.shape))

        begin = np.maximum(np.where(place[1] > 0, np.roll(reach, 1), 0), done[law])
        steps = reach - begin
        offset = law // tally.shape[1] * rows.ratio.shape[-1]
        for some in chunks(steps):
            which, token = spread((offset + begin)[some], steps[some])
            times = kept[some][which] * rows.ratio.ravel()[token] + gained[some][which]
            for total, part in zip((tally.kl, tally.reverse), nats(rows.verifier_sorted.ravel()[token], times)):
                total += np.bincount(law[some], sums_of(part, steps[some]), count).reshape(tally.shape)

    def allowance(self, budget: Floats) -> Floats:
        """The allowances [B, K] at which KL(output law || verifier) is `budget` [K], nats; the least that keeps every token it
        can, where even that stays within budget."""
        top = np.zeros((len(self.rows.ratio), 1))
        np.maximum.at(top[:, 0], self.row, self.limit)
        lifts = top > 0
        top = np.log(np.minimum(np.where(lifts, top * (1 + 1e-9), 1.0), 1e300))  # past rounding
        budget = np.broadcast_to(np.asarray(budget, dtype=np.float64), (len(top), len(budget)))
        allowance = np.where(lifts & (budget > 0), np.exp(top), 0.0)
        if not allowance.any():
            return allowance
        least = np.minimum(top, np.log(budget[budget > 0].min()))
        grid = np.concatenate([least - 40, np.linspace(least[:, 0] - 6, top[:, 0], 6 + budget.shape[1], axis=-1)], -1)
        values = np.maximum.accumulate(self.kl(np.exp(grid)), -1)
        allowance = np.where(lifts & (budget > 0) & (budget <= values[:, :1]), np.exp(grid[:, :1]), allowance)
        row, column = np.nonzero(lifts & (budget > values[:, :1]) & (budget < values[:, -1:]))
        if len(row):
            wanted, right = budget[row, column], find(values, budget)[row, column]

            def miss(point: Floats, which: Indices) -> Floats:
                """ln(divergence / wanted) at these logarithms of allowances; the others are set to where nothing is lifted."""
                place = row[which], column[which]
                everywhere = np.full(budget.shape, np.inf)
                everywhere[place] = np.exp(point)
                return np.log(self.kl(everywhere)[place] / wanted[which])

            with np.errstate(divide="ignore"):
                low, high = ((grid[row, end], np.log(values[row, end] / wanted)) for end in (right - 1, right))
                allowance[row, column] = np.exp(root(miss, low, high, 1e-12 + 4e-15 / wanted))
        return allowance

    def kl(self, allowance: Floats) -> Floats:
        """KL(output law || verifier) at allowances [K] or [B, K], [B, K], nats."""
        return self.outcome(allowance).kl
