"""The advisor for the page: requests and answers are plain data, the work is done by `specviz.study`. A job of one of its
questions makes {"kind": "answer", "answer": {...}}, its last message, or an error. What is answered piece by piece makes
{"kind": "part", "answer": {...}} before, each with all that is known so far.

A goal is "spend" (at most `value` nats per judged token) or "accept" (at least `value` kept tokens per round).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from specviz import registry, rules
from specviz.backends import Pair
from specviz.record.trace import Trace
from specviz.registry import shown
from specviz.study import advise, knob_curves, shapes
from specviz.ui import requests
from specviz.ui.line import Message, Turn
from specviz.ui.requests import MAX_LANES, Refused

POSITIONS = 1000  # of all lanes together: some seconds' work for a vocabulary of a few thousand,
FEWEST = 200  # and no fewer for a larger one
ENTRIES = 4_000_000  # positions times vocabulary
DRAFTER_POSITIONS = 200  # each drafter drafts from every one of them
MOST = {"spend": 1000.0, "accept": 32.0}
UNITS = {"spend": "nats per token", "accept": "tokens per round"}


def answered(turn: Turn, kind: str, text: str) -> Iterator[Message]:
    """The job of a question of one of the kinds in QUESTIONS, which came as JSON text."""
    if kind not in QUESTIONS:
        raise Refused("", f"A question is one of {', '.join(QUESTIONS)}.")
    yield from QUESTIONS[kind](text, turn.pair)


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
    length = _length(asked)
    most = max(FEWEST, min(POSITIONS, ENTRIES // pair.vocabulary))
    spend, accept = (value if name == goal else None for name in ("spend", "accept"))
    rows = [
        _row(advice)
        for advice in advise.advise([trace], pair, spend=spend, accept=accept, draft_length=length, most=most)
    ]
    able = {row["name"] for row in rows}
    missing = [name for name in rules.names() if rules.get(name).scope == "token" and name not in able]
    return {"rows": rows, "missing": missing, "texts": sum(bool(lane.rounds) for lane in trace.lanes)}


def drafter_messages(text: str, pair: Pair) -> Iterator[Message]:
    """What {trace, draft_length (null: each drafter's fastest)} asks for: which drafter should be fastest under `sps` on texts
    like these, as

    rows       as in `answer`, one for each drafter that is read already, fastest first
    left       the drafters that are still to be read, in that order
    missing    the drafters of `advise.chains` that cannot work with these models
    texts      how many texts were read
    positions  of all of them together, at most
    """
    asked, trace = _request(text)
    length = _length(asked)
    left = [drafter.name for drafter in advise.able(pair)]
    fixed = {
        "missing": [drafter.name for drafter in advise.chains() if drafter.name not in left],
        "texts": sum(bool(lane.rounds) for lane in trace.lanes),
        "positions": DRAFTER_POSITIONS,
    }
    rows: list[dict[str, Any]] = []
    yield {"kind": "part", "answer": {"rows": rows, "left": left, **fixed}}
    for advice in advise.each_drafter([trace], pair, draft_length=length, most=DRAFTER_POSITIONS):
        left = left[1:]
        rows = sorted([*rows, _row(advice)], key=lambda row: -row["speedup"])
        yield {"kind": "part", "answer": {"rows": rows, "left": left, **fixed}}
    yield {"kind": "answer", "answer": {"rows": rows, "left": left, **fixed}}


def tried(text: str, pair: Pair) -> dict[str, Any]:
    """What a real run keeps of a row of `answer`: {trace, rule, drafter, draft_length, interval, attempt} ->
    {kept, kl, inside}. "Infinity" stands for an infinite divergence."""
    asked, trace = _request(text)
    interval, attempt, length = asked.get("interval"), asked.get("attempt"), asked.get("draft_length")
    named = isinstance(asked.get("rule"), str) and isinstance(asked.get("drafter"), str)
    ends = interval if isinstance(interval, list) and len(interval) == 2 else None
    if ends is None or not (named and _whole(attempt, 10_000) and _whole(length, 10_000)):
        raise Refused("", "This is not a piece of advice that could be tried.")
    low, high = (_number(end, "interval", 32.0, UNITS["accept"]) for end in ends)
    row = advise.Advice(
        rule=asked["rule"], drafter=asked["drafter"], draft_length=length, interval=(low, high),
        accepted_per_round=math.nan, kl=math.nan, speedup=math.nan, speedup_interval=(math.nan, math.nan),
    )  # fmt: skip
    kept, kl, inside = advise.check(row, [trace], pair, attempt)
    return {"kept": kept, "kl": plain(kl), "inside": inside}


def bought(text: str, pair: Pair) -> dict[str, Any]:
    """What knobs buy on one lane's text, see `knob_curves.bought`: {trace, lane, rules: [[name, knobs], ...]}."""
    asked, trace = _request(text)
    lane, wanted = asked.get("lane"), asked.get("rules")
    if type(lane) is not int or not isinstance(wanted, list):
        raise Refused("", "This is not a question about a lane.")
    chosen = []
    for pair_ in wanted[:MAX_LANES]:
        if not (isinstance(pair_, list) and len(pair_) == 2 and isinstance(pair_[1], dict)):
            raise Refused("", "This is not a question about a lane.")
        chosen.append(requests.chosen("", pair_[0], pair_[1], rules.make, "This is not a question about a lane."))
    return dict(knob_curves.bought(trace, lane, chosen, pair))


def shaped(text: str, pair: Pair) -> dict[str, Any]:
    """Which shape of draft suits the prompt of {trace}: a chain, the usual tree, the best, a dynamic one, as

    rows     as in `answer`, with what is more in `shapes.ShapeAdvice`: {kind, nodes, levels, measured}
    chances  how often exactly the first, the second, ... candidate for a place was kept
    """
    _, trace = _request(text)
    found = shapes.by_shape([trace], pair)
    rows = [
        _row(advice)
        | {"kind": advice.kind, "nodes": advice.nodes, "levels": advice.levels, "measured": advice.measured}
        for advice in found.advices
    ]
    return {"rows": rows, "chances": found.chances}


def _row(advice: advise.Advice) -> dict[str, Any]:
    rule = rules.parse(advice.rule)
    return {
        "rule": advice.rule, "name": rule.name, "knobs": registry.values(rule), "drafter": advice.drafter,
        "draft_length": advice.draft_length, "kept": advice.accepted_per_round, "interval": advice.interval, "kl": plain(advice.kl),
        "speedup": advice.speedup, "speedup_interval": advice.speedup_interval,
    }  # fmt: skip


def plain(value: float | None) -> float | str | None:
    """A number as JSON can hold it: "Infinity" stands for infinity, None for what is not known."""
    return value if value is None or math.isfinite(value) else None if math.isnan(value) else "Infinity"


def _request(text: str) -> tuple[dict[str, Any], Trace]:
    asked = requests.parsed(text)
    return asked, Trace.from_json(asked.get("trace"))


def _length(asked: dict[str, Any]) -> int | None:
    length = asked.get("draft_length")
    if length is not None and not _whole(length, 32):
        raise Refused(
            "draft_length", f"The draft length must be a whole number from 1 to 32 tokens; got {shown(length)}."
        )
    return length


def _whole(value: Any, high: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= high


def _number(value: Any, field: str, high: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise Refused(field, f"This must be a number from 0 to {high:g} {unit}; got {shown(value)}.")
    return float(value)


def _whole_answer(answered: Callable[[str, Pair], dict[str, Any]]) -> Callable[[str, Pair], Iterator[Message]]:
    """The messages of a question that is answered all at once."""

    def messages(text: str, pair: Pair) -> Iterator[Message]:
        yield {"kind": "answer", "answer": answered(text, pair)}

    return messages


QUESTIONS: dict[str, Callable[[str, Pair], Iterator[Message]]] = {
    "advise": _whole_answer(answer),
    "tryout": _whole_answer(tried),
    "buys": _whole_answer(bought),
    "shapes": _whole_answer(shaped),
    "drafters": drafter_messages,
}
