"""Conformance: every registered drafter goes through all of this without being named here; and so do those of the tests."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import replace

import pytest
import torch

from specviz import drafters, registry
from specviz.drafters import Draft
from specviz.engine.decode import alone
from specviz.engine.race import open_lane
from specviz.prob import noise
from specviz.types import Sampling
from tests.support.drafters import WAYS, Candidates
from tests.support.pairs import table_pair
from tests.support.runs import rounds_of, settings_of, written

STOP, PROMPT = 4, (0, 1, 0, 1)
ALL = [*map(drafters.make, drafters.names()), *(Candidates(width=2, levels=3, way=way) for way in WAYS)]
every_name = pytest.mark.parametrize("name", drafters.names())
every_drafter = pytest.mark.parametrize("drafter", ALL, ids=lambda drafter: drafter.spec)


@every_name
def test_a_drafter_describes_itself(name):
    """Words, knobs and spec are complete: help and ranges, defaults inside them, text that builds the drafter again."""
    drafter = drafters.make(name)
    cls = type(drafter)
    assert cls.name == name and cls.__doc__ and (cls.source or not cls.drafts)
    assert cls.summary.endswith(".") and len(cls.summary) < 160
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert [info["name"] for info in registry.knobs(cls)] == [field.name for field in dataclasses.fields(cls)]
    for info in registry.knobs(cls):
        assert info["help"].endswith(".")
        assert info["choices"] or info["form"] or (info["low"] is not None and info["high"] is not None)
        for value in info["choices"] or (() if info["form"] else (info["low"], info["high"])):
            other = drafters.make(name, **{info["name"]: value})
            assert drafters.parse(other.spec) == other and hash(other) == hash(drafters.parse(other.spec))
    assert drafters.parse(drafter.spec) == drafter == drafters.parse(name)


@every_name
def test_wrong_parameters_are_refused_in_words(name):
    """An unknown parameter or a value out of range: ValueError that says what is allowed."""
    with pytest.raises(ValueError, match=f"The drafter {name} has no parameter 'typo'"):
        drafters.make(name, typo=1)
    for info in registry.knobs(type(drafters.make(name))):
        words = info["choices"] or info["form"]
        for wrong in ("nonsense", None, [1]) if words else (info["high"] + 1, info["low"] - 1, "much", None):
            with pytest.raises(ValueError, match=f"{name}: {info['name']} must be"):
                drafters.make(name, **{info["name"]: wrong})


def test_unknown_drafters_are_refused_in_words():
    """A name that is no drafter lists those there are."""
    with pytest.raises(ValueError, match="no drafter called 'oracle'. There are: .*model.*ngram"):
        drafters.make("oracle")


@every_drafter
def test_a_drafter_is_a_value(drafter):
    """It goes to another process as it is, and using it leaves it as it was."""
    before = pickle.dumps(drafter)
    rounds_of(table_pair(5), PROMPT, settings_of("sps", drafter=drafter, max_new_tokens=10))
    assert pickle.loads(before) == drafter and pickle.dumps(drafter) == before


@every_drafter
@pytest.mark.parametrize("budget", [0, 1, 2, 5])
def test_a_draft_keeps_to_its_budget(drafter, budget):
    """Never more places than asked for, never more nodes than `nodes` says, nothing behind an end of text; one candidate for
    each place unless it `branches`, all chosen if it `chooses`, none at all unless it `drafts`; seconds only rise."""
    assert drafter.nodes(0) == 0
    pair = table_pair(5, stop=frozenset({STOP}))
    for seed in range(20):
        lane = settings_of("sps", drafter=drafter, seed=seed)
        asked = pair.draft if drafter.uses_draft_model else pair.verifier
        proposer = drafter.open(pair, asked.session())
        before = proposer.seconds
        draft = Draft(len(PROMPT), budget, Sampling(), noise.Noise(lane.seed), 5, pair.stop_tokens)
        if budget:
            alone(proposer.propose(list(PROMPT), draft))
        whole = (draft.tokens, draft.parents)
        draft.cut()
        assert (draft.tokens, draft.parents) == whole, "a drafter asks whether there is room"
        assert draft.depth <= budget and len(draft) <= drafter.nodes(budget)
        assert draft.is_chain or drafter.branches
        assert not drafter.chooses or all(draft.chosen)
        assert drafter.drafts or not len(draft)
        assert proposer.seconds >= before


@every_drafter
def test_a_round_depends_on_the_text_alone(drafter):
    """A new lane that begins where a round began drafts what that round drafted: nothing is carried over but the text."""
    pair = table_pair(3)
    for seed in range(10):
        settings = settings_of("sps", drafter=drafter, max_new_tokens=30, seed=seed)
        rounds = rounds_of(pair, PROMPT, settings)
        text = written(rounds)
        for i in range(1, len(rounds), 3):
            kept = text[: rounds[i].start - len(PROMPT)]
            again = rounds_of(pair, (*PROMPT, *kept), replace(settings, max_new_tokens=30 - len(kept)))
            assert [(r.draft.tokens, r.draft.parents, r.walk) for r in again] == [
                (r.draft.tokens, r.draft.parents, r.walk) for r in rounds[i:]
            ]
            assert (*kept, *written(again)) == text


@every_drafter
def test_the_laws_it_states_are_those_it_draws_from(drafter):
    """Where `laws` says what a token at a place is drawn from, given the text before it, that is the law of every node there."""
    pair, sampling = table_pair(5), Sampling(0.8, top_p=0.9)
    for seed in range(5):
        settings = settings_of("sps", drafter=drafter, max_new_tokens=30, seed=seed, sampling=sampling)
        decoding = open_lane(pair, list(PROMPT), settings)
        rounds = []
        while not decoding.finished:
            rounds.append(alone(decoding.round()))
        text = decoding.text[len(PROMPT) :]
        laws = drafter.laws(pair, list(PROMPT), text, sampling)
        if laws is None:
            return
        assert laws.shape == (30, 5)
        for round_ in rounds:
            for depth, node in enumerate(round_.walk.path):
                assert torch.allclose(round_.draft.probs[node], laws[round_.start - len(PROMPT) + depth], atol=1e-6)
