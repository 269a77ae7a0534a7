"""The advisor: its dynamic program against simulation, its goals kept, its intervals honest about little data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from specviz import cli, rules
from specviz.engine.settings import Settings
from specviz.study import advise
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
    mean, spent, variance = (x[0] for x in advise.expect(acceptance, kl, length))
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
    for record in records:
        (text,) = advise.texts_of(record, pair)
        begin = len(record.data["prompt_tokens"])
        for r in record.data["lanes"][0]["rounds"]:
            for i, (draft, verifier) in enumerate(
                zip(r["judged"].get("draft_prob", []), r["judged"].get("verifier_prob", []))
            ):
                row, token = r["start"] + i - begin, r["drafted"][i]
                assert float(text.draft_probs[row, token]) == pytest.approx(draft, rel=1e-3, abs=1e-6)
                assert float(text.verifier_probs[row, token]) == pytest.approx(verifier, rel=1e-3, abs=1e-6)


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
    (text, *_) = advise.texts_of(records[0], pair)
    overlap = torch.minimum(text.verifier_probs, text.draft_probs).sum(-1)
    kept, spent, _ = advise.expect(overlap.double().numpy()[:, None], np.zeros((len(overlap), 1)), 3)
    costs = advise.Costs(1.0, {n: 1.0 for n in range(1, 10)}, 0.0)
    (one,) = advise.candidates("sps", [text, text], costs, [3])
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
