"""Drafts that branch: every token of a tree is told what it would be told behind its ancestors alone, and what is kept
of a tree is as if nothing else had ever been seen. And the hidden states of a model are the library's own."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import backends
from specviz.backends import Forward, graphed
from specviz.backends.hub import Transformers
from specviz.backends.session import Tree
from specviz.backends.static_llama import StaticLlama
from specviz.types import ModelError
from tests.backends.test_backends import make_llama, make_mistral
from tests.support.table import TableModel

WAYS = ["static", "static, grouped", "transformers", "arena", "table"]  # to run one text
CLOSE = dict(atol=3e-4, rtol=1e-4)  # float32 by another way through the same sums


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Way -> its model."""
    root = tmp_path_factory.mktemp("trees")
    plain, grouped = make_llama(root / "plain", groups=4, layers=3), make_llama(root / "grouped", layers=3)
    models = {
        "static": StaticLlama(plain),
        "static, grouped": StaticLlama(grouped),
        "transformers": Transformers(grouped),
        "arena": Transformers(grouped),
        "table": TableModel(300, seed=1),
    }
    return models


def session(models, way):
    return graphed.GraphedSession(models[way]) if way == "arena" else models[way].session()


def random_tree(rng: random.Random, most: int = 12, chain: int = 0) -> list[int]:
    """The parents of a tree; the first `chain` tokens follow each other, as a text not seen yet would."""
    parents = list(range(-1, chain - 1))
    return parents + [
        rng.randrange(-1 if not chain else chain - 1, i) for i in range(chain, chain + rng.randint(2, most))
    ]


def path_to(parents: list[int], node: int) -> list[int]:
    path = []
    while node >= 0:
        path.insert(0, node)
        node = parents[node]
    return path


@pytest.mark.parametrize("way", WAYS)
def test_a_node_is_told_what_its_path_alone_would_be_told(made, way):
    """Random trees behind random texts, some with text not seen yet in front of the nodes, some chains: logits of every
    node, and features of every node, against a fresh session fed the path from the root. Then a random path is kept,
    and what follows is what follows that text."""
    model, rng = made[way], random.Random(way)
    layers = {0, 1, model.layers}
    for _ in range(4):
        text, one, fresh = [rng.randrange(300) for _ in range(rng.randint(1, 9))], session(made, way), model.session()
        one.forward(text)
        fresh.forward(text)
        for _ in range(3):
            parents = random_tree(rng, chain=rng.choice([0, 0, 3]))
            tokens = [rng.randrange(300) for _ in parents]
            keep = rng.choice([1, len(tokens)])
            seen = one.forward(tokens, keep, parents, features=layers)
            assert seen.logits.shape == (keep, model.vocabulary) and one.length == len(text) + len(tokens)
            for node in range(len(tokens)):
                alone = fresh.forward([tokens[i] for i in path_to(parents, node)], 1, features=layers)
                fresh.rollback(len(text))
                if node >= len(tokens) - keep:
                    torch.testing.assert_close(seen.logits[node - len(tokens) + keep], alone.logits[-1], **CLOSE)
                for layer in layers:
                    torch.testing.assert_close(seen.features[layer][node], alone.features[layer][-1], **CLOSE)
            path = path_to(parents, rng.randrange(-1, len(tokens)))
            one.settle(path)
            text += [tokens[i] for i in path]
            assert one.length == len(text)
            fresh = model.session()
            fresh.forward(text)
        more = [rng.randrange(300) for _ in range(3)]
        torch.testing.assert_close(one.forward(more).logits, fresh.forward(more).logits, **CLOSE)


def test_an_arena_grows_under_a_tree(made):
    """A tree that outgrows the cache moves with the text, and can still be settled."""
    model = made["arena"]
    model.arenas[:] = [graphed.Arena(model.network, 16)]
    arena, one = model.arenas[0], graphed.GraphedSession(model)
    text, parents = list(range(50, 62)), [-1, 0, 0, 1, 2, 2, 5, 6]
    one.forward(text)
    assert arena._cache.where.positions == 16
    one.forward(list(range(8)), parents=parents)
    one.settle([0, 2, 5, 6])
    assert one._arena is arena and arena._cache.where.positions == 32
    fresh = made["transformers"].session().forward([*text, 0, 2, 5, 6, 9], 1)
    torch.testing.assert_close(one.forward([9]).logits, fresh.logits, **CLOSE)


@pytest.mark.parametrize("way", WAYS)
def test_settling_a_chain_is_rolling_back(made, way):
    """Of a chain any prefix can be kept, all of it and nothing too; and parents that say it is a chain say nothing new."""
    for kept in (0, 2, 4):
        one, other = session(made, way), made[way].session()
        one.forward([1, 2, 3])
        torch.testing.assert_close(
            one.forward([4, 5, 6, 7], parents=[-1, 0, 1, 2]).logits,
            made[way].session().forward([1, 2, 3, 4, 5, 6, 7], 4).logits,
            **CLOSE,
        )
        one.settle(range(kept))
        other.forward([1, 2, 3, 4, 5, 6, 7][: 3 + kept])
        assert one.length == other.length == 3 + kept
        torch.testing.assert_close(one.forward([9]).logits, other.forward([9]).logits, **CLOSE)


@pytest.mark.parametrize("way", WAYS)
def test_rolling_back_behind_a_tree(made, way):
    """A tree that nobody settled is forgotten by a rollback to the text before it, or into the chain it begins with; a
    rollback that would leave branches raises."""
    parents = [-1, 0, 1, 1, 2]  # two tokens of text, then two branches
    for length in (2, 3, 5):
        one = session(made, way)
        one.forward([1, 2, 3])
        one.forward([4, 5, 6, 7, 8], parents=parents)
        one.rollback(length)
        fresh = made[way].session()
        fresh.forward([1, 2, 3, 4, 5][:length])
        torch.testing.assert_close(one.forward([9]).logits, fresh.forward([9]).logits, **CLOSE)
    one = session(made, way)
    one.forward([1, 2, 3, 4], parents=[-1, 0, 0, 2])
    with pytest.raises(ValueError, match="no path"):
        one.rollback(3)


@pytest.mark.parametrize("way", WAYS)
def test_what_makes_no_sense_is_refused_and_changes_nothing(made, way):
    """Wrong parents, paths and layers, and a forward or a settling at the wrong time, are each a ValueError in a
    sentence; the text is as it was."""
    one = session(made, way)
    with pytest.raises(ValueError, match="nothing to settle"):
        one.settle([])
    one.forward([1, 2, 3])
    for parents, says in (
        ([-1, 0], "Each of the 3 tokens"),
        ([-1, 1, 0], "an earlier token, from -1 to 0; got 1"),
        ([-2, 0, 1], "from -1 to -1; got -2"),
        ([0, 0, 1], "got 0"),
    ):
        with pytest.raises(ValueError, match=says):
            one.forward([4, 5, 6], parents=parents)
    for layers in ([-1], [made[way].layers + 1]):
        with pytest.raises(ValueError, match=f"hidden states 0 to {made[way].layers}"):
            one.forward([4], features=layers)
    assert one.length == 3
    one.forward([4, 5, 6, 7], parents=[-1, 0, 0, 1])
    with pytest.raises(ValueError, match="branched; settle"):
        one.forward([8])
    for path in ([1], [0, 3], [0, 1, 2], [0, 4], [-1], [3, 1, 0]):
        with pytest.raises(ValueError, match="no path"):
            one.settle(path)
    one.settle([0, 1, 3])
    with pytest.raises(ValueError, match="nothing to settle"):
        one.settle([0])
    fresh = made[way].session().forward([1, 2, 3, 4, 5, 7, 8], 1).logits
    torch.testing.assert_close(one.forward([8]).logits, fresh, **CLOSE)
    one.rollback(6)
    with pytest.raises(ValueError, match="nothing to settle"):
        one.settle([])


@pytest.mark.parametrize("way", ["static", "static, grouped", "transformers", "arena"])
def test_a_tree_is_as_long_as_its_deepest_path(made, way):
    """At the end of what a model holds (128 tokens) a tree may have more nodes than positions are left, but no path
    longer than these."""
    text = [random.Random(2).randrange(300) for _ in range(125)]
    one = session(made, way)
    one.forward(text)
    parents = [-1] * 90 + [0, 90]
    seen = one.forward(list(range(92)), parents=parents)
    fresh = made[way].session().forward([*text, 0, 90, 91], 1)
    torch.testing.assert_close(seen.logits[91], fresh.logits[0], **CLOSE)
    one.settle([89])
    with pytest.raises(ModelError, match="longer than the 128 tokens"):
        one.forward([1, 2, 3, 4], parents=[-1, 0, 1, 1])
    torch.testing.assert_close(
        one.forward([5, 6], parents=[-1, -1]).logits[1],
        made[way].session().forward([*text, 89, 6], 1).logits[0],
        **CLOSE,
    )


@pytest.mark.parametrize("keeps", [True, False])
def test_a_long_text_and_a_tree_in_one_forward_on_a_gpus_way(made, monkeypatch, keeps):
    """A prompt in pieces with the tree at its end, whichever logits the library gives."""
    monkeypatch.setattr(graphed, "MANY", 7)
    monkeypatch.setattr(made["arena"].network, "keeps", keeps)
    text = [random.Random(5).randrange(300) for _ in range(40)]
    parents = [*range(-1, 39), 39, 39, 40, 40, 42]
    one = graphed.GraphedSession(made["arena"])
    for keep in (1, 6, 30):
        seen = one.forward([*text, 1, 2, 3, 4, 5], keep, parents, [2])
        fresh = made["transformers"].session().forward([*text, 1, 3, 5], features=[2])
        torch.testing.assert_close(seen.logits[-1], fresh.logits[-1], **CLOSE)
        torch.testing.assert_close(seen.features[2][[*range(41), 42, 44]], fresh.features[2], **CLOSE)
        assert len(seen.logits) == keep
        one.settle([])


@pytest.mark.parametrize("backend", [StaticLlama, Transformers])
def test_trees_in_a_batch(tmp_path, backend):
    """Rows with chains, rows with trees and rows that take no part, which settle, forget, end and make room in any order,
    give the logits and features of sessions that never shared a forward."""
    model, rng = backend(make_llama(tmp_path)), random.Random(3)
    shared, texts, trees = model.batch(rows=5, positions=110), {}, 0
    for _ in range(50):
        if len(texts) < 5 and (not texts or rng.random() < 0.4):
            texts[shared.session()] = []
        asked = []
        for one in rng.sample(list(texts), rng.randint(1, len(texts))):
            parents = random_tree(rng, most=6) if rng.random() < 0.5 else list(range(-1, rng.randint(0, 4)))
            tokens = [rng.randrange(300) for _ in parents]
            layers = rng.choice([(), (0,), (1, 2)])
            asked.append(Forward(one, tokens, rng.randint(1, len(tokens)), parents, layers))
        for (one, tokens, keep, parents, layers), seen in zip(asked, shared.forward(asked), strict=True):
            assert len(seen.logits) == keep and set(seen.features) == set(layers)
            trees += not Tree(parents).is_chain
            alone = model.session()
            if texts[one]:
                alone.forward(texts[one])
            for node in range(len(tokens)):
                fresh = alone.forward([tokens[i] for i in path_to(parents, node)], 1, features=layers)
                alone.rollback(len(texts[one]))
                if node >= len(tokens) - keep:
                    torch.testing.assert_close(seen.logits[node - len(tokens) + keep], fresh.logits[-1], **CLOSE)
                for layer in layers:
                    torch.testing.assert_close(seen.features[layer][node], fresh.features[layer][-1], **CLOSE)
            if rng.random() < 0.2:
                one.rollback(len(texts[one]))
                continue
            path = path_to(parents, rng.randrange(len(tokens)))
            one.settle(path)
            texts[one] += [tokens[i] for i in path]
        for one in [one for one in texts if len(texts[one]) > 40 or rng.random() < 0.1]:
            shared.release(one)
            del texts[one]
    assert trees > 20
    narrow = model.batch(rows=1, positions=10).session()
    narrow.forward([1] * 8)
    with pytest.raises(ModelError, match="longer than the 10 tokens it has room for"):
        narrow.forward([1, 2, 3], parents=[-1, -1, -1])


def test_features_are_the_librarys_hidden_states(made):
    """Every layer of both backends against output_hidden_states of transformers' own forward; a layer not asked for is
    not there."""
    tokens = [random.Random(7).randrange(300) for _ in range(20)]
    network = made["transformers"].network.model
    with torch.inference_mode():
        wanted = network(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    for way in ("transformers", "arena", "static, grouped"):
        one = session(made, way)
        seen = [one.forward(tokens[:13], 1, features=range(4)), one.forward(tokens[13:], 2, features=[3, 1])]
        assert set(seen[1].features) == {1, 3} and seen[0].features[2].shape == (13, 64)
        for layer in range(4):
            torch.testing.assert_close(seen[0].features[layer], wanted[layer][0, :13], **CLOSE)
        for layer in (1, 3):
            torch.testing.assert_close(seen[1].features[layer], wanted[layer][0, 13:], **CLOSE)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_masks_and_depths_by_definition(choices, before):
    """A token sees the text, its ancestors and itself; its depth is the number of its ancestors."""
    parents = [choice % (i + 1) - 1 for i, choice in enumerate(choices)]
    tree, count = Tree(parents), len(parents)
    mask = tree.mask(before, before + count + 3)
    assert mask.shape == (count, before + count + 3)
    for node in range(count):
        path = path_to(parents, node)
        assert tree.depths[node] == len(path) - 1
        seen = {slot for slot in range(before + count + 3) if mask[node, slot] == 0}
        assert seen == {*range(before), *(before + i for i in path)}
    assert tree.is_chain == (parents == list(range(-1, count - 1)))


def test_a_model_with_a_window_says_that_it_cannot(tmp_path):
    """Where the attention cannot be told by a mask, a tree is refused in a sentence, alone and in a batch; a chain is
    fine, and so are features."""
    make_mistral(tmp_path)
    model = backends.load(str(tmp_path))
    assert model.can == {"features", "begin"}
    for one in (model.session(), model.batch(2, 40).session()):
        with pytest.raises(ValueError, match="cannot look at drafts that branch"):
            one.forward([1, 2, 3], parents=[-1, 0, 0])
        assert one.forward([1, 2, 3], parents=[-1, 0, 1], features=[2]).features[2].shape == (3, 32)
        one.settle([0, 1])
        assert one.length == 2


USUAL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4)


@pytest.mark.parametrize(
    "kind,sizes,can",
    [
        ("gpt2", dict(n_embd=32, n_layer=2, n_head=4), True),
        ("opt", dict(**USUAL, ffn_dim=48, word_embed_proj_dim=32), True),
        ("qwen3", dict(**USUAL, intermediate_size=48, num_key_value_heads=2, head_dim=8), True),
        ("falcon", dict(**USUAL), True),
        ("falcon", dict(**USUAL, alibi=True), False),
        ("gpt_neo", dict(hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]]), False),
    ],
)
def test_what_models_of_other_shapes_say_of_themselves_is_true(kind, sizes, can, tmp_path):
    """Learned, rotary and no positions: a model that says it can look at a tree does so exactly, and those whose
    attention goes by the place in the cache say that they cannot. Features come from all, and all can stop behind a layer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **sizes, vocab_size=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = Transformers(str(tmp_path))
    assert model.can == {"features", "begin"} | ({"tree", "ahead"} if can else set()) and model.layers == 2
    one, fresh = model.session(), model.session()
    seen, wanted = one.forward([5, 6, 7], features=[0, 1, 2]), fresh.forward([5, 6, 7], features=[0, 1, 2])
    assert [states.shape for states in seen.features.values()] == [(3, 32)] * 3
    torch.testing.assert_close(seen.features[2], wanted.features[2])
    torch.testing.assert_close(model.session().begin([5, 6, 7], 1), wanted.features[1])
    if can:
        seen = one.forward([8, 9, 10, 11], parents=[-1, 0, 0, 2], features=[1])
        wanted = fresh.forward([8, 10, 11], features=[1])
        torch.testing.assert_close(seen.logits[[0, 2, 3]], wanted.logits, **CLOSE)
        torch.testing.assert_close(seen.features[1][[0, 2, 3]], wanted.features[1], **CLOSE)
        one.settle([0, 2, 3])
        torch.testing.assert_close(one.forward([12]).logits, fresh.forward([12]).logits, **CLOSE)
