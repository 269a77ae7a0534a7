"""Exact trade-offs between acceptance and divergence: what rules do over whole ranges of a knob, and what no rule can beat.

    curve("cactus", "delta", values, verifier_probs, draft_probs).mean()   # acceptance, kl, tv, reverse_kl per value
    frontier(verifier_probs, draft_probs, values)                          # the most acceptance at each divergence
    gap(rules.make("cactus"), verifier_probs, draft_probs)                 # acceptance a rule leaves on the table

Distributions are float tensors [..., V]; leading dimensions (positions) broadcast. Results are float64 arrays, computed
in float64 from rows scaled to sum to 1. Divergences are of the output law from the verifier, nats: "kl" is
KL(law || verifier), "reverse_kl" KL(verifier || law), "tv" total variation in [0, 1]. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from specviz import rules
from specviz.rules.inputs import Numbers
from specviz.stopping import checkpoint
from specviz.sums.rows import Floats, Indices, few, root
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome

Divergence = Literal["kl", "tv", "reverse_kl"]
DIVERGENCES: tuple[Divergence, ...] = ("kl", "tv", "reverse_kl")


@dataclass(frozen=True)
class Curve:
    """What a rule does at K values of one knob: arrays [..., K] per position, or [K] after `mean`."""

    rule: str
    knob: str
    values: Floats  # [K]
    acceptance: Floats
    kl: Floats
    tv: Floats
    reverse_kl: Floats

    def mean(self) -> Curve:
        """Averages over positions, [K]. A divergence that is infinite at one position is infinite on average."""
        flat = (getattr(self, name) for name in Outcome._fields)
        return Curve(self.rule, self.knob, self.values, *(part.reshape(-1, part.shape[-1]).mean(0) for part in flat))


def curve(
    rule: str,
    knob: str | None,
    values: Sequence[float | None],
    verifier_probs: Numbers,
    draft_probs: Numbers,
    **fixed: object,
) -> Curve:
    """Acceptance and divergences of `rule` at each value of `knob`, its other knobs `fixed` or at their defaults.

    A rule without knobs has a single point: knob None, values [None]. Raises ValueError for a wrong rule, knob or value.
    """
    return curves([(rule, knob, values, fixed)], verifier_probs, draft_probs)[0]


Wanted: TypeAlias = (
    tuple[str, str | None, Sequence[float | None]]
    | tuple[str, str | None, Sequence[float | None], Mapping[str, object]]
)


def curves(wanted: Sequence[Wanted], verifier_probs: Numbers, draft_probs: Numbers) -> list[Curve]:
    """Several curves (rule, knob, values[, fixed]) over the same positions; faster than one `curve` after the other,
    since each position is sorted once for all of them."""
    asked = [
        (rule, knob, np.array(values, dtype=np.float64), _settings(rule, knob, values, *fixed))
        for rule, knob, values, *fixed in wanted
    ]

    def outcomes(rows: SortedRows) -> Floats:
        return np.concatenate(
            [rules.get(rule).curve_at(rows, settings) for rule, _, _, settings in asked], -1
        )  # [4, B, K of all]

    shape, blocks = _each(outcomes, verifier_probs, draft_probs)
    parts = np.split(np.concatenate(blocks, 1), np.cumsum([len(values) for _, _, values, _ in asked])[:-1], -1)
    return [
        Curve(rule, knob or "", values, *part.reshape(len(part), *shape, len(values)))
        for (rule, knob, values, _), part in zip(asked, parts, strict=True)
    ]


def frontier(
    verifier_probs: Numbers,
    draft_probs: Numbers,
    values: ArrayLike,
    divergence: Divergence = "kl",
    pooled: bool = False,
) -> Floats:
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
    shape, blocks = _each(lambda rows: _frontier_of(rows, values, divergence), verifier_probs, draft_probs)
    return np.concatenate(blocks).reshape(*shape, len(values))


def gap(
    rule: rules.Rule,
    verifier_probs: Numbers,
    draft_probs: Numbers,
    divergence: Divergence = "kl",
    pooled: bool = False,
) -> Floats:
    """How much acceptance `rule` falls short of the frontier at the divergence it has, [...], never below 0.

    `pooled`: of its average acceptance, at its average divergence, a single number (array of no dimension).
    """

    def measured(rows: SortedRows) -> Floats:
        outcome = type(rule).curve_at(rows, [rule])
        apart = getattr(outcome, divergence)
        return np.concatenate(
            [outcome.acceptance, apart if pooled else _frontier_of(rows, apart, divergence)], -1
        )  # [B, 2]

    if divergence not in DIVERGENCES:
        raise ValueError(f"divergence must be one of {', '.join(DIVERGENCES)}; got {divergence!r}.")
    shape, blocks = _each(measured, verifier_probs, draft_probs)
    measures = np.concatenate(blocks)
    if pooled:
        acceptance, apart = measures.mean(0)
        best = frontier(verifier_probs, draft_probs, apart, divergence, pooled=True)[0]
        short: Floats = np.maximum(np.asarray(best - acceptance), 0.0)
        return short
    return np.maximum(measures[:, 1] - measures[:, 0], 0.0).reshape(shape)


def _frontier_of(rows: SortedRows, values: Floats, divergence: Divergence) -> Floats:
    """The frontier at each position, [B, K]; values [K] or [B, K]."""
    if divergence == "tv":
        return 1 - np.maximum(rows.tv - values, 0.0)
    finite = np.where(np.isinf(values), 0.0, values)
    return np.where(np.isinf(values), 1.0, 1 - rows.clips.spend(finite, divergence))


def _pooled(verifier_probs: Numbers, draft_probs: Numbers, values: Floats, divergence: Divergence) -> Floats:
    """The frontier of averages, [K]: every position is clipped at one common price, the divergence that one more unit
    of acceptance costs, and the price is searched for. A miss by a share e in divergence costs acceptance e squared."""
    if divergence == "tv":
        _, blocks = _each(lambda rows: rows.tv, verifier_probs, draft_probs)
        moved: Floats = np.concatenate(blocks).mean() - values
        return 1 - np.maximum(moved, 0.0)

    def at_prices(prices: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Averages: acceptance and divergence [K] of the clips at these prices, and [K] of all mass moved, and of none."""

        def measured(rows: SortedRows) -> Floats:
            moved = rows.clips.at_price(prices, divergence)
            ends = (np.broadcast_to(1 - end, moved.shape) for end in (rows.tv, rows.clips.start(divergence)))
            return np.stack([1 - moved, rows.clips.measure(moved, divergence), *ends])

        acceptance, apart, least, most = np.concatenate(_each(measured, verifier_probs, draft_probs)[1], 1).mean(1)
        return acceptance, apart, least, most

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

    def miss(price: Floats, which: Indices) -> Floats:
        """ln(divergence / wanted) at these logarithms of prices; each pass tightens the bound by its tangents."""
        acceptance, apart, _, _ = at_prices(np.exp(price))
        k = within[which]
        best[k] = np.minimum(best[k], acceptance + (values[k] - apart) / np.exp(price))
        return np.log(apart / values[k])

    if len(within):
        right = np.searchsorted(apart, wanted)
        low, high = ((grid[end], np.log(apart[end] / wanted)) for end in (right - 1, right))
        root(miss, low, high, np.full(len(within), 3e-6))
    return np.where(np.isinf(values), 1.0, best)


def _each(
    function: Callable[[SortedRows], Floats], verifier_probs: Numbers, draft_probs: Numbers
) -> tuple[tuple[int, ...], list[Floats]]:
    """(leading shape, results [b, ...]): `function` of the sorted rows of each few positions, on as many threads as torch uses."""
    verifier_probs, draft_probs = rules.checked(verifier_probs, draft_probs)
    shape, size = verifier_probs.shape[:-1], verifier_probs.shape[-1]
    verifier, draft = verifier_probs.reshape(-1, size), draft_probs.reshape(-1, size)
    step = few(size)

    def block(start: int) -> Floats:
        checkpoint()
        part = slice(start, start + step)
        return function(SortedRows(_summing_to_one(verifier[part]), _summing_to_one(draft[part])))

    starts, threads = range(0, len(verifier), step), torch.get_num_threads()
    if threads == 1:
        return tuple(shape), [block(start) for start in starts]
    with ThreadPoolExecutor(threads) as pool:
        try:  # in each thread what is stopped here is stopped there
            blocks = [pool.submit(copy_context().run, block, start) for start in starts]
            return tuple(shape), [made.result() for made in blocks]
        finally:
            pool.shutdown(cancel_futures=True)


def _summing_to_one(probs: Tensor) -> Floats:
    """Rows as float64 arrays [B, V]. float32 rows miss 1 by so much that it would show in the results."""
    rows = probs.detach().to("cpu", torch.float64).numpy()
    total = rows.sum(-1, keepdims=True)
    return rows / np.where(np.abs(total - 1) < 1e-12, 1.0, total)


def _settings(
    rule: str, knob: str | None, values: Sequence[float | None], fixed: Mapping[str, object] | None = None
) -> list[rules.Rule]:
    """The rule at each of the values [K] of its knob; whole numbers as such, for a knob that counts."""
    made = []
    for value in values:
        plain = None if value is None else int(value) if float(value).is_integer() else float(value)
        made.append(rules.make(rule, **(fixed or {}), **({} if knob is None else {knob: plain})))
    return made
