"""Chain or tree at the same budget of nodes, and what a look at so many nodes costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import TypedDict

import numpy as np
import torch

from specviz import drafters
from specviz.backends import Pair, Session
from specviz.bench.ways import Prompt, Specviz, Way
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.study.trees import best_shape, fastest_shape, kept_by_rank

BUDGETS = (4, 8, 16, 24)  # nodes that the verifier looks at in a round
WIDE = "4-4-2"  # the shape that the chances by rank are measured with
DEEPEST = 6  # levels of a tree: each costs a forward of the draft model


def by_shape(pair: Pair, prompts: Sequence[Prompt], sps: Settings, looked: Sequence[Look]) -> list[Way]:
    """For each budget a chain, the best static tree for the chances measured here first, and a dynamic tree; then the tree
    that should write most per second at what `looked` says a look of the verifier costs."""
    chances = measured_chances(pair, prompts, sps)
    ways = []
    for nodes in BUDGETS:
        best = best_shape(chances, nodes, min(nodes, DEEPEST))
        chain = f"chain of {nodes}"
        ways += [
            Way(chain, Specviz(pair, replace(sps, draft_length=nodes), traced=False)),
            Way(f"tree of {nodes}, {best.shape}", _drafted(pair, sps, f"tree:shape={best.shape}", best.levels), chain),
            Way(f"dynamic tree of {nodes}", _drafted(pair, sps, f"dynamic:size={nodes}", min(nodes, DEEPEST)), chain),
        ]
    seen, seconds = [row["nodes"] for row in looked], [row["tree"] for row in looked]
    best = fastest_shape(
        chances, BUDGETS[-1], DEEPEST, _drafting(pair, prompts[0]), lambda n: float(np.interp(n, seen, seconds))
    )
    return [
        *ways,
        Way(f"fastest by these costs, {best.shape}", _drafted(pair, sps, f"tree:shape={best.shape}", best.levels)),
    ]


def _drafting(pair: Pair, prompt: Prompt) -> float:
    """Seconds of one forward of the draft model behind a prompt, the median of ten."""
    assert pair.draft is not None
    session, tokens = pair.draft.session(), pair.encode(*prompt)
    with torch.inference_mode():
        session.forward(tokens, 1)
        return median(_look(session, tokens[:1], None) for _ in range(10))


def measured_chances(pair: Pair, prompts: Sequence[Prompt], sps: Settings) -> list[float]:
    """How often exactly the candidate of each rank is kept, see `kept_by_rank`."""
    lane = replace(sps, drafter=drafters.make("tree", shape=WIDE), draft_length=3)
    steps = (step for words, style in prompts for step in race(pair, pair.encode(words, style), [lane], measured=False))
    return kept_by_rank((step.result.draft.parents, step.result.walk.path) for step in steps)


def _drafted(pair: Pair, sps: Settings, spec: str, length: int) -> Specviz:
    return Specviz(pair, replace(sps, drafter=drafters.parse(spec), draft_length=length), traced=False)


class Look(TypedDict):
    """Seconds of one forward of the verifier over so many nodes, as a chain and as a tree: medians. `ratio`: the median of
    those of neighbouring pairs."""

    nodes: int
    chain: float
    tree: float
    ratio: float


def looks(pair: Pair, prompt: Prompt, repeats: int) -> list[Look]:
    """One forward over a draft of each budget behind a prompt, chain and tree in turns."""
    tokens, rows = pair.encode(*prompt), []
    session = pair.verifier.session()
    with torch.inference_mode():
        session.forward(tokens, 1)
        for nodes in (1, *BUDGETS, 2 * BUDGETS[-1]):
            draft = (tokens * nodes)[:nodes]
            tree = [(node - 1) // 3 if node else -1 for node in range(nodes)]
            seconds = [(_look(session, draft, None), _look(session, draft, tree)) for _ in range(repeats + 1)][
                1:
            ]  # the first warms up
            row = Look(
                nodes=nodes,
                chain=median(chain for chain, _ in seconds),
                tree=median(other for _, other in seconds),
                ratio=median(other / chain for chain, other in seconds),
            )
            rows.append(row)
    return rows


def _look(session: Session, draft: list[int], parents: list[int] | None) -> float:
    length = session.length
    began = perf_counter()
    session.forward(draft, len(draft), parents)
    seconds = perf_counter() - began
    session.rollback(length)
    return seconds
