"""The advisor for the page: requests and answers are plain data, the work is done by `specviz.study.advise`.

A goal is "spend" (at most `value` nats per judged token) or "accept" (at least `value` kept tokens per round).
"""

from __future__ import annotations

import json
import math

from specviz.ui.stream import DEADLINE, Refused

POSITIONS = 1000  # of all lanes together: some seconds' work for a vocabulary of a few thousand,
FEWEST = 200  # and no fewer for a larger one
ENTRIES = 4_000_000  # positions times vocabulary
MOST = {"spend": 1000.0, "accept": 32.0}
UNITS = {"spend": "nats per token", "accept": "tokens per round"}


def answer(text: str, pair) -> dict:
    """What {trace, goal, value, draft_length (null: each rule's fastest)} asks for, as

    rows     [{rule, name, knobs, draft_length, kept, interval, kl, speedup, speedup_interval}], as `advise.advise` sorts them
    missing  the token rules that cannot reach the goal
    texts    how many texts were read
    """
    from specviz import registry, rules
    from specviz.study import advise

    asked, record = _request(text)
    goal = asked.get("goal")
    if goal not in MOST:
        raise Refused("", "A goal is to spend at most so many nats, or to keep at least so many tokens.")
    value = _number(asked.get("value"), goal, MOST[goal], UNITS[goal])
    length = asked.get("draft_length")
    if length is not None and (not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= 32):
        raise Refused("draft_length", f"The draft length must be a whole number from 1 to 32 tokens; got {length!r}.")
    most = max(FEWEST, min(POSITIONS, ENTRIES // pair.vocabulary))
    found = advise.advise([record], pair, **{goal: value}, draft_length=length, most=most)
    rows = []
    for one in found:
        rule = rules.parse(one.rule)
        rows.append(
            {
                "rule": one.rule, "name": rule.name, "knobs": {k["name"]: getattr(rule, k["name"]) for k in registry.knobs(type(rule))},
                "draft_length": one.draft_length, "kept": one.accepted_per_round, "interval": one.interval, "kl": plain(one.kl),
                "speedup": one.speedup, "speedup_interval": one.speedup_interval,
            }
        )  # fmt: skip
    able = {row["name"] for row in rows}
    missing = [name for name in rules.names() if rules.get(name).scope == "token" and name not in able]
    return {"rows": rows, "missing": missing, "texts": sum(bool(lane["rounds"]) for lane in record.data["lanes"])}


def tried(text: str, pair) -> dict:
    """What a real run of a row of `answer` keeps: {trace, rule, draft_length, interval, attempt} -> {kept, kl, inside}. "Infinity" stands for an infinite divergence."""
    from specviz.study import advise

    asked, record = _request(text)
    interval, attempt, length = (asked.get(name) for name in ("interval", "attempt", "draft_length"))
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 10_000 for n in (attempt, length))
    if not (whole and isinstance(asked.get("rule"), str) and isinstance(interval, list) and len(interval) == 2):
        raise Refused("", "This is not a piece of advice that could be tried.")
    low, high = (_number(end, "interval", 32.0, UNITS["accept"]) for end in interval)
    row = advise.Advice(asked["rule"], length, math.nan, (low, high), math.nan, math.nan, (math.nan, math.nan))
    kept, kl, inside = advise.check(row, [record], pair, attempt, DEADLINE)
    return {"kept": kept, "kl": plain(kl), "inside": inside}


def plain(value: float | None) -> float | str | None:
    """A number as JSON can hold it: "Infinity" stands for infinity, None for what is not known."""
    return value if value is None or math.isfinite(value) else None if math.isnan(value) else "Infinity"


def _request(text: str) -> tuple[dict, object]:
    from specviz.record import trace

    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused("", "This is not a question about a run.")
    return asked, trace.Trace.from_json(str(asked.get("trace")))


def _number(value, field: str, high: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise Refused(field, f"This must be a number from 0 to {high:g} {unit}; got {value!r}.")
    return float(value)
