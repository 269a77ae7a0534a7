"""What the drafters that need no model, or two, draft: by hand, by brute force, and without changing what is written."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import drafters, rules
from specviz.drafters import Draft, stand
from specviz.drafters.asks import Looked
from specviz.drafters.draft import Provenance
from specviz.engine.decode import alone
from specviz.prob import noise
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from specviz.types import Sampling
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import rounds_of, settings_of

LOSSLESS = [name for name in rules.names() if rules.get(name).lossless]
KNOBS = (
    "model:tokens=chosen", "head:tokens=chosen", "suffix:tokens=drawn", "stand:shortest=1", "stand:shortest=1,tokens=chosen",
    "hybrid:shortest=1", "hybrid:first=ngram,then=head,shortest=2", "lookahead:most=2",
)  # fmt: skip


def drafted(proposer, text, budget=8, vocabulary=10):
    draft = Draft(len(text), budget, Sampling(), noise.Noise(0), vocabulary)
    alone(proposer.propose(list(text), draft))
    return draft


def opened(spec):
    return drafters.parse(spec).open(table_pair(3), None)


@pytest.mark.parametrize("spec", KNOBS)
@pytest.mark.parametrize("name", LOSSLESS)
def test_it_writes_what_the_verifier_would_at_other_knobs(name, spec):
    """Exactly, for all lossless rules; `chosen` tokens are judged as chosen ones."""
    pair = table_pair(2, exact=True)
    lane = settings_of(name, drafter=drafters.parse(spec), max_new_tokens=4, draft_length=2)
    found = law(pair, (0, 1, 0), lane)
    assert max(abs(found.written[text] - chance) for text, chance in pair.verifier.law((0, 1, 0), 4).items()) < 1e-12
    assert found.accepted > 0


@pytest.mark.parametrize("spec", [*KNOBS, "suffix", "stand"])
def test_their_traces_verify(spec):
    """Saved, read again, run again: the same drafts, and the same words about where they came from."""
    pair = table_pair(3)
    lanes = [settings_of(name, drafter=drafters.parse(spec), max_new_tokens=40) for name in ("sps", "tas", "block")]
    trace = Trace.from_json(run(pair, "abcab", lanes).finish().to_json())
    assert verify(trace, pair)[0] and all(lane.column("uniform") for lane in trace.lanes)
    copied = not spec.startswith(("model", "head"))
    assert any(round_.provenance for lane in trace.lanes for round_ in lane.rounds) == copied


# Suffix counts


@pytest.mark.parametrize(
    "text,options,expected",
    [
        ([1, 2, 3, 1, 2, 4, 1, 2, 4, 7, 1, 2], "", [4, 1]),  # twice 4, once 3; behind 4 the first one of two
        ([1, 2, 3, 9, 8, 5, 1, 2, 3], "", [9, 8, 5]),  # a run of three: three tokens
        ([1, 2, 3, 9, 8, 5, 1, 2, 3], "ratio=0.5", [9]),
        ([1, 2, 3, 9, 8, 5, 1, 2, 3], "longest=2", [9, 8]),
        ([1, 2, 3, 9, 8, 5, 1, 2, 3], "shortest=4", []),
        ([0, 1, 0, 2, 0, 3, 0], "longest=1,share=0.4", []),  # each a third
        ([0, 1, 0, 2, 0, 2, 0], "longest=1,share=0.7", []),
        ([0, 1, 0, 2, 0, 2, 0], "longest=1,share=0.6", [2]),
        ([5, 5], "", [5]),
        ([1, 2, 3], "", []),
    ],
)  # fmt: skip
def test_what_the_counts_say(text, options, expected):
    """By hand: the longest run, the most frequent continuation, as long as the run and the shares allow."""
    draft = drafted(opened(f"suffix:{options}"), text)
    assert list(draft.tokens) == expected and all(draft.chosen)
    for depth, (token, known) in enumerate(zip(draft.tokens, draft.provenance)):
        source = known.copied_from - depth
        assert text[known.copied_from] == token and text[source - known.matched : source] == text[-known.matched :]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(text=st.lists(st.integers(0, 2), min_size=1, max_size=40), steps=st.lists(st.integers(1, 9), max_size=5))
def test_drawn_tokens_have_the_shares_of_the_counts(text, steps):
    """Asked while the text grows, each node's law is that of a search through the whole text."""
    proposer = opened("suffix:tokens=drawn,longest=4,ratio=2,share=0")
    length = 1
    for step in [*steps, 40]:
        length = min(len(text), length + step)
        seen = text[:length]
        draft = drafted(proposer, seen)
        for depth, known in enumerate(draft.provenance):
            context = [*seen[-known.matched :], *draft.tokens[:depth]]
            size = len(context)
            behind = Counter(seen[i + size] for i in range(length - size) if seen[i : i + size] == context)
            shares = {token: count / behind.total() for token, count in behind.items()}
            assert {t: float(p) for t, p in enumerate(draft.probs[depth]) if p} == pytest.approx(shares)


def test_at_temperature_0_the_likeliest_is_taken():
    """Where the verifier never draws, a draft that draws would only be refused."""
    for seed in range(20):
        draft = Draft(7, 4, Sampling(temperature=0), noise.Noise(seed), 10)
        alone(opened("suffix:tokens=drawn,longest=1").propose([0, 1, 0, 2, 0, 2, 0], draft))
        assert draft.tokens == (2,) and draft.chosen == (True,)


# Means of the verifier's own rows


def test_a_mean_of_what_the_verifier_said():
    """Two visits of one run: their mean, renormalised over what is kept; the longest run counts; a third visit weighs a third."""
    proposer = opened("stand:longest=2,shortest=1")
    rows = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.1, 0.8], [0.4, 0.6, 0.0], [0.3, 0.3, 0.4]])
    proposer.saw(Looked(rows, {}))
    draft = drafted(proposer, [0, 1, 0, 2, 0], 1, 3)
    assert draft.probs[0].tolist() == pytest.approx([0.6, 0.4, 0.0])  # behind 0, twice
    assert draft.provenance == (Provenance(matched=1),) and draft.chosen == (False,)
    proposer.saw(Looked(torch.tensor([[0.0, 0.1, 0.9]]), {}))
    draft = drafted(proposer, [0, 1, 0, 2, 0, 0], 1, 3)
    assert draft.probs[0].tolist() == pytest.approx([0.4, 0.3, 0.3])
    draft = drafted(proposer, [0, 1, 0, 2, 0, 1], 1, 3)
    assert draft.probs[0].tolist() == pytest.approx([0.1, 0.1, 0.8]) and draft.provenance[0].matched == 2


def test_no_more_tokens_are_kept_of_a_mean_than_the_ten_likeliest():
    proposer = opened("stand:longest=1,shortest=1")
    row = torch.arange(1, 21, dtype=torch.float64) / 210
    proposer.saw(Looked(row[None], {}))
    kept = drafted(proposer, [3, 3], 1, 20).probs[0]
    assert kept[:10].count_nonzero() == 0 and kept[10:].tolist() == pytest.approx((row[10:] / row[10:].sum()).tolist())


def test_rows_behind_refused_tokens_would_change_the_law(monkeypatch):
    """Why they are not taken: with them a lossless rule writes something else."""
    lane = settings_of("sps", drafter=drafters.parse("stand:longest=1,shortest=1"), max_new_tokens=4, draft_length=3)
    assert law(table_pair(2, exact=True), (0, 1, 0), lane).deviation < 1e-12
    index, behind = stand.StandProposer._index, []

    def settled(self, length, draft, walk, seen):
        self._keep(seen.probs[[0, *(node + 1 for node in walk.path)]])
        for node in range(len(walk.path), len(draft)):
            behind.append((self, draft.tokens[node : node + 1], dict(enumerate(seen.probs[node + 1].tolist()))))

    def with_refused(self, text):
        index(self, text)
        for owner, token, row in behind:
            if owner is self:
                visits, mean = self._means.get(token, (0, {}))
                self._means[token] = visits + 1, stand._averaged(mean, row, visits)
        behind.clear()

    monkeypatch.setattr(stand.StandProposer, "settled", settled)
    monkeypatch.setattr(stand.StandProposer, "_index", with_refused)
    assert law(table_pair(2, exact=True), (0, 1, 0), lane).deviation > 1e-3


# Two in one


def test_a_hybrid_drafts_what_one_of_its_two_would():
    """Where the text repeats enough, the copying one alone; elsewhere the model alone; and it says which of them."""
    pair, spoke = table_pair(3), Counter()
    hybrid = drafters.parse("hybrid:first=ngram,shortest=2")
    for seed in range(10):
        options = {"max_new_tokens": 30, "seed": seed}
        text = [0, 1]
        for round_ in rounds_of(pair, text, settings_of("sps", drafter=hybrid, **options)):
            by = {known.by for known in round_.draft.provenance}
            if round_.draft.budget:
                copied = drafted(hybrid.copies.open(pair, None), text, round_.draft.budget, 3)
                assert by == ({"ngram"} if len(copied) else {"model"})
                assert all(round_.draft.chosen) == bool(len(copied))
                if len(copied):
                    assert round_.draft.tokens == copied.tokens
                spoke.update(by)
            text += round_.emitted
    assert min(spoke["ngram"], spoke["model"]) > 20


def test_a_hybrid_needs_what_the_one_that_it_asks_needs():
    alone_, sps = table_pair(3, drafting=False), rules.make("sps")
    assert "needs a draft model" in drafters.parse("hybrid").refusal(sps, alone_)
    assert "needs a head" in drafters.parse("hybrid:then=head").refusal(sps, alone_)
