"""Conformance of rounds and their record: for every rule, drafter and shape of draft, a round tells one consistent story,
from the loop through the trace to its JSON and back. Rules and drafters are found, not named."""

from __future__ import annotations

import json

import pytest

from specviz import drafters, registry, rules
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.record.lane import judged_count
from specviz.record.round import JUDGED, Round
from specviz.record.running import run
from specviz.record.trace import Trace, load
from specviz.record.verify import verify
from tests.support.drafters import WAYS, Candidates
from tests.support.pairs import table_pair
from tests.support.runs import settings_of
from tests.support.traces import signed

STOP, LENGTH = 4, 30
SHAPES = {"chain": (1, 4), "three": (3, 1), "tree": (2, 2)}  # candidates for one place, places
TREES = [Candidates(*SHAPES[shape], way=way) for shape in SHAPES for way in WAYS]
DRAFTERS = [*map(drafters.make, drafters.names()), *TREES]
COMBINED = [
    pytest.param(name, drafter, id=f"{name}-{drafter.spec}")
    for name in ["plain", *rules.names()]
    for drafter in DRAFTERS
    if drafter.refusal(settings_of(name).rule, table_pair(5)) is None
]


@pytest.fixture
def known(monkeypatch):
    """The drafter of these tests is found like any other."""
    monkeypatch.setitem(registry.variants("specviz.drafters"), Candidates.name, Candidates)


def children(draft, node):
    return [other for other, parent in enumerate(draft.parents) if parent == node]


def from_the_leaves(draft, node):
    return [other for child in children(draft, node) for other in (*from_the_leaves(draft, child), child)]


def above(draft, node):
    return [*above(draft, draft.parents[node]), node] if node >= 0 else []


def expected_walk(rule, draft, accept, uniforms):
    """(path, judged) by the words of `Rule`: a block rule looks at the nodes from the leaves on, each after all behind it,
    and keeps the first that passes, with all before it; a token rule goes from the text on, candidate by candidate, and on
    behind the one it keeps."""
    passed = [uniform < chance for uniform, chance in zip(uniforms, accept, strict=True)]
    if rule.scope == "block":
        order = from_the_leaves(draft, -1)
        kept = next((node for node in order if passed[node]), -1)
        path = above(draft, kept)
        return path, sorted({*order[: order.index(kept) + 1 if path else None], *path})
    path, judged, end = [], [], -1
    while end is not None:
        looked_at, end = children(draft, end), None
        for node in looked_at:
            judged.append(node)
            if passed[node]:
                path.append(node)
                end = node
                break
    return path, judged


def check_round(result, settings, text):
    """One round of the loop, which begins behind `text`."""
    draft, walk, rule = result.draft, result.walk, result.rule
    assert result.start == draft.start == len(text) and draft.depth <= draft.budget
    assert len(draft) <= settings.drafting.nodes(draft.budget)
    assert all(-1 <= parent < node for node, parent in enumerate(draft.parents))
    assert not any(draft.tokens[parent] == STOP for parent in draft.parents if parent >= 0)
    kept = draft.path(walk.path)
    for before, node in zip((-1, *walk.path), walk.path):
        assert draft.parents[node] == before  # a path from the text on
    if len(draft):
        assert result.judgement is not None and draft.probs.shape == (len(draft), 5)
        accept = result.judgement.accept_prob
        assert (list(walk.path), list(walk.judged)) == expected_walk(rule, draft, accept, result.uniforms)
        assert all(0 <= accept[node] <= 1 and result.judgement.draft_prob[node] > 0 for node in walk.judged)
        assert all(0 <= uniform < 1 for uniform in result.uniforms)
    else:
        assert (walk.path, walk.judged, walk.refused, result.judgement) == ((), (), None, None)
    left = [node for node in children(draft, walk.end) if node in walk.judged]
    assert walk.refused == (left[-1] if left else None)
    assert result.emitted[: len(kept)] == tuple(kept)
    if kept and kept[-1] == STOP:
        assert result.origin is None and len(result.emitted) == len(kept)
    else:
        assert len(result.emitted) == len(kept) + 1
        assert result.origin == ("bonus" if walk.refused is None else "resampled")
    assert STOP not in result.emitted[:-1]


def check_record(record, result, rule):
    """What is kept of a round."""
    draft, walk, lossless = result.draft, result.walk, rule is None or rule.lossless
    assert (record.start, record.emitted, record.origin) == (result.start, list(result.emitted), result.origin)
    assert (record.drafted, record.parents) == (list(draft.tokens), list(draft.parents))
    assert (record.kept, record.depth, record.is_chain) == (len(walk.path), draft.depth, draft.is_chain)
    assert (record.path, record.nodes) == (list(walk.path), list(walk.judged))
    depths = []
    for parent in draft.parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    assert record.places() == [record.start + depths[node] for node in walk.judged]
    for node, fate in enumerate(record.fates(lossless)):
        if node in walk.path:
            verifier, of_draft = result.judgement.verifier_prob[node], result.judgement.draft_prob[node]
            strict = result.uniforms[node] < min(1.0, verifier / of_draft)
            assert fate == ("accepted" if strict or lossless else "relaxed")
        else:
            reached = draft.parents[node] in (-1, *walk.path) and node in walk.judged
            assert fate == ("rejected" if reached else "discarded")
    for kept in range(draft.depth + 1):
        end = (-1, *walk.path)[min(kept, len(walk.path))]
        assert record.reached(kept) == (kept <= len(walk.path) and bool(children(draft, end)))
    if walk.judged:
        assert set(JUDGED) <= set(record.judged)
        assert all(len(column) == len(walk.judged) for column in record.judged.values())
        assert record.judged["uniform"] == [result.uniforms[node] for node in walk.judged]
        assert min(record.column("kl_output_verifier")) >= 0 and len(record.slices) == len(walk.judged)
        if lossless:
            assert max(record.column("kl_output_verifier")) == 0
        for node, slice_ in zip(walk.judged, record.slices):
            assert draft.tokens[node] in slice_.tokens
    data = json.loads(json.dumps(record.to_json()))
    assert ("parents" in data) == (not draft.is_chain)
    assert Round.from_json(data, judged_count(rule, len(record.drafted), record.kept)) == record


@pytest.mark.parametrize("name,drafter", COMBINED)
def test_rounds_tell_one_consistent_story(name, drafter):
    """Rounds begin where the text ends; the path leads from the text to a node, the judged nodes are those the rule's walk
    looks at, one more token follows unless the text ended, and the record says all of it, in JSON and back."""
    pair = table_pair(5, stop=frozenset({STOP}))
    for seed in range(6):
        settings = settings_of(name, drafter=drafter, max_new_tokens=LENGTH, seed=seed, draft_length=4)
        text = [0, 1, 0]
        for step in race(pair, text, [settings]):
            check_round(step.result, settings, text)
            assert len(step.measures) == len(step.result.walk.judged)
            check_record(Round.of(step), step.result, settings.rule)
            text += step.result.emitted
        assert text[-1] == STOP or len(text) == 3 + LENGTH
        assert step.result.finished == ("end of text" if text[-1] == STOP else "length")


@pytest.mark.parametrize("name,drafter", COMBINED)
def test_runs_are_saved_loaded_and_verified(known, tmp_path, name, drafter):
    """A trace of any drafter and shape: saved, loaded, equal, checked, and reproduced choice by choice; version 2."""
    pair = table_pair(5, stop=frozenset({STOP}))
    lanes = [
        settings_of(name, drafter=drafter, max_new_tokens=LENGTH, draft_length=length, seed=3) for length in (4, "auto")
    ]
    trace = run(pair, "aba", lanes).finish()
    trace.save(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["version"] == 2
    again = load(tmp_path / "trace.json")
    assert again == trace and again.to_json() == trace.to_json()
    assert [lane.drafter for lane in again.lanes] == [settings.drafting for settings in lanes]
    same, sentence = verify(again, pair)
    assert same and sentence.startswith("Reproduced: all"), sentence


@pytest.fixture(scope="module")
def tree():
    """The plain data of a trace of trees, whose first round has six nodes, of which some were kept."""
    pair = table_pair(5)
    for seed in range(100):
        lane = Settings(rules.make("sps"), drafter=Candidates(2, 2), draft_length=2, max_new_tokens=9, seed=seed)
        trace = run(pair, "aba", [lane]).finish()
        first = trace.lanes[0].rounds[0]
        if first.path == [1, 4] and first.nodes == [0, 1, 4]:
            return trace.to_data()
    raise AssertionError("No seed gives the round looked for.")


ROUND = ("lanes", 0, "rounds", 0)


def edited(data, *changes):
    data = json.loads(json.dumps(data))
    for path, value in changes:
        place = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
    return signed(data)


@pytest.mark.parametrize(
    "changes,says",
    [
        (
            [("parents", [-1, -1, 0, 0, 1])],
            "parents should be for each drafted token the number of an earlier one, or -1",
        ),
        ([("parents", [-1, -1, 0, 3, 1, 1])], "parents should be for each"),
        ([("parents", [-1, -2, 0, 0, 1, 1])], "parents should be for each"),
        ([("parents", [-1, True, 0, 0, 1, 1])], "parents should be for each"),
        ([("parents", [-1, -1, 0, 0, "1", 1])], "parents should be for each"),
        ([("parents", None)], "parents should be a list"),
        ([("parents", [-1, -1, 0, 0, 0, 1])], "kept should be what uniform and accept_prob say"),
        ([("parents", [-1, 0, 1, 2, 3, 4])], "drafted should be no longer than the draft length, 2"),
        ([("path", [4, 1])], "path should be rising numbers of drafted tokens"),
        ([("path", [1, 6])], "path should be rising"),
        ([("path", [1, 1])], "path should be rising"),
        ([("path", [1.0, 4])], "path should be rising"),
        ([("path", {})], "path should be a list"),
        ([("path", [1])], "kept should be the number of drafted tokens that were emitted"),
        ([("path", [0, 2]), ("drafted", [2, 0, 1, 0, 1, 3])], "kept should be"),
        ([("node", [0, 1, 4, 5])], "judged.uniform should be 4 numbers"),
        ([("node", [0, 1])], "judged.uniform should be 2 numbers"),
        ([("node", [0, 1, 5])], "kept should be what uniform and accept_prob say"),
        ([("node", [1, 0, 4])], "node should be rising"),
        ([("node", [0, 1, 9])], "node should be rising"),
        ([("node", None)], "node should be a list"),
        ([("kept", 1)], "kept should be the number of drafted tokens that were emitted"),
        ([("drafted", [0, 1, 2, 3, 0])], "parents should be for each"),
    ],
    ids=str,
)
def test_an_edited_tree_is_refused_with_a_sentence(known, tree, changes, says):
    """Every edit of parents, path or nodes names the place and what should stand there, with a digest that fits."""
    assert Trace.from_json(edited(tree))
    with pytest.raises(ValueError, match=r"This trace is damaged: lanes\[0\]\.rounds\[0\]\." + says):
        Trace.from_json(edited(tree, *(((*ROUND, name), value) for name, value in changes)))


@pytest.mark.parametrize("name", ["parents", "path", "node"])
def test_a_tree_that_lacks_a_part_of_its_shape_is_refused(known, tree, name):
    """All of parents, path and nodes, or none of them, which is a chain."""
    data = json.loads(json.dumps(tree))
    del data["lanes"][0]["rounds"][0][name]
    with pytest.raises(ValueError, match=rf"lanes\[0\].rounds\[0\] lacks '{name}'"):
        Trace.from_json(signed(data))
    for other in {"parents", "path", "node"} - {name}:
        del data["lanes"][0]["rounds"][0][other]
    with pytest.raises(ValueError, match="drafted should be no longer than the draft length, 2"):
        Trace.from_json(signed(data))


@pytest.mark.parametrize("name", [name for name in rules.names() if not rules.make(name).drawings])
def test_a_recorded_tree_under_a_rule_that_judges_one_candidate_is_refused(known, tree, name):
    """Such a round cannot have been: the sentence says which part of it."""
    rule = rules.make(name)
    lane = {
        "rule": rule.spec,
        "name": name,
        "knobs": registry.values(rule),
        "lossless": rule.lossless,
        "scope": rule.scope,
    }
    with pytest.raises(ValueError, match="parents should be those of a chain, which is all that this rule judges"):
        Trace.from_json(edited(tree, *((("lanes", 0, key), value) for key, value in lane.items())))
