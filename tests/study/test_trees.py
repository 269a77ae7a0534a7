"""How much of a tree is kept, and which shape pays: against enumeration, against all shapes, against runs."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from specviz import drafters, rules
from specviz.drafters.tree import widths
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.study.trees import best_shape, fastest_shape, kept_by_rank
from specviz.types import depths
from tests.support.pairs import table_pair


def every_outcome(rule, parents, accept):
    """How often each node is kept, by running the walk through every outcome of every test."""
    stays = [0.0] * len(parents)
    for passes in itertools.product([True, False], repeat=len(parents)):
        chance = 1.0
        for passed, prob in zip(passes, accept):
            chance *= prob if passed else 1 - prob
        for node in rule.walk(parents, accept, [0.0 if passed else 1.0 for passed in passes]).path:
            stays[node] += chance
    return stays


@pytest.mark.parametrize("name", rules.names())
def test_what_stays_is_what_the_walk_keeps_over_all_outcomes(name):
    """For random trees of up to seven nodes (chains under a rule that judges only those): the chance of each node."""
    rng, rule = random.Random(0), rules.make(name)
    for count in range(1, 8):
        tree = [rng.randrange(-1, node) for node in range(count)]
        for parents in (list(range(-1, count - 1)), *([tree] if rule.drawings else [])):
            accept = [rng.random() for _ in parents]
            assert rule.stays(parents, accept) == pytest.approx(every_outcome(rule, parents, accept), abs=1e-12)


def kept_and_expected(pair, prompt, rule, drafter, rounds, length=160):
    """[rounds, 2]: what each round of some runs kept, and what was expected of its draft."""
    pairs = []
    for seed in itertools.count():
        lane = Settings(rule, draft_length=3, max_new_tokens=length, drafter=drafter, seed=seed)
        for step in race(pair, prompt, [lane], measured=False):
            draft, judgement = step.result.draft, step.result.judgement
            if judgement is not None:
                pairs.append((len(step.result.walk.path), sum(rule.stays(draft.parents, judgement.accept_prob))))
            if len(pairs) == rounds:
                return torch.tensor(pairs, dtype=torch.float64)


def assert_as_expected(pairs):
    """What was kept less what was expected is within 4 standard errors of nothing: odds of a false alarm 1 in 15,000."""
    off = pairs[:, 0] - pairs[:, 1]
    assert abs(float(off.mean())) < 4 * float(off.std()) / len(off) ** 0.5


@pytest.mark.parametrize(
    "name,spec", [("traversal", "tree:shape=3-2-1"), ("sps", "dynamic:size=6"), ("block", "model")]
)
def test_what_runs_keep_is_what_is_expected(name, spec):
    """Tables of five tokens, 400 rounds."""
    assert_as_expected(kept_and_expected(table_pair(5), [0, 1], rules.make(name), drafters.parse(spec), 400))


def test_a_tree_keeps_more_than_a_chain_of_its_depth(pair):
    """The small pair at temperature 1, 200 rounds: as many as expected, and more than a chain of three tokens by more than 4
    standard errors of the difference of the expectations."""
    prompt, sps = pair.encode("Once upon a time", next(iter(pair.styles))), rules.make("sps")
    tree = kept_and_expected(pair, prompt, sps, drafters.parse("tree:shape=3-2-1"), 200)
    chain = kept_and_expected(pair, prompt, sps, drafters.make("model"), 200)
    assert_as_expected(tree)
    more = tree[:, 1].mean() - chain[:, 1].mean()
    assert more > 4 * ((tree[:, 1].var() + chain[:, 1].var()) / 200) ** 0.5


def trees(nodes):
    """All trees of so many nodes, as the parents of each, in the order of levels."""
    for parents in itertools.product(*(range(-1, node) for node in range(nodes))):
        if list(parents) == sorted(parents):
            yield parents


def written_by(parents, chances):
    """Tokens of a round: each node is kept with the product of the chances on its path."""
    stays, ranks = {-1: 1.0}, {}
    for node, parent in enumerate(parents):
        rank = ranks[parent] = ranks.get(parent, -1) + 1
        stays[node] = stays[parent] * (chances[rank] if rank < len(chances) else float("-inf"))
    return sum(stays.values())


@pytest.mark.parametrize("chances", [(0.6, 0.2, 0.1), (0.5, 0.5), (0.1, 0.4, 0.3), (0.9,)])
def test_the_best_shape_beats_all_shapes(chances):
    """Against every tree of up to six nodes and any number of levels; the text that it gives is that tree."""
    for nodes, levels in itertools.product(range(1, 7), (1, 2, 3, 6)):
        allowed = [parents for parents in trees(nodes) if max(depths(parents)) < levels]
        best = max(written_by(parents, chances) for parents in allowed)
        if best < 0:
            with pytest.raises(ValueError, match="no room for"):
                best_shape(chances, nodes, levels)
            continue
        found = best_shape(chances, nodes, levels)
        assert abs(found.written - best) < 1e-12
        assert sum(map(sum, widths(found.shape))) == nodes and len(widths(found.shape)) == found.levels <= levels
        assert drafters.make("tree", shape=found.shape).nodes(levels) == nodes


def test_the_fastest_shape_weighs_what_it_costs():
    """Levels that cost nothing and looks that cost nothing: as much as allowed. Dear levels: few. Dear nodes: one."""
    chances = (0.6, 0.2, 0.1)
    assert fastest_shape(chances, 12, 4, 0.0, lambda nodes: 1.0).nodes == 12
    assert fastest_shape(chances, 12, 4, 100.0, lambda nodes: 1.0).levels == 1
    assert fastest_shape(chances, 12, 4, 0.001, lambda nodes: nodes).nodes == 1


def test_chances_by_rank_are_counted_where_they_were_offered():
    """A place counts for a rank if it offered so many and was reached."""
    rounds = [([-1, -1, 0, 0, 1], [1, 4]), ([-1, -1], []), ([-1], [0])]
    assert kept_by_rank(rounds) == [2 / 4, 1 / 2]
