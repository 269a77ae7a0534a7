"""Going on from a place in a run: with the same draws, or with another token put there; written down, checked, reproduced.

When the text must come out the same, if nothing was changed and the draft length is a fixed number: from the start of a
round, always and for every rule, since what a round does depends on the text before it alone. From inside a round, for a
rule that judges token by token, up to where that round ended on a bonus: that position is drafted and judged now, and was
drawn from the verifier then. If the round ended otherwise, everything is the same. (A position that was the last one
allowed is never drafted.) The same means: as far as forwards of different lengths agree in the last bits.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from specviz.engine.settings import Settings
from specviz.record.running import run
from specviz.record.trace import Continued, Trace, load
from specviz.record.verify import verify
from tests.conftest import QUESTION
from tests.support.runs import settings_of

LENGTH = 40  # of the fixture's lanes


def go_on(pair, settings: Settings, kept: list[int], forced: int | None = None) -> Trace:
    """The run of one lane that goes on behind `kept`, and ends where the whole run would."""
    more = replace(settings, max_new_tokens=LENGTH - len(kept) - (forced is not None))
    return run(pair, QUESTION, [more], style="task", kept=kept, forced=forced).finish()


def test_from_the_start_of_a_round_every_rule_repeats_itself(record, pair):
    """Every round behind it is the same: drafts, verdicts and tokens; `block` and plain decoding included."""

    def choices(round_):
        return round_.start, round_.drafted, round_.parents, round_.path, round_.emitted, round_.origin

    for lane, settings in zip(record.lanes, record.settings(), strict=True):
        for i in range(1, len(lane.rounds), 4):
            kept = [token for round_ in lane.rounds[:i] for token in round_.emitted]
            again = go_on(pair, settings, kept).lanes[0]
            assert again.finished == lane.finished
            assert list(map(choices, again.rounds)) == list(map(choices, lane.rounds[i:]))


def test_from_inside_a_round_a_token_rule_repeats_itself_up_to_the_bonus(record, pair):
    """From any place inside a round, with the same draws."""
    compared = 0
    for lane, settings in zip(record.lanes, record.settings(), strict=True):
        if lane.scope != "token" or lane.rule is None:
            continue
        text, first = lane.tokens, len(record.prompt_tokens)
        for round_ in lane.rounds[::2]:
            for start in range(round_.start - first + 1, round_.start - first + len(round_.emitted)):
                if start == LENGTH - 1:
                    continue
                again = text[:start] + go_on(pair, settings, text[:start]).lanes[0].tokens
                same = round_.start - first + round_.kept if round_.origin == "bonus" else None
                assert again[:same] == text[:same]
                compared += 1
    assert compared > 20


def test_a_forked_run_says_so_and_reproduces(record, pair, tmp_path):
    """Prompt, kept tokens, the token that was put in: written down, read back, and verified."""
    kept = record.lanes[2].tokens[:9]
    forked = go_on(pair, record.settings()[2], kept, forced=500)
    length = len(record.prompt_tokens)
    assert forked.continued == Continued(prompt_length=length, position=length + 9, forced=500)
    assert forked.prompt_tokens == [*record.prompt_tokens, *kept, 500]
    assert forked.prompt == QUESTION and forked.pieces["500"]
    forked.save(tmp_path / "trace.json")
    back = load(tmp_path / "trace.json")
    assert back == forked and back.continued_from() == (kept, 500)
    assert verify(back, pair)[0]
    other = load(tmp_path / "trace.json")
    other.continued = replace(back.continued, prompt_length=length - 1)
    same, sentence = verify(other, pair)
    assert not same and "other tokens" in sentence
    assert record.continued is None and record.continued_from() == ([], None)
    again = go_on(pair, record.settings()[2], [])
    assert again.continued is None and "continued" not in again.to_data()


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
        run(pair, QUESTION, [settings_of("sps")], style="task", kept=kept, forced=forced[0])


def test_a_damaged_origin_is_refused(record, pair):
    """Where a run went on from is checked like everything else."""
    forked = go_on(pair, record.settings()[1], record.lanes[1].tokens[:5], forced=500)
    good = forked.continued
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
        forked.continued = replace(good, **change)
        with pytest.raises(ValueError, match="damaged: continued"):
            Trace.from_json(forked.to_json())
    forked.continued = good
    data = forked.to_data() | {"continued": [1]}
    with pytest.raises(ValueError, match="damaged: continued should be an object"):
        Trace.from_json(json.dumps(data))
    assert Trace.from_json(forked.to_json()) == forked
