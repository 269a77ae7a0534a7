"""The draft: a tree that holds each token with its law, at its place, with noise of its own, and no more than is looked at."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.drafters import Draft
from specviz.drafters.draft import TEXT
from specviz.prob import dists, noise
from specviz.types import Sampling

VOCABULARY, STOP = 4, 3
SOFT = torch.tensor([0.4, 0.3, 0.2, 0.1])


def empty(budget=4, start=7, attempt=0, stop=frozenset({STOP})):
    return Draft(start, budget, Sampling(), noise.Noise(5), VOCABULARY, stop, attempt)


# A node is its parent, counted back from the newest (the text, if there are not so many), and its token (None: drawn).
trees = st.lists(
    st.tuples(st.integers(0, 6), st.one_of(st.none(), st.integers(0, VOCABULARY - 1))), min_size=0, max_size=14
)


def grown(nodes, draft):
    """The draft with these nodes added; room was not asked for."""
    for back, token in nodes:
        parent = max(TEXT, len(draft) - 1 - back)
        if token is None:
            draft.draw(SOFT, parent)
        else:
            draft.pick(token, parent)
    return draft


def depths(parents):
    """How many nodes lead to each node, itself included."""
    found = []
    for parent in parents:
        found.append(1 if parent == TEXT else found[parent] + 1)
    return found


def ancestors(parents, node):
    """The nodes that lead to one, the nearest first."""
    path = []
    while (node := parents[node]) != TEXT:
        path.append(node)
    return path


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(nodes=trees, budget=st.integers(0, 4))
def test_cutting_drops_exactly_what_is_never_looked_at(nodes, budget):
    """A node stays iff no ancestor ends the text and its depth is within the budget; those that stay keep their order,
    tokens, laws, parents and noise; a second cut changes nothing."""
    whole, cut = grown(nodes, empty(budget)), grown(nodes, empty(budget))
    cut.cut()
    far, stay = depths(whole.parents), []
    for node in range(len(whole)):
        if far[node] <= budget and not any(whole.tokens[above] == STOP for above in ancestors(whole.parents, node)):
            stay.append(node)
    assert cut.tokens == tuple(whole.tokens[node] for node in stay)
    assert cut.chosen == tuple(whole.chosen[node] for node in stay)
    number = {TEXT: TEXT} | {old: new for new, old in enumerate(stay)}
    assert cut.parents == tuple(number[whole.parents[node]] for node in stay)
    assert all(-1 <= parent < node for node, parent in enumerate(cut.parents))
    assert cut.depth == max((far[node] for node in stay), default=0)
    assert cut.is_chain == (list(cut.parents) == list(range(-1, len(stay) - 1)))
    uniforms = whole.uniforms()
    assert cut.uniforms() == [uniforms[node] for node in stay]
    if stay:
        assert torch.equal(cut.probs, whole.probs[stay])
    before = (cut.tokens, cut.parents, cut.chosen)
    cut.cut()
    assert (cut.tokens, cut.parents, cut.chosen) == before


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(nodes=trees, budget=st.integers(0, 4))
def test_there_is_room_where_a_cut_would_leave_a_node(nodes, budget):
    """`room` of a node that stays says whether one more behind it would stay; of the newest node, if none is named."""
    draft = grown(nodes, empty(budget))
    draft.cut()
    for parent in range(TEXT, len(draft)):
        more = grown(nodes, empty(budget))
        more.cut()
        more.pick(0, parent)
        more.cut()
        assert draft.room(parent) == (len(more) > len(draft))
    assert draft.room() == draft.room(len(draft) - 1)


def test_a_node_has_its_place_and_branch():
    """A node's place is its depth behind the text, its branch the how-manieth of that depth it is; both key its noise, and
    so does the attempt. Branch 0 of a chain is the stream that chains always had."""
    for attempt in (0, 7):
        source, draft = noise.Noise(5), empty(attempt=attempt)
        places = [(TEXT, 0, 0), (0, 1, 0), (TEXT, 0, 1), (2, 1, 1), (0, 1, 2), (1, 2, 0), (TEXT, 0, 2)]
        for parent, depth, branch in places:
            drawn = dists.draw_token(SOFT, source.exponentials(noise.DRAFT, 7 + depth, VOCABULARY, attempt, branch))
            assert draft.draw(SOFT, parent) == drawn
        assert draft.uniforms() == [source.uniforms(7 + depth, 1, attempt, branch)[0] for _, depth, branch in places]
        assert not draft.is_chain and draft.depth == 3
        chain = empty(attempt=attempt)
        for _ in range(4):
            chain.draw(SOFT)
        assert chain.is_chain and chain.parents == (-1, 0, 1, 2)
        assert chain.uniforms() == source.uniforms(7, 4, attempt)
        assert chain.tokens == tuple(
            dists.draw_token(SOFT, source.exponentials(noise.DRAFT, 7 + depth, VOCABULARY, attempt))
            for depth in range(4)
        )


def test_no_number_is_drawn_twice():
    """All nodes of a tree draw with different noise and are tested with different uniforms."""
    draft = empty(stop=frozenset())
    flat = torch.full((VOCABULARY,), 1 / VOCABULARY)
    frontier = [TEXT]
    for _ in range(3):
        frontier = [node for parent in frontier for node in _children(draft, parent, flat, 3)]
    assert len(draft) == 3 + 9 + 27 and len(set(draft.uniforms())) == len(draft)
    assert len(set(draft.tokens[12:])) > 1  # 27 draws with one noise would all be the same


def _children(draft, parent, probs, count):
    first = len(draft)
    for _ in range(count):
        draft.draw(probs, parent)
    return range(first, len(draft))


def test_every_node_has_its_law():
    """`probs` is [m, V]: what a drawn token came from, and for a chosen one all on that token, in the dtype of the others."""
    draft = empty(stop=frozenset())
    draft.pick(2)
    assert draft.probs.shape == (1, VOCABULARY) and draft.probs.tolist() == [[0, 0, 1, 0]]
    other = torch.tensor([0.0, 0.0, 0.5, 0.5], dtype=torch.float64)
    draft.draw(other, TEXT)
    draft.pick(1, 0)
    assert draft.chosen == (True, False, True) and draft.tokens[1] in (2, 3)
    assert draft.probs.shape == (3, VOCABULARY) and draft.probs.dtype == torch.float64
    assert draft.probs.tolist() == [[0, 0, 1, 0], other.tolist(), [0, 1, 0, 0]]
    assert draft.path([0, 2]) == [2, 1]


def test_a_parent_is_an_earlier_node_or_the_text():
    """Anything else is a sentence, and leaves the draft as it was."""
    draft = empty()
    draft.pick(1)
    for parent in (-2, 1, 5):
        with pytest.raises(ValueError, match=f"follows the text .* or one of the 1 nodes before it; got {parent}"):
            draft.pick(0, parent)
        with pytest.raises(ValueError, match="follows the text"):
            draft.draw(SOFT, parent)
    assert draft.tokens == (1,) and draft.parents == (-1,)
