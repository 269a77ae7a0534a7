"""Other samples of a prompt as a store: what is looked up in them, what the trace holds, and what may be in it at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from specviz import drafters
from specviz.drafters import Draft
from specviz.engine.decode import alone
from specviz.prob import noise
from specviz.record import trace as traces
from specviz.record.running import run
from specviz.record.verify import verify
from specviz.types import Sampling
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import FALSE_ALARM, odds, rounds_of, settings_of, written

CONSENSUS = drafters.make("consensus", shortest=1)


def drafted(spec, samples, text, budget=8, vocabulary=10):
    proposer = drafters.parse(spec).open(table_pair(3), None)
    proposer.given(samples)
    draft = Draft(len(text), budget, Sampling(), noise.Noise(0), vocabulary)
    alone(proposer.propose(list(text), draft))
    return draft


@pytest.mark.parametrize(
    "samples,text,options,expected,of",
    [
        ([[2, 5, 6, 7], [2, 5, 6, 8], [2, 4]], [1, 2], "", [5, 6, 7], [0, 0, 0]),  # two of three; then the first of two
        ([[2, 5, 6], [4, 4, 3]], [1, 2, 4], "", [4, 3], [1, 1]),
        ([[3, 5, 6, 7], [6, 8], [6, 8]], [1, 5, 6], "", [7], [0]),  # the longest run counts, not the most frequent
        ([[5, 6, 7], [9, 9]], [1, 2, 3, 6], "shortest=2", [], []),
        ([[2, 5], [2, 6], [2, 7], [2, 8]], [1, 2], "", [], []),  # a quarter each
        ([[2, 5], [2, 6], [2, 7], [2, 8]], [1, 2], "shortest=1,share=0.2", [5], [0]),
        ([[3, 2], [5, 6]], [1, 3, 2], "", [], []),  # nothing goes on from one sample to the next
        ([], [1, 2], "", [], []),
    ],
)  # fmt: skip
def test_what_the_samples_say(samples, text, options, expected, of):
    """By hand: the longest run that stands in a sample, the vote of those that have it, until they end or disagree."""
    draft = drafted(f"consensus:{options or 'shortest=1'}", samples, text)
    assert list(draft.tokens) == expected and all(draft.chosen)
    assert [known.sample for known in draft.provenance] == of


def test_drawn_tokens_have_the_shares_of_the_vote():
    draft = drafted("consensus:shortest=1,tokens=drawn", [[2, 5, 6], [2, 5, 7], [2, 8]], [1, 2], 1)
    assert draft.probs[0][5] == pytest.approx(2 / 3) and draft.probs[0][8] == pytest.approx(1 / 3)


@pytest.mark.parametrize("spec", ["sps", "block", "sampler_match"])
@pytest.mark.parametrize("tokens", ["chosen", "drawn"])
def test_it_writes_what_the_verifier_would_whatever_the_samples_are(spec, tokens):
    """Exactly, over all that the noise of the lane may do, for samples that agree with the verifier often or never."""
    pair = table_pair(2, exact=True)
    for samples in (((0, 1, 1, 0),), ((1, 1, 1, 1), (0, 0, 0, 0), (1, 0, 1, 0))):
        drafter = drafters.make("consensus", shortest=1, tokens=tokens, samples=len(samples))
        lane = settings_of(spec, drafter=drafter, max_new_tokens=4, draft_length=2, samples=samples)
        found = law(pair, (0, 1, 0), lane)
        for text, chance in pair.verifier.law((0, 1, 0), 4).items():
            assert abs(found.written[text] - chance) < 1e-12
        assert found.accepted > 0


def test_a_text_of_the_same_draws_must_not_be_a_sample():
    """Copied from a lane that shares its draws a strict rule writes something else; with a seed of its own it does not. Odds of a
    false alarm: 1e-6."""
    pair, prompt = table_pair(2), (0, 1, 0)
    expected, found = pair.verifier.law(prompt, 3), {0: [], 1000: []}
    for seed in range(500):
        for other, texts in found.items():
            sample = written(rounds_of(pair, prompt, settings_of("sps", max_new_tokens=3, seed=seed + other)))
            lane = settings_of(
                "sps", drafter=replace(CONSENSUS, samples=1), max_new_tokens=3, seed=seed, samples=(sample,)
            )
            texts.append(written(rounds_of(pair, prompt, lane)))
    assert odds(expected, found[1000]) > FALSE_ALARM > odds(expected, found[0])


def test_the_trace_holds_what_was_copied_from():
    """The samples are in it, are texts of other seeds, and are all that a verification needs; without them it is no trace."""
    pair = table_pair(3)
    lanes = [settings_of(name, drafter=CONSENSUS, max_new_tokens=30, samples=()) for name in ("sps", "block", "plain")]
    made = run(pair, "abcab", lanes).finish()
    assert len(made.samples) == 3 and all(len(sample) == 30 for sample in made.samples)
    other = rounds_of(pair, made.prompt_tokens, settings_of("plain", max_new_tokens=30, seed=1))
    assert made.samples[0] == list(written(other))
    known = {known.sample for round_ in made.lanes[0].rounds for known in round_.provenance}
    assert known <= {0, 1, 2} and len(known) > 1 and not made.lanes[2].rounds[0].provenance
    trace = traces.Trace.from_json(made.to_json())
    assert verify(trace, pair)[0] and trace.samples == made.samples
    trace.samples[0][0] = (trace.samples[0][0] + 1) % 3
    assert not verify(trace, pair)[0]
    data = json.loads(made.to_json())
    for change, words in (
        ("samples", "provenance.sample should be"),
        ([], "samples should be"),
        ([[99]] * 3, "samples"),
    ):
        broken = {k: v for k, v in data.items() if k not in ("digest", change)}
        broken |= {} if change == "samples" else {"samples": change}
        with pytest.raises(ValueError, match=words):
            traces.check(broken)
    begun = run(pair, "abcab", lanes).trace.to_data()
    with pytest.raises(ValueError, match="samples should be as many"):
        traces.check({name: value for name, value in begun.items() if name != "samples"})
