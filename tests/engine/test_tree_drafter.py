"""Drafts that are trees: their shapes, how their nodes come, and what the rules that judge several candidates make of them."""

from __future__ import annotations

import json

import pytest
import torch

from specviz import drafters, rules, sets
from specviz.drafters import Draft
from specviz.drafters.siblings import offer
from specviz.drafters.tree import widths
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.prob import dists, noise
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.types import DRAWINGS, Sampling
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import choices, rounds_of, settings_of
from tests.support.traces import signed

PROMPT, EXACT, BROKEN = (0, 1, 0), 1e-12, 1e-3


def tree(shape, siblings="without_replacement"):
    return drafters.make("tree", shape=shape, siblings=siblings)


def test_a_shape_says_how_many_follow_each_node():
    """One number for a level, or one for each of its nodes; a whole number is a shape of one level."""
    assert widths("3-2.1.0-1") == [[3], [2, 1, 0], [1, 1, 1]]
    assert tree(3) == tree("3") and tree("2-2").nodes(1) == 2 and tree("2-2").nodes(9) == 6


@pytest.mark.parametrize(
    "shape,says",
    [
        ("", "numbers of candidates for each level"),
        ("3-x", "numbers of candidates for each level"),
        ("3--1", "numbers of candidates for each level"),
        ("3-2.1", "level 2 of '3-2.1' has 2 for 3"),
        ("0", "1 to 256 nodes"),
        ("9-9-9", "1 to 256 nodes"),
        ("1" * 500, "numbers of candidates such as 3-2-1"),
        (True, "numbers of candidates such as 3-2-1"),
    ],
)
def test_what_is_no_shape_is_refused_in_words(shape, says):
    with pytest.raises(ValueError, match=says):
        tree(shape)


def offered(drawing, count=3, seed=0, probs=(0.1, 0.4, 0.2, 0.3)):
    draft = Draft(5, 2, Sampling(), noise.Noise(seed), 4)
    law = torch.tensor(probs, dtype=torch.float64)
    offer(draft, -1, law, count, drawing)
    return law, draft


def test_how_candidates_come():
    """Each node has the law that it came from: the whole distribution, that without its elders, that without the chosen
    ones, or a point mass. The eldest drawn one is the token that a chain draws; no draw decides how many there are."""
    for seed in range(50):
        law, chain = offered("iid", 1, seed)
        for drawing in DRAWINGS:
            _, draft = offered(drawing, 3, seed)
            assert len(draft) == 3 and set(draft.parents) == {-1}
            if drawing in ("iid", "without_replacement"):
                assert draft.tokens[0] == chain.tokens[0] and not any(draft.chosen)
            for rank in range(3):
                expected = {
                    "iid": law,
                    "without_replacement": dists.without(law, list(draft.tokens[:rank])) if rank else law,
                    "greedy": torch.tensor([1 / 3, 0, 2 / 3, 0], dtype=torch.float64),
                }.get(drawing)
                if drawing == "picked" or (drawing == "greedy" and rank):
                    assert draft.chosen[rank]
                    expected = torch.eye(4, dtype=torch.float64)[draft.tokens[rank]]
                assert torch.allclose(draft.probs[rank].double(), expected, atol=1e-12)
        assert offered("picked", 3, seed)[1].tokens == (1, 3, 2)
        assert offered("greedy", 3, seed)[1].tokens[1:] == (1, 3)
    for drawing, count in (("iid", 3), ("without_replacement", 2), ("greedy", 2), ("picked", 2)):
        assert len(offered(drawing, 3, probs=(0.0, 0.5, 0.5, 0.0))[1]) == count


@pytest.mark.parametrize("siblings", ["iid", "without_replacement", "greedy"])
def test_a_tree_without_branches_is_the_chain_to_the_bit(siblings):
    """With one candidate for each place: the same tokens, numbers and text as the draft model's chain."""
    pair = table_pair(5)
    for name in ("sps", "sampler_match", "traversal", "interpolation"):
        lanes = [
            settings_of(name, seed=3, max_new_tokens=60, drafter=d)
            for d in (drafters.make("model"), tree("1-1-1-1", siblings))
        ]
        chain, other = (rounds_of(pair, PROMPT, lane) for lane in lanes)
        assert list(map(choices, chain)) == list(map(choices, other))


def test_one_forward_for_each_level(monkeypatch):
    """The draft model sees each level of a tree in one forward, and the text once."""
    pair, shown = table_pair(5), []
    session = pair.draft.session

    def watched():
        made = session()
        forward = made.forward

        def counting(tokens, *rest):
            shown.append(list(tokens))
            return forward(tokens, *rest)

        made.forward = counting
        return made

    pair.draft.session = watched
    rounds = rounds_of(
        pair, PROMPT, Settings(rules.make("sps"), draft_length=3, max_new_tokens=4, drafter=tree("1-3-2"))
    )
    tokens = list(rounds[0].draft.tokens)
    assert shown[:3] == [list(PROMPT), tokens[:1], tokens[1:4]]


def test_traversal_on_a_chain_is_block_to_the_bit():
    """Also where it goes through the chain as through a tree: chances, residuals, what stays."""
    generator = torch.Generator().manual_seed(0)
    block, traversal = rules.make("block"), rules.make("traversal")
    for count in (1, 2, 5):
        both = torch.softmax(1.5 * torch.randn(2, 40, count, 6, generator=generator, dtype=torch.float64), -1)
        tokens, chain = torch.randint(6, (40, count), generator=generator), list(range(-1, count - 1))
        expected, verdict = block.verdict(*both, tokens), traversal.judge_tree(chain, *both, tokens)
        assert torch.equal(expected.accept_prob, verdict.accept_prob)
        assert torch.equal(expected.residual_probs, verdict.residual_probs)
        uniforms = torch.rand(40, count, generator=generator, dtype=torch.float64).tolist()
        for chances, numbers in zip(expected.accept_prob.tolist(), uniforms):
            assert block.walk(chain, chances, numbers) == traversal.walk(chain, chances, numbers)


@pytest.mark.parametrize("shape", ["1-1", "2-1"])
def test_traversal_keeps_more_than_judging_each_place(shape):
    """Expected tokens kept in a round, exact, at drafts of two places; both write the verifier's law."""
    pair = table_pair(3, exact=True)
    kept = {}
    for name in ("sps", "traversal"):
        lane = Settings(rules.make(name), draft_length=2, max_new_tokens=3, drafter=tree(shape))
        found = law(pair, PROMPT, lane)
        assert found.deviation < EXACT
        kept[name] = found.accepted
    assert kept["traversal"] > kept["sps"] + 1e-3


@pytest.mark.parametrize(
    "rule,mathematics,siblings",
    [
        ("sps", "recursive", "iid"),
        ("sps", "recursive", "without_replacement"),
        ("sps", "greedy_multi", "greedy"),
        ("sps", "recursive", "picked"),
        ("sampler_match", "naive", "iid"),
        ("sampler_match", "naive", "without_replacement"),
        ("sampler_match", "naive", "greedy"),
        ("k_seq", "k_seq", "iid"),
        ("cactus:delta=0.05", "cactus_set:delta=0.05", "picked"),
        ("cactus:delta=0.05,solver=exact", "cactus_set:delta=0.05,solver=exact", "picked"),
    ],
)
def test_a_lane_accepts_what_the_mathematics_says(rule, mathematics, siblings):
    """One place with three candidates: how often one of them is written, and the law, as `specviz.sets` has them."""
    pair = table_pair(4, exact=True)
    verifier, draft = pair.verifier.probs(PROMPT), pair.draft.probs(PROMPT)
    known = sets.parse(mathematics)
    found = law(
        pair, PROMPT, Settings(rules.parse(rule), draft_length=1, max_new_tokens=2, drafter=tree("3", siblings))
    )
    assert abs(found.accepted - float(known.acceptance(verifier, draft, 3, siblings))) < EXACT
    for token, chance in enumerate(known.law(verifier, draft, 3, siblings)):
        assert abs(found.written[(token,)] - chance) < EXACT


def test_the_recorded_divergence_of_a_lifted_set_is_that_of_its_law():
    """The eldest candidate bears what its place costs, within the budget of the exact solver; the younger cost nothing."""
    pair = table_pair(5)
    lane = Settings(rules.parse("cactus:delta=0.1,solver=exact"), drafter=tree("3-2", "picked"), max_new_tokens=40)
    rounds = run(pair, "aba", [lane]).finish().lanes[0].rounds
    for round_ in rounds:
        for node, spent in zip(round_.nodes, round_.column("kl_output_verifier")):
            eldest = round_.parents.index(round_.parents[node]) == node
            assert spent <= 0.1 + 1e-6 and (eldest or spent < 1e-6)
    assert max(max(round_.column("kl_output_verifier")) for round_ in rounds if round_.nodes) > 0.05


@pytest.mark.parametrize("siblings", DRAWINGS)
@pytest.mark.parametrize("rule", ["top_k:k=2", "tas:epsilon=0.3", "lenience", "cactus"])
def test_the_recorded_divergence_of_a_place_is_that_of_what_is_written(rule, siblings):
    """At the first place the eldest candidate bears KL(law || verifier) of the exact law, as enumerated; the younger bear
    nothing."""
    pair = table_pair(4, exact=True)
    lane = Settings(rules.parse(rule), draft_length=1, max_new_tokens=2, drafter=tree("3", siblings))
    written = law(pair, PROMPT, lane).written
    verifier = pair.verifier.probs(PROMPT)
    nats = float(dists.kl(torch.tensor([written[(token,)] for token in range(4)], dtype=torch.float64), verifier))
    first = next(iter(race(pair, PROMPT, [lane])))
    assert first.measures[0].columns["kl_output_verifier"] == pytest.approx(nats, abs=1e-10)
    assert all(abs(younger.columns["kl_output_verifier"]) < 1e-12 for younger in first.measures[1:])


@pytest.mark.parametrize("rule,allowed", [("k_seq", "iid")])
def test_candidates_that_came_otherwise_are_refused_in_words(rule, allowed):
    """A rule that needs to know how candidates came says so before a run."""
    for siblings in DRAWINGS:
        refusal = tree("2", siblings).refusal(rules.make(rule), table_pair(3))
        assert (refusal is None) == (siblings == allowed)
        assert not refusal or refusal.endswith(
            f"that come {siblings}, and {rule} judges several only if they come {allowed}."
        )


def test_candidates_that_survive_by_their_probability_are_caught(monkeypatch):
    """Drawn, looked at, and dropped where unlikely: what is written is no longer the verifier's law."""

    def pruned(draft, parent, probs, count, drawing):
        first = len(draft)
        offered = offer(draft, parent, probs, count, drawing)
        dropped = [node for node in offered if probs[draft.tokens[node]] < 0.25]
        for node in reversed(dropped):
            for column in (value for value in vars(draft).values() if isinstance(value, list) and len(value) > node):
                del column[node]
        draft._stacked = None
        return range(first, len(draft))

    pair = table_pair(4, exact=True)
    lane = Settings(rules.make("sps"), draft_length=1, max_new_tokens=2, drafter=tree("2"))
    assert law(pair, PROMPT, lane).deviation < EXACT
    monkeypatch.setattr("specviz.drafters.tree.offer", pruned)
    assert law(pair, PROMPT, lane).deviation > BROKEN


@pytest.fixture(scope="module")
def recorded():
    lane = Settings(rules.make("sps"), drafter=tree("2-2", "greedy"), max_new_tokens=9)
    return run(table_pair(5), "aba", [lane]).finish()


def test_a_trace_says_how_every_node_came(recorded):
    """Whether it was chosen, and how likely it was under its own law, also of nodes that were never judged; a chain has no
    such columns."""
    for round_ in recorded.lanes[0].rounds:
        if round_.is_chain:
            assert not round_.chosen and not round_.law_prob
            continue
        assert len(round_.chosen) == len(round_.law_prob) == len(round_.drafted)
        assert all(prob == 1 for prob, chosen in zip(round_.law_prob, round_.chosen) if chosen)
        assert 0 < min(round_.law_prob) and any(round_.chosen) and not all(round_.chosen)
        for node, prob in zip(round_.nodes, round_.judged["draft_prob"]):
            assert abs(round_.law_prob[node] - prob) < 1e-4


@pytest.mark.parametrize(
    "name,value,says",
    [
        ("chosen", [True], "chosen should be true or false for each drafted token"),
        ("chosen", [0] * 6, "chosen should be true or false for each drafted token"),
        ("chosen", None, "chosen should be a list"),
        ("law_prob", [0.5], "law_prob should be a probability for each drafted token"),
        ("law_prob", [2.0] * 6, "law_prob should be a probability for each drafted token"),
        ("law_prob", ["1"] * 6, "law_prob should be a probability for each drafted token"),
    ],
)
def test_what_is_said_of_nodes_is_checked(recorded, name, value, says):
    """Wrong columns name themselves; one without the other is lacking; a tree without both is one of an earlier time."""
    data = json.loads(json.dumps(recorded.to_data()))
    round_ = data["lanes"][0]["rounds"][0]
    assert len(round_["chosen"]) == 6
    del round_["chosen"], round_["law_prob"]
    assert Trace.from_json(signed(data)).lanes[0].rounds[0].chosen == []
    data = json.loads(json.dumps(recorded.to_data()))
    data["lanes"][0]["rounds"][0][name] = value
    with pytest.raises(ValueError, match=says):
        Trace.from_json(signed(data))
    del data["lanes"][0]["rounds"][0][name]
    with pytest.raises(ValueError, match=f"lacks '{name}'"):
        Trace.from_json(signed(data))
