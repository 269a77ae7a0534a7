"""Every drafter under every lossless rule writes the verifier's law: on real models, by sampling. (Exactly, on models small enough to
know: test_laws.) `python -m tests.sampled_laws` does the same with as many texts as one likes."""

from __future__ import annotations

from collections import defaultdict

import pytest

from specviz import drafters
from tests.support import sampled
from tests.support.runs import FALSE_ALARM, odds

TEXTS = 24  # of each rule with each drafter


@pytest.fixture(scope="module")
def made():
    """The texts of each drafter and of each rule, of all rules and of all drafters together, and the law of all."""
    pools, pair = defaultdict(list), sampled.small()
    for names, texts in sampled.written(pair, TEXTS).items():
        for name in names:
            pools[name] += texts
    return pools, sampled.law(pair)


def test_what_is_sampled_follows_the_verifiers_law(made):
    """Chi-square of three tokens, two drafted per round, over all texts of each drafter and of each rule. Odds of a false alarm:
    1e-6 for each, so below 2e-5 for all; the seeds are fixed."""
    pools, law = made
    names = {name for name in drafters.names() if drafters.make(name).drafts}
    assert names < set(pools) and len(pools) > len(names) + 3
    for name, texts in pools.items():
        assert odds(law, (tuple(text.tokens) for text in texts)) > FALSE_ALARM, name


def test_drafts_were_kept_and_refused(made):
    """So that it says something: each drafter drafted, had tokens kept, and had some refused."""
    pools, _ = made
    for name in (name for name in drafters.names() if drafters.make(name).drafts):
        drafted, kept = (sum(getattr(text, what) for text in pools[name]) for what in ("drafted", "accepted"))
        assert kept > len(pools[name]) / 10 and drafted > kept, name
