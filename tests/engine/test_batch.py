"""Many texts at once are the texts one at a time, on both backends, whoever drafts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from specviz import backends, drafters, rules
from specviz.backends import Forward
from specviz.backends.hub import Transformers
from specviz.backends.static_llama import StaticLlama
from specviz.engine import batch
from specviz.engine.settings import Settings
from specviz.types import ModelError, Sampling
from tests.backends.test_backends import give_tokenizer, make_llama, make_mistral
from tests.support.drafters import WAYS, Candidates
from tests.support.pairs import table_pair
from tests.support.runs import choices, rounds_of, settings_of, written

SAMPLINGS = [Sampling(), Sampling(temperature=0), Sampling(temperature=0.7, top_k=20, top_p=0.9)]
# Two ways to compute the same logits differ by about 1e-6 here, so that a draw differs about once in 1e5 tokens;
# the seeds below are fixed, and none is that close.
RULES = ["plain", "sps", "block", "tas", "cactus:delta=0.5"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A draft and a verifier that mostly agree: the draft is the verifier with a little noise."""
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("models")
    verifier = give_tokenizer(make_llama(root / "verifier", vocabulary=304, seed=2))
    draft = AutoModelForCausalLM.from_pretrained(verifier)
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in draft.parameters():
            weight += 0.15 * weight.std() * torch.randn_like(weight)
    draft.save_pretrained(root / "draft")
    return give_tokenizer(root / "draft"), verifier


class EndsEarly(backends.Pair):
    """A pair of which some tokens end a text."""

    stop_tokens = frozenset(range(8))


@pytest.fixture(scope="module", params=["static_llama", "transformers"])
def any_pair(request, folders):
    """The pair on either backend, with some tokens that end a text."""
    pair = backends.load_pair(draft=folders[0], verifier=folders[1], backend=request.param)
    pair.__class__ = EndsEarly
    return pair


def jobs(rule, sampling, count=9, longest=40):
    """Prompts and lengths of all sizes, a seed each."""
    rng = random.Random(count)
    return [
        ([rng.randrange(8, 300) for _ in range(rng.choice([1, 2, 5, 11, 40]))],
         settings_of(rule, sampling=sampling, max_new_tokens=rng.randint(5, longest), draft_length=rng.choice([1, 3, 4]), seed=seed))
        for seed in range(count)
    ]  # fmt: skip


def decided(rounds):
    """What rounds decided, and the numbers drawn for it; not their seconds."""
    return [(*choices(round_), [round_.uniforms[node] for node in round_.walk.judged]) for round_ in rounds]


def together(pair, work, **options):
    """The rounds of each job."""
    rounds = [[] for _ in work]
    for job, round_ in batch.decode(pair, work, **options):
        rounds[job].append(round_)
    return rounds


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["sampled", "greedy", "truncated"])
@pytest.mark.parametrize("rule", RULES)
def test_a_batch_writes_what_one_at_a_time_writes(any_pair, rule, sampling):
    """Every round but its seconds, for rules of both scopes, with more prompts than rows, of all lengths."""
    work = jobs(rule, sampling)
    endings = set()
    for rounds, (prompt, settings) in zip(together(any_pair, work, rows=4), work, strict=True):
        assert decided(rounds) == decided(rounds_of(any_pair, prompt, settings))
        endings.add(rounds[-1].finished)
    if sampling.temperature == 1:
        assert endings == {"length", "end of text"}


def test_drafts_are_kept_and_refused_in_these_tests(any_pair):
    """The tests above see rounds of every kind: some tokens of a draft kept, all, and none."""
    kept = refused = 0
    for rounds in together(any_pair, jobs("sps", Sampling())):
        kept += sum(len(round_.walk.path) for round_ in rounds)
        refused += sum(round_.walk.refused is not None for round_ in rounds)
    assert min(kept, refused) > 10


@pytest.mark.parametrize("way", ["apart", "drawn_first"])
def test_trees_in_a_batch(any_pair, way):
    """Trees on real models: their nodes, which are more than the places they stand for, have room in the batch up to the
    last token of the longest text, and the texts are those written alone."""
    tree = Candidates(width=3, levels=3, way=way)
    work = [(prompt, replace(settings, drafter=tree, draft_length=3)) for prompt, settings in jobs("sps", Sampling())]
    kept = 0
    for rounds, (prompt, settings) in zip(together(any_pair, work, rows=4), work, strict=True):
        assert decided(rounds) == decided(rounds_of(any_pair, prompt, settings))
        kept += sum(len(round_.walk.path) for round_ in rounds)
    assert kept > 10


def test_drafters_may_be_mixed():
    """Texts of all drafters and shapes of drafts in one batch, on tables: the numbers of each text are to the bit those that
    it has alone."""
    pair = table_pair(5, stop=frozenset({4}))
    ways = [Candidates(width=width, levels=3, way=way) for way in WAYS for width in (1, 2, 3)]
    drafting = [*map(drafters.make, drafters.names()), *ways]
    work = [
        ([seed % 4, 2], settings_of(rule, max_new_tokens=40, seed=seed, drafter=drafter))
        for seed, (drafter, rule) in enumerate((d, r) for d in drafting for r in ("sps", "mentored"))
    ]
    shapes = set()
    for rounds, (prompt, settings) in zip(together(pair, work, rows=7), work, strict=True):
        alone = rounds_of(pair, prompt, settings)
        assert decided(rounds) == decided(alone)
        for one, other in zip(rounds, alone):
            shapes.add(one.draft.parents)
            if one.judgement is not None:
                assert one.judgement.accept_prob == other.judgement.accept_prob
                assert torch.equal(one.judgement.residual_probs, other.judgement.residual_probs)
    assert len(shapes) > 10


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_the_number_of_rows_changes_nothing(any_pair, rows):
    """From one row to more rows than prompts."""
    work = jobs("sps", Sampling(), count=7)
    assert [t.tokens for t in batch.write(any_pair, work, rows=rows)] == [
        t.tokens for t in batch.write(any_pair, work, rows=4)
    ]


def test_rules_and_samplings_may_be_mixed(any_pair):
    """Jobs of one batch need not be alike in anything."""
    work = [jobs(rule, sampling)[i] for i, (rule, sampling) in enumerate(zip(RULES, SAMPLINGS * 2))]
    for text, (prompt, settings) in zip(batch.write(any_pair, work), work):
        alone = rounds_of(any_pair, prompt, settings)
        assert tuple(text.tokens) == written(alone)
        assert text.accepted == sum(len(round_.emitted) - (round_.origin is not None) for round_ in alone)
        assert text.rounds == len(alone) and text.finished == alone[-1].finished
        assert text.drafted == sum(len(round_.draft) for round_ in alone)


@pytest.mark.parametrize("backend", [StaticLlama, Transformers])
def test_rollback_in_a_batch_is_as_if_never_seen(tmp_path, backend):
    """Rows that see, forget, end and make room, in any order, give the logits of sessions that never shared a forward."""
    model = backend(make_llama(tmp_path))
    rng = random.Random(1)
    shared = model.batch(rows=5, positions=100)
    texts = {}  # session -> the tokens it should remember
    for _ in range(60):
        if len(texts) < 5 and (not texts or rng.random() < 0.4):
            texts[shared.session()] = []
        for session, text in texts.items():
            if text and rng.random() < 0.3:
                del text[rng.randrange(len(text)) :]
                session.rollback(len(text))
        asked = []
        for session in rng.sample(list(texts), rng.randint(1, len(texts))):
            new = [rng.randrange(300) for _ in range(rng.choice([1, 1, 2, 5, 20 if not texts[session] else 3]))]
            asked.append(Forward(session, new, rng.randint(1, len(new))))
        for (session, new, keep, *_), seen in zip(asked, shared.forward(asked), strict=True):
            texts[session] += new
            assert session.length == len(texts[session])
            alone = model.session().forward(texts[session], keep)
            torch.testing.assert_close(seen.logits, alone.logits, atol=2e-4, rtol=1e-4)
        for session in [s for s in texts if len(texts[s]) > 60 or rng.random() < 0.1]:
            shared.release(session)
            del texts[session]


@pytest.mark.parametrize("backend", [StaticLlama, Transformers])
def test_long_additions_in_a_batch(tmp_path, backend):
    """A text that shows 70 new tokens beside one that shows 1, at the full length of the cache, disturbs nobody."""
    model = backend(make_llama(tmp_path))
    shared = model.batch(rows=2, positions=80)
    one, two = shared.session(), shared.session()
    tokens = torch.randint(0, 300, (80,), generator=torch.Generator().manual_seed(3)).tolist()
    shared.forward([Forward(one, tokens[:79], 1), Forward(two, tokens[:5], 1)])
    last, many = shared.forward([Forward(one, tokens[79:], 1), Forward(two, tokens[5:75], 2)])
    torch.testing.assert_close(last.logits, model.session().forward(tokens, 1).logits, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(many.logits, model.session().forward(tokens[:75], 2).logits, atol=2e-4, rtol=1e-4)


def test_a_model_that_forgets_is_asked_one_by_one(tmp_path):
    """A sliding window cannot share rows of different lengths; its batch gives the same logits all the same."""
    make_mistral(tmp_path)
    model = Transformers(str(tmp_path))
    shared = model.batch(rows=2, positions=40)
    assert type(shared) is backends.Batch
    texts = [[7] * 20, [3, 4, 5]]
    for text, seen in zip(texts, shared.forward([Forward(shared.session(), text, 1) for text in texts])):
        torch.testing.assert_close(seen.logits, model.session().forward(text, 1).logits)


def test_nothing_to_do_and_too_long(any_pair):
    """No jobs give no rounds; a prompt that fills the model is a sentence, and so is a text that outgrows it."""
    assert list(batch.decode(any_pair, [])) == [] and batch.write(any_pair, []) == []
    full = ([9] * any_pair.max_positions, Settings(max_new_tokens=5))
    almost = ([9] * (any_pair.max_positions - 1), Settings(rules.make("sps"), max_new_tokens=5))
    with pytest.raises(ValueError, match="The prompt is 128 tokens long; these models hold 128"):
        batch.write(any_pair, [almost, full])
    (text,) = batch.write(any_pair, [almost])
    assert len(text.tokens) == 1 and text.finished in ("length", "end of text")
    with pytest.raises(ModelError, match="longer than the 128 tokens"):
        any_pair.verifier.batch(1, 128).session().forward([9] * 129)


def test_closing_stops_the_compute(any_pair):
    """No forward runs once the generator is closed."""
    rounds = batch.decode(any_pair, jobs("sps", Sampling()))
    for _ in range(20):
        next(rounds)
    rounds.close()
    assert next(rounds, None) is None


def test_the_shipped_pair_in_a_batch(pair):
    """The shipped pair writes the same in a batch of eight as one at a time."""
    prompts = [
        pair.encode(text, "tiny")
        for text in ("Once upon a time", "The little dog was", "Lily", "Tom had a big red ball and")
    ]
    work = [(prompts[i % 4], Settings(rule=rules.make("sps"), max_new_tokens=30 + i, seed=i)) for i in range(8)]
    for text, (prompt, settings) in zip(batch.write(pair, work, rows=8), work):
        assert tuple(text.tokens) == written(rounds_of(pair, prompt, settings))
