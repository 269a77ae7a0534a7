"""The advisor for the page: requests and answers are plain data, the work is done by `specviz.study`.

A goal is "spend" (at most `value` nats per judged token) or "accept" (at least `value` kept tokens per round).
"""

from __future__ import annotations

import json
import math
from typing import Any

from specviz import registry, rules
from specviz.backends import Pair
from specviz.record.trace import Trace
from specviz.study import advise, knob_curves
from specviz.ui.requests import MAX_LANES, Refused

POSITIONS = 1000  # of all lanes together: some seconds' work for a vocabulary of a few thousand,
FEWEST = 200  # and no fewer for a larger one
ENTRIES = 4_000_000  # positions times vocabulary
MOST = {"spend": 1000.0, "accept": 32.0}
UNITS = {"spend": "nats per token", "accept": "tokens per round"}


def answer(text: str, pair: Pair) -> dict[str, Any]:
    """What {trace, goal, value, draft_length (null: each rule's fastest)} asks for, as

    rows     [{rule, name, knobs, drafter, draft_length, kept, interval, kl, speedup, speedup_interval}], as `advise.advise`
             sorts them
    missing  the token rules that cannot reach the goal
    texts    how many texts were read
    """
    asked, trace = _request(text)
    goal = asked.get("goal")
    if goal not in MOST:
        raise Refused("", "A goal is to spend at most so many nats, or to keep at least so many tokens.")
    value = _number(asked.get("value"), goal, MOST[goal], UNITS[goal])
    length = asked.get("draft_length")
    if length is not None and not _whole(length, 32):
        raise Refused("draft_length", f"The draft length must be a whole number from 1 to 32 tokens; got {length!r}.")
    most = max(FEWEST, min(POSITIONS, ENTRIES // pair.vocabulary))
    rows = []
    for advice in advise.advise([trace], pair, **{goal: value}, draft_length=length, most=most):
        rule = rules.parse(advice.rule)
        rows.append(
            {
                "rule": advice.rule, "name": rule.name, "knobs": registry.values(rule), "drafter": advice.drafter,
                "draft_length": advice.draft_length, "kept": advice.accepted_per_round, "interval": advice.interval, "kl": plain(advice.kl),
                "speedup": advice.speedup, "speedup_interval": advice.speedup_interval,
            }
        )  # fmt: skip
    able = {row["name"] for row in rows}
    missing = [name for name in rules.names() if rules.get(name).scope == "token" and name not in able]
    return {"rows": rows, "missing": missing, "texts": sum(bool(lane.rounds) for lane in trace.lanes)}


def tried(text: str, pair: Pair, deadline: float = math.inf) -> dict[str, Any]:
    """What a real run, of at most `deadline` seconds, keeps of a row of `answer`: {trace, rule, drafter, draft_length,
    interval, attempt} -> {kept, kl, inside}. "Infinity" stands for an infinite divergence."""
    asked, trace = _request(text)
    interval, attempt, length = (asked.get(name) for name in ("interval", "attempt", "draft_length"))
    named = isinstance(asked.get("rule"), str) and isinstance(asked.get("drafter"), str)
    if not (_whole(attempt, 10_000) and _whole(length, 10_000) and named and isinstance(interval, list)):
        raise Refused("", "This is not a piece of advice that could be tried.")
    if len(interval) != 2:
        raise Refused("", "An interval has two ends.")
    low, high = (_number(end, "interval", 32.0, UNITS["accept"]) for end in interval)
    unknown = {"accepted_per_round": math.nan, "kl": math.nan, "speedup": math.nan, "speedup_interval": (math.nan,) * 2}
    row = advise.Advice(
        rule=asked["rule"], drafter=asked["drafter"], draft_length=length, interval=(low, high), **unknown
    )
    kept, kl, inside = advise.check(row, [trace], pair, attempt, deadline)
    return {"kept": kept, "kl": plain(kl), "inside": inside}


def bought(text: str, pair: Pair) -> dict[str, Any]:
    """What knobs buy on one lane's text, see `knob_curves.bought`: {trace, lane, rules: [[name, knobs], ...]}."""
    asked, trace = _request(text)
    lane, wanted = asked.get("lane"), asked.get("rules")
    named = isinstance(wanted, list) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[1], dict) for one in wanted
    )
    if not isinstance(lane, int) or not named:
        raise Refused("", "This is not a question about a lane.")
    chosen = [rules.make(str(name), **knobs) for name, knobs in wanted[:MAX_LANES]]
    return knob_curves.bought(trace, lane, chosen, pair)


def plain(value: float | None) -> float | str | None:
    """A number as JSON can hold it: "Infinity" stands for infinity, None for what is not known."""
    return value if value is None or math.isfinite(value) else None if math.isnan(value) else "Infinity"


def _request(text: str) -> tuple[dict[str, Any], Trace]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused("", "This is not a question about a run.")
    return asked, Trace.from_json(str(asked.get("trace")))


def _whole(value: Any, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= high


def _number(value: Any, field: str, high: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise Refused(field, f"This must be a number from 0 to {high:g} {unit}; got {value!r}.")
    return float(value)
