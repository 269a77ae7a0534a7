"""Block verification, by enumeration: every draft, every outcome of every uniform, every token that follows."""

import itertools

import pytest
import torch

from specviz import rules
from tests.support.rule_cases import all_pairs, judge_every_token, kept_of

VOCABULARY, LENGTH = 3, 3


def chains(seed):
    """Two Markov models [3, 3]: row v is the distribution after token v; the text so far ends in token 0."""
    generator = torch.Generator().manual_seed(seed)
    verifier = torch.softmax(1.5 * torch.randn(3, 3, generator=generator, dtype=torch.float64), -1)
    draft = torch.softmax(1.5 * torch.randn(3, 3, generator=generator, dtype=torch.float64), -1)
    if seed % 3 == 1:
        draft[1] = torch.tensor([0.0, 0.4, 0.6], dtype=torch.float64)
        verifier[2] = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    if seed % 3 == 2:
        draft[0] = verifier[0]
    return verifier, draft


def sequence_prob(table, tokens, last=0):
    """Probability of `tokens` in a Markov table, after the token `last`."""
    prob = 1.0
    for token in tokens:
        prob *= float(table[last, token])
        last = token
    return prob


def enumerate_round(rule, verifier, draft):
    """(law, mean kept): the exact law of the first LENGTH + 1 tokens written by one round and then the verifier alone."""
    law, mean_kept = dict.fromkeys(itertools.product(range(VOCABULARY), repeat=LENGTH + 1), 0.0), 0.0
    for drafted in itertools.product(range(VOCABULARY), repeat=LENGTH):
        drafted_prob = sequence_prob(draft, drafted)
        if drafted_prob == 0:
            continue
        context = (0, *drafted)
        verdict = rule.judge(verifier[list(context[:-1])], draft[list(context[:-1])], torch.tensor(drafted))
        accept = verdict.accept_prob.tolist()
        for passes in itertools.product([True, False], repeat=LENGTH):
            prob = drafted_prob
            for chance, passed in zip(accept, passes, strict=True):
                prob *= chance if passed else 1 - chance
            if prob == 0:
                continue
            uniforms = [
                chance * 0.5 if passed else chance + (1 - chance) * 0.5
                for chance, passed in zip(accept, passes, strict=True)
            ]
            kept = kept_of(rule, accept, uniforms)
            mean_kept += prob * kept
            following = verifier[context[-1]] if kept == LENGTH else verdict.residual_probs[kept]
            for token in range(VOCABULARY):
                for rest in itertools.product(range(VOCABULARY), repeat=LENGTH - kept):
                    written = (*drafted[:kept], token, *rest)
                    law[written] += prob * float(following[token]) * sequence_prob(verifier, rest, token)
    return law, mean_kept


@pytest.mark.parametrize("seed", range(6))
def test_block_is_lossless_over_whole_sequences(seed):
    """All LENGTH + 1 tokens together follow the verifier to 1e-12, and more tokens are kept than by sps (which is lossless too)."""
    verifier, draft = chains(seed)
    kept = {}
    for name in ("block", "sps"):
        law, kept[name] = enumerate_round(rules.make(name), verifier, draft)
        assert sum(law.values()) == pytest.approx(1, abs=1e-12)
        for tokens, prob in law.items():
            assert prob == pytest.approx(sequence_prob(verifier, tokens), abs=1e-12), (name, tokens)
    assert kept["block"] >= kept["sps"] - 1e-12
    if seed % 3 == 0:
        assert kept["block"] > kept["sps"] + 1e-3


def test_a_block_of_one_is_sps():
    """With a single drafted token there is nothing to judge together."""
    verifier, draft = all_pairs()
    block, strict = (judge_every_token(rules.make(name), verifier, draft) for name in ("block", "sps"))
    assert torch.allclose(block[0], strict[0], atol=1e-15) and torch.allclose(block[1], strict[1], atol=1e-12)


def test_a_late_success_rescues_earlier_tokens():
    """The largest passing position counts, whatever happened before it."""
    rule = rules.make("block")
    assert kept_of(rule, [0.5, 0.5, 0.5], [0.9, 0.9, 0.4]) == 3
    assert kept_of(rule, [0.5, 0.5, 0.5], [0.4, 0.9, 0.9]) == 1
    assert kept_of(rule, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]) == 0
    assert kept_of(rule, [], []) == 0


def test_a_block_needs_a_dimension_for_its_positions():
    """A token without a block is refused in words."""
    probs = torch.full((3,), 1 / 3)
    with pytest.raises(ValueError, match="block of tokens"):
        rules.make("block").judge(probs, probs, torch.tensor(0))


def test_identical_models_keep_every_block():
    """Where both models agree, every token of the block passes with certainty."""
    probs = torch.softmax(torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0)), -1)
    verdict = rules.make("block").judge(probs, probs, torch.zeros(4, 5, dtype=torch.int64))
    assert torch.equal(verdict.accept_prob, torch.ones(4, 5))
    assert torch.allclose(verdict.residual_probs.sum(-1), torch.ones(4, 5))
