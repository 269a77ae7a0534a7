"""Traces in which something was changed, and everything that is ever done with a trace."""

from __future__ import annotations

import copy
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import orjson

from specviz import exports
from specviz.backends import Pair
from specviz.record import metrics
from specviz.record.trace import Trace, digest
from specviz.record.verify import verify
from specviz.stopping import Stopped, stoppable
from specviz.study import advise, reading
from specviz.types import ModelError

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 5, 0.5, -0.5, 1.0, 1e308, 2**31, 2**53, 2**63, 2**64, 10**30, 10**400, "", "x", "Infinity", "0",
    "4095", "cactus:delta=1", f"cactus:delta={10**400}", "a" * 5000, "\u0000", "\ud800", [], [0], [[]], {}, {"a": 1}, "draft",
    "end of text", "ngram:longest=2", "auto",
)  # fmt: skip
KINDS = ("replace", "nudge", "drop", "double", "exchange", "add")
ADDED = ("extra", "__proto__", "parents", "forced", "5", "finished")


def place(rng: random.Random, tree: Any) -> tuple[Any, Any]:
    """A node of a tree and one of its keys, anywhere in it."""
    node = tree
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.2:
            return node, key
        node = node[key]


def mutate(rng: random.Random, tree: Any) -> None:
    """Changes one thing: a value replaced, nudged, dropped, doubled, or exchanged for another of the same tree."""
    if not tree:
        return
    node, key = place(rng, tree)
    kind, value = rng.choice(KINDS), node[key]
    if kind == "nudge" and isinstance(value, int | float) and not isinstance(value, bool):
        node[key] = rng.choice([value + 1, value - 1, value * 1.001, value * 2, -value])
    elif kind == "nudge" and isinstance(value, str):
        node[key] = value + rng.choice("! \n\u202e,")
    elif kind == "drop":
        del node[key]
    elif kind == "double" and isinstance(node, list):
        node.insert(key, copy.deepcopy(value))
    elif kind == "exchange":
        other, there = place(rng, tree)
        node[key] = copy.deepcopy(other[there])
    elif kind == "add" and isinstance(node, dict):
        node[rng.choice(ADDED)] = rng.choice(VALUES)
    else:
        node[key] = rng.choice(VALUES)


def mutant(rng: random.Random, data: dict[str, Any]) -> str:
    """The text of a trace's data with one thing or two changed, and a digest that fits."""
    tree = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2))):
        mutate(rng, tree)
    return json.dumps(tree | {"digest": digest(tree)})


LONGEST = 0.3  # seconds for each thing that is done with a trace


def use(trace: Trace, pair: Pair, path: Path) -> None:
    """Does all that is ever done with a trace. What needs its models may refuse, in a sentence."""
    for name in exports.names():
        exports.make(name).write([trace], path)
    assert Trace.from_json(trace.to_json()) == trace
    for number, lane in enumerate(trace.lanes):
        figured = (
            metrics.figures(lane, trace.plain()),
            metrics.acceptance_by_position(lane),
            metrics.accepted_lengths(lane),
        )
        assert orjson.dumps(figured) and isinstance(trace.text(number), str)
    row = advise.Advice("sps", "model", 4, math.nan, (0.0, 4.0), math.nan, math.nan, (math.nan, math.nan))
    for function in (
        lambda: verify(trace, pair),
        lambda: [reading.judged(trace, lane, pair, 5) for lane in range(len(trace.lanes))],
        lambda: reading.read(trace, pair, reading.drafter_of([trace]), 4, 6),
        lambda: advise.check(row, [trace], pair),
    ):
        end = time.monotonic() + LONGEST
        try:
            with stoppable(lambda end=end: "Time is up." if time.monotonic() > end else ""):
                function()
        except (ValueError, ModelError, Stopped) as error:
            assert is_sentence(str(error)), error


def is_sentence(words: str) -> bool:
    """Whether these words can be shown to a person as they are."""
    return words.strip() == words and words.endswith((".", "?", "…")) and len(words) < 10_000
