"""The draft length chosen online: the best by brute force, again when things change, and never at the text's expense."""

from __future__ import annotations

import itertools
from threading import Event

import numpy as np
import pytest
from scipy.stats import chi2

from specviz import rules
from specviz.drafters.model import ModelDrafter
from specviz.engine import lengths as adaptive
from specviz.engine.decode import decode
from specviz.engine.settings import Settings
from specviz.record.trace import Trace
from specviz.types import Drafted, Emitted
from tests.support.table import TableModel

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
        self.chooser = adaptive.chooser("auto")
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
            self.chooser.saw(length, kept, *costs)
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
        one.chooser.saw(drafted, 0, 0.2 * drafted, 90.0)
    for position in (101, 102, 103, 104, 105):
        lengths = [one.chooser.choose(position, 1000) for one in (lane, twin)]
        assert lengths[0] == lengths[1], position
        for one in (lane, twin):
            one.chooser.saw(lengths[0], 0, 0.2 * lengths[0], 4.0)
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


@pytest.mark.parametrize("name", ["sps", "block"])
def test_lossless_rules_stay_lossless_when_the_past_chooses_the_length(monkeypatch, name):
    """Transitions of long texts against the verifier's exact table, the length a wild function of what was kept so far.

    9 contexts, 2 degrees of freedom each, about 4,900 tokens; a correct loop fails with odds 1e-6.
    """
    monkeypatch.setattr(
        adaptive, "best", lambda accept, draft, verify, rest: 1 + int(1e6 * accept[0]) % min(8, len(accept))
    )
    model, counts, lengths = TableModel(3, 1), np.zeros((3, 3, 3)), set()
    for seed in range(10):
        drafter = ModelDrafter(TableModel(3, 2).session(), 3, frozenset())
        lane = Settings(rule=rules.make(name), draft_length="auto", max_new_tokens=490, seed=seed)
        events = list(decode(model.session(), drafter, [0, 1], lane, vocabulary=3, measure=None))
        text = [0, 1] + [event.token for event in events if isinstance(event, Emitted)]
        lengths |= {len(event.tokens) for event in events if isinstance(event, Drafted)}
        for a, b, c in zip(text, text[1:], text[2:]):
            counts[a, b, c] += 1
    law = np.array([[model.probs((a, b)).numpy() for b in range(3)] for a in range(3)])
    expected = law * counts.sum(-1, keepdims=True)
    assert lengths >= {1, 2, 3, 4, 5, 6, 7, 8} and chi2.sf(((counts - expected) ** 2 / expected).sum(), 18) > 1e-6


def test_a_recorded_run_is_run_again_with_its_lengths():
    """The lengths of every round, given as a tuple, are drafted again one by one; behind their end any will do."""
    again = adaptive.chooser((3, 1, 5))
    assert [again.choose(p, 9) for p in range(3)] == [3, 1, 5] and again.choose(3, 9) == adaptive.START[0]
    assert adaptive.chooser(7).choose(0, 9) == 7 and adaptive.chooser(7).choose(0, 2) == 2


def test_the_page_may_ask_for_auto(pair):
    """The page's stream takes the word as it was typed; another word is refused at its own control."""
    stream = pytest.importorskip("specviz.ui.stream")
    form = {"prompt": "One day a dog", "lanes": [{"rule": "sps"}], "max_new_tokens": 20, "seed": 1}
    *_, end = stream.compute(pair, {**form, "draft_length": "auto"}, Event())
    assert Trace.from_json(end["final"]).data["lanes"][0]["draft_length"] == "auto"
    *_, end = stream.compute(pair, {**form, "draft_length": "fast"}, Event())
    assert end["kind"] == "error" and end["field"] == "draft_length" and "or auto; got 'fast'" in end["message"]
