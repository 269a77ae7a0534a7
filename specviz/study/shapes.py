"""Which shape of draft? A chain, the usual tree, the best tree for these chances and costs, or a dynamic tree.

Some runs on the prompts of recorded texts say how often exactly the candidate of each rank is kept. What a fixed shape
writes per round is computed from that, as if these chances were the same wherever a candidate stands, which makes it an
estimate; a dynamic tree, whose candidates are picked anew in every round, is run. What a round takes comes of timed looks of
both models at so many nodes. The intervals say what one more run on such a prompt would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np

from specviz import rules
from specviz.backends import Pair
from specviz.drafters import Drafter
from specviz.drafters.dynamic import Dynamic
from specviz.drafters.tree import Tree, widths
from specviz.engine.decode import RoundResult
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.record.trace import Trace
from specviz.rules import Rule
from specviz.stopping import checkpoint
from specviz.study.advise import Advice, look_seconds, rest_seconds
from specviz.study.reading import check_fit
from specviz.study.trees import best_shape, count_by_rank, quotients, written_by

WIDE = "4-2-1"  # the shape that the chances by rank are measured with
NODES = (1, 2, 4, 6, 8, 12, 16, 24)  # of the shapes that are considered
DEEPEST = 6  # levels of a tree: each costs a forward of the draft model
CHAINS = range(1, 9)  # lengths of the chains
RUNS, LENGTH = 8, 40  # at least so many runs, of at most so many tokens
Kind = Literal["chain", "static", "best", "dynamic"]
Counts = tuple[list[int], list[int]]  # by rank: how often exactly that candidate was kept, of how many times


@dataclass(frozen=True)
class ShapeAdvice(Advice):
    """A draft of `nodes` nodes on `levels` levels. `measured`: what it keeps per round comes of runs of this very drafter;
    else it is estimated from the chances by rank."""

    kind: Kind
    nodes: int
    levels: int
    measured: bool


class Clock(NamedTuple):
    """Measured seconds: `verify` and `draft`, by how many tokens a forward looks at, and `rest` per round."""

    verify: dict[int, float]
    draft: dict[int, float]
    rest: float

    def speedup(self, written: float, shown: Sequence[int], nodes: int) -> float:
        """Against plain decoding, of rounds that write so much; `shown`: how many nodes the draft model looks at in each of
        its forwards."""
        drafting = sum(float(np.interp(count, *_points(self.draft))) for count in shown)
        looking = float(np.interp(nodes + 1, *_points(self.verify)))
        return written * (self.verify[1] + self.rest) / (drafting + looking + self.rest)


@dataclass(frozen=True)
class Shapes:
    """The answer: the chances by rank with 95 % intervals (Wilson), the `clock`, and one advice of each kind, fastest first."""

    chances: list[float]
    intervals: list[tuple[float, float]]
    clock: Clock
    advices: list[ShapeAdvice]


def by_shape(traces: Sequence[Trace], pair: Pair, *, rule: Rule | None = None, clock: Clock | None = None) -> Shapes:
    """The fastest chain, the usual tree, the best tree of at most NODES[-1] nodes (Sequoia's, arXiv 2402.12374) and a dynamic
    tree, for the prompts and the sampling of `traces` under a lossless token rule (default: sps).

    ValueError without a draft model, if the traces are of other models, or if the rule is lossy or does not take candidates
    that come so.
    """
    judge = rules.make("sps") if rule is None else rule
    if not (judge.lossless and judge.scope == "token"):
        raise ValueError(f"Shapes are compared under a lossless rule that judges token by token; {judge.name} is none.")
    for drafter in (Tree(), Dynamic()):
        if refusal := drafter.refusal(judge, pair):
            raise ValueError(refusal)
    for trace in traces:
        check_fit(trace, trace.prompt_tokens, pair)
    counts = [
        count_by_rank((result.draft.parents, result.walk.path) for result in run if len(result.draft))
        for run in _runs(traces, pair, judge, Tree(shape=WIDE), len(widths(WIDE)))
    ]
    picked = [
        (sum(len(result.emitted) for result in run), len(run)) for run in _runs(traces, pair, judge, Dynamic(), DEEPEST)
    ]
    clock = clock or _clock(pair, traces)
    advices = [*_fixed(clock, judge, counts), _dynamic(clock, judge, picked)]
    kept, offered = _total(counts)
    intervals = [stats.wilson(k, n) or (0.0, 1.0) for k, n in zip(kept, offered)]
    return Shapes(quotients(kept, offered), intervals, clock, sorted(advices, key=lambda advice: -advice.speedup))


def _fixed(clock: Clock, rule: Rule, counts: Sequence[Counts]) -> list[ShapeAdvice]:
    """The fastest chain, the usual tree and the fastest tree, from the `counts` of each run."""
    chances = quotients(*_total(counts))
    without = [quotients(*_total([*counts[:i], *counts[i + 1 :]])) for i in range(len(counts))]

    def advice(kind: Kind, spec: str, shape: str) -> ShapeAdvice:
        levels = widths(shape)
        written = stats.jackknife(written_by(chances, levels), [written_by(other, levels) for other in without])
        sizes = [sum(level) for level in levels]
        shown = [1] * len(sizes) if max(sizes) == 1 else [max(1, n) for n in accumulate([0, *sizes[:-1]])]
        return _advice(clock, kind, rule, spec, sum(sizes), shown, written, len(counts), measured=False)

    def fastest(advices: Iterable[ShapeAdvice]) -> ShapeAdvice:
        return max(advices, key=lambda advice: advice.speedup)

    chain = fastest(advice("chain", "model", "-".join("1" * length)) for length in CHAINS)
    if len(chances) == 1:  # no second candidate came, as at temperature 0
        return [chain]
    usual = Tree()
    shapes = {shape for n in NODES for deep in range(1, DEEPEST + 1) if (shape := _best(chances, n, deep))}
    best = fastest(advice("best", f"tree:shape={shape}", shape) for shape in sorted(shapes))
    return [chain, advice("static", usual.spec, usual.shape), best]


def _dynamic(clock: Clock, rule: Rule, picked: Sequence[tuple[int, int]]) -> ShapeAdvice:
    """From the tokens written and the rounds of each run with a dynamic tree."""
    drafter = Dynamic()
    shown = [max(1, drafter.width * level) for level in range(DEEPEST)]
    written = stats.ratio([tokens for tokens, _ in picked], [rounds for _, rounds in picked])
    return _advice(clock, "dynamic", rule, drafter.spec, drafter.size, shown, written, len(picked), measured=True)


def _best(chances: Sequence[float], nodes: int, levels: int) -> str | None:
    """The best shape of so many nodes on at most so many levels; None where they have no room there."""
    checkpoint()
    try:
        return best_shape(chances, nodes, levels).shape
    except ValueError:
        return None


def _advice(
    clock: Clock,
    kind: Kind,
    rule: Rule,
    spec: str,
    nodes: int,
    shown: list[int],
    written: stats.Estimate,
    runs: int,
    measured: bool,
) -> ShapeAdvice:
    """`written` over `runs` runs; the interval is widened to that of one more of them, as `Advice` has it."""
    further = (1 + runs) ** 0.5
    ends = (written.value if end is None else written.value + further * (end - written.value) for end in written[1:])
    low, high = (min(max(end, 1.0), len(shown) + 1.0) for end in ends)
    speed, slow, fast = (clock.speedup(value, shown, nodes) for value in (written.value, low, high))
    return ShapeAdvice(
        rule.spec, spec, len(shown), written.value - 1, (low - 1, high - 1), 0.0, speed, (slow, fast),
        kind, nodes, len(shown), measured,
    )  # fmt: skip


def _runs(
    traces: Sequence[Trace], pair: Pair, rule: Rule, drafter: Drafter, length: int
) -> Iterator[list[RoundResult]]:
    """The rounds of each of some runs with one drafter on the prompts of the traces, by turns, each with a seed of its own."""
    for i in range(max(RUNS, len(traces))):
        trace = traces[i % len(traces)]
        lane = Settings(
            rule, trace.sampling, length, min(trace.max_new_tokens, LENGTH), (trace.seed + 1_000_003 * (i + 1)) % 2**53,
            drafter,
        )  # fmt: skip
        rounds = []
        for step in race(pair, list(trace.prompt_tokens), [lane], measured=False):
            checkpoint()
            rounds.append(step.result)
        yield rounds


def _total(counts: Sequence[Counts]) -> Counts:
    longest = max(len(kept) for kept, _ in counts)
    columns = [[0] * longest, [0] * longest]
    for both in counts:
        for column, added in zip(columns, both):
            for rank, number in enumerate(added):
                column[rank] += number
    return columns[0], columns[1]


def _clock(pair: Pair, traces: Sequence[Trace]) -> Clock:
    sizes = sorted({1, 2, 3, 5, *(nodes + 1 for nodes in NODES)})
    verify, draft = look_seconds(pair, traces, sizes, [1, 4, 8, 16, 24])
    return Clock(verify, draft, rest_seconds(traces))


def _points(seconds: dict[int, float]) -> tuple[list[int], list[float]]:
    return list(seconds), list(seconds.values())
