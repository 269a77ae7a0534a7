"""What streams to the page, without a browser: the messages of a run, and every way it can end."""

from __future__ import annotations

import json

import pytest

from specviz import drafters
from specviz.record.trace import Trace
from specviz.types import ModelError
from specviz.ui import runs
from specviz.ui.desk import Desk
from tests.support.desks import desk_of, told

SETTINGS = {
    "prompt": "One day a dog", "style": "tiny", "temperature": 1.0, "top_k": 0, "top_p": 1.0, "draft_length": 3, "max_new_tokens": 24, "seed": 2,
    "lanes": [{"rule": "sps", "knobs": {}}, {"rule": "cactus", "knobs": {"delta": 1.0}}, {"rule": None, "knobs": {}}],
}  # fmt: skip


@pytest.fixture
def desk(pair):
    return desk_of(lambda: pair)


def run(desk: Desk, name: str, asked: dict):
    """The messages of a run."""
    return told(desk, lambda turn: runs.compute(turn, asked), name)


def fold(messages: list[dict]) -> dict[int, dict]:
    """What a page that lost some messages still knows: the deltas by number."""
    return {delta["seq"]: delta for message in messages for delta in message.get("deltas", [])}


def test_the_deltas_add_up_to_the_final_trace(desk, monkeypatch):
    monkeypatch.setattr(runs, "EVERY", 0.0)
    messages = [message for message in run(desk, "a", SETTINGS) if message["kind"] != "wait"]
    assert [messages[0]["kind"], messages[-1]["kind"]] == ["start", "end"]
    final = json.loads(messages[-1]["final"])
    deltas = fold(messages)
    assert sorted(deltas) == list(range(1, len(deltas) + 1))
    for i, lane in enumerate(final["lanes"]):
        assert [round_ for seq in sorted(deltas) for where, round_ in deltas[seq]["rounds"] if where == i] == lane[
            "rounds"
        ]
    pieces = dict(messages[0]["trace"]["pieces"])
    for seq in sorted(deltas):
        pieces |= deltas[seq]["pieces"]
    assert pieces == final["pieces"]
    kept = [m for i, m in enumerate(messages) if i == 0 or i % 3 == 0 or i == len(messages) - 1]
    assert sorted(fold(kept)) == sorted(deltas), "two of three messages lost, and still no gap"


def test_closing_the_generator_frees_the_turn(desk):
    messages = run(desk, "a", SETTINGS | {"max_new_tokens": 900, "temperature": 1.8})
    for message in messages:
        if message["kind"] == "delta":
            break
    messages.close()
    assert list(run(desk, "b", SETTINGS | {"max_new_tokens": 2}))[-1]["kind"] == "end"


def test_stop_ends_with_a_whole_trace(desk, monkeypatch):
    monkeypatch.setattr(runs, "EVERY", 0.0)
    seen = []
    for message in run(desk, "a", SETTINGS | {"max_new_tokens": 900, "temperature": 1.8}):
        seen.append(message)
        if message["kind"] == "delta":
            desk.line.stop("a", "a")
    assert seen[-1]["kind"] == "end" and seen[-1]["message"] == "Stopped."
    assert {lane.finished for lane in Trace.from_json(seen[-1]["final"]).lanes} == {"stopped"}


def test_a_run_has_a_deadline(pair):
    late = desk_of(lambda: pair, deadline=0.0)
    last = list(run(late, "a", SETTINGS))[-1]
    assert last["kind"] == "end" and "the longest a run may take" in last["message"]


def test_missing_models_have_their_sentence():
    def broken():
        raise ModelError("The draft model is not there.")

    other = desk_of(broken)
    last = list(run(other, "a", SETTINGS))[-1]
    assert (last["kind"], last["field"], last["message"]) == ("error", "pair", "The draft model is not there.")


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"temperature": 9}, "temperature", "from 0 to 5"),
        ({"top_p": "much"}, "top_p", "must be a number"),
        ({"draft_length": 0}, "draft_length", "from 1 to 32"),
        ({"seed": None}, "seed", "must be a number"),
        ({"prompt": " "}, "prompt", "empty"),
        ({"prompt": None}, "prompt", "must be text"),
        ({"style": "sonnet"}, "prompt", "no style 'sonnet'"),
        ({"lanes": []}, "prompt", "1 to 5 lanes"),
        ({"lanes": [{"rule": "sps"}, {"rule": "magic"}]}, "lane1", "no acceptance rule called 'magic'"),
        ({"lanes": [{"rule": "cactus", "knobs": {"delta": -1}}]}, "lane0", "from 0 to 10 nats"),
        ({"lanes": [{"rule": "cactus", "knobs": {"delta": "a lot"}}]}, "lane0", "must be a number"),
        ({"lanes": [{"rule": "cactus", "knobs": {"width": 1}}]}, "lane0", "no parameter 'width'"),
        ({"lanes": [7]}, "lane0", "rule"),
        ({"lanes": [{"rule": 7}]}, "lane0", "A lane names a rule"),
        ({"drafter": "ngram"}, "drafter", "named with its knobs"),
        ({"drafter": {"name": 7}}, "drafter", "named with its knobs"),
        ({"drafter": {"name": "ngram", "knobs": [3]}}, "drafter", "named with its knobs"),
        (
            {"drafter": {"name": "magic"}},
            "drafter",
            f"no drafter called 'magic'. There are: {', '.join(drafters.names())}.",
        ),
        (
            {"drafter": {"name": "ngram", "knobs": {"longest": 99}}},
            "drafter",
            "longest must be from 1 to 16 tokens; got 99",
        ),
        ({"drafter": {"name": "ngram", "knobs": {"longest": "long"}}}, "drafter", "must be a number"),
        ({"drafter": {"name": "ngram", "knobs": {"width": 1}}}, "drafter", "no parameter 'width'"),
        ({"drafter": {"name": "nothing"}}, "drafter", "drafts nothing. Choose the rule plain"),
        ({"lanes": [{"rule": "sps", "drafter": {"name": "magic"}}]}, "lane0", "no drafter called 'magic'"),
    ],
)
def test_settings_that_cannot_run_name_their_control(desk, change, field, sentence):
    last = list(run(desk, "a", SETTINGS | change))[-1]
    assert last["kind"] == "error" and last["field"] == field and sentence in last["message"]
