"""Prompt lookup: what is copied, where from, how far, and that it changes nothing but the speed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import drafters, rules
from specviz.drafters import Draft
from specviz.engine import batch
from specviz.engine.decode import alone
from specviz.prob import noise
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from specviz.types import Sampling
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import rounds_of, settings_of, written

LOSSLESS = [name for name in rules.names() if rules.get(name).lossless]


def proposed(proposer, text, budget=4, stop=frozenset()):
    """What a proposer drafts behind a text."""
    draft = Draft(len(text), budget, Sampling(), noise.Noise(0), 100, stop)
    alone(proposer.propose(list(text), draft))
    assert draft.is_chain and all(draft.chosen)
    return list(draft.tokens)


def copied(text, longest=3, budget=4, stop=frozenset()):
    return proposed(drafters.make("ngram", longest=longest).open(table_pair(3), None), text, budget, stop)


@pytest.mark.parametrize(
    "text,options,expected",
    [
        ([1, 2, 3, 1, 2], {}, [3, 1, 2]),  # the last two tokens stand at the beginning
        ([1, 2, 3, 9, 4, 2, 3, 8, 1, 2, 3], {}, [9, 4, 2, 3]),  # three tokens are looked up first
        ([4, 2, 3, 8, 1, 2, 3, 9, 1, 2, 3], {}, [9, 1, 2, 3]),  # ... though two of them stand earlier
        ([4, 2, 3, 8, 1, 2, 3, 9, 1, 2, 3], {"longest": 2}, [8, 1, 2, 3]),
        ([3, 7, 5, 3, 8, 1, 3], {}, [7, 5, 3, 8]),  # one token, where no more is found; the earliest place counts
        ([3, 7, 5, 3, 8, 1, 3], {"budget": 2}, [7, 5]),
        ([3, 7, 5, 3, 8, 1, 3], {"stop": frozenset({5})}, [7, 5]),  # nothing follows the end of a text
        ([5, 5], {}, [5]),  # no further than the text goes
        ([5, 5, 5, 5], {}, [5]),  # three of them stand one place earlier
        ([5, 5, 5, 5], {"longest": 1}, [5, 5, 5]),
        ([1, 2, 3, 4, 5], {}, []),  # nothing repeats
        ([7], {}, []),
        ([1, 2, 1, 2], {"longest": 16}, [1, 2]),
    ],
)  # fmt: skip
def test_what_is_copied(text, options, expected):
    """By hand: the longest run first, then the earliest place; up to the budget, the end of text, and the end of the text."""
    assert copied(text, **options) == expected


def by_search(text, longest, budget):
    """The same by looking through the whole text."""
    for n in range(min(longest, len(text) - 1), 0, -1):
        for start in range(len(text) - n):
            if text[start : start + n] == text[-n:]:
                return text[start + n : start + n + budget]
    return []


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    text=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    longest=st.integers(1, 5),
    budget=st.integers(1, 6),
    steps=st.lists(st.integers(1, 9), max_size=8),
)
def test_a_text_that_grows_is_looked_up_like_a_new_one(text, longest, budget, steps):
    """Asked again and again while its text grows, a proposer copies what a search through the whole text finds."""
    proposer = drafters.make("ngram", longest=longest).open(table_pair(3), None)
    length = 1
    for step in [*steps, 40]:
        length = min(len(text), length + step)
        assert proposed(proposer, text[:length], budget) == by_search(text[:length], longest, budget)


def test_nothing_is_drafted_where_nothing_repeats():
    """A text without repetitions is decoded as by the verifier alone: a round for each token, none of them drafted."""
    pair = table_pair(26)
    for seed in range(20):
        rounds = rounds_of(pair, [0], settings_of("sps", drafter=drafters.make("ngram"), max_new_tokens=12, seed=seed))
        text = [0]
        for round_ in rounds:
            assert bool(len(round_.draft)) == (round_.draft.budget > 0 and text[-1] in text[:-1])
            if not len(round_.draft):
                assert round_.origin == "bonus" and len(round_.emitted) == 1 and round_.judgement is None
            text += round_.emitted


def test_it_works_without_a_draft_model():
    """Alone, in a batch and in a trace that is saved, read and verified; the drafter that needs a model says so."""
    pair, seen = table_pair(3, drafting=False), 0
    lanes = [
        settings_of(name, drafter=drafters.make("ngram"), max_new_tokens=40)
        for name in ("plain", "sps", "tas", "block")
    ]
    trace = run(pair, "abcab", lanes).finish()
    assert set(trace.models) == {"verifier"}
    again = Trace.from_json(trace.to_json())
    assert again == trace and verify(again, pair)[0]
    for lane in trace.lanes[1:]:
        seen += sum(round_.kept for round_ in lane.rounds)
        assert lane.drafter == drafters.make("ngram")
    assert seen > 0
    texts = batch.write(pair, [(trace.prompt_tokens, settings) for settings in lanes])
    assert [text.tokens for text in texts] == [lane.tokens for lane in trace.lanes]
    with pytest.raises(ValueError, match="The drafter model needs a draft model, and only a verifier is loaded"):
        run(pair, "abcab", [settings_of("sps")])


@pytest.mark.parametrize("name", LOSSLESS)
def test_it_writes_what_the_verifier_would(name):
    """For all lossless rules, exactly, with a draft that is there from the first round on and one that comes later."""
    for prompt in ((0, 1, 0), (0, 1)):
        pair = table_pair(3, exact=True)
        lane = settings_of(name, drafter=drafters.make("ngram"), max_new_tokens=4, draft_length=2)
        found = law(pair, prompt, lane)
        assert max(abs(found.written[text] - chance) for text, chance in pair.verifier.law(prompt, 4).items()) < 1e-12
        assert prompt == (0, 1) or found.accepted > 0


@pytest.mark.parametrize("name", [*LOSSLESS, "exact_match"])
def test_a_greedy_text_is_that_of_plain_greedy_decoding(name):
    """At temperature 0, token for token, in fewer rounds where the text goes in circles."""
    generator, fewer = random.Random(1), 0
    for _ in range(10):
        pair, prompt = table_pair(3), [generator.randrange(3) for _ in range(4)]
        greedy = {"sampling": Sampling(temperature=0), "max_new_tokens": 60}
        plain = rounds_of(pair, prompt, settings_of("plain", **greedy))
        copying = rounds_of(pair, prompt, settings_of(name, drafter=drafters.make("ngram"), **greedy))
        assert written(plain) == written(copying)
        fewer += len(copying) < len(plain) / 2
    assert fewer > 5
