"""Exact trade-offs between acceptance and divergence: what rules do over whole ranges of a knob, and what no rule can beat.

    curve("cactus", "delta", values, verifier_probs, draft_probs).mean()   # acceptance, kl, tv, reverse_kl per value
    frontier(verifier_probs, draft_probs, values)                          # the most acceptance at each divergence
    gap(rules.make("cactus"), verifier_probs, draft_probs)                 # acceptance a rule leaves on the table

Distributions are float tensors [..., V]; leading dimensions (positions) broadcast. Results are float64 arrays, computed
in float64 from rows scaled to sum to 1. Divergences are of the output law from the verifier, nats: "kl" is
KL(law || verifier), "reverse_kl" KL(verifier || law), "tv" total variation in [0, 1]. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from specviz import rules
from specviz.sums.rows import few, root
from specviz.sums.sorted_rows import Outcome, Pair

Divergence = Literal["kl", "tv", "reverse_kl"]
DIVERGENCES = ("kl", "tv", "reverse_kl")


@dataclass(frozen=True)
class Curve:
    """What a rule does at K values of one knob: arrays [..., K] per position, or [K] after `mean`."""

    rule: str
    knob: str
    values: ndarray  # [K]
    acceptance: ndarray
    kl: ndarray
    tv: ndarray
    reverse_kl: ndarray

    def mean(self) -> Curve:
        """Averages over positions, [K]. A divergence that is infinite at one position is infinite on average."""
        flat = (getattr(self, name) for name in Outcome._fields)
        return Curve(self.rule, self.knob, self.values, *(part.reshape(-1, part.shape[-1]).mean(0) for part in flat))


def curve(rule: str, knob: str | None, values: Sequence, verifier_probs: Tensor, draft_probs: Tensor, **fixed) -> Curve:
    """Acceptance and divergences of `rule` at each value of `knob`, its other knobs `fixed` or at their defaults.

    A rule without knobs has a single point: knob None, values [None]. Raises ValueError for a wrong rule, knob or value.
    """
    return curves([(rule, knob, values, fixed)], verifier_probs, draft_probs)[0]


def curves(wanted: Sequence[tuple], verifier_probs: Tensor, draft_probs: Tensor) -> list[Curve]:
    """Several curves (rule, knob, values[, fixed]) over the same positions; faster than one `curve` after the other,
    since each position is sorted once for all of them."""
    tasks = []
    for rule, knob, values, *fixed in wanted:
        values = np.array([np.nan if value is None else value for value in values], dtype=float)
        given = [{} if knob is None else {knob: _plain(value)} for value in values]
        tasks.append((rule, knob, values, [rules.make(rule, **dict(*fixed), **one) for one in given]))

    def outcomes(pair: Pair) -> ndarray:
        return np.concatenate(
            [rules.get(rule).sweep(pair, settings) for rule, _, _, settings in tasks], -1
        )  # [4, B, K of all]

    shape, found = _each(outcomes, verifier_probs, draft_probs)
    parts = np.split(np.concatenate(found, 1), np.cumsum([len(values) for _, _, values, _ in tasks])[:-1], -1)
    return [
        Curve(rule, knob or "", values, *part.reshape(len(part), *shape, len(values)))
        for (rule, knob, values, _), part in zip(tasks, parts, strict=True)
    ]


def frontier(
    verifier_probs: Tensor, draft_probs: Tensor, values, divergence: Divergence = "kl", pooled: bool = False
) -> ndarray:
    """The largest acceptance that any single-draft rule can have at each divergence `values` [K].

    Per position, [..., K]: no rule whose output law there diverges by D accepts more than frontier(D). The optimal law
    is the draft clipped between two multiples of the verifier (`mentored`); for tv, acceptance simply buys tv one for one.

    `pooled`, [K]: the bound on *averages* over all positions given. A rule may stray much at one position and little
    at another, so the mean of the curves per position is not a bound. The best plan spends until one more unit of
    acceptance costs the same divergence at every position.

    Where the draft has mass on tokens the verifier rules out, no finite KL keeps it: the curve stays below 1 however
    large D, and only D = infinity gives 1. Raises ValueError for an unknown divergence or values below 0.
    """
    values = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if divergence not in DIVERGENCES:
        raise ValueError(f"divergence must be one of {', '.join(DIVERGENCES)}; got {divergence!r}.")
    if not (values >= 0).all():
        raise ValueError("A divergence cannot be below 0 or NaN.")
    if pooled:
        return _pooled(verifier_probs, draft_probs, values, divergence)
    shape, found = _each(lambda pair: _frontier_of(pair, values, divergence), verifier_probs, draft_probs)
    return np.concatenate(found).reshape(*shape, len(values))


def gap(
    rule, verifier_probs: Tensor, draft_probs: Tensor, divergence: Divergence = "kl", pooled: bool = False
) -> ndarray:
    """How much acceptance `rule` falls short of the frontier at the divergence it has, [...], never below 0.

    `pooled`: of its average acceptance, at its average divergence, a single number (array of no dimension).
    """

    def measured(pair: Pair) -> ndarray:
        outcome = type(rule).sweep(pair, [rule])
        apart = getattr(outcome, divergence)
        return np.concatenate(
            [outcome.acceptance, apart if pooled else _frontier_of(pair, apart, divergence)], -1
        )  # [B, 2]

    if divergence not in DIVERGENCES:
        raise ValueError(f"divergence must be one of {', '.join(DIVERGENCES)}; got {divergence!r}.")
    shape, found = _each(measured, verifier_probs, draft_probs)
    found = np.concatenate(found)
    if pooled:
        acceptance, apart = found.mean(0)
        return np.maximum(frontier(verifier_probs, draft_probs, apart, divergence, pooled=True)[0] - acceptance, 0.0)
    return np.maximum(found[:, 1] - found[:, 0], 0.0).reshape(shape)


def _frontier_of(pair: Pair, values: ndarray, divergence: Divergence) -> ndarray:
    """The frontier at each position, [B, K]; values [K] or [B, K]."""
    if divergence == "tv":
        return 1 - np.maximum(pair.tv - values, 0.0)
    finite = np.where(np.isinf(values), 0.0, values)
    return np.where(np.isinf(values), 1.0, 1 - pair.clips.spend(finite, divergence))


def _pooled(verifier_probs: Tensor, draft_probs: Tensor, values: ndarray, divergence: Divergence) -> ndarray:
    """The frontier of averages, [K]: every position is clipped at one common price, the divergence that one more unit
    of acceptance costs, and the price is searched for. A miss by a share e in divergence costs acceptance e squared."""
    if divergence == "tv":
        _, found = _each(lambda pair: pair.tv, verifier_probs, draft_probs)
        return 1 - np.maximum(np.concatenate(found).mean() - values, 0.0)

    def at_prices(prices: ndarray) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        """Averages: acceptance and divergence [K] of the clips at these prices, and [K] of all mass moved, and of none."""

        def measured(pair: Pair) -> ndarray:
            moved = pair.clips.at_price(prices, divergence)
            ends = (np.broadcast_to(1 - end, moved.shape) for end in (pair.tv, pair.clips.start(divergence)))
            return np.stack([1 - moved, pair.clips.measure(moved, divergence), *ends])

        return np.concatenate(_each(measured, verifier_probs, draft_probs)[1], 1).mean(1)

    grid = np.linspace(np.log(1e-5), np.log(700.0 if divergence == "kl" else 1e9), 64)
    acceptance, apart, least, most = at_prices(np.exp(grid))
    # Every tangent of a concave curve lies above it, which bounds the values beyond the grid; before the grid acceptance
    # grows with the square root of the divergence.
    best = np.minimum(most[0], acceptance[-1] + (values - apart[-1]) / np.exp(grid[-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        early = least[0] + (acceptance[0] - least[0]) * np.sqrt(values / apart[0])
    best = np.where(values == 0, least[0], np.where(values < apart[0], early, best))
    within = np.flatnonzero((values >= apart[0]) & (values < apart[-1]))
    wanted = values[within]

    def miss(price: ndarray, which: ndarray) -> ndarray:
        """ln(divergence / wanted) at these logarithms of prices; each pass tightens the bound by its tangents."""
        acceptance, apart, _, _ = at_prices(np.exp(price))
        k = within[which]
        best[k] = np.minimum(best[k], acceptance + (values[k] - apart) / np.exp(price))
        return np.log(apart / values[k])

    if len(within):
        right = np.searchsorted(apart, wanted)
        ends = [(grid[end], np.log(apart[end] / wanted)) for end in (right - 1, right)]
        root(miss, *ends, np.full(len(within), 3e-6))
    return np.where(np.isinf(values), 1.0, best)


def _each(
    function: Callable[[Pair], ndarray], verifier_probs: Tensor, draft_probs: Tensor
) -> tuple[tuple, list[ndarray]]:
    """(leading shape, results): `function` of the pair of each few positions, on as many threads as torch uses."""
    verifier_probs, draft_probs = rules.checked(verifier_probs, draft_probs)
    shape, size = verifier_probs.shape[:-1], verifier_probs.shape[-1]
    verifier, draft = verifier_probs.reshape(-1, size), draft_probs.reshape(-1, size)
    step = few(size)

    def block(start: int) -> ndarray:
        part = slice(start, start + step)
        return function(Pair(_summing_to_one(verifier[part]), _summing_to_one(draft[part])))

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return tuple(shape), list(pool.map(block, range(0, len(verifier), step)))


def _summing_to_one(probs: Tensor) -> ndarray:
    """Rows as float64 arrays [B, V]. float32 rows miss 1 by so much that it would show in the results."""
    rows = probs.detach().to("cpu", torch.float64).numpy()
    total = rows.sum(-1, keepdims=True)
    return rows / np.where(np.abs(total - 1) < 1e-12, 1.0, total)


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)
