"""The draft length chosen online: the best by brute force, again when things change, and never at the text's expense."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from specviz import drafters
from specviz.engine import lengths as adaptive
from specviz.engine.settings import Settings
from specviz.prob import noise
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from tests.support.drafters import Candidates
from tests.support.pairs import table_pair
from tests.support.runs import rounds_of, settings_of, written

CHEAP, DEAR = (0.2, 4.0), (2.0, 4.0)  # ms per drafted token, ms of a verifier forward


def rate(accept, length, draft, verify, rest):
    """Expected tokens per second of a fixed length, by walking through every way a round can end."""
    written = 0.0
    for kept in range(length + 1):
        chance = float(np.prod(accept[:kept])) * (1.0 if kept == length else 1 - accept[kept])
        written += chance * (kept + 1)
    return written / (length * draft + verify[length - 1] + rest)


def test_the_best_length_is_that_of_brute_force():
    """For every mix of falling and flat acceptance and of costs, `best` names the length of the highest expected rate."""
    for accept, fall, draft, slope, rest in itertools.product(
        (0.2, 0.6, 0.9, 0.99), (1.0, 0.95, 0.7), (0.05, 0.5, 3.0), (0.0, 0.3), (0.0, 2.0)
    ):
        chances = [accept * fall**k for k in range(16)]
        verify = [4.0 + slope * n for n in range(1, 17)]
        rates = [rate(chances, n, draft, verify, rest) for n in range(1, 17)]
        found = adaptive.best(chances, draft, verify, rest)
        assert rates[found - 1] == pytest.approx(max(rates), rel=1e-12)


class Lane:
    """A made-up lane: drafts are kept by chance, forwards cost what they are said to, plus noise; time is simulated."""

    def __init__(self, monkeypatch, seed):
        self.random, self.now, self.position = np.random.default_rng(seed), 0.0, 0
        self.chooser = adaptive.chooser("auto", noise.Noise(0))
        monkeypatch.setattr(adaptive, "perf_counter", lambda: self.now)

    def go(self, rounds, accept, draft, verify, slope=0.1, rest=0.5):
        """Plays rounds; returns the lengths chosen."""
        chosen = []
        for _ in range(rounds):
            length = self.chooser.choose(self.position, 1000)
            kept = next((k for k in range(length) if self.random.random() >= accept), length)
            jitter = self.random.lognormal(0, 0.1, 2) * np.where(
                self.random.random(2) < 0.03, 20, 1
            )  # now and then something else runs
            costs = length * draft * jitter[0], (verify + slope * (length + 1)) * jitter[1]
            self.now += sum(costs) + rest
            self.chooser.observe(length, kept, *costs)
            self.position += kept + 1
            chosen.append(length)
        return chosen


def share_of_best(chosen, accept, draft, verify, slope=0.1, rest=0.5):
    """Mean expected rate of the lengths chosen, over that of the best fixed length."""
    rates = {
        n: rate([accept] * 32, n, draft, [verify + slope * (k + 2) for k in range(32)], rest) for n in range(1, 33)
    }
    return np.mean([rates[n] for n in chosen]) / max(rates.values())


@pytest.mark.parametrize("accept", [0.3, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("draft,verify", [CHEAP, DEAR])
def test_it_finds_the_optimum_of_costs_and_acceptance_it_is_not_told(monkeypatch, accept, draft, verify):
    """After 40 rounds of noisy timings with outliers, its lengths are worth at least 93 % of the best fixed length's rate."""
    lane = Lane(monkeypatch, 1)
    lane.go(40, accept, draft, verify)
    assert share_of_best(lane.go(80, accept, draft, verify), accept, draft, verify) > 0.93


def test_it_follows_when_acceptance_changes(monkeypatch):
    """Drafts grow shorter when fewer are kept, and longer again when more are."""
    lane = Lane(monkeypatch, 2)
    good = lane.go(80, 0.95, *CHEAP)[40:]
    bad = lane.go(120, 0.2, *CHEAP)[80:]
    again = lane.go(120, 0.95, *CHEAP)[80:]
    assert np.median(good) >= 6 and np.median(bad) <= 2 and np.median(again) >= 6
    assert share_of_best(bad, 0.2, *CHEAP) > 0.9 and share_of_best(again, 0.95, *CHEAP) > 0.9


def test_costs_count_only_once_the_text_has_passed_the_draft(monkeypatch):
    """What a round cost says how long the draft was, which depends on noise of positions still to come."""
    lane = Lane(monkeypatch, 3)
    twin = Lane(monkeypatch, 3)
    for one, drafted in ((lane, 6), (twin, 2)):  # six asked for; the twin's draft ended at its second token
        one.go(2, 0.5, *CHEAP)
        length = one.chooser.choose(100, 1000)
        assert length == 6
        one.chooser.observe(drafted, 0, 0.2 * drafted, 90.0)
    for position in (101, 102, 103, 104, 105):
        lengths = [one.chooser.choose(position, 1000) for one in (lane, twin)]
        assert lengths[0] == lengths[1], position
        for one in (lane, twin):
            one.chooser.observe(lengths[0], 0, 0.2 * lengths[0], 4.0)
    for one in (lane, twin):
        one.chooser.choose(106, 1000)
    assert lane.chooser._verify[6][0] == twin.chooser._verify[2][-1] == 90.0


def test_a_length_is_a_number_in_range_or_auto():
    """Settings take auto; anything else that is no length is refused in a sentence."""
    assert Settings(draft_length="auto").draft_length == "auto"
    for wrong in ("fast", "4", "", 0, 33, 2.5, True, None):
        with pytest.raises(ValueError, match="draft_length must be"):
            Settings(draft_length=wrong)
    with pytest.raises(ValueError, match="seed must be"):
        Settings(draft_length="auto", seed=-1)


@pytest.mark.parametrize(
    "name,drafter",
    [("sps", {}), ("block", {}), ("sps", {"drafter": Candidates(width=2, levels=32, way="drawn_first")})],
    ids=["sps", "block", "tree"],
)
def test_lossless_rules_stay_lossless_when_the_past_chooses_the_length(monkeypatch, name, drafter):
    """Transitions of long texts against the verifier's exact table, the length a wild function of what was kept so far.

    9 contexts, 2 degrees of freedom each, about 4,900 tokens; a correct loop fails with odds 1e-6.
    """
    most = 4 if drafter else 8  # a tree of two candidates for each of four places has 30 nodes
    monkeypatch.setattr(
        adaptive, "best", lambda accept, draft, verify, rest: 1 + int(1e6 * accept[0]) % min(most, len(accept))
    )
    monkeypatch.setattr(adaptive, "START", tuple(min(length, most) for length in adaptive.START))
    monkeypatch.setattr(adaptive, "LONGEST", min(adaptive.LONGEST, most))
    pair, counts, lengths = table_pair(3), np.zeros((3, 3, 3)), set()
    for seed in range(10):
        lane = settings_of(name, draft_length="auto", max_new_tokens=490, seed=seed, **drafter)
        rounds = rounds_of(pair, [0, 1], lane)
        text = [0, 1, *written(rounds)]
        lengths |= {round_.draft.depth for round_ in rounds}
        for a, b, c in zip(text, text[1:], text[2:]):
            counts[a, b, c] += 1
    law = np.array([[pair.verifier.probs((a, b)).numpy() for b in range(3)] for a in range(3)])
    expected = law * counts.sum(-1, keepdims=True)
    assert lengths >= set(range(1, most + 1))
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), 18) > 1e-6


def test_a_tree_is_as_long_as_its_longest_path():
    """What is learnt of a tree is learnt by places, not by nodes: no place is counted that no draft reached, and costs
    belong to a depth."""
    chooser = None

    class Watched(adaptive.Adaptive):
        def __init__(self):
            super().__init__()
            nonlocal chooser
            chooser = self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptive, "Adaptive", Watched)
        tree = Candidates(width=3, levels=2)
        rounds = rounds_of(
            table_pair(3), [0, 1], settings_of("sps", draft_length="auto", max_new_tokens=80, drafter=tree)
        )
    assert max(len(round_.draft) for round_ in rounds) == 12 and max(len(round_.walk.path) for round_ in rounds) == 2
    assert chooser._reached[1] > 0 and not any(chooser._reached[2:])
    assert set(chooser._verify) <= {1, 2}


def test_a_recorded_run_is_run_again_with_its_lengths():
    """The lengths of every round, given as a tuple, are drafted again one by one; behind their end any will do."""
    again = adaptive.chooser((3, 1, 5), noise.Noise(0))
    assert [again.choose(p, 9) for p in range(3)] == [3, 1, 5] and again.choose(3, 9) == adaptive.START[0]
    assert (
        adaptive.chooser(7, noise.Noise(0)).choose(0, 9) == 7 and adaptive.chooser(7, noise.Noise(0)).choose(0, 2) == 2
    )


@pytest.mark.parametrize("stop", [frozenset(), frozenset({2})])
def test_a_run_of_chosen_lengths_verifies(stop):
    """Lengths that the clock chose are chosen again by the record, also where a draft ended early or there was none."""
    pair = table_pair(3, stop=stop)
    for drafter in ("model", "ngram"):
        for seed in range(5):
            options = {"draft_length": "auto", "max_new_tokens": 60, "seed": seed, "drafter": drafters.make(drafter)}
            lanes = [settings_of(name, **options) for name in ("sps", "block")]
            trace = Trace.from_json(run(pair, "abcab", lanes).finish().to_json())
            assert [lane.draft_length for lane in trace.lanes] == ["auto", "auto"]
            same, sentence = verify(trace, pair)
            assert same, (drafter, seed, sentence)
