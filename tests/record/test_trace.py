"""The trace: folded from steps, saved, loaded, refused when damaged, and reproduced."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import drafters
from specviz.engine.race import race
from specviz.record import running
from specviz.record.trace import Trace, begin, load
from specviz.record.verify import verify
from tests.conftest import QUESTION, run
from tests.support.drafters import WAYS, Candidates
from tests.support.pairs import table_pair
from tests.support.runs import settings_of
from tests.support.traces import signed


def test_save_and_load_give_the_same_trace(record, tmp_path):
    """A saved trace loads back equal, digest checked."""
    record.save(tmp_path / "trace.json")
    assert load(tmp_path / "trace.json") == record


def test_a_trace_reproduces(record, pair):
    """Re-running a trace from its own settings makes the same choices everywhere."""
    same, sentence = verify(Trace.from_json(record.to_json()), pair)
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
    other.seed += 1
    same, sentence = verify(other, pair)
    assert not same and "differs first in the round at position" in sentence
    other = copy.deepcopy(record)
    changed = other.lanes[1].rounds[2]
    changed.judged["uniform"][0] += 0.01
    same, sentence = verify(other, pair)
    assert not same and f"position {changed.start}" in sentence and "uniform" in sentence
    data = record.to_data()
    data["models"]["draft"]["revision"] = "something else"
    same, sentence = verify(Trace.from_json(signed(data)), pair)
    assert not same and "Not checked" in sentence


def test_verify_finds_missing_and_added_rounds(record, pair):
    """A lane with a round less than it says, or another end, does not reproduce; one that was stopped may end anywhere."""
    for lane in range(len(record.lanes)):
        other = copy.deepcopy(record)
        del other.lanes[lane].rounds[-1]
        same, sentence = verify(other, pair)
        assert not same and f"Lane {lane + 1} " in sentence and "rounds in the trace" in sentence
        other.lanes[lane].finished = "stopped"
        assert verify(other, pair)[0]
    other = copy.deepcopy(record)
    other.lanes[0].finished = "length" if record.lanes[0].finished == "end of text" else "end of text"
    same, sentence = verify(other, pair)
    assert not same and "Lane 1 (plain) ends with" in sentence


def test_a_stopped_trace_reproduces_as_far_as_it_goes(pair):
    """A run closed in the middle verifies: the rounds it has are the rounds it would have had."""
    going = running.run(pair, QUESTION, [settings_of("sps", max_new_tokens=60, seed=1)], style="task")
    for _ in range(4):
        next(going)
    going.close()
    assert going.trace.lanes[0].finished == "stopped" and len(going.trace.lanes[0].rounds) == 4
    assert next(going, None) is None
    assert verify(Trace.from_json(going.trace.to_json()), pair)[0]


def test_clocks_are_fair(record):
    """The lane that computed least goes next: no lane runs ahead of another by more than one round."""
    slowest = max(round_.seconds for lane in record.lanes for round_ in lane.rounds)
    for lane in record.lanes:
        for round_ in lane.rounds:
            begun = round_.clock - round_.seconds
            for other in record.lanes:
                ends = [one.clock for one in other.rounds]
                if ends[-1] > begun:  # still running when this round began
                    assert min(end for end in ends if end > begun - 1e-4) <= begun + slowest + 1e-3


def test_what_a_run_adds_is_what_the_trace_holds(pair):
    """The rounds, pieces and ends that a run hands out one by one, put together, are the trace."""
    lanes = [settings_of(name, max_new_tokens=20, seed=2) for name in ("plain", "sps", "cactus")]
    going = running.run(pair, QUESTION, lanes, style="task")
    rounds, pieces, finished = [[] for _ in lanes], dict(going.trace.pieces), [None] * len(lanes)
    for added in going:
        rounds[added.lane].append(added.round)
        assert not pieces.keys() & added.pieces.keys()
        pieces |= added.pieces
        finished[added.lane] = added.finished
    assert rounds == [lane.rounds for lane in going.trace.lanes] and pieces == going.trace.pieces
    assert finished == [lane.finished for lane in going.trace.lanes] and None not in finished


drafting = st.one_of(
    st.just("plain"),
    st.tuples(
        st.sampled_from(["sps", "cactus", "mentored", "block", "tas", "fuzzy"]), st.sampled_from(["model", "ngram"])
    ),
    st.builds(
        lambda rule, width, levels, way: (rule, Candidates(width=width, levels=levels, way=way)),
        st.sampled_from(["sps", "mentored", "interpolation", "sampler_match"]),
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from(sorted(WAYS)),
    ),
)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(lane=drafting, seed=st.integers(0, 2**53 - 1), measured=st.booleans(), stops=st.booleans())
def test_folding_a_step_leaves_it_as_it_was(lane, seed, measured, stops):
    """Folded twice, into two traces, a step gives equal rounds, and what it holds is the same before and after."""
    pair = table_pair(4, stop=frozenset({3}) if stops else frozenset())
    rule, drafter = ("plain", "model") if lane == "plain" else lane
    lanes = [settings_of(rule, drafter=drafter_of(drafter), seed=seed, max_new_tokens=12)]
    first, second = (begin(pair, "ab", None, lanes) for _ in range(2))
    for step in race(pair, first.prompt_tokens, lanes, measured):
        before = told(step)
        added, again = first.add(step, pair.tokenizer), second.add(step, pair.tokenizer)
        assert added == again and added.round is not again.round
        added.round.judged.clear(), added.round.slices.clear(), added.round.emitted.clear(), added.round.path.clear()
        assert told(step) == before
    assert second.lanes[0].tokens and second.to_json() == second.to_json()


def drafter_of(drafter):
    return drafters.make(drafter) if isinstance(drafter, str) else drafter


def told(step):
    """All that a step says, as plain text."""
    result = step.result
    judged = result.judgement and [
        tensor.tolist() if hasattr(tensor, "tolist") else tensor for tensor in result.judgement
    ]
    draft = (result.draft.tokens, result.draft.parents, len(result.draft) and result.draft.probs.tolist())
    return repr((step.lane, draft, judged, result.walk, result.emitted, step.measures, step.seconds, step.clock))


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
    (_edit((*LANE, "drafter"), 5), "drafter should be a text"),
    (_edit((*LANE, "drafter"), "oracle"), "no drafter called 'oracle'"),
    (_edit((*LANE, "drafter"), "ngram:longest=99"), "longest must be"),
    (_edit((*LANE, "drafter"), "nothing"), "drafter should be one that drafts"),
    (_edit((*LANE, "draft_length"), "fast"), "draft_length must be"),
    (_edit((*LANE, "draft_length"), 2.5), "draft_length should be a whole number"),
    (_edit((*LANE, "draft_length"), 99), "draft_length must be"),
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
        ('{"a": NaN}', "not JSON"),
        ('{"format": "specviz-trace", "version": true}', "version True"),
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


# Where drafted tokens came from


@pytest.fixture(scope="module")
def copying():
    """A run of a text that repeats itself, drafted by copying."""
    lanes = [settings_of(rule, drafter=drafters.make("ngram"), max_new_tokens=30) for rule in ("sps", "tas")]
    return running.run(table_pair(3), "abcab", lanes).finish()


def test_a_copied_token_names_the_place_it_was_copied_from(copying):
    """At that place of the text before the round stands the same token, behind the run that the text ends with."""
    copied = 0
    for lane in copying.lanes:
        text = list(copying.prompt_tokens)
        for round_ in lane.rounds:
            for depth, (token, known) in enumerate(zip(round_.drafted, round_.provenance, strict=True)):
                assert text[known.copied_from] == token and known.by is None and known.layer is None
                source = known.copied_from - depth
                assert text[source - known.matched : source] == text[-known.matched :]
                copied += 1
            text += round_.emitted
    assert copied > 10


def test_provenance_is_saved_read_and_verified(copying):
    """A trace says it again after reading; a changed place does not reproduce; a trace that says nothing of it does."""
    assert Trace.from_json(copying.to_json()) == copying and verify(copying, table_pair(3))[0]
    for change in (lambda known: known._replace(matched=known.matched + 1), lambda known: known._replace(by="model")):
        other = copy.deepcopy(copying)
        changed = next(round_ for round_ in other.lanes[0].rounds if round_.provenance)
        changed.provenance[0] = change(changed.provenance[0])
        same, sentence = verify(other, table_pair(3))
        assert not same and "provenance was" in sentence
    data = copying.to_data()
    for lane in data["lanes"]:
        for round_ in lane["rounds"]:
            round_.pop("provenance", None)
    silent = Trace.from_json(signed(data))
    assert not any(round_.provenance for lane in silent.lanes for round_ in lane.rounds)
    assert verify(silent, table_pair(3))[0]


@pytest.mark.parametrize(
    "changed,says",
    [
        ({}, "lists called by, copied_from, matched, layer"),
        ({"source": [1]}, "lists called by"),
        ([], "lists called by"),
        ({"layer": "1"}, "an entry for each"),
        ({"layer": [1] * 9}, "an entry for each"),
        ({"layer": [None]}, "left out where it says nothing"),
        ({"layer": [-1]}, "whole numbers from 0 on"),
        ({"layer": [True]}, "whole numbers from 0 on"),
        ({"by": ["<b>"]}, "drafters or nulls"),
        ({"copied_from": [10**6]}, "places in the text where the same tokens stand"),
        ({"matched": [0]}, "lengths of runs of tokens"),
        ({"matched": [10**6]}, "lengths of runs of tokens"),
    ],
    ids=str,
)
def test_damaged_provenance_is_refused_with_a_sentence(copying, changed, says):
    """A token copied from where another stands, or out of nowhere, is no record of a run."""
    data = copying.to_data()
    round_ = next(round_ for round_ in data["lanes"][0]["rounds"] if len(round_["drafted"]) == 1)
    round_["provenance"] = changed
    with pytest.raises(ValueError, match=f"provenance.* should be .*{says}"):
        Trace.from_json(signed(data))
