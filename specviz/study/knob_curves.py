"""What a knob buys on a text: every rule's exact acceptance against its exact divergence as its knob moves.

Both models read one lane's text once more. At each position where a drafted token was judged the two exact distributions
then give what any rule would keep there and what it would write; the figures are averages over those positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from specviz import registry, rules
from specviz.backends import Pair
from specviz.record.trace import Trace
from specviz.study import advise, exact, reading

MAX_POSITIONS = 200
VALUES = 17  # of a knob
FRONTIER = 40  # points
FAR = 5.0  # nats: a frontier without an end is followed this far


def bought(trace: Trace, lane: int, settings: Sequence[rules.Rule], pair: Pair, most: int = MAX_POSITIONS) -> dict:
    """Plain data over the first `most` judged positions of a lane:

    positions  how many
    curves     [{rule, fixed, knob, values, acceptance, kl, tv, reverse_kl, gap}]: every token rule, and those of `settings`
               with their other knobs. gap[divergence]: how much less is kept than the frontier allows at that divergence
    marks      the same of one value, or None, one per rule in `settings`; None for a rule that judges whole blocks
    frontiers  {divergence: {spent, acceptance}}: the most any rule can keep on average at each average divergence

    "Infinity" stands for an infinite divergence. Raises ValueError, in a sentence, where this cannot be computed.
    """
    verifier_probs, draft_probs = reading.judged(trace, lane, pair, most)
    wanted: dict[tuple, list] = {}
    for rule in [*settings, *(rules.make(name) for name in rules.names())]:
        if rule.scope == "token":
            name, knob, _, fixed = as_request(rule)
            wanted.setdefault((name, tuple(fixed.items())), [name, knob, thinned(name), fixed])
    single = [rule for rule in settings if rule.scope == "token"]
    found = [
        made.mean()
        for made in exact.curves(
            [*wanted.values(), *(as_request(rule) for rule in single)], verifier_probs, draft_probs
        )
    ]
    gaps: list[dict] = [{} for _ in found]
    frontiers = {}
    for divergence in exact.DIVERGENCES:
        spent = _reach(divergence, verifier_probs, draft_probs)
        values = np.concatenate([spent, *(getattr(made, divergence) for made in found)])
        best = exact.frontier(verifier_probs, draft_probs, values, divergence, pooled=True)
        frontiers[divergence] = {"spent": _plain(spent), "acceptance": _plain(best[: len(spent)])}
        ends = np.cumsum([len(spent), *(len(made.values) for made in found)])
        for gap, made, allowed in zip(gaps, found, np.split(best, ends)[1:]):
            gap[divergence] = _plain(np.maximum(allowed - made.acceptance, 0.0))
    figures = [
        {name: _plain(getattr(made, name)) for name in ("acceptance", *exact.DIVERGENCES)} | {"gap": gap}
        for made, gap in zip(found, gaps)
    ]
    marks = iter(figures[len(wanted) :])
    return {
        "positions": len(verifier_probs),
        "curves": [
            {"rule": name, "fixed": fixed, "knob": knob, "values": values} | figure
            for (name, knob, values, fixed), figure in zip(wanted.values(), figures)
        ],
        "marks": [_first(next(marks)) if rule.scope == "token" else None for rule in settings],
        "frontiers": frontiers,
    }


def as_request(rule: rules.Rule) -> tuple:
    """A rule as `exact.curves` asks for it: (name, its first numeric knob, [its value], the other knobs)."""
    knob = advise.grid(rule.name)[0]
    values = registry.values(rule)
    value = values.pop(knob, None)
    return rule.name, knob, [value], values


def thinned(name: str) -> list:
    """Some of the values `advise` tries, the ends among them. A budget's smallest values look alike and take longest."""
    knob, values = advise.grid(name)
    most = VALUES
    if knob == "budget":
        values = [value for value in values if value == 0 or value >= 5e-4 * values[-1]]
        most = VALUES // 2
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))]


def _reach(divergence: str, verifier_probs: torch.Tensor, draft_probs: torch.Tensor) -> np.ndarray:
    """Values of a divergence from 0 to what keeping every token costs, or FAR where that has no end."""
    everything = exact.curve("interpolation", "alpha", [1], verifier_probs, draft_probs).mean()
    apart = float(getattr(everything, divergence)[0])
    reach = apart if 0 < apart < FAR else FAR if apart else 1e-3
    return np.append(0.0, np.geomspace(1e-4 * reach, reach, FRONTIER))


def _first(figure: dict) -> dict:
    return {name: _first(value) if isinstance(value, dict) else value[0] for name, value in figure.items()}


def _plain(values) -> list:
    return [float(f"{value:.6g}") if math.isfinite(value) else "Infinity" for value in np.asarray(values, dtype=float)]
