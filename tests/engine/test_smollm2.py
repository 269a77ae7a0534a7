"""The pair `smollm2`, with the real weights. Skipped where neither the package that carries them nor a copy of them is."""

from __future__ import annotations

import pytest

from specviz import backends, rules
from specviz.backends import Pair
from specviz.drafters.asks import next_probs
from specviz.engine import batch
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
