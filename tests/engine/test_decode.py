"""The loop, end to end, against a model whose law is known exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from specviz import drafters, rules
from specviz.drafters import Draft
from specviz.drafters.asks import Judge
from specviz.engine.decode import Decoding, alone
from specviz.engine.race import open_lane, race
from specviz.prob import dists, noise
from specviz.types import ModelError, Sampling
from tests.support.drafters import WAYS, Candidates
from tests.support.pairs import table_pair
from tests.support.runs import FALSE_ALARM, choices, ended, odds, rounds_of, settings_of, written
from tests.support.table import TableModel

VOCABULARY, LENGTH, RUNS = 3, 4, 3000
PROMPT, SOFT = (0, 1), Sampling()
LOSSLESS = [name for name in rules.names() if rules.get(name).lossless]


def settings(spec, **options):
    return settings_of(spec, **{"draft_length": 3, "max_new_tokens": LENGTH, **options})


def run(spec, pair=None, **options):
    return rounds_of(pair or table_pair(VOCABULARY), PROMPT, settings(spec, **options))


def sampled(spec, pair=None, runs=RUNS, **options):
    """The texts of as many seeds."""
    pair = pair or table_pair(VOCABULARY)
    return (written(run(spec, pair, seed=seed, **options)) for seed in range(runs))


def odds_of(spec, **options):
    """Chi-square of RUNS texts (or `runs`), one seed each, against the verifier's exact law of LENGTH tokens."""
    return odds(TableModel(VOCABULARY, 1).law(PROMPT, LENGTH), sampled(spec, **options))


@pytest.mark.parametrize("name", ["plain", *LOSSLESS])
def test_lossless_rules_write_what_the_verifier_would(name):
    """Every rule that calls itself lossless gives the law of plain decoding, over whole texts. False alarm: 1e-6 each."""
    assert odds_of(name) > FALSE_ALARM


@pytest.mark.parametrize("way", WAYS)
def test_trees_write_what_the_verifier_would(way):
    """Two candidates for each of two places, in every way that candidates come: what is left of a tree's noise after a
    round is fresh. False alarm: 1e-6 each."""
    tree = Candidates(width=2, levels=2, way=way)
    assert odds_of("sps", drafter=tree, draft_length=2, runs=RUNS // 2) > FALSE_ALARM


def test_a_copying_drafter_writes_what_the_verifier_would():
    """`ngram` has no distribution of its own. False alarm: 1e-6."""
    assert odds_of("sps", drafter=drafters.make("ngram")) > FALSE_ALARM


def test_the_same_test_fails_when_the_residual_is_broken(monkeypatch):
    """Resampling from the verifier itself instead of the residual, a well-known bug, is caught."""
    monkeypatch.setattr(dists, "residual", lambda target, draft: target)
    assert odds_of("sps") < FALSE_ALARM


def test_the_same_test_fails_when_a_block_rule_reuses_its_noise(monkeypatch):
    """`block` lets later drafts decide earlier ones, so its attempts need noise of their own."""
    for method in ("exponentials", "uniforms"):
        whole = getattr(noise.Noise, method)
        monkeypatch.setattr(
            noise.Noise,
            method,
            lambda self, first, second, *rest, _whole=whole: _whole(self, first, second, *unattempted(_whole, rest)),
        )
    assert odds_of("block", draft_length=3) < FALSE_ALARM


def unattempted(method, rest):
    """The arguments behind the first two of a method of `Noise`, with attempt 0."""
    before = 1 if method.__name__ == "exponentials" else 0
    return (*rest[:before], *(0 if i == 0 else value for i, value in enumerate(rest[before:])))


def test_a_rule_that_distorts_is_seen_to_distort():
    """The test has the power to tell: typical acceptance does not give the verifier's law."""
    assert odds_of("tas") < FALSE_ALARM


@pytest.mark.parametrize("name", ["plain", *rules.names()])
def test_same_settings_same_text_and_seeds_differ(name):
    """Reproducible: all randomness comes from the seed; and the seed matters."""
    texts = [written(run(name, seed=seed, max_new_tokens=30)) for seed in (5, 5, 6)]
    assert texts[0] == texts[1]
    if name != "exact_match":  # deterministic by nature
        assert texts[0] != texts[2]


def test_lanes_with_equal_distributions_share_their_choices():
    """Shared randomness: cactus with no budget is sps, draw by draw; and plain decoding uses the bonus's noise."""
    strict = [choices(round_) for round_ in run("sps", seed=3, max_new_tokens=40)]
    assert strict == [choices(round_) for round_ in run("cactus:delta=0", seed=3, max_new_tokens=40)]
    same = table_pair(VOCABULARY, draft=TableModel(VOCABULARY, 1))
    plain = written(run("plain", seed=3, max_new_tokens=1))
    assert plain == written(run("sps", same, seed=3, max_new_tokens=1))


def test_similar_distributions_mostly_draw_the_same_token():
    """The race couples draws: with distributions at total variation d, P(differ) <= 2 d / (1 + d)."""
    first = torch.softmax(torch.randn(50, generator=torch.Generator().manual_seed(0)), -1)
    second = dists.normalise(first * torch.exp(0.1 * torch.randn(50, generator=torch.Generator().manual_seed(1))))
    distance = float(dists.tv(first, second))
    source = noise.Noise(9)
    races = [source.exponentials(noise.DRAFT, i, 50) for i in range(2000)]
    differ = sum(int(dists.draw(first, r)) != int(dists.draw(second, r)) for r in races) / 2000
    bound = 2 * distance / (1 + distance)
    assert differ < bound + 5 * (bound * (1 - bound) / 2000) ** 0.5  # 5 standard errors: false alarm below 1e-6


def test_noise_is_a_function_of_its_key_alone():
    """Any order of calls, any width: the same key gives the same numbers; different keys give different ones."""
    one, two = noise.Noise(1), noise.Noise(1)
    late = two.uniforms(300, 3)
    assert one.uniforms(299, 4)[1:] == late
    fresh = np.random.Generator(np.random.Philox(key=[5, noise.RESIDUAL], counter=[0, 9, 2, 7]))
    made = noise.Noise(5).exponentials(noise.RESIDUAL, 9, 10, 2, 7)
    assert np.array_equal(made.numpy(), fresh.standard_exponential(10).astype(np.float32))
    assert torch.equal(one.exponentials(noise.DRAFT, 7, 10), two.exponentials(noise.DRAFT, 7, 20)[:10])
    keys = itertools.product((1, 2), (noise.DRAFT, noise.VERIFIER, noise.RESIDUAL), (0, 1), (0, 1), (0, 1))
    firsts = [
        float(noise.Noise(seed).exponentials(purpose, position, 1, attempt, branch)[0])
        for seed, purpose, position, attempt, branch in keys
    ]
    assert len(set(firsts)) == len(firsts)
    uniforms = [noise.Noise(1).uniforms(7, 1, attempt, branch)[0] for attempt in (0, 1) for branch in (0, 1)]
    assert len(set(uniforms)) == len(uniforms)


def test_temperature_zero_writes_the_verifiers_likeliest_text():
    """At temperature 0 every rule's target and residual collapse to the verifier's argmax, for the lossless rules exactly,
    whoever drafts."""
    pair = table_pair(VOCABULARY)
    text = list(PROMPT)
    for _ in range(10):
        text.append(int(pair.verifier.probs(tuple(text)).argmax()))
    greedy = {"sampling": Sampling(temperature=0), "max_new_tokens": 10}
    for name in ["plain", "exact_match", *LOSSLESS]:
        assert list(written(run(name, pair, **greedy))) == text[2:], name
        assert list(written(run(name, pair, drafter=drafters.make("ngram"), **greedy))) == text[2:], name
    for way in WAYS:
        tree = Candidates(width=3, levels=3, way=way)
        assert list(written(run("sps", pair, drafter=tree, **greedy))) == text[2:], way


def test_end_of_text_ends_the_lane_wherever_it_appears():
    """A stop token ends the text as an accepted draft, a resampled or a bonus token, and nothing follows it."""
    pair = table_pair(VOCABULARY, stop=frozenset({2}))
    for drafter in (drafters.make("model"), Candidates(width=2, levels=3)):
        origins = set()
        for seed in range(200):
            rounds = run("sps", pair, seed=seed, max_new_tokens=60, drafter=drafter)
            tokens = written(rounds)
            assert 2 not in tokens[:-1]
            if tokens[-1] == 2:
                assert rounds[-1].finished == "end of text"
                origins.add(rounds[-1].origin)
            for round_ in rounds:
                assert all(parent < 0 or round_.draft.tokens[parent] != 2 for parent in round_.draft.parents)
        assert origins == {None, "resampled", "bonus"}  # None: it was an accepted draft


@pytest.mark.parametrize("name", ["sps", "block"])
def test_end_of_text_keeps_the_law(name):
    """Stopping early keeps losslessness: the law of texts cut at the stop token. False alarm: 1e-6 each."""
    law = ended(TableModel(VOCABULARY, 1).law(PROMPT, LENGTH), 2)
    assert odds(law, sampled(name, table_pair(VOCABULARY, stop=frozenset({2})))) > FALSE_ALARM


@pytest.mark.parametrize("drafter", [drafters.make("model"), Candidates(width=2, levels=2)], ids=lambda d: d.name)
def test_caches_hold_a_prefix_of_the_text(drafter):
    """After any number of rounds the sessions hold a prefix of the text, never a refused draft."""
    pair = table_pair(VOCABULARY)
    verifier, draft = pair.verifier.session(), pair.draft.session()
    decoding = Decoding(pair, list(PROMPT), settings("sps", max_new_tokens=60, drafter=drafter), verifier, draft)
    while not decoding.finished:
        alone(decoding.round())
        for session in (verifier, draft):
            assert session.seen == decoding.text[: session.length] and session.length < len(decoding.text)
    assert len(decoding.text) == 62


def test_padded_vocabularies_of_different_width():
    """A draft narrower or wider than its verifier is padded with probability 0; what only one of them has is never written."""
    for widths in ((3, 5), (5, 3)):
        draft, verifier = (TableModel(v, seed) for v, seed in zip(widths, (2, 1)))
        draft.logits[..., 3:] = float("-inf")
        verifier.logits[..., 3:] = float("-inf")
        pair = table_pair(5, draft=draft, verifier=verifier)
        for drafter in (drafters.make("model"), drafters.make("ngram"), Candidates(width=2, levels=2)):
            rounds = run("sps", pair, max_new_tokens=20, drafter=drafter)
            assert all(token < 3 for token in written(rounds))
            assert all(round_.draft.probs.shape[-1] == 5 for round_ in rounds if len(round_.draft))


def test_a_token_cannot_be_judged_with_another_distribution():
    """The classic mistakes cannot be expressed, or raise: argmax drafts, raw logits, another temperature."""
    logits = torch.randn(8, generator=torch.Generator().manual_seed(4))
    soft, sps = torch.softmax(logits, -1), rules.make("sps")

    def empty(sampling=SOFT):
        return Draft(0, 4, sampling, noise.Noise(0), 8)

    def judged(draft, probs, sampling=SOFT):
        return Judge(sps, draft, torch.stack([probs] * (len(draft) + 1)), sampling).answer()

    raw = empty()
    raw.draw(logits)
    with pytest.raises(ValueError, match="draft_probs .*logits"):
        judged(raw, soft)
    with pytest.raises(TypeError):
        Draft(0, 4, Sampling(), noise.Noise(0), 8, tokens=[int(soft.argmax())], probs=soft)
    draft = empty()
    with pytest.raises(AttributeError):
        draft.tokens = (int(soft.argmax()),)
    with pytest.raises(AttributeError):
        draft.probs = soft
    with pytest.raises(TypeError):
        draft.pick(int(soft.argmax()), probs=soft)
    draft.draw(soft)
    with pytest.raises(ValueError, match="must be the same"):
        judged(draft, soft, Sampling(temperature=0.5))
    with pytest.raises(ValueError, match="verifier_probs .*logits"):
        judged(draft, logits)
    greedy = empty(Sampling(temperature=0))
    hard = dists.to_probs(logits, Sampling(temperature=0))
    assert greedy.draw(hard) == int(logits.argmax()) and float(greedy.probs.max()) == 1.0
    picked = empty()
    picked.pick(int(soft.argmax()))
    assert picked.probs[0].tolist() == hard.tolist()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("who", ["draft", "verifier"])
def test_a_broken_model_is_a_sentence(bad, who):
    """NaN or infinity from either model ends the run with a ModelError that says so."""
    pair = table_pair(VOCABULARY)
    getattr(pair, who).logits[:, :, 0] = bad
    with pytest.raises(ModelError, match="not finite"):
        run("sps", pair)


def test_a_prompt_without_room_is_a_sentence():
    """A prompt as long as what the models hold is refused before anything is computed."""
    pair = table_pair(VOCABULARY)
    with pytest.raises(ValueError, match="prompt is 512 tokens long; these models hold 512"):
        open_lane(pair, [0] * 512, settings("sps"))
    assert len(written(rounds_of(pair, [0] * 511, settings("sps")))) == 1


def test_closing_stops_the_compute():
    """Closing the generator after a round leaves both models untouched from then on."""
    pair = table_pair(VOCABULARY)
    sessions = []
    for model in (pair.verifier, pair.draft):
        made = model.session()
        sessions.append(made)
        model.session = lambda made=made: made
    steps = race(pair, list(PROMPT), [settings("sps", max_new_tokens=400)])
    for step in steps:
        if step.result.start > 20:
            break
    seen = [session.length for session in sessions]
    steps.close()
    assert [session.length for session in sessions] == seen and next(steps, None) is None
    assert max(seen) < 402  # it was not over


def test_measures_can_be_left_out():
    """With measured=False the text is the same and no measures are recorded."""
    pair, lanes = table_pair(VOCABULARY), [settings("cactus", max_new_tokens=20)]
    full, bare = (list(race(pair, list(PROMPT), lanes, measured)) for measured in (True, False))
    assert [choices(step.result) for step in full] == [choices(step.result) for step in bare]
    assert all(len(step.measures) == len(step.result.walk.judged) for step in full)
    assert not any(step.measures for step in bare)
