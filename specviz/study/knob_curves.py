"""What a knob buys on a text: every rule's exact acceptance against its exact divergence as its knob moves.

Both models read one lane's text once more. At each position where a drafted token was judged the two exact distributions
then give what any rule would keep there and what it would write; the figures are averages over those positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from specviz import registry, rules
from specviz.backends import Pair
from specviz.record.trace import Trace
from specviz.rules import Rule
from specviz.study import advise, exact, reading

MAX_POSITIONS = 200
VALUES = 17  # of a knob
FRONTIER = 40  # points
FAR = 5.0  # nats: a frontier without an end is followed this far
Worded = float | str  # a number as JSON can hold it: "Infinity" stands for infinity
KnobValue = float | int | str


class Figures(TypedDict):
    """Averages over positions, at each of K knob values; `gap`, by divergence: how much less is kept than the frontier
    allows at that divergence."""

    acceptance: list[Worded]
    kl: list[Worded]
    tv: list[Worded]
    reverse_kl: list[Worded]
    gap: dict[str, list[Worded]]


class Mark(TypedDict):
    """The same at one setting."""

    acceptance: Worded
    kl: Worded
    tv: Worded
    reverse_kl: Worded
    gap: dict[str, Worded]


class KnobCurve(Figures):
    """What a rule does as its `knob` goes through `values`, its other knobs `fixed`."""

    rule: str
    fixed: dict[str, KnobValue]
    knob: str | None
    values: Sequence[float | None]


class Frontier(TypedDict):
    """The most any rule can keep on average, `acceptance`, at each average divergence `spent`."""

    spent: list[Worded]
    acceptance: list[Worded]


class Bought(TypedDict):
    """See `bought`."""

    positions: int
    curves: list[KnobCurve]
    marks: list[Mark | None]
    frontiers: dict[str, Frontier]


class Request(NamedTuple):
    """A rule's curve, as `exact.curves` is asked for it."""

    rule: str
    knob: str | None
    values: Sequence[float | None]
    fixed: dict[str, KnobValue]


def bought(trace: Trace, lane: int, settings: Sequence[Rule], pair: Pair, most: int = MAX_POSITIONS) -> Bought:
    """What knobs buy over the first `most` judged positions of a lane:

    positions  how many
    curves     every token rule, and those of `settings` with their other knobs
    marks      one per rule in `settings`; None for a rule that judges whole blocks
    frontiers  by divergence

    Raises ValueError, in a sentence, where this cannot be computed.
    """
    verifier_probs, draft_probs = reading.judged(trace, lane, pair, most)
    requests: dict[tuple[object, ...], Request] = {}
    for rule in [*settings, *(rules.make(name) for name in rules.names())]:
        if rule.scope == "token":
            request = as_request(rule)
            key = (request.rule, *request.fixed.items())
            requests.setdefault(key, request._replace(values=thinned(request.rule)))
    single = [as_request(rule) for rule in settings if rule.scope == "token"]
    wanted: list[exact.Wanted] = [(*request,) for request in (*requests.values(), *single)]
    curves = [curve.mean() for curve in exact.curves(wanted, verifier_probs, draft_probs)]
    gaps: list[dict[str, list[Worded]]] = [{} for _ in curves]
    frontiers: dict[str, Frontier] = {}
    for divergence in exact.DIVERGENCES:
        spent = _reach(divergence, verifier_probs, draft_probs)
        values = np.concatenate([spent, *(getattr(curve, divergence) for curve in curves)])
        best = exact.frontier(verifier_probs, draft_probs, values, divergence, pooled=True)
        frontiers[divergence] = {"spent": _plain(spent), "acceptance": _plain(best[: len(spent)])}
        ends = np.cumsum([len(spent), *(len(curve.values) for curve in curves)])
        for gap, curve, allowed in zip(gaps, curves, np.split(best, ends)[1:]):
            gap[divergence] = _plain(np.maximum(allowed - curve.acceptance, 0.0))
    figures = [_figures(curve, gap) for curve, gap in zip(curves, gaps)]
    marks = iter(figures[len(requests) :])
    return {
        "positions": len(verifier_probs),
        "curves": [
            {"rule": name, "fixed": fixed, "knob": knob, "values": values_, **figure}
            for (name, knob, values_, fixed), figure in zip(requests.values(), figures)
        ],
        "marks": [_mark(next(marks)) if rule.scope == "token" else None for rule in settings],
        "frontiers": frontiers,
    }


def as_request(rule: Rule) -> Request:
    """The curve of one point at a rule's own setting: its first numeric knob at its value, the other knobs fixed."""
    knob = advise.grid(rule.name)[0]
    values = registry.values(rule)
    value = values.pop(knob) if knob is not None else None
    return Request(rule.name, knob, [None if isinstance(value, str) else value], values)


def thinned(name: str) -> list[float | None]:
    """Some of the values `advise` tries, the ends among them: fewer, and not the smallest, which look alike, of a rule that
    searches at every value."""
    _, values = advise.grid(name)
    most = VALUES
    if rules.get(name).searches:
        high = values[-1] or 0.0
        values = [value for value in values if value is not None and (value == 0 or value >= 5e-4 * high)]
        most = VALUES // 2
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))]


def _reach(
    divergence: exact.Divergence, verifier_probs: torch.Tensor, draft_probs: torch.Tensor
) -> NDArray[np.float64]:
    """Values of a divergence from 0 to what keeping every token costs, or FAR where that has no end."""
    everything = exact.curve("interpolation", "alpha", [1], verifier_probs, draft_probs).mean()
    apart = float(getattr(everything, divergence)[0])
    reach = apart if 0 < apart < FAR else FAR if apart else 1e-3
    return np.append(0.0, np.geomspace(1e-4 * reach, reach, FRONTIER))


def _figures(curve: exact.Curve, gap: dict[str, list[Worded]]) -> Figures:
    return {
        "acceptance": _plain(curve.acceptance),
        "kl": _plain(curve.kl),
        "tv": _plain(curve.tv),
        "reverse_kl": _plain(curve.reverse_kl),
        "gap": gap,
    }


def _mark(figures: Figures) -> Mark:
    return {
        "acceptance": figures["acceptance"][0],
        "kl": figures["kl"][0],
        "tv": figures["tv"][0],
        "reverse_kl": figures["reverse_kl"][0],
        "gap": {divergence: values[0] for divergence, values in figures["gap"].items()},
    }


def _plain(values: NDArray[np.float64]) -> list[Worded]:
    return [float(f"{value:.6g}") if math.isfinite(value) else "Infinity" for value in values.tolist()]
