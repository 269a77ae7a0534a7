"""The loop, end to end, against a model whose law is known exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from specviz.drafters.proposal import Proposal

from specviz import rules
from specviz.drafters.model import ModelDrafter
from specviz.engine import decode as decode_module
from specviz.engine.decode import decode
from specviz.engine.settings import Settings
from specviz.prob import dists, noise
from specviz.types import Drafted, Emitted, Finished, Judged, ModelError, Sampling, Verified
from tests.support.table import TableModel

VOCABULARY, LENGTH, RUNS = 3, 4, 3000
PROMPT = (0, 1)
FALSE_ALARM = 1e-6  # odds that a correct loop fails one chi-square test below


def run(settings, draft=None, verifier=None, stop=frozenset(), prompt=PROMPT, **options):
    verifier = verifier or TableModel(VOCABULARY, 1)
    draft = draft or TableModel(VOCABULARY, 2)
    drafter = ModelDrafter(draft.session(), verifier.vocabulary, stop)
    return decode(
        verifier.session(), drafter, list(prompt), settings, vocabulary=verifier.vocabulary, stop_tokens=stop, **options
    )


def written(events):
    return tuple(e.token for e in events if isinstance(e, Emitted))


def settings(name, **options):
    rule = None if name == "plain" else rules.parse(name)
    return Settings(rule=rule, **{"draft_length": 3, "max_new_tokens": LENGTH, **options})


def p_value(name, **options):
    """Chi-square of RUNS emitted texts, one seed each, against the verifier's exact law of LENGTH tokens."""
    law = TableModel(VOCABULARY, 1).law(PROMPT, LENGTH)
    counts = dict.fromkeys(law, 0)
    for seed in range(RUNS):
        counts[written(run(settings(name, seed=seed, **options), measure=None))] += 1
    rare = [t for t in law if law[t] * RUNS < 5]  # pooled, so that the chi-square approximation holds
    cells = [(counts[t], law[t] * RUNS) for t in law if t not in rare]
    cells.append((sum(counts[t] for t in rare), sum(law[t] for t in rare) * RUNS))
    statistic = sum((seen - expected) ** 2 / expected for seen, expected in cells if expected)
    return chi2.sf(statistic, len(cells) - 1)


@pytest.mark.parametrize("name", ["plain", *(n for n in rules.names() if rules.get(n).lossless)])
def test_lossless_rules_write_what_the_verifier_would(name):
    """Every rule that calls itself lossless gives the law of plain decoding, over whole texts. False alarm: 1e-6 each."""
    assert p_value(name) > FALSE_ALARM


def test_the_same_test_fails_when_the_residual_is_broken(monkeypatch):
    """Resampling from the verifier itself instead of the residual, a well-known bug, is caught."""
    monkeypatch.setattr(dists, "residual", lambda target, draft: target)
    assert p_value("sps") < FALSE_ALARM


def test_the_same_test_fails_when_a_block_rule_reuses_its_noise(monkeypatch):
    """`block` lets later drafts decide earlier ones, so its attempts need noise of their own."""
    for method in ("race", "uniforms"):
        whole = getattr(noise.Noise, method)
        monkeypatch.setattr(noise.Noise, method, lambda self, *args, _whole=whole: _whole(self, *args[:-1], 0))
    assert p_value("block", draft_length=3) < FALSE_ALARM


def test_a_rule_that_distorts_is_seen_to_distort():
    """The test has the power to tell: typical acceptance does not give the verifier's law."""
    assert p_value("tas") < FALSE_ALARM


@pytest.mark.parametrize("name", ["plain", *rules.names()])
def test_events_tell_one_consistent_story(name):
    """For every rule: rounds begin where the text ends, kept tokens are the judged prefix, one more token follows."""
    for seed in range(20):
        events = list(run(settings(name, seed=seed, max_new_tokens=12)))
        assert isinstance(events[-1], Finished) and events[-1].reason == "length"
        text = list(PROMPT)
        rounds = []
        for event in events[:-1]:
            if isinstance(event, Drafted):
                rounds.append([event])
            else:
                rounds[-1].append(event)
        for drafted, verified, *rest in rounds:
            assert isinstance(verified, Verified) and drafted.start == len(text)
            judged = [e for e in rest if isinstance(e, Judged)]
            emitted = [e for e in rest if isinstance(e, Emitted)]
            kept = [e.token for e in judged if e.kept]
            assert kept == [e.token for e in emitted[:-1]] == list(drafted.tokens[: len(kept)])
            assert emitted[-1].origin == ("resampled" if len(kept) < len(drafted.tokens) else "bonus")
            assert [e.position for e in emitted] == list(range(len(text), len(text) + len(emitted)))
            for e in judged:
                assert e.draft_prob > 0 and 0 <= e.accept_prob <= 1
                assert e.measures["kl_output_verifier"] >= 0
            text += [e.token for e in emitted]
        assert len(text) == len(PROMPT) + 12


@pytest.mark.parametrize("name", ["plain", *rules.names()])
def test_same_settings_same_text_and_seeds_differ(name):
    """Reproducible: all randomness comes from the seed; and the seed matters."""
    texts = [written(run(settings(name, seed=seed, max_new_tokens=30))) for seed in (5, 5, 6)]
    assert texts[0] == texts[1]
    if name != "exact_match":  # deterministic by nature
        assert texts[0] != texts[2]


def test_lanes_with_equal_distributions_share_their_choices():
    """Shared randomness: cactus with no budget is sps, draw by draw; and plain decoding uses the bonus's noise."""
    one = list(run(settings("sps", seed=3, max_new_tokens=40)))
    two = list(run(settings("cactus:delta=0", seed=3, max_new_tokens=40)))
    assert [(type(e), getattr(e, "token", None)) for e in one] == [(type(e), getattr(e, "token", None)) for e in two]
    same = TableModel(VOCABULARY, 1)
    plain = written(run(settings("plain", seed=3, max_new_tokens=1)))
    bonus = written(run(settings("sps", seed=3, max_new_tokens=1), draft=same))
    assert plain == bonus


def test_similar_distributions_mostly_draw_the_same_token():
    """The race couples draws: with distributions at total variation d, P(differ) <= 2 d / (1 + d)."""
    first = torch.softmax(torch.randn(50, generator=torch.Generator().manual_seed(0)), -1)
    second = dists.normalise(first * torch.exp(0.1 * torch.randn(50, generator=torch.Generator().manual_seed(1))))
    distance = float(dists.tv(first, second))
    source = noise.Noise(9)
    races = [source.race(noise.DRAFT, i, 50) for i in range(2000)]
    differ = sum(int(dists.draw(first, r)) != int(dists.draw(second, r)) for r in races) / 2000
    bound = 2 * distance / (1 + distance)
    assert differ < bound + 5 * (bound * (1 - bound) / 2000) ** 0.5  # 5 standard errors: false alarm below 1e-6


def test_noise_is_a_function_of_its_key_alone():
    """Any order of calls, any width: the same key gives the same numbers; different keys give different ones."""
    one, two = noise.Noise(1), noise.Noise(1)
    late = two.uniforms(300, 3)
    assert one.uniforms(299, 4)[1:] == late
    fresh = np.random.Generator(np.random.Philox(key=[5, noise.RESIDUAL], counter=[0, 9, 2, 0]))
    assert np.array_equal(
        noise.Noise(5).race(noise.RESIDUAL, 9, 10, 2).numpy(), fresh.standard_exponential(10).astype(np.float32)
    )
    assert torch.equal(one.race(noise.DRAFT, 7, 10), two.race(noise.DRAFT, 7, 20)[:10])
    keys = itertools.product((1, 2), (noise.DRAFT, noise.VERIFIER, noise.RESIDUAL), (0, 1), (0, 1))
    firsts = [
        float(noise.Noise(seed).race(purpose, position, 1, attempt)[0]) for seed, purpose, position, attempt in keys
    ]
    assert len(set(firsts)) == len(firsts)


def test_temperature_zero_writes_the_verifiers_likeliest_text():
    """At temperature 0 every rule's target and residual collapse to the verifier's argmax, for the lossless rules exactly."""
    verifier = TableModel(VOCABULARY, 1)
    text = list(PROMPT)
    for _ in range(10):
        text.append(int(verifier.probs(tuple(text)).argmax()))
    for name in ["plain", "exact_match", *(n for n in rules.names() if rules.get(n).lossless)]:
        greedy = settings(name, sampling=Sampling(temperature=0), max_new_tokens=10)
        assert list(written(run(greedy))) == text[2:], name


def test_end_of_text_ends_the_lane_wherever_it_appears():
    """A stop token ends the text as an accepted draft, a resampled or a bonus token, and nothing follows it."""
    origins = set()
    for seed in range(200):
        events = list(run(settings("sps", seed=seed, max_new_tokens=60), stop=frozenset({2})))
        tokens = written(events)
        assert 2 not in tokens[:-1]
        if tokens[-1] == 2:
            assert events[-1].reason == "end of text"
            origins.add([e.origin for e in events if isinstance(e, Emitted)][-1])
        for e in events:
            if isinstance(e, Drafted):
                assert 2 not in e.tokens[:-1]
    assert origins == {"accepted", "resampled", "bonus"}


def test_end_of_text_keeps_the_law():
    """Stopping early keeps losslessness: the law of texts cut at the stop token. False alarm: 1e-6 each."""
    law = {}
    for text, chance in TableModel(VOCABULARY, 1).law(PROMPT, LENGTH).items():
        cut = text[: text.index(2) + 1] if 2 in text else text
        law[cut] = law.get(cut, 0) + chance
    for name in ("sps", "block"):
        counts = dict.fromkeys(law, 0)
        for seed in range(RUNS):
            counts[written(run(settings(name, seed=seed), stop=frozenset({2}), measure=None))] += 1
        statistic = sum((counts[t] - law[t] * RUNS) ** 2 / (law[t] * RUNS) for t in law)
        assert chi2.sf(statistic, len(law) - 1) > FALSE_ALARM, name


def test_caches_are_rolled_back_to_the_text():
    """After any number of rounds the sessions hold a prefix of the text, never a refused draft."""
    verifier, draft = TableModel(VOCABULARY, 1).session(), TableModel(VOCABULARY, 2).session()
    drafter = ModelDrafter(draft, VOCABULARY, frozenset())
    text = list(PROMPT)
    for event in decode(verifier, drafter, text, settings("sps", max_new_tokens=60), vocabulary=VOCABULARY):
        if isinstance(event, Emitted):
            text.append(event.token)
            if event.origin != "accepted":
                for session in (verifier, draft):
                    assert session.seen == text[: session.length] and session.length < len(text)


def test_padded_vocabularies_of_different_width():
    """A draft narrower or wider than its verifier is padded with probability 0; the law stays the verifier's."""
    for widths in ((3, 5), (5, 3)):
        draft, verifier = (TableModel(v, seed) for v, seed in zip(widths, (2, 1)))
        draft.logits[..., 3:] = float("-inf")
        verifier.logits[..., 3:] = float("-inf")
        drafter = ModelDrafter(draft.session(), 5, frozenset())
        events = list(
            decode(verifier.session(), drafter, list(PROMPT), settings("sps", max_new_tokens=20), vocabulary=5)
        )
        assert all(token < 3 for token in written(events))


def test_a_token_cannot_be_judged_with_another_distribution():
    """The classic mistakes cannot be expressed, or raise: argmax drafts, raw logits, another temperature."""
    logits = torch.randn(8)
    soft, race = torch.softmax(logits, -1), noise.Noise(0).race(noise.DRAFT, 0, 8)
    proposal = Proposal(Sampling())
    raw = Proposal(Sampling())
    raw.add(logits, race)
    with pytest.raises(ValueError, match="draft_probs .*logits"):
        raw.judged_by(rules.make("sps"), soft[None], Sampling())
    with pytest.raises(TypeError):
        Proposal(Sampling(), tokens=[int(soft.argmax())], draft_probs=soft)
    with pytest.raises(AttributeError):
        proposal.tokens = (int(soft.argmax()),)
    with pytest.raises(AttributeError):
        proposal.draft_probs = soft
    proposal.add(soft, race)
    with pytest.raises(ValueError, match="must be the same"):
        proposal.judged_by(rules.make("sps"), soft[None], Sampling(temperature=0.5))
    with pytest.raises(ValueError, match="logits"):
        proposal.judged_by(rules.make("sps"), logits[None], Sampling())
    greedy = Proposal(Sampling(temperature=0))
    hard = dists.to_probs(logits, Sampling(temperature=0))
    assert greedy.add(hard, race) == int(logits.argmax()) and float(greedy.draft_probs.max()) == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("who", ["draft", "verifier"])
def test_a_broken_model_is_a_sentence(bad, who):
    """NaN or infinity from either model ends the run with a ModelError that says so."""
    models = {"draft": TableModel(VOCABULARY, 2), "verifier": TableModel(VOCABULARY, 1)}
    models[who].logits[:, :, 0] = bad
    with pytest.raises(ModelError, match="not finite"):
        list(run(settings("sps"), **models))


def test_closing_stops_the_compute():
    """Closing the generator after a round leaves both models untouched from then on."""
    verifier = TableModel(VOCABULARY, 1).session()
    drafter = ModelDrafter(TableModel(VOCABULARY, 2).session(), VOCABULARY, frozenset())
    events = decode(verifier, drafter, list(PROMPT), settings("sps", max_new_tokens=400), vocabulary=VOCABULARY)
    for event in events:
        if isinstance(event, Emitted) and event.position > 20:
            break
    seen = verifier.length
    events.close()
    assert verifier.length == seen and next(events, None) is None


def test_measures_can_be_left_out():
    """With measure=None the text is the same and no measures are recorded."""
    full, bare = (list(run(settings("cactus", max_new_tokens=20), **o)) for o in ({}, {"measure": None}))
    assert written(full) == written(bare)
    assert all(not e.measures for e in bare if isinstance(e, Judged))
    assert decode_module.measure_all.__name__ == "measure"
