"""What knobs buy on a text: the same figures as position by position, from the definitions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from specviz import drafters, rules
from specviz.engine.settings import Settings
from specviz.prob import dists
from specviz.study import exact, reading
from specviz.study import knob_curves as knobs
from specviz.types import Sampling
from tests.conftest import run

FEW = 24


@pytest.fixture(scope="module")
def bought(record, pair):
    return knobs.bought(record, 2, [rules.parse("cactus:delta=0.3"), rules.make("block"), rules.make("sps")], pair, FEW)


def by_hand(trace, pair, lane):
    """Both distributions at each judged position, each from a text that ends just before it."""
    written = trace.lanes[lane].tokens
    places = [
        r.start + i - len(trace.prompt_tokens)
        for r in trace.lanes[lane].rounds
        for i in range(min(r.kept + 1, len(r.drafted)))
    ]
    rows = []
    for place in places[:FEW]:
        tokens = trace.prompt_tokens + written[:place]
        looks = (model.session().forward(tokens, keep=1).logits for model in (pair.verifier, pair.draft))
        rows.append(
            [dists.pad(dists.to_probs(logits, trace.sampling), pair.vocabulary)[0].double() for logits in looks]
        )
    return [torch.stack(column) for column in zip(*rows)]


def test_figures_are_averages_over_the_judged_positions(record, pair, bought):
    verifier, draft = by_hand(record, pair, 2)
    assert bought["positions"] == len(verifier)

    def figures(rule):
        law = rule.output_law(verifier, draft)
        return rule.acceptance(verifier, draft).mean().item(), dists.kl(law, verifier).mean().item()

    wanted = figures(rules.parse("cactus:delta=0.3"))
    assert (bought["marks"][0]["acceptance"], bought["marks"][0]["kl"]) == pytest.approx(wanted, rel=2e-3)
    assert bought["marks"][1] is None, "a rule that judges whole blocks has no point here"
    assert bought["marks"][2]["kl"] == pytest.approx(0, abs=1e-9)
    for curve in bought["curves"]:
        if curve["rule"] in ("cactus", "interpolation", "lenience", "top_k", "sampler_match"):
            i = len(curve["values"]) // 2
            rule = rules.make(
                curve["rule"], **curve["fixed"], **({curve["knob"]: curve["values"][i]} if curve["knob"] else {})
            )
            assert (curve["acceptance"][i], curve["kl"][i]) == pytest.approx(figures(rule), rel=2e-3, abs=1e-6), curve[
                "rule"
            ]


def test_every_token_rule_is_there_and_none_crosses_the_frontier(bought):
    drawn = {curve["rule"] for curve in bought["curves"]}
    assert drawn == {name for name in rules.names() if rules.get(name).scope == "token"}
    for divergence in exact.DIVERGENCES:
        spent, most = bought["frontiers"][divergence]["spent"], bought["frontiers"][divergence]["acceptance"]
        for curve in bought["curves"]:
            for acceptance, apart, gap in zip(
                curve["acceptance"], curve[divergence], curve["gap"][divergence], strict=True
            ):
                apart = float(apart)
                beyond = next((i for i, value in enumerate(spent) if value >= apart), None)
                assert math.isinf(apart) or beyond is None or acceptance + gap <= most[beyond] + 1e-5, curve["rule"]
                assert gap >= 0


def test_the_gap_is_what_the_frontier_allows_beyond_what_is_kept(record, pair, bought):
    """At the same mean divergence, over the same positions: as `exact.gap` says, and none for the optimum at even positions."""
    verifier, draft = reading.judged(record, 2, pair, FEW)
    for divergence in exact.DIVERGENCES:
        wanted = float(exact.gap(rules.parse("cactus:delta=0.3"), verifier, draft, divergence, pooled=True))
        assert bought["marks"][0]["gap"][divergence] == pytest.approx(wanted, abs=1e-6)
        assert bought["marks"][2]["gap"][divergence] == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_computed_is_said(record, pair):
    with pytest.raises(ValueError, match="No drafted token"):
        knobs.bought(record, 0, [], pair)
    with pytest.raises(ValueError, match="no such lane"):
        knobs.bought(record, 9, [], pair)
    models = {role: replace(facts, revision="other") for role, facts in record.models.items()}
    other = replace(record, models=models)
    with pytest.raises(ValueError, match="another verifier"):
        knobs.bought(other, 2, [], pair)


def test_a_copied_draft_is_read_from_the_record(pair):
    """Of a drafter that chooses, the distribution a token came from is all on that token."""
    lanes = [Settings(rule=rules.make("sps"), drafter=drafters.make("ngram"), max_new_tokens=30, seed=1)]
    trace = run(pair, "one two one two one two", "tiny", lanes)
    verifier, draft = reading.judged(trace, 0, pair, FEW)
    tokens = [r.drafted[node] for r in trace.lanes[0].rounds for node in r.nodes][:FEW]
    assert len(tokens) > 2 and draft.argmax(-1).tolist() == tokens and bool((draft.amax(-1) == 1).all())
    probs = trace.lanes[0].column("verifier_prob")[:FEW]
    assert verifier[range(len(tokens)), tokens].tolist() == pytest.approx(probs, rel=1e-3, abs=1e-6)


def test_an_infinite_divergence_has_a_name(pair):
    lanes = [Settings(rule=rules.make("interpolation"), sampling=Sampling(top_k=2), max_new_tokens=12)]
    answer = knobs.bought(run(pair, "One day", None, lanes), 0, [rules.make("sps")], pair, FEW)
    assert (
        any("Infinity" in curve["kl"] for curve in answer["curves"]) and answer["frontiers"]["kl"]["acceptance"][-1] < 1
    )
