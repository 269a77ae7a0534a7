"""Going on from a place in a run: with the same draws, or with another token put there; written down, checked, reproduced.

When the text must come out the same, if nothing was changed and the draft length is a fixed number: from the start of a
round, always and for every rule, since what a round does depends on the text before it alone. From inside a round, for a
rule that judges token by token, up to where that round ended on a bonus: that position is drafted and judged now, and was
drawn from the verifier then. If the round ended otherwise, everything is the same. (A position that was the last one
allowed is never drafted.) The same means: as far as forwards of different lengths agree in the last bits.
"""

from __future__ import annotations

import copy
import json

import pytest

from specviz import rules
from specviz.engine import race
from specviz.engine.settings import Settings
from specviz.record import trace
from specviz.record.trace import Trace
from specviz.ui.stream import Desk
from tests.conftest import QUESTION

LENGTH = 40  # of the fixture's lanes


def written(lane: dict) -> list[int]:
    return [token for r in lane["rounds"] for token in r["emitted"]]


def go_on(pair, settings: Settings, kept: list[int], forced: int | None = None) -> Trace:
    """The run of one lane that goes on behind `kept`, and ends where the whole run would."""
    more = Settings(
        rule=settings.rule,
        sampling=settings.sampling,
        seed=settings.seed,
        max_new_tokens=LENGTH - len(kept) - (forced is not None),
    )
    made = trace.begin(pair, QUESTION, "task", [more], kept, forced)
    for step in race.race(pair, made.data["prompt_tokens"], [more]):
        made.add(step)
    return made


def test_from_the_start_of_a_round_every_rule_repeats_itself(record, pair):
    """Every round behind it is the same: drafts, verdicts and tokens; `block` and plain decoding included."""
    choices = ("start", "drafted", "kept", "emitted", "origin")
    for lane, settings in zip(record.data["lanes"], record.settings(), strict=True):
        for i in range(1, len(lane["rounds"]), 4):
            kept = [token for r in lane["rounds"][:i] for token in r["emitted"]]
            again = go_on(pair, settings, kept).data["lanes"][0]
            assert again["finished"] == lane["finished"]
            assert [[r[name] for name in choices] for r in again["rounds"]] == [
                [r[name] for name in choices] for r in lane["rounds"][i:]
            ]


def test_from_inside_a_round_a_token_rule_repeats_itself_up_to_the_bonus(record, pair):
    compared = 0
    for lane, settings in zip(record.data["lanes"], record.settings(), strict=True):
        if lane["scope"] != "token" or lane["rule"] is None:
            continue
        text, first = written(lane), len(record.data["prompt_tokens"])
        for r in lane["rounds"][::2]:
            for start in range(r["start"] - first + 1, r["start"] - first + len(r["emitted"])):
                if start == LENGTH - 1:
                    continue
                again = text[:start] + written(go_on(pair, settings, text[:start]).data["lanes"][0])
                same = r["start"] - first + r["kept"] if r["origin"] == "bonus" else None
                assert again[:same] == text[:same]
                compared += 1
    assert compared > 20


def test_a_forked_run_says_so_and_reproduces(record, pair, tmp_path):
    """Prompt, kept tokens, the token that was put in: written down, read back, and verified."""
    kept = written(record.data["lanes"][2])[:9]
    made = go_on(pair, record.settings()[2], kept, forced=500)
    length = len(record.data["prompt_tokens"])
    assert made.data["continued"] == {"prompt_length": length, "position": length + 9, "forced": 500}
    assert made.data["prompt_tokens"] == [*record.data["prompt_tokens"], *kept, 500]
    assert made.data["prompt"] == QUESTION and made.data["pieces"]["500"]
    made.save(tmp_path / "trace.json")
    back = trace.load(tmp_path / "trace.json")
    assert back.data == made.data and back.kept() == (kept, 500)
    assert trace.verify(back, pair)[0]
    other = copy.deepcopy(back)
    other.data["continued"]["prompt_length"] -= 1
    same, sentence = trace.verify(other, pair)
    assert not same and "other tokens" in sentence
    assert "continued" not in record.data and record.kept() == ([], None)
    assert "continued" not in go_on(pair, record.settings()[2], []).data


@pytest.mark.parametrize(
    "kept,forced,says",
    [
        ([-1], None, "from 0 to"),
        ([5], 10**6, "from 0 to"),
        ([5], "stop", "nothing to go on"),
        (["stop", 5], None, "has ended"),
        ([5] * 5000, None, "tokens long"),
    ],
)
def test_tokens_that_cannot_be_gone_on_from(pair, kept, forced, says):
    stop = min(pair.stop_tokens)
    kept, forced = ([stop if t == "stop" else t for t in part] for part in (kept, [forced]))
    with pytest.raises(ValueError, match=says):
        trace.begin(pair, QUESTION, "task", [Settings(rule=rules.make("sps"))], kept, forced[0])


def test_a_damaged_origin_is_refused(record, pair):
    made = go_on(pair, record.settings()[1], written(record.data["lanes"][1])[:5], forced=500)
    good = made.data["continued"]
    for change in (
        {"prompt_length": 0},
        {"prompt_length": 10_000},
        {"position": 3},
        {"forced": 7},
        {"forced": None},
        {"forced": "500"},
        {"position": "here"},
        {"prompt_length": True},
    ):
        made.data["continued"] = good | change
        with pytest.raises(ValueError, match="damaged: continued"):
            Trace.from_json(made.to_json())
    made.data["continued"] = [1]
    with pytest.raises(ValueError, match="damaged: continued should be an object"):
        Trace.from_json(made.to_json())
    made.data["continued"] = good
    assert Trace.from_json(made.to_json())


def test_requests_of_the_page_are_checked(record, pair):
    """Garbage gets a sentence and the control it belongs to; a good request ends where the whole text would have ended."""
    desk = Desk(lambda: pair)
    desk.open()
    length = len(record.data["prompt_tokens"])
    kept = written(record.data["lanes"][1])[:6]
    good = {
        "given": kept,
        "forced": None,
        "position": length + 6,
        "revisions": [pair.draft.revision, pair.verifier.revision],
    }
    settings = {
        "prompt": QUESTION,
        "style": "task",
        "max_new_tokens": 12,
        "seed": 6,
        "lanes": [{"rule": "sps", "knobs": {}}],
    }
    cases = [
        ("go on", "continued", "list of token ids"), ({}, "continued", "list of token ids"), (good | {"given": "abc"}, "continued", "list of token ids"),
        (good | {"given": [1.5]}, "continued", "whole numbers"), (good | {"given": [True] * 6}, "continued", "whole numbers"), (good | {"forced": "x"}, "continued", "whole numbers"),
        (good | {"position": 3}, "continued", "cannot go on from position 3"), (good | {"position": -1}, "continued", "cannot go on"), (good | {"position": None}, "continued", "position"),
        (good | {"revisions": ["a", "b"]}, "continued", "other models"), (good | {"revisions": None}, "continued", "other models"),
        (good | {"forced": 10**9}, "continued", "A token id is from 0"), (good | {"forced": -4}, "continued", "A token id is from 0"), (good | {"forced": min(pair.stop_tokens)}, "continued", "nothing to go on"),
        (good | {"given": kept * 2, "position": length + 12}, "max_new_tokens", "no room for more"),
    ]  # fmt: skip
    for asked, field, sentence in cases:
        (message,) = [
            m
            for m in desk.messages("a", settings | {"continued": json.loads(json.dumps(asked))})
            if m["kind"] != "wait"
        ]
        assert (message["kind"], message["field"]) == ("error", field) and sentence in message["message"], asked
    end = [*desk.messages("a", settings | {"continued": good})][-1]
    data = Trace.from_json(end["final"]).data
    assert (
        data["continued"]["position"] == length + 6
        and data["max_new_tokens"] == 6
        and len(written(data["lanes"][0])) <= 6
    )
