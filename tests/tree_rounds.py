"""Does a tree keep more than a chain of its depth, and what its exact chances say? python -m tests.tree_rounds. Not a test of the
suite, since real models take a minute; it fails where one of the two does not hold.

Candidates are drawn without replacement. Of each round three numbers: how many tokens the tree kept; how many its exact
chances say it keeps on average over its acceptance tests; and how many the chain of its eldest candidates keeps so, which is
what the same rule would have judged of the same draws without the others.
"""

from __future__ import annotations

import argparse
import itertools
from time import perf_counter

import numpy as np

from specviz import backends, drafters, rules
from specviz.engine.decode import RoundResult
from specviz.engine.race import race
from specviz.engine.settings import Settings

ERRORS = 4  # standard errors over the rounds; odds of a false alarm 1 in 15,000


def numbers(result: RoundResult) -> tuple[float, float, float] | None:
    """Kept by the tree, expected of it, expected of the chain; None where nothing was judged."""
    if result.judgement is None or result.rule is None:
        return None
    stays = result.rule.stays(result.draft.parents, result.judgement.accept_prob)
    eldest, chain = -1, 0.0
    while eldest in result.draft.parents:
        eldest = result.draft.parents.index(eldest)
        chain += stays[eldest]
    return len(result.walk.path), sum(stays), chain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="smollm2")
    parser.add_argument("--rule", default="sps", help="a lossless token rule")
    parser.add_argument("--shape", default="3-2-1")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--prompt", default="Once upon a time")
    options = parser.parse_args()
    pair, rule = backends.load_pair(options.pair), rules.parse(options.rule)
    drafter, levels = drafters.make("tree", shape=options.shape), options.shape.count("-") + 1
    prompt, rows, began = pair.encode(options.prompt, next(iter(pair.styles))), [], perf_counter()
    for seed in itertools.count():
        lane = Settings(rule, draft_length=levels, max_new_tokens=60, drafter=drafter, seed=seed)
        steps = race(pair, prompt, [lane], measured=False)
        rows += [row for step in steps if (row := numbers(step.result)) is not None]
        if len(rows) >= options.rounds:
            break
    kept, expected, chain = np.array(rows[: options.rounds]).T
    root = options.rounds**0.5
    print(
        f"{options.rounds} rounds of {pair.verifier.id} in {perf_counter() - began:.0f} s, {rule.spec}, {drafter.spec}"
    )
    for words, values in (
        ("kept per round by the tree", kept),
        ("expected of it, by its exact chances", expected),
        ("expected of the chain of its eldest", chain),
        ("kept less expected", kept - expected),
        ("tree less chain, both expected", expected - chain),
    ):
        print(f"{words:40}{values.mean():8.3f}  +- {1.96 * values.std(ddof=1) / root:.3f} (95 %)")
    off, more = kept - expected, expected - chain
    assert abs(off.mean()) < ERRORS * off.std(ddof=1) / root, "The tree does not keep what is expected of it."
    assert more.mean() > ERRORS * more.std(ddof=1) / root, "The tree does not keep more than the chain."


if __name__ == "__main__":
    main()
