"""The pair `smollm2`, with the real weights. Skipped where neither the package that carries them nor a copy of them is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from specviz import backends, drafters, rules
from specviz.backends import Pair
from specviz.drafters.asks import next_probs
from specviz.engine import batch
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.types import ModelError, Sampling
from tests.support.runs import FALSE_ALARM, odds

PROMPT = "Once upon a time"
NARROW = Sampling(top_k=8)  # so few tokens that the law of two can be written down
TEXTS = 300
LOSSLESS = {
    rules.get(name).verdict: name for name in rules.names() if rules.get(name).lossless
}  # one for each way to judge a chain


@pytest.fixture(scope="module")
def pair() -> Pair:
    try:
        return backends.load_pair("smollm2")
    except ModelError as error:
        pytest.skip(str(error))


def law_of_two(pair: Pair, prompt: list[int]) -> dict[tuple[int, ...], float]:
    """The verifier's exact law of the next two tokens."""
    first = next_probs(pair.verifier, prompt, [0], NARROW, pair.vocabulary)[0]
    law = {}
    for token in first.nonzero().flatten().tolist():
        second = next_probs(pair.verifier, [*prompt, token], [0], NARROW, pair.vocabulary)[0]
        for follower in second.nonzero().flatten().tolist():
            law[token, follower] = float(first[token] * second[follower])
    return law


@pytest.mark.parametrize("name", LOSSLESS.values())
def test_lossless_rules_write_the_verifiers_law(pair, name):
    """Chi-square of the first two tokens of 300 texts, with two drafted per round, against the exact law. False alarm:
    1e-6 for each rule, and with these seeds always the same."""
    prompt = pair.encode(PROMPT, "text")
    settings = [
        Settings(rules.make(name), sampling=NARROW, draft_length=2, max_new_tokens=2, seed=seed)
        for seed in range(TEXTS)
    ]
    texts = batch.write(pair, [(prompt, each) for each in settings])
    assert sum(text.accepted for text in texts) > TEXTS / 4  # drafts were kept, and not all redrawn
    assert odds(law_of_two(pair, prompt), (tuple(text.tokens) for text in texts)) > FALSE_ALARM


def test_a_tree_keeps_more_than_a_chain_of_its_depth(pair):
    """200 rounds at temperature 1, candidates drawn without replacement: what the tree keeps is what its exact chances say,
    and more than the chain that its eldest candidates are, which the same rule would keep of the same draws; both by 4
    standard errors over the rounds (odds of a false alarm 1 in 15,000, and with these seeds always the same)."""
    prompt, rule, drafter = pair.encode(PROMPT, "text"), rules.make("sps"), drafters.make("tree", shape="3-2-1")
    rows = []
    for seed in itertools.count():
        lane = Settings(rule, draft_length=3, max_new_tokens=60, drafter=drafter, seed=seed)
        for step in race(pair, prompt, [lane], measured=False):
            draft, judgement = step.result.draft, step.result.judgement
            if judgement is not None and draft.depth == 3:
                stays = rule.stays(draft.parents, judgement.accept_prob)
                eldest, chain = -1, 0.0
                while eldest in draft.parents:
                    eldest = draft.parents.index(eldest)
                    chain += stays[eldest]
                rows.append((len(step.result.walk.path), sum(stays), chain))
        if len(rows) >= 200:
            break
    kept, expected, chain = np.array(rows[:200]).T
    off, more = kept - expected, expected - chain
    print(f"kept {kept.mean():.3f}, expected {expected.mean():.3f}, chain {chain.mean():.3f} per round")
    assert abs(off.mean()) < 4 * off.std(ddof=1) / 200**0.5
    assert more.mean() > 4 * more.std(ddof=1) / 200**0.5
