"""The numbers of places with several candidates: against enumeration, against the optimum, in the record and back."""

from __future__ import annotations

import json

import pytest

from specviz import drafters, rules, sets
from specviz.engine.measure import candidates
from specviz.engine.settings import Settings
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from specviz.types import DRAWINGS
from tests.support.laws import every_run
from tests.support.pairs import table_pair
from tests.support.traces import signed

EXACT = 1e-12


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("shape,size", [("2", 3), ("2-1", 2)])
@pytest.mark.parametrize("name", [name for name in rules.names() if rules.get(name).lossless])
def test_kept_chance_and_optimum(name, shape, size, drawing):
    """Over all runs the mean of kept_chance at the first place is how often a candidate for it is kept, which no lossless
    rule does more often than the optimum says; that is what `specviz.sets` says of candidates that came so."""
    rule, drafter = rules.make(name), drafters.make("tree", shape=shape, siblings=drawing)
    pair, prompt = table_pair(size, exact=True), (0, 1, 0)
    if drafter.refusal(rule, pair):
        return
    settings = Settings(rule, draft_length=2, max_new_tokens=1 + len(shape.split("-")), drafter=drafter)
    mean = kept = 0.0
    verifier, draft = (model.probs(prompt) for model in (pair.verifier, pair.draft))
    best = float(sets.optimum(verifier, draft, 2, drawing))
    for weight, rounds in every_run(pair, prompt, settings):
        first, *_ = candidates(rounds[0])
        assert first.behind == -1 and abs(first.optimum - best) < EXACT
        mean += weight * first.kept_chance
        kept += weight * bool(rounds[0].walk.path)
    assert abs(mean - kept) < EXACT and mean <= best + EXACT


@pytest.fixture(scope="module")
def recorded():
    lane = Settings(rules.make("sps"), drafter=drafters.make("tree", shape="3-2"), max_new_tokens=30)
    return run(table_pair(5), "aba", [lane]).finish()


def test_a_trace_holds_them_for_every_place_it_came_to(recorded):
    """One entry for the text, and one for each kept node with several candidates behind it."""
    trees = [round_ for round_ in recorded.lanes[0].rounds if not round_.is_chain]
    assert any(round_.path for round_ in trees)
    for round_ in trees:
        several = [node for node in (-1, *round_.path) if round_.parents.count(node) > 1]
        assert [place.behind for place in round_.candidates] == several
        assert all(0 <= place.kept_chance <= 1 and 0 < place.optimum <= 1 for place in round_.candidates)
    assert Trace.from_json(recorded.to_json()) == recorded


@pytest.mark.parametrize(
    "name,value,says",
    [
        ("behind", [0], "behind should be the kept nodes, and -1 for the text"),
        ("kept_chance", [0.5] * 9, "kept_chance should be"),
        ("kept_chance", [None], "kept_chance should be"),
        ("optimum", [2.0], "optimum should be"),
        ("optimum", None, "optimum should be a list"),
    ],
)
def test_wrong_ones_are_refused(recorded, name, value, says):
    """Each names itself; a trace without any is one of an earlier time; other numbers do not reproduce."""
    data = json.loads(json.dumps(recorded.to_data()))
    round_ = data["lanes"][0]["rounds"][0]
    columns = round_.pop("candidates")
    assert Trace.from_json(signed(data)).lanes[0].rounds[0].candidates == []
    round_["candidates"] = {**columns, name: value}
    with pytest.raises(ValueError, match=says):
        Trace.from_json(signed(data))


def test_verify_holds_them_against_the_record(recorded):
    """A chance that is not what the run gives is named; without any the trace reproduces as before."""
    data = json.loads(json.dumps(recorded.to_data()))
    columns = data["lanes"][0]["rounds"][0]["candidates"]
    columns["kept_chance"][0] /= 2
    same, sentence = verify(Trace.from_json(signed(data)), table_pair(5))
    assert not same and "kept_chance of the candidates was" in sentence
    for round_ in data["lanes"][0]["rounds"]:
        round_.pop("candidates", None)
    assert verify(Trace.from_json(signed(data)), table_pair(5))[0]
