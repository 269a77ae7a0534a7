"""Conformance: every registered acceptance rule goes through all of this without being named here."""

import ast
import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from specviz import registry, rules
from specviz.prob import dists
from specviz.types import Sampling
from tests.support.rule_cases import (
    all_pairs,
    hard_pairs,
    judge_every_token,
    kept_of,
    law_by_brute_force,
    random_pairs,
    settings,
)

every_rule = pytest.mark.parametrize("name", rules.names())
token_rule = pytest.mark.parametrize("name", [name for name in rules.names() if rules.get(name).scope == "token"])


@every_rule
def test_output_law_is_the_sum_over_all_drafts(name):
    """The closed form of output_law agrees with judging every token of the vocabulary, at every setting."""
    verifier, draft = all_pairs()
    for rule in settings(name):
        law = rule.output_law(verifier, draft)
        assert (law - law_by_brute_force(rule, verifier, draft)).abs().max() < 1e-9, rule
        assert law.min() >= 0 and (law.sum(-1) - 1).abs().max() < 1e-9, rule


@every_rule
def test_acceptance_is_the_sum_over_all_drafts(name):
    """acceptance is the mean of accept_prob under the draft, at every setting."""
    verifier, draft = all_pairs()
    for rule in settings(name):
        accept, _ = judge_every_token(rule, verifier, draft)
        acceptance = rule.acceptance(verifier, draft)
        assert (acceptance - (draft * accept).sum(-1)).abs().max() < 1e-9, rule
        assert acceptance.min() >= 0 and acceptance.max() <= 1 + 1e-12, rule


@every_rule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_verdicts_are_probabilities(name, dtype):
    """accept_prob lies in [0, 1], residual_probs is a distribution, nothing is NaN, and the dtype is the input's."""
    verifier, draft = all_pairs(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for rule in settings(name):
        accept, residual = judge_every_token(rule, verifier, draft)
        law = rule.output_law(verifier, draft)
        assert accept.dtype == residual.dtype == law.dtype == rule.acceptance(verifier, draft).dtype == dtype
        assert bool(((accept >= 0) & (accept <= 1)).all()), rule
        assert bool((residual >= 0).all()) and bool(((residual.sum(-1) - 1).abs() < tolerance).all()), rule
        assert bool(torch.isfinite(law).all()), rule


@every_rule
def test_lossless_is_proven_or_disproven(name):
    """A rule that says lossless emits the verifier's distribution on every pair; one that does not has a counterexample."""
    verifier, draft = all_pairs()
    worst = max(float(dists.tv(law_by_brute_force(rule, verifier, draft), verifier).max()) for rule in settings(name))
    if rules.get(name).lossless:
        assert worst < 1e-12
    else:
        assert worst > 0.01


@every_rule
def test_float32_follows_float64(name):
    """The same pair in float32 gives nearly the same verdicts and law as in float64."""
    verifier, draft = random_pairs(100, 50, 2, torch.float32)
    tokens = torch.multinomial(draft, 3, generator=torch.Generator().manual_seed(0)).T  # [3, 100]
    for rule in settings(name):
        block = rule.scope == "block"
        first = rule.judge(verifier, draft, tokens[0] if block else tokens)
        second = rule.judge(verifier.double(), draft.double(), tokens[0] if block else tokens)
        assert (first.accept_prob - second.accept_prob).abs().max() < 2e-4, rule
        law = rule.output_law(verifier.double(), draft.double())
        assert dists.tv(rule.output_law(verifier, draft).double(), law).max() < 2e-5, rule


@every_rule
def test_broadcasting_is_looping(name):
    """p [V] with q [B, 1, V] and tokens [B, M] is the same as judging one by one."""
    verifier, draft = random_pairs(4, 8, 3)
    verifier, draft = verifier[:, None, :], draft[0]
    tokens = torch.tensor([[0, 3], [7, 1], [2, 2], [5, 6]])
    for rule in settings(name):
        together = rule.judge(verifier, draft, tokens)
        law, acceptance = rule.output_law(verifier, draft), rule.acceptance(verifier, draft)
        assert together.accept_prob.shape == (4, 2) and together.residual_probs.shape == (4, 2, 8)
        assert law.shape == (4, 1, 8) and acceptance.shape == (4, 1)
        for b in range(4):
            assert torch.allclose(law[b, 0], rule.output_law(verifier[b, 0], draft), atol=1e-12)
            assert torch.allclose(acceptance[b, 0], rule.acceptance(verifier[b, 0], draft), atol=1e-12)
            if rule.scope == "block":
                one = rule.judge(verifier[b, 0], draft, tokens[b])
                assert torch.allclose(together.accept_prob[b], one.accept_prob, atol=1e-12)
                assert torch.allclose(together.residual_probs[b], one.residual_probs, atol=1e-12)
                continue
            for m in range(2):
                one = rule.judge(verifier[b, 0], draft, tokens[b, m])
                assert torch.allclose(together.accept_prob[b, m], one.accept_prob, atol=1e-12), rule
                assert torch.allclose(together.residual_probs[b, m], one.residual_probs, atol=1e-12), rule


@every_rule
def test_padding_changes_nothing(name):
    """A vocabulary widened with impossible tokens gives the same law, and never emits one of them."""
    verifier, draft = random_pairs(40, 6, 4)
    for rule in settings(name):
        law = rule.output_law(verifier, draft)
        padded = rule.output_law(dists.pad(verifier, 9), dists.pad(draft, 9))
        assert torch.allclose(padded, dists.pad(law, 9), atol=1e-12), rule
        _, residual = judge_every_token(rule, dists.pad(verifier, 9), dists.pad(draft, 9))
        assert residual[:, :6, 6:].max() == 0, rule


@every_rule
def test_minus_infinity_logits(name):
    """Distributions made from logits of minus infinity, with top-k, top-p and temperature 0, are judged without NaN."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(20, 12, generator=generator).masked_fill(
        torch.rand(20, 12, generator=generator) < 0.4, -torch.inf
    )
    logits[:, 0] = 0.0
    other = torch.randn(20, 12, generator=generator)
    other[:, 7:] = -torch.inf
    for sampling in (Sampling(), Sampling(temperature=0.0), Sampling(temperature=0.6, top_k=4, top_p=0.95)):
        verifier, draft = dists.to_probs(logits, sampling), dists.to_probs(other, sampling)
        for rule in settings(name):
            accept, residual = judge_every_token(rule, verifier, draft)
            assert bool(torch.isfinite(accept).all()) and bool(torch.isfinite(residual).all())
            assert dists.tv(rule.output_law(verifier, draft), law_by_brute_force(rule, verifier, draft)).max() < 1e-5


weights = st.lists(
    st.one_of(st.sampled_from([0.0, 1e-300, 1e-30, 1e-6, 0.5, 1.0]), st.floats(0, 1, allow_subnormal=False)),
    min_size=5,
    max_size=5,
).filter(lambda row: sum(row) > 1e-200)


@hypothesis_settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(verifier=weights, draft=weights)
def test_any_pair_of_distributions(verifier, draft):
    """Whatever the two distributions: every rule's law and acceptance are those of its verdicts, and all are probabilities."""
    verifier, draft = (dists.normalise(torch.tensor(row, dtype=torch.float64)) for row in (verifier, draft))
    for name in rules.names():
        for rule in settings(name)[:8]:
            accept, residual = judge_every_token(rule, verifier, draft)
            assert bool(((accept >= 0) & (accept <= 1)).all()), rule
            assert bool((residual >= 0).all()) and (residual.sum(-1) - 1).abs().max() < 1e-12, rule
            law = rule.output_law(verifier, draft)
            assert (law - law_by_brute_force(rule, verifier, draft)).abs().max() < 1e-9, rule
            assert (rule.acceptance(verifier, draft) - (draft * accept).sum()).abs() < 1e-9, rule


@every_rule
def test_no_rule_beats_the_optimum(name):
    """At the divergence its own output law has, no rule accepts more than the best clip of the draft (`mentored`)."""
    for verifier, draft in (random_pairs(30, 6, 6), random_pairs(10, 40, 7), tuple(part[::4] for part in hard_pairs())):
        for rule in settings(name):
            divergence = dists.kl(rule.output_law(verifier, draft), verifier)
            acceptance = rule.acceptance(verifier, draft)
            for row in torch.nonzero(divergence <= 10).flatten().tolist():
                optimum = rules.make("mentored", budget=float(divergence[row])).acceptance(verifier[row], draft[row])
                # Near the verifier the frontier is a square root: an error e in the divergence counts as sqrt(e).
                assert acceptance[row] <= optimum + 1e-7, (rule, verifier[row], draft[row])
            impossible = divergence.isinf()  # only by writing what the verifier rules out
            assert bool((dists.kl(draft, verifier)[impossible].isinf()).all()) or not impossible.any(), rule


@every_rule
def test_a_rule_reads_only_its_inputs(name):
    """No randomness is consumed, the inputs are left alone, the same question gets the same answer."""
    verifier, draft = random_pairs(5, 8, 8)
    copies, state = (verifier.clone(), draft.clone()), torch.get_rng_state()
    rule = rules.make(name)
    first = rule.judge(verifier, draft, torch.arange(5))
    second = rule.judge(verifier, draft, torch.arange(5))
    assert torch.equal(first.accept_prob, second.accept_prob) and torch.equal(
        first.residual_probs, second.residual_probs
    )
    assert (
        torch.equal(verifier, copies[0]) and torch.equal(draft, copies[1]) and torch.equal(torch.get_rng_state(), state)
    )


def test_rules_import_no_model_noise_or_interface():
    """The rules import nothing of the project but distributions, the registry, types and each other."""
    for path in Path(rules.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            for module in modules:
                assert module.split(".")[0] in (
                    "__future__",
                    "collections",
                    "dataclasses",
                    "functools",
                    "typing",
                    "numpy",
                    "torch",
                    "specviz",
                )
                if module.startswith("specviz"):
                    parts = module.split(".")[1:] or [alias.name for alias in node.names]
                    assert parts[0] in ("rules", "sums", "prob", "types", "registry"), f"{path.name} imports {module}"
                    assert module != "specviz.prob.noise"
            if isinstance(node, ast.ImportFrom) and node.module == "specviz.prob":
                assert "noise" not in {alias.name for alias in node.names}


@every_rule
def test_a_rule_describes_itself(name):
    """Words, knobs and spec are complete: help and ranges, defaults inside them, text that builds the rule again."""
    cls = rules.get(name)
    assert cls.name == name and isinstance(cls.lossless, bool) and cls.source and cls.__doc__
    assert cls.summary.endswith(".") and len(cls.summary) < 160
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert [info["name"] for info in registry.knobs(cls)] == [field.name for field in dataclasses.fields(cls)]
    for info in registry.knobs(cls):
        assert info["help"].endswith(".")
        assert info["choices"] or (info["low"] is not None and info["high"] is not None)
    for rule in settings(name):
        assert rules.parse(rule.spec) == rule


@every_rule
def test_wrong_parameters_are_refused_in_words(name):
    """An unknown parameter, a value out of range, a word or NaN for a number: ValueError that says what is allowed."""
    with pytest.raises(ValueError, match=f"{name} has no parameter 'typo'"):
        rules.make(name, typo=1)
    for info in registry.knobs(rules.get(name)):
        if info["choices"]:
            with pytest.raises(ValueError, match=f"{info['name']} must be one of {info['choices'][0]}"):
                rules.make(name, **{info["name"]: "nonsense"})
            continue
        for wrong in (info["high"] + 1, info["low"] - 1, float("nan"), float("inf"), "much", None, True, [1]):
            with pytest.raises(ValueError, match=f"{name}: {info['name']} must be"):
                rules.make(name, **{info["name"]: wrong})
        if info["open_low"]:
            with pytest.raises(ValueError, match="above"):
                rules.make(name, **{info["name"]: info["low"]})


def test_unknown_rules_are_refused_in_words():
    """A name that is no rule lists those there are; text that is no spec says what is missing."""
    with pytest.raises(ValueError, match="no acceptance rule called 'cactsu'. There are: .*cactus.*sps"):
        rules.make("cactsu")
    with pytest.raises(ValueError, match="name=value"):
        rules.parse("cactus:delta")


@every_rule
def test_wrong_inputs_are_refused_in_words(name):
    """Logits, unequal vocabularies, mixed dtypes, whole numbers and tokens outside the vocabulary: ValueError, never a guess."""
    rule = rules.make(name)
    verifier, draft = random_pairs(3, 6, 9)
    tokens = torch.zeros(3, dtype=torch.int64)
    wrong = {
        "Were these logits": [
            (verifier.log(), draft),
            (verifier, torch.randn(3, 6, dtype=torch.float64)),
            (verifier, draft * torch.nan),
        ],
        "one vocabulary": [
            (verifier, draft[:, :5]),
            (verifier, torch.ones(3, 1, dtype=torch.float64)),
            (verifier[0, 0], draft),
        ],
        "one dtype": [(verifier.float(), draft)],
        "float tensor": [(verifier, torch.ones(3, 6, dtype=torch.int64))],
    }
    for words, inputs in wrong.items():
        for pair in inputs:
            for ask in (lambda a, b: rule.judge(a, b, tokens), rule.output_law, rule.acceptance):
                with pytest.raises(ValueError, match=words):
                    ask(*pair)
    for token in (-1, 6):
        with pytest.raises(ValueError, match="from 0 to 5"):
            rule.judge(verifier, draft, torch.full((3,), token))


@every_rule
def test_lists_and_arrays_are_as_good_as_tensors(name):
    """Whatever is asked of a rule gives the same for lists and NumPy arrays as for tensors: float64 for lists, and the
    array's own dtype for arrays."""
    rule = rules.make(name)
    verifier, draft = random_pairs(3, 6, 12)
    tokens = torch.tensor([0, 3, 5])
    asked = {
        "accept_prob": lambda v, d, t: rule.judge(v, d, t).accept_prob,
        "residual_probs": lambda v, d, t: rule.judge(v, d, t).residual_probs,
        "output_law": lambda v, d, t: rule.output_law(v, d),
        "acceptance": lambda v, d, t: rule.acceptance(v, d),
        "target_probs": rule.target_probs,
        "flip_point": lambda v, d, t: rule.flip_point(v, d, t, 0.7),
    }
    for ask in asked.values():
        wanted = ask(verifier, draft, tokens)
        for inputs in (
            (verifier.tolist(), draft.tolist(), tokens.tolist()),
            (verifier.numpy(), draft.numpy(), tokens.numpy()),
            (verifier.tolist(), draft, tuple(tokens.tolist())),
        ):
            answer = ask(*inputs)
            assert answer is None if wanted is None else torch.equal(answer, wanted) and answer.dtype == torch.float64
    assert rule.output_law(verifier.float().numpy(), draft.float().numpy()).dtype == torch.float32
    one_hot = rule.acceptance([1, 0], [1, 0])
    assert one_hot.dtype == torch.float64 and float(one_hot) == 1, "whole numbers in a list are numbers too"


@every_rule
def test_what_is_no_numbers_is_refused_in_words(name):
    """Uneven lists, words, nothing at all, tokens between two whole numbers, shapes that do not fit: a ValueError that says what
    is allowed, whoever is asked."""
    rule = rules.make(name)
    verifier, draft = random_pairs(3, 4, 13)
    wrong = {
        "verifier_probs must be probabilities": ([[0.5, 0.5], [1.0]], "half and half", None, [None, 1.0]),
        "do not fit each other": (random_pairs(2, 4, 14)[0],),
    }
    for words, values in wrong.items():
        for value in values:
            for ask in (rule.judge, rule.target_probs, lambda v, d, t: rule.flip_point(v, d, t, 0.5)):
                if ask(verifier, draft, [0, 1, 2]) is None:
                    continue  # a rule without a target, or without a knob
                with pytest.raises(ValueError, match=words):
                    ask(value, draft, [0, 1, 2])
            for ask in (rule.output_law, rule.acceptance):
                with pytest.raises(ValueError, match=words):
                    ask(value, draft)
    for token in ([0.5, 1, 2], [True, False, True], ["a", "b", "c"], None, [4, 0, 0]):
        with pytest.raises(ValueError, match="whole number"):
            rule.judge(verifier, draft, token)
    with pytest.raises(ValueError, match="do not fit"):
        rule.judge(verifier, draft, [0, 1])


@token_rule
def test_a_token_rule_keeps_up_to_the_first_refusal(name):
    """kept counts from the left and stops at the first uniform that is not below its accept_prob."""
    rule = rules.make(name)
    assert kept_of(rule, [0.5, 0.5, 0.5], [0.4, 0.5, 0.1]) == 1
    assert kept_of(rule, [1.0, 1.0], [0.999, 0.0]) == 2
    assert kept_of(rule, [0.0], [0.0]) == 0
    assert kept_of(rule, [], []) == 0


@token_rule
def test_target_probs_explain_the_verdict(name):
    """Where a rule has a target, keeping is min(1, target/draft) and replacing is norm(max(target - draft, 0))."""
    verifier, draft = random_pairs(50, 6, 10)
    tokens = torch.arange(50) % 6
    for rule in settings(name):
        target = rule.target_probs(verifier, draft, tokens)
        if target is None:
            continue
        assert (target.sum(-1) - 1).abs().max() < 1e-12 and target.min() >= 0
        verdict = rule.judge(verifier, draft, tokens)
        assert torch.allclose(
            verdict.accept_prob, (dists.at(target, tokens) / dists.at(draft, tokens)).clamp_max(1), atol=1e-12
        )
        refusable = verdict.accept_prob < 1 - 1e-9
        assert torch.allclose(verdict.residual_probs[refusable], dists.residual(target, draft)[refusable], atol=1e-9)
