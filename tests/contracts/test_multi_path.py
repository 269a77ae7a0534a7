"""Multi-path block verification: the law of the best path against enumeration, whole texts exactly, a chain as `block`."""

from __future__ import annotations

import itertools

import pytest
import torch

from specviz import drafters, rules
from specviz.engine.settings import Settings
from specviz.prob import dists
from specviz.rules import multi_path
from specviz.rules.base import children
from specviz.types import Sampling
from tests.support.laws import law
from tests.support.pairs import table_pair

RULE = rules.make("multi_path")
SHAPES = {"3-1": [[-1, -1, -1], [0, 1, 2]], "2-2": [[-1, -1], [0, 0, 1, 1]]}  # parents of each level


def models(seed):
    """Verifier and draft: what they say first [3], and behind each token [3, 3]; a token that one of them rules out."""
    generator = torch.Generator().manual_seed(seed)
    probs = torch.softmax(1.5 * torch.randn(2, 4, 3, generator=generator, dtype=torch.float64), -1)
    if seed % 2:
        probs[0, 1] = torch.tensor([0.0, 0.25, 0.75])
        probs[1, 2] = torch.tensor([0.625, 0.0, 0.375])
    return probs


def drafts(shape, draft):
    """Every way in which a tree may come: parents, tokens [m], the row of the tables behind which each stands, its chance."""
    parents = [parent for level in SHAPES[shape] for parent in level]
    for tokens in itertools.product(range(3), repeat=len(parents)):
        rows = [0 if parent < 0 else 1 + tokens[parent] for parent in parents]
        chance = float(draft[rows, tokens].prod())
        if chance > 0:
            yield parents, torch.tensor(tokens), rows, chance


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_the_law_of_the_best_path(shape, seed):
    """Of all trees that may come the shares of those whose best path is a given one: what the rule says, token by token."""
    verifier, draft = models(seed)
    shares, stated = {}, {}
    for parents, tokens, rows, chance in drafts(shape, draft):
        behind = children(parents)
        path = multi_path._best_path(parents, behind, verifier[rows], draft[rows], tokens)
        first, second = tokens[path].tolist()
        laws = multi_path._law_of_best(behind, path, verifier[rows], draft[rows], tokens)
        shares[first, second] = shares.get((first, second), 0.0) + chance
        stated[first, second] = float(laws[0, first] * laws[1, second])
        assert torch.allclose(laws.sum(-1), torch.ones(2, dtype=torch.float64))
    assert sum(shares.values()) == pytest.approx(1, abs=1e-12)
    assert stated == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize("shape,stop", [("3-1", frozenset({1})), ("2-1-1", frozenset())])
def test_whole_texts_have_the_verifiers_law(shape, stop):
    """All tokens of a round and the one behind them, by every way that noise may fall; also where a token ends the text.
    (One place, and trees of two candidates for each of two places, are in the contract of every rule.)"""
    length, pair = len(shape.split("-")), table_pair(2, exact=True, stop=stop)
    drafter = drafters.make("tree", shape=shape, siblings="iid")
    found = law(pair, (0, 1, 0), Settings(RULE, draft_length=length, max_new_tokens=length + 1, drafter=drafter))
    assert found.deviation < 1e-12 and abs(found.written[()] - 1) < 1e-12


def test_a_draft_judged_with_the_law_of_one_path_is_caught(monkeypatch):
    """The best path was not drawn from the draft model's law."""
    monkeypatch.setattr(multi_path, "_law_of_best", lambda behind, path, verifier, draft, token: draft[path])
    drafter = drafters.make("tree", shape="3", siblings="iid")
    lane = Settings(RULE, draft_length=1, max_new_tokens=2, drafter=drafter)
    assert law(table_pair(3, exact=True), (0, 1, 0), lane).deviation > 1e-3


def test_a_chain_is_judged_as_block_does():
    """One path is the best: the same numbers to float arithmetic, and the same walk."""
    generator, block, chain = torch.Generator().manual_seed(0), rules.make("block"), (-1, 0, 1)
    for _ in range(20):
        both = dists.to_probs(2 * torch.randn(2, 1, 3, 5, generator=generator, dtype=torch.float64), Sampling())
        tokens = torch.randint(5, (1, 3), generator=generator)
        expected, verdict = block.verdict(*both, tokens), RULE.judge_tree(chain, *both, tokens)
        torch.testing.assert_close(verdict.accept_prob, expected.accept_prob, atol=1e-14, rtol=0)
        torch.testing.assert_close(verdict.residual_probs, expected.residual_probs, atol=1e-12, rtol=0)
        for numbers in torch.rand(20, 3, generator=generator).tolist():
            chances = expected.accept_prob[0].tolist()
            ours, theirs = RULE.walk(chain, chances, numbers), block.walk(chain, chances, numbers)
            assert (ours.path, ours.refused) == (theirs.path, theirs.refused)


def test_three_paths_keep_more_than_one():
    """And an uneven tree is refused in words."""
    pair, kept = table_pair(2, exact=True), []
    for shape in ("1-1", "2-1", "3-1"):
        drafter = drafters.make("tree", shape=shape, siblings="iid")
        kept.append(law(pair, (0, 1, 0), Settings(RULE, draft_length=2, max_new_tokens=3, drafter=drafter)).accepted)
    assert kept[0] + 1e-3 < kept[1] < kept[2]
    refusal = drafters.make("tree", shape="2-2.1", siblings="iid").refusal(RULE, pair)
    assert refusal.endswith("more for some nodes of a level than for others, and multi_path judges only even trees.")
