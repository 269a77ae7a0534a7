"""What the page asks for, without a browser: garbage gets a sentence and the control it belongs to."""

from __future__ import annotations

import json

import pytest

from specviz.record.trace import Trace
from specviz.ui import runs
from specviz.ui.line import Turn
from tests.conftest import QUESTION

FORM = {"prompt": QUESTION, "style": "task", "max_new_tokens": 12, "seed": 6, "lanes": [{"rule": "sps", "knobs": {}}]}


def last_of(pair, **asked):
    """The last message of a run."""
    *_, end = runs.compute(Turn(pair), FORM | json.loads(json.dumps(asked)))
    return end


def test_the_draft_length_may_be_auto(pair):
    """The word is taken as it was typed; another word is refused at its own control."""
    end = last_of(pair, draft_length="auto")
    assert Trace.from_json(end["final"]).lanes[0].draft_length == "auto"
    end = last_of(pair, draft_length="fast")
    assert (end["kind"], end["field"]) == ("error", "draft_length") and "tokens, auto, thompson, or" in end["message"]


@pytest.fixture(scope="module")
def good(record, pair):
    """A request to go on from the first six tokens of a lane."""
    return {
        "given": record.lanes[1].tokens[:6],
        "forced": None,
        "position": len(record.prompt_tokens) + 6,
        "revisions": [pair.draft.revision, pair.verifier.revision],
    }


CASES = [
    ("go on", "continued", "list of token ids"),
    ({}, "continued", "list of token ids"),
    ({"given": "abc"}, "continued", "list of token ids"),
    ({"given": [1.5]}, "continued", "whole numbers"),
    ({"given": [True] * 6}, "continued", "whole numbers"),
    ({"forced": "x"}, "continued", "whole numbers"),
    ({"position": 3}, "continued", "cannot go on from position 3"),
    ({"position": -1}, "continued", "cannot go on"),
    ({"position": None}, "continued", "position"),
    ({"revisions": ["a", "b"]}, "continued", "other models"),
    ({"revisions": None}, "continued", "other models"),
    ({"forced": 10**9}, "continued", "A token id is from 0"),
    ({"forced": -4}, "continued", "A token id is from 0"),
    ({"forced": "stop"}, "continued", "nothing to go on"),
    ("twice", "max_new_tokens", "no room for more"),
]


@pytest.mark.parametrize("change,field,sentence", CASES, ids=lambda value: str(value)[:30])
def test_a_request_to_go_on_is_checked(good, pair, change, field, sentence):
    """Whatever is wrong with it: one message, an error, that names the control and says what is wrong."""
    if change == "twice":
        change = {"given": good["given"] * 2, "position": good["position"] + 6}
    elif isinstance(change, dict) and change.get("forced") == "stop":
        change = {"forced": min(pair.stop_tokens)}
    asked = good | change if isinstance(change, dict) and change else change
    messages = list(runs.compute(Turn(pair), FORM | {"continued": json.loads(json.dumps(asked))}))
    assert [(message["kind"], message["field"]) for message in messages] == [("error", field)]
    assert sentence in messages[0]["message"]


def test_a_run_that_goes_on_ends_where_the_whole_text_would_have_ended(good, pair):
    """The tokens that are there already count."""
    trace = Trace.from_json(last_of(pair, continued=good)["final"])
    assert trace.continued.position == good["position"]
    assert trace.max_new_tokens == 6 and len(trace.lanes[0].tokens) <= 6
