"""The advisor: its dynamic program against simulation, its goals kept, its intervals honest about little data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from specviz import cli, drafters, rules
from specviz.engine.settings import Settings
from specviz.prob import dists
from specviz.study import advise, reading
from tests.conftest import run

PROMPTS = [
    "Tom has 3 apples. He buys 4 more. How many apples does Tom have?",
    "Mia has 20 stamps. She loses 6 of them. How many stamps does Mia have now?",
    "Rose has 9 cards. She gets 2 packs of 4 cards each. How many cards does Rose have now?",
]


@pytest.fixture(scope="module")
def records(pair):
    lanes = [Settings(rule=rules.make("sps"), max_new_tokens=50, seed=4)]
    return [run(pair, prompt, "task", lanes) for prompt in PROMPTS]


def test_expect_is_what_a_simulation_gives():
    """Kept per round and mean kl over a fixed text equal those of 40,000 simulated lanes within 5 standard errors."""
    generator = np.random.default_rng(0)
    acceptance, kl, length = generator.uniform(0.3, 1.0, (30, 1)), generator.uniform(0, 1, (30, 1)), 4
    at = np.arange(30)[:, None] + np.arange(length)
    offers = reading.Offers(None, np.arange(30), np.where(at < 30, at, -1), np.full(30, length), None)
    mean, spent, variance, drafted = (x[0] for x in advise.expect(acceptance, kl, offers, length))
    assert drafted == pytest.approx(length)
    kept = rounds = judged = cost = 0.0
    per_lane = []
    for _ in range(40_000):
        s = lane_kept = lane_rounds = 0
        while s < 30:
            k = 0
            while k < length and s + k < 30:
                judged, cost = judged + 1, cost + kl[s + k, 0]
                if generator.random() >= acceptance[s + k, 0]:
                    break
                k += 1
            lane_kept, lane_rounds, s = lane_kept + k, lane_rounds + 1, s + k + 1
        kept, rounds = kept + lane_kept, rounds + lane_rounds
        per_lane.append(lane_kept / lane_rounds)
    assert mean == pytest.approx(kept / rounds, abs=5 * np.std(per_lane) / 40_000**0.5)
    assert spent == pytest.approx(cost / judged, rel=0.01)
    assert variance == pytest.approx(np.var(per_lane), rel=0.8)  # rounds are not quite independent: the right size


def test_texts_have_the_distributions_that_were_judged(records, pair):
    """Reading a text once more gives, at each judged position, the probabilities that the run recorded."""
    for trace in records:
        (text,) = reading.read(trace, pair, drafters.make("model"), 4, 1000)
        first = len(trace.prompt_tokens)
        for round_ in trace.lanes[0].rounds:
            columns = (round_.judged.get(name, []) for name in ("draft_prob", "verifier_prob"))
            for place, node, draft, verifier in zip(round_.places(), round_.nodes, *columns):
                row, token = place - first, round_.drafted[node]
                assert float(text.offers.laws[row, token]) == pytest.approx(draft, rel=1e-3, abs=1e-6)
                assert float(text.verifier_probs[row, token]) == pytest.approx(verifier, rel=1e-3, abs=1e-6)


REPEATING = "Sort the numbers 4 1 3 and then sort the numbers 4 1 3."


@pytest.fixture(scope="module")
def copied(pair):
    """Two runs whose drafts were copied from the text."""
    lanes = [
        Settings(rule=rules.make(name), drafter=drafters.make("ngram"), max_new_tokens=40, seed=4)
        for name in ("sps", "tas")
    ]
    return [run(pair, REPEATING, "task", lanes), run(pair, "one two one two one two three", "tiny", lanes)]


def test_the_drafters_own_law_is_read(copied, pair):
    """What a copying drafter offers from each place is what it drafted there in the run, each token with certainty, and the
    chance of keeping it is the verifier's probability of it."""
    rounds_read = 0
    for trace in copied:
        for lane, text in zip(trace.lanes, reading.read(trace, pair, drafters.make("ngram"), 4, 1000)):
            assert torch.equal(text.offers.laws.sum(-1), torch.ones(len(text.offers.laws)))
            first = len(trace.prompt_tokens)
            for round_ in lane.rounds:
                s = round_.start - first
                last = s + 4 >= len(lane.tokens)  # the run ends here, and had less room
                if round_.drafted and not last:
                    rows = [row for row in text.offers.at[s] if row >= 0]
                    assert [int(text.offers.laws[row].argmax()) for row in rows] == round_.drafted[: len(rows)]
                    assert text.offers.count[s] == len(round_.drafted)
                    rounds_read += 1
                elif not last:
                    assert text.offers.count[s] == 0
            rule = rules.make("sps")
            kept = rule.acceptance(text.verifier_probs[text.offers.places], text.offers.laws)
            tokens = text.offers.laws.argmax(-1)
            assert torch.allclose(kept, dists.at(text.verifier_probs[text.offers.places], tokens), atol=1e-6)
    assert rounds_read > 5


def test_which_drafter(copied, pair):
    """Every drafter that the pair can run, the fastest first, each with what it would keep: near what real runs with it keep;
    on its own runs' texts the copying one keeps what those kept."""
    advices = advise.by_drafter(copied, pair, draft_length=4, most=160)
    able = ["early_exit", "head", "hybrid", "model", "ngram", "stand", "suffix"]
    assert sorted(drafters.parse(advice.drafter).name for advice in advices) == able
    speeds = [advice.speedup for advice in advices]
    assert speeds == sorted(speeds, reverse=True) and all(advice.kl < 1e-5 for advice in advices)
    estimates = {drafters.parse(advice.drafter).name: advice.accepted_per_round for advice in advices}
    assert estimates["model"] > 1 > max(estimates["ngram"], estimates["suffix"], estimates["stand"])
    for advice in advices:
        kept, _, _ = advise.check(advice, copied, pair)
        assert advice.accepted_per_round == pytest.approx(kept, abs=0.6), advice.drafter


def test_advice_for_a_drafter_without_a_model(copied, pair):
    """The drafter of the traces is the one advised on; its estimate of kept tokens per round is near what the runs kept, and
    far from what the small model would have kept. With two drafters one must be named."""
    advice = advise.advise(copied, pair, accept=0.0, names=["sps"], draft_length=4)[0]
    assert advice.drafter == "ngram:longest=3,shortest=1"
    lanes = [trace.lanes[0] for trace in copied]
    kept = sum(r.kept for lane in lanes for r in lane.rounds) / sum(len(lane.rounds) for lane in lanes)
    assert advice.accepted_per_round == pytest.approx(kept, abs=0.5)
    model = advise.advise(copied, pair, accept=0.0, names=["sps"], draft_length=4, drafter=drafters.make("model"))[0]
    assert model.drafter == "model:tokens=drawn" and model.accepted_per_round > advice.accepted_per_round + 0.3
    lanes = [
        Settings(rule=rules.make("sps"), drafter=drafters.make(name), max_new_tokens=8) for name in ("model", "ngram")
    ]
    with pytest.raises(ValueError, match="several drafters, or none: model:tokens=drawn, ngram"):
        advise.advise([run(pair, "One day", None, lanes)], pair, spend=1.0)


def test_goals_are_kept(records, pair):
    """Advice spends no more than asked, or keeps at least as much as asked."""
    few = ("sps", "sampler_match", "cactus", "lenience", "mentored")
    spending = advise.advise(records, pair, spend=0.05, names=few, draft_length=4)
    assert all(
        one.kl <= 0.05 + 1e-9 and 0 <= one.interval[0] <= one.accepted_per_round <= one.interval[1] <= one.draft_length
        for one in spending
    )
    names = {one.rule.partition(":")[0] for one in spending}
    assert {"sps", "sampler_match", "cactus", "lenience"} <= names
    floor = next(one for one in spending if one.rule == "sps").accepted_per_round
    assert next(one for one in spending if one.rule.startswith("cactus:")).accepted_per_round >= floor
    keeping = advise.advise(records, pair, accept=floor + 0.05, names=few, draft_length=4)
    assert keeping and all(one.accepted_per_round >= floor + 0.05 and one.kl > 0 for one in keeping)


def test_sps_advice_is_its_acceptance(records, pair):
    """For sps the chance per position is 1 - TV, and its advice costs nothing."""
    drafter = drafters.make("model")
    (text, *_) = reading.read(records[0], pair, drafter, 3, 1000)
    overlap = torch.minimum(text.verifier_probs, text.offers.laws).sum(-1)
    kept, spent, _, _ = advise.expect(overlap.double().numpy()[:, None], np.zeros((len(overlap), 1)), text.offers, 3)
    costs = advise.Costs(1.0, {n: 1.0 for n in range(1, 10)}, 0.0)
    (one,) = advise.candidates("sps", [text, text], costs, [3], drafter)
    assert (
        one.accepted_per_round == pytest.approx(kept[0], abs=1e-5)
        and one.kl == pytest.approx(0, abs=1e-9)
        and spent[0] == 0
    )


@pytest.mark.parametrize(
    "goal,says", [({}, "one goal"), ({"spend": 1, "accept": 1}, "one goal"), ({"spend": -1}, "below 0")]
)
def test_goals_that_make_no_sense(records, pair, goal, says):
    """No goal, two goals or a negative one are refused with a sentence; so is a single text."""
    with pytest.raises(ValueError, match=says):
        advise.advise(records, pair, **goal)
    with pytest.raises(ValueError, match="at least two"):
        advise.advise(records[:1], pair, spend=0.1)


def test_advise_from_the_command_line(records, tmp_path, capsys):
    """python -m specviz advise prints the table and checks its first line by a real run."""
    files = []
    for i, record in enumerate(records):
        record.save(tmp_path / f"{i}.json")
        files.append(str(tmp_path / f"{i}.json"))
    assert cli.main(["advise", *files, "--spend", "0.05", "--rule", "cactus", "--draft-length", "4", "--check"]) == 0
    out = capsys.readouterr().out
    assert "cactus:delta=" in out and "A real run of cactus:delta=" in out and "the interval) at" in out
