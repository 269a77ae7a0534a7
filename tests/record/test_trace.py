"""The trace: folded from events, saved, loaded, refused when damaged, and reproduced."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import rules
from specviz.engine import race
from specviz.engine.settings import Settings
from specviz.record import metrics, trace
from specviz.record.trace import Trace
from tests.conftest import QUESTION, run


def test_save_and_load_give_the_same_trace(record, tmp_path):
    """A saved trace loads back equal, digest checked."""
    record.save(tmp_path / "trace.json")
    assert trace.load(tmp_path / "trace.json").data == record.data


def test_a_trace_reproduces(record, pair):
    """Re-running a trace from its own settings makes the same choices everywhere."""
    same, sentence = trace.verify(Trace.from_json(record.to_json()), pair)
    assert same and sentence.startswith("Reproduced")


def test_lane_order_and_company_do_not_matter(record, pair):
    """Each lane alone, or all in reverse order, writes what it wrote in company."""
    lanes = record.settings()
    backwards = run(pair, QUESTION, "task", lanes[::-1])
    for i, lane in enumerate(lanes):
        alone = run(pair, QUESTION, "task", [lane])
        assert alone.text(0) == record.text(i) == backwards.text(len(lanes) - 1 - i)


def test_verify_finds_where_a_trace_does_not_reproduce(record, pair):
    """A changed seed, a changed uniform and another model are told apart, with the place."""
    other = copy.deepcopy(record)
    other.data["seed"] += 1
    same, sentence = trace.verify(other, pair)
    assert not same and "differs first in the round at position" in sentence
    other = copy.deepcopy(record)
    other.data["lanes"][1]["rounds"][2]["judged"]["uniform"][0] += 0.01
    same, sentence = trace.verify(other, pair)
    assert not same and f"position {other.data['lanes'][1]['rounds'][2]['start']}" in sentence and "uniform" in sentence
    other = copy.deepcopy(record)
    other.data["models"]["draft"]["revision"] = "something else"
    same, sentence = trace.verify(other, pair)
    assert not same and "Not checked" in sentence


def test_a_stopped_trace_reproduces_as_far_as_it_goes(pair):
    """A run closed in the middle verifies: the rounds it has are the rounds it would have had."""
    lanes = [Settings(rule=rules.make("sps"), max_new_tokens=60, seed=1)]
    made = trace.begin(pair, QUESTION, "task", lanes)
    steps = race.race(pair, made.data["prompt_tokens"], lanes)
    for _ in range(4):
        made.add(next(steps))
    steps.close()
    made.stop()
    assert made.data["lanes"][0]["finished"] == "stopped"
    assert trace.verify(Trace.from_json(made.to_json()), pair)[0]


def test_clocks_are_fair(record):
    """The lane that computed least goes next: no lane runs ahead of another by more than one round."""
    lanes = record.data["lanes"]
    slowest = max(r["seconds"] for lane in lanes for r in lane["rounds"])
    for one in lanes:
        for r in one["rounds"]:
            begun = r["clock"] - r["seconds"]
            for other in lanes:
                ends = [x["clock"] for x in other["rounds"]]
                if ends[-1] > begun:  # still running when this round began
                    assert min(e for e in ends if e > begun - 1e-4) <= begun + slowest + 1e-3


def _edit(path, value):
    def edit(data):
        *parents, last = path
        for key in parents:
            data = data[key]
        data[last] = value

    return edit


LANE, ROUND = ("lanes", 1), ("lanes", 1, "rounds", 0)
DAMAGE = [
    (_edit(("format",), "other"), "not a specviz trace"),
    (_edit(("version",), 99), "version 99"),
    (_edit(("prompt",), 5), "prompt should be a text"),
    (_edit(("seed",), 3.5), "seed should be a whole number"),
    (_edit(("lanes",), []), "lanes should be"),
    (_edit((*LANE, "rule"), "magic:x=1"), "no acceptance rule called 'magic'"),
    (_edit((*LANE, "rule"), "cactus:delta=-1"), "delta must be"),
    (_edit((*LANE, "lossless"), False), "should be what the rule sps says"),
    (_edit((*LANE, "rounds"), {}), "rounds should be a list"),
    (_edit((*ROUND, "start"), 0), "start should be"),
    (_edit((*ROUND, "kept"), 99), "kept should be"),
    (_edit((*ROUND, "emitted"), [10**9]), "emitted should be a list of token ids"),
    (_edit((*ROUND, "judged", "uniform"), [1, 2, 3, 4, 5, 6, 7, 8]), "uniform should be"),
    (_edit((*ROUND, "judged", "draft_prob", 0), "x"), "draft_prob should be"),
    (_edit((*ROUND, "judged", "evil"), [0]), "evil should be a known column"),
    (_edit((*ROUND, "clock"), None), "clock should be a number"),
    (_edit(("lanes", 1, "rounds", 0, "judged", "uniform", 0), 1.0), "kept should be what uniform"),
    (_edit(("pieces", "0"), "hello"), "changed after it was saved"),
]


@pytest.mark.parametrize("edit,says", DAMAGE)
def test_a_damaged_trace_is_refused_with_a_sentence(record, edit, says):
    """Hand-edited traces are refused, and the sentence names the place."""
    data = json.loads(record.to_json())
    edit(data)
    with pytest.raises(ValueError, match=says):
        Trace.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "text,says",
    [
        ("", "not JSON"),
        ("[1]", "not a specviz trace"),
        ("{}", "not a specviz trace"),
        ("nonsense", "not JSON"),
        ('{"a": NaN}', "NaN"),
        ("[" * 100_000, "nested too deeply|not JSON|cut off"),
    ],
)
def test_what_is_no_trace_is_refused(text, says):
    """Arbitrary text never raises anything but a ValueError with a sentence."""
    with pytest.raises(ValueError, match=says):
        Trace.from_json(text)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.001, 0.999))
def test_a_truncated_trace_says_so(record_text, share):
    """Cut anywhere, a trace is called cut off."""
    with pytest.raises(ValueError, match="cut off"):
        Trace.from_json(record_text[: max(1, int(len(record_text) * share))])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_single_replaced_value_is_refused_cleanly(record_text, data):
    """Replacing any one value anywhere by any JSON value gives a ValueError, never another error."""
    tree = json.loads(record_text)
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    old = node[key]
    new = data.draw(st.sampled_from([None, True, -1, 0.5, "x", [], {}, [[]], {"a": 1}, "Infinity", 10**30]))
    if new == old:
        return
    node[key] = new
    with pytest.raises(ValueError):
        Trace.from_json(json.dumps(tree))


@pytest.fixture(scope="session")
def record_text(record):
    return record.to_json()


def test_figures_are_counted_from_the_rounds(record):
    """Counts and ratios agree with a recount token by token."""
    plain = record.data["lanes"][0]
    for lane in record.data["lanes"]:
        found = metrics.figures(lane, plain)
        fates = [fate for r in lane["rounds"] for fate in metrics.fates(lane, r)]
        kept = sum(f in ("accepted", "relaxed") for f in fates)
        assert found["accepted"] == kept == sum(r["kept"] for r in lane["rounds"])
        assert found["emitted"] == kept + sum(r["origin"] is not None for r in lane["rounds"])
        assert found["drafted"] == len(fates)
        if lane["scope"] == "token":
            assert found["judged"] == sum(f != "discarded" for f in fates)
        assert found["accepted_per_round"] == kept / len(lane["rounds"])
        if lane["lossless"]:
            assert found["relaxed"] == 0 and found["mean_kl"] in (0, None)
        lengths = metrics.accepted_lengths(lane)
        assert sum(n * count for n, count in enumerate(lengths)) == kept
        by_position = metrics.acceptance_by_position(lane)
        if by_position:
            assert by_position[0]["conditional"] == by_position[0]["unconditional"]
            assert sum(row["kept"] for row in by_position) == kept
    assert metrics.figures(plain, plain)["speedup"] == 1


def test_every_figure_has_a_definition(record):
    """No number without a word on what it is."""
    keys = set(metrics.figures(record.data["lanes"][1]))
    assert keys == set(metrics.DEFINITIONS)
    assert all(
        d["definition"].endswith(".") and d["kind"] in ("measured", "exact", "recorded", "estimated")
        for d in metrics.DEFINITIONS.values()
    )
