"""Rules whose target lifts the drafted token and scales all others: the lift, the law that comes of it, its divergences."""

from __future__ import annotations

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from specviz.prob import dists
from specviz.rules import TokenRule, by_row, ratio
from specviz.sums.rows import after, chunks, find, pick, root, spread
from specviz.sums.sorted_rows import Outcome, Pair, Tally, nats
from specviz.types import Verdict


class LiftedRule(TokenRule):
    """Once n was drafted the target gives it g >= verifier[n] and scales every other token by (1 - g)/(1 - verifier[n]).

    A subclass says how many nats that may cost (`allowance`) and how g is found from it (`solver`).
    """

    solver: str = "taylor"

    def allowance(self, verifier_probs: Tensor, draft_probs: Tensor) -> float | Tensor:
        """Nats that each drafted token may cost: a number, or float64 [..., 1]."""
        raise NotImplementedError

    def lift_tokens(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        """g for drafted tokens [...]: the probability that their own target gives them."""
        allowance = self.allowance(verifier_probs, draft_probs)
        return lift(
            dists.at(verifier_probs, token),
            allowance[..., 0] if isinstance(allowance, Tensor) else allowance,
            self.solver,
        )

    def accept_probs(self, verifier_probs, draft_probs):
        return ratio(
            capped(verifier_probs, draft_probs, self.allowance(verifier_probs, draft_probs), self.solver), draft_probs
        )

    def target_probs(self, verifier_probs, draft_probs, token):
        return lifted_target(verifier_probs, token, self.lift_tokens(verifier_probs, draft_probs, token))

    def residual_probs(self, verifier_probs, draft_probs, token):
        return dists.residual(self.target_probs(verifier_probs, draft_probs, token), draft_probs)

    def verdict(self, verifier_probs, draft_probs, token):
        lifted = self.lift_tokens(verifier_probs, draft_probs, token)
        target = lifted_target(verifier_probs, token, lifted)
        return Verdict(ratio(lifted, dists.at(draft_probs, token)), dists.residual(target, draft_probs))

    def law(self, verifier_probs, draft_probs):
        """O(V log S) for the S tokens whose draft probability exceeds their lift."""
        allowance = self.allowance(verifier_probs, draft_probs)
        capped_probs = capped(verifier_probs.double(), draft_probs.double(), allowance, self.solver)
        return by_row(lifted_law, verifier_probs, draft_probs, capped_probs)


def lift(prob: Tensor, delta, solver: str) -> Tensor:
    """g [...] for verifier probabilities `prob` [...] and a budget `delta` in nats (a number or a tensor [...])."""
    if solver == "exact":
        return lift_exactly(prob, delta)
    return (prob + (2 * delta * prob * (1 - prob)).sqrt()).clamp_max(1).to(prob.dtype)


def lift_exactly(prob: Tensor, delta) -> Tensor:
    """The largest g in [prob, 1] with binary_kl(prob, g - prob) <= delta, to float64 precision (Cactus, Thm 2)."""
    exact = prob.double()
    delta = torch.as_tensor(delta, dtype=torch.float64, device=prob.device).expand(prob.shape)
    lifted = torch.where(-exact.log() <= delta, 1.0, exact)
    between = (lifted < 1) & (exact > 0) & (delta > 0)
    if bool(between.any()):
        lifted[between] += _rise(exact[between], delta[between])
    return lifted.to(prob.dtype)


def _rise(prob: Tensor, delta: Tensor) -> Tensor:
    """The root x > 0 of binary_kl(prob, x) = delta, [n]. Newton's method, halving where it would leave the bracket."""
    low = torch.zeros_like(prob)
    high = torch.minimum(
        1 - prob, delta + (delta * (delta + 2 * prob)).sqrt()
    )  # since binary_kl >= x^2 / (2 (prob + x))
    rise = torch.minimum((2 * delta * prob * (1 - prob)).sqrt(), high / 2)
    for _ in range(200):
        excess = binary_kl(prob, rise) - delta
        low, high = torch.where(excess < 0, rise, low), torch.where(excess < 0, high, rise)
        slope = torch.log1p(rise / prob) - torch.log1p(-rise / (1 - prob))
        newton = rise - excess / slope
        usable = ((newton > low) & (newton < high)) | (newton == rise)
        after = torch.where(usable, newton, (low + high) / 2)
        settled = bool(((after - rise).abs() <= 2e-16 * (prob + after)).all())
        rise = after
        if settled:
            break
    return rise


def binary_kl(prob: Tensor, rise: Tensor) -> Tensor:
    """Nats it costs to lift one probability by `rise` and scale all others: g ln(g/prob) + (1-g) ln((1-g)/(1-prob))."""
    lifted, rest = prob + rise, 1 - prob - rise
    up = torch.where(rise > prob, (lifted / prob).log(), torch.log1p(rise / prob))
    down = torch.where(rest > 0, rest * torch.log1p(-rise / (1 - prob)), 0.0)
    return torch.where(rise > 0, lifted * up + down, 0.0)


def capped(verifier_probs: Tensor, draft_probs: Tensor, delta, solver: str) -> Tensor:
    """min(draft, g) for every token, [..., V]: the mass with which it is drafted and kept. delta: a number or [..., 1]."""
    if solver == "taylor":
        return torch.minimum(draft_probs, lift(verifier_probs, delta, solver))
    draft, verifier = draft_probs.double(), verifier_probs.double()
    delta = torch.as_tensor(delta, dtype=torch.float64, device=draft.device).expand(draft.shape[:-1] + (1,))
    cut = (draft > verifier) & ((binary_kl(verifier, (draft - verifier).clamp_min(0)) > delta) | (delta == 0))
    kept = draft.clone()
    kept[cut] = lift_exactly(verifier[cut], delta.expand(draft.shape)[cut])
    return torch.minimum(kept, draft).to(draft_probs.dtype)


def lifted_target(verifier_probs: Tensor, token: Tensor, lifted: Tensor) -> Tensor:
    """The verifier [..., V] with `token` [...] raised to `lifted` [...] and all others scaled to fit."""
    prob = dists.at(verifier_probs, token)
    scale = torch.where(prob < 1, (1 - lifted) / (1 - prob), 1.0)
    return (verifier_probs * scale.unsqueeze(-1)).scatter(
        -1, token.expand(scale.shape).unsqueeze(-1), lifted.unsqueeze(-1)
    )


def lifted_law(verifier: np.ndarray, draft: np.ndarray, kept: np.ndarray) -> np.ndarray:
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
    """What lifted targets do at the B positions of a pair, for any number of allowances [K] at once."""

    def __init__(self, pair: Pair, solver: str):
        self.pair, self.solver = pair, solver
        above = np.flatnonzero((pair.draft > pair.verifier) & pair.possible)
        self.row, self.draft, self.verifier = (
            above // pair.draft.shape[-1],
            pair.draft.ravel()[above],
            pair.verifier.ravel()[above],
        )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if solver == "exact":
                limit = binary_kl(torch.from_numpy(self.verifier), torch.from_numpy(self.draft - self.verifier)).numpy()
            else:
                limit = (self.draft - self.verifier) ** 2 / (2 * self.verifier * (1 - self.verifier))
        self.limit = limit  # from this allowance on the token is always kept, [n]

    def outcome(self, allowance: ndarray) -> Outcome:
        """Acceptance and divergences of the output laws at allowances [K], or [B, K]: the same sums as in `lifted_law`."""
        pair, tally = self.pair, Tally(self.pair, allowance.shape[-1])
        allowance = np.broadcast_to(allowance, tally.shape)
        count = allowance.size  # laws, numbered through all positions
        some = np.flatnonzero(self.limit > allowance.min(-1)[self.row])
        which, column = np.nonzero(
            self.limit[some, None] > allowance[self.row[some]]
        )  # the tokens lifted less than they were drafted
        which = some[which]
        law = self.row[which] * tally.shape[1] + column
        draft, verifier = self.draft[which], self.verifier[which]
        lifted = lift(torch.from_numpy(verifier), torch.from_numpy(allowance.ravel()[law]), self.solver).numpy()

        tally.kl += pick(pair.kl_below, pair.size) - pick(pair.kl_below, pair.even)
        tally.reverse += pick(pair.reverse_below, pair.size) - pick(pair.reverse_below, pair.even)
        log_lift, log_ratio = np.log(lifted / verifier), np.log(draft / verifier)
        tally.kl += np.bincount(law, lifted * log_lift - draft * log_ratio, count).reshape(tally.shape)
        tally.reverse += np.bincount(law, verifier * (log_ratio - log_lift), count).reshape(tally.shape)

        refused = np.maximum(draft - lifted, 0.0)
        scale = (1 - lifted) / (1 - verifier)
        if pair.outside.any():  # tokens the verifier rules out are never lifted, and act as one
            law = np.append(law, np.arange(count))
            refused = np.append(refused, np.broadcast_to(pair.outside, tally.shape))
            scale = np.append(scale, np.ones(count))
            order = np.argsort(law, kind="stable")
            law, refused, scale = law[order], refused[order], scale[order]
        total = np.bincount(law, refused, count)
        row = law // tally.shape[1]
        ends = np.searchsorted(row, np.arange(len(pair.ratio) + 1))
        reach = np.zeros_like(law)  # a giver reaches the first so many takers, the tokens of ratio below 1
        for index, (start, stop) in enumerate(zip(ends[:-1], ends[1:])):
            reach[start:stop] = np.searchsorted(pair.ratio[index, : pair.even[index, 0]], scale[start:stop])
        mass = np.maximum(scale * pair.verifier_below[row, reach] - pair.draft_below[row, reach], total[law])
        share = np.divide(refused, mass, out=np.zeros_like(refused), where=mass > 0)
        order = np.lexsort((reach, law))
        self._give(tally, law[order], reach[order], share[order], (share * scale)[order])
        total = total.reshape(tally.shape)
        tally.short = np.maximum(pair.tv - total, 0.0)
        return tally.outcome(1 - total)

    def _give(self, tally: Tally, law: ndarray, reach: ndarray, share: ndarray, scaled: ndarray) -> None:
        """Adds up the law on the takers: each of the givers [n], in order of law and reach, takes `share` of the draft on
        the first `reach` takers and gives them `scaled` of the verifier.

        So the law is a straight line in the ratio up to the least reach of all, steps up to the largest, then the draft.
        """
        pair, count = self.pair, tally.kl.size
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

        given = givers > 0
        first, last = np.zeros((2, count), dtype=np.int64)
        first[given], last[given] = reach[start[given]], reach[stop[given] - 1]
        slope, level = np.ones(count), np.zeros(count)
        slope[given], level[given] = kept[start[given]], gained[start[given]]
        done = tally.lines(*(values.reshape(tally.shape) for values in (level, slope, first))).ravel()
        tally.kept(last.reshape(tally.shape), np.broadcast_to(pair.even, tally.shape))

        begin = np.maximum(np.where(place[1] > 0, np.roll(reach, 1), 0), done[law])
        offset = law // tally.shape[1] * pair.ratio.shape[-1]
        for some in chunks(reach - begin):
            which, token = spread((offset + begin)[some], (reach - begin)[some])
            times = kept[some][which] * pair.ratio.ravel()[token] + gained[some][which]
            kl, reverse = nats(pair.verifier_sorted.ravel()[token], times)
            tally.kl += np.bincount(law[some][which], kl, count).reshape(tally.shape)
            tally.reverse += np.bincount(law[some][which], reverse, count).reshape(tally.shape)

    def allowance(self, budget: ndarray) -> ndarray:
        """The allowances [B, K] at which KL(output law || verifier) is `budget` [K]; the least that keeps every token it can,
        where even that stays within budget."""
        top = np.zeros((len(self.pair.ratio), 1))
        np.maximum.at(top[:, 0], self.row, self.limit)
        lifts = top > 0
        top = np.log(np.minimum(np.where(lifts, top * (1 + 1e-9), 1.0), 1e300))  # past rounding
        budget = np.broadcast_to(np.asarray(budget, dtype=np.float64), (len(top), len(budget)))
        found = np.where(lifts & (budget > 0), np.exp(top), 0.0)
        if not found.any():
            return found
        least = np.minimum(top, np.log(budget[budget > 0].min()))
        grid = np.concatenate([least - 40, np.linspace(least[:, 0] - 6, top[:, 0], 6 + budget.shape[1], axis=-1)], -1)
        values = np.maximum.accumulate(self.kl(np.exp(grid)), -1)
        found = np.where(lifts & (budget > 0) & (budget <= values[:, :1]), np.exp(grid[:, :1]), found)
        row, column = np.nonzero(lifts & (budget > values[:, :1]) & (budget < values[:, -1:]))
        if len(row):
            wanted, right = budget[row, column], find(values, budget)[row, column]

            def miss(point: ndarray, which: ndarray) -> ndarray:
                """ln(divergence / wanted) at these logarithms of allowances; the others are set to where nothing is lifted."""
                place = row[which], column[which]
                everywhere = np.full(budget.shape, np.inf)
                everywhere[place] = np.exp(point)
                return np.log(self.kl(everywhere)[place] / wanted[which])

            with np.errstate(divide="ignore"):
                ends = [(grid[row, end], np.log(values[row, end] / wanted)) for end in (right - 1, right)]
                found[row, column] = np.exp(root(miss, *ends, 1e-12 + 4e-15 / wanted))
        return found

    def kl(self, allowance: ndarray) -> ndarray:
        """KL(output law || verifier) at allowances [K] or [B, K], [B, K]."""
        return self.outcome(allowance).kl
