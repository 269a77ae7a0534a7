"""Where a draft ends by what is in it, or by chance: never at the text's expense."""

from __future__ import annotations

import json
import math

import pytest

from specviz import drafters, rules
from specviz.engine import lengths
from specviz.engine.settings import Settings
from specviz.prob import noise
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import rounds_of, settings_of

LOSSLESS = [name for name in rules.names() if rules.get(name).lossless]


@pytest.mark.parametrize("draft_length", ["confidence:0.5", "thompson"])
@pytest.mark.parametrize("drafter", ["model", "stand:shortest=1", "hybrid:first=ngram,then=head,shortest=2"])
@pytest.mark.parametrize("name", LOSSLESS)
def test_it_writes_what_the_verifier_would(name, drafter, draft_length):
    """Exactly: every way that tokens, coins and tests may fall."""
    pair, length = table_pair(2, exact=True), 3 if draft_length == "thompson" else 4
    lane = settings_of(name, drafter=drafters.parse(drafter), max_new_tokens=length, draft_length=draft_length)
    found = law(pair, (0, 1, 0), lane)
    for text, chance in pair.verifier.law((0, 1, 0), length).items():
        assert abs(found.written[text] - chance) < 1e-12


@pytest.mark.parametrize("draft_length", ["confidence:0.5", "thompson"])
@pytest.mark.parametrize("drafter", ["tree:shape=2-2", "dynamic:size=3,width=2"])
def test_trees_that_stop_write_what_the_verifier_would(drafter, draft_length):
    """Also where only some nodes of a level go on."""
    pair = table_pair(2, exact=True)
    lane = settings_of("sps", drafter=drafters.parse(drafter), max_new_tokens=3, draft_length=draft_length)
    found = law(pair, (0, 1, 0), lane)
    for text, chance in pair.verifier.law((0, 1, 0), 3).items():
        assert abs(found.written[text] - chance) < 1e-12


@pytest.mark.parametrize("drafter", ["model", "model:tokens=chosen", "suffix:tokens=drawn,share=0", "stand:shortest=1"])
def test_a_draft_ends_behind_the_first_doubtful_token(drafter):
    """All tokens but the last were given enough, and the last was not, or the drafter had no more, or there was no room."""
    ended = 0
    for seed in range(10):
        for round_ in rounds_of(
            table_pair(5), [0, 1, 0, 1],
            settings_of("sps", drafter=drafters.parse(drafter), draft_length="confidence:0.3", max_new_tokens=40, seed=seed),
        ):  # fmt: skip
            sure = [number >= 0.3 for number in round_.draft._confidence]
            assert all(sure[:-1]) and round_.draft.budget <= lengths.MOST
            if drafter.startswith("model") and round_.draft.budget:
                assert not sure[-1] or len(sure) == round_.draft.budget
            ended += not all(sure)
    assert ended > 20


def test_a_stop_at_0_is_none_and_at_1_ends_behind_the_first():
    pair = table_pair(5)
    for least, expected in ((0, lengths.MOST), (1, 1)):
        rounds = rounds_of(pair, [0, 1], settings_of("sps", draft_length=f"confidence:{least}", max_new_tokens=40))
        assert len(rounds[0].draft) == expected


def test_thompson_goes_on_as_often_as_tokens_were_kept():
    """Lengths are geometric with the mean of Beta(kept + 1, refused + 1), up to 16: mean length within 4 standard errors
    (odds of a false alarm 1 in 16,000)."""
    for kept, refused in ((0, 0), (7, 1), (2, 6)):
        chosen = []
        for seed in range(2000):
            chooser = lengths.Thompson(noise.Noise(seed))
            for _ in range(kept):
                chooser.observe(1, 1, 0.0, 0.0)
            for _ in range(refused):
                chooser.observe(4, 0, 0.0, 0.0)
            chosen.append(chooser.choose(seed, 1000))
        theta = (kept + 1) / (kept + refused + 2)
        chances = [theta ** (n - 1) * ((1 - theta) if n < lengths.MOST else 1) for n in range(1, lengths.MOST + 1)]
        mean = sum(n * p for n, p in enumerate(chances, 1))
        spread = math.sqrt(sum(n * n * p for n, p in enumerate(chances, 1)) - mean**2)
        assert abs(sum(chosen) / 2000 - mean) < 4 * spread / math.sqrt(2000)
        assert max(chosen) <= lengths.MOST


def test_thompson_learns_to_draft_more_where_more_is_kept():
    pair = table_pair(3)
    same = table_pair(3, draft=pair.verifier)
    depths = []
    for models in (pair, same):
        rounds = rounds_of(models, [0, 1], settings_of("sps", draft_length="thompson", max_new_tokens=200))
        late = rounds[len(rounds) // 2 : -1]
        depths.append(sum(len(round_.draft) for round_ in late) / len(late))
    assert depths[1] > 2 * depths[0]


@pytest.mark.parametrize("draft_length", ["confidence:0.4", "thompson"])
def test_a_trace_says_how_it_stopped_and_verifies(draft_length):
    pair = table_pair(3)
    lanes = [settings_of(name, draft_length=draft_length, max_new_tokens=60) for name in ("sps", "tas", "block")]
    trace = Trace.from_json(run(pair, "abcab", lanes).finish().to_json())
    assert [lane.draft_length for lane in trace.lanes] == [draft_length] * 3 and verify(trace, pair)[0]
    assert len({round_.depth for lane in trace.lanes for round_ in lane.rounds}) > 2
    data = json.loads(trace.to_json())
    data["lanes"][0]["draft_length"] = "sometimes"
    with pytest.raises(ValueError, match="lanes\\[0\\] is not usable. draft_length must be"):
        Trace.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "words", ["confidence", "confidence:", "confidence:2", "confidence:nan", "confidence:x", "auto:1", ""]
)
def test_other_words_are_refused_in_a_sentence(words):
    with pytest.raises(
        ValueError, match="draft_length must be from 1 to 32 tokens, auto, thompson, or confidence: with"
    ):
        Settings(draft_length=words)
    for good in lengths.WAYS:
        assert Settings(draft_length=good).draft_length == good
