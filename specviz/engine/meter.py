"""Holds rounds back until what they judged is measured, many positions at a time: most of what a few rows cost is not
arithmetic. A round comes out once, complete; nothing that was handed out changes later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from specviz.engine.decode import RoundResult
from specviz.engine.measure import Rows
from specviz.rules import Rule

Key = TypeVar("Key")
Measured = TypeVar("Measured")


class Meter(Generic[Key, Measured]):
    """A queue of rounds. `measure(rule, rows)` gives one result for each judged position."""

    def __init__(self, measure: Callable[[Rule, Rows], list[Measured]]):
        self._measure = measure
        self._waiting: list[tuple[Key, RoundResult]] = []
        self.rows = 0  # judged positions that wait

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key, result: RoundResult) -> None:
        self._waiting.append((key, result))
        self.rows += len(result.walk.judged)

    def flush(self) -> list[tuple[Key, RoundResult, list[Measured]]]:
        """All rounds added since the last call, in their order, each with the measures of what it judged."""
        waiting, self._waiting, self.rows = self._waiting, [], 0
        by_rule: dict[
            tuple[Rule, bool], list[tuple[int, list[int]]]
        ] = {}  # the places in `waiting`, and which nodes there
        for i, (_, result) in enumerate(waiting):
            if result.judgement is not None:
                judges, judged = result.judgement.judges, result.walk.judged
                for rule in dict.fromkeys(judges[node] for node in judged):
                    laws = result.judgement.laws is not None and rule == result.rule
                    by_rule.setdefault((rule, laws), []).append((i, [node for node in judged if judges[node] == rule]))
        measured: list[dict[int, Measured]] = [{} for _ in waiting]  # node -> its measures
        for (rule, laws), places in by_rule.items():
            parts = [judged_rows(waiting[i][1], nodes) for i, nodes in places]
            columns = zip(*parts) if laws else zip(*(part[:-1] for part in parts))
            values = iter(self._measure(rule, Rows(*map(torch.cat, columns))))
            for i, nodes in places:
                measured[i] |= zip(nodes, values)
        return [
            (key, result, [measures[node] for node in result.walk.judged])
            for (key, result), measures in zip(waiting, measured)
        ]


def judged_rows(result: RoundResult, nodes: list[int]) -> Rows:
    """What a round with a draft judged at these nodes."""
    judgement = result.judgement
    assert judgement is not None
    which = slice(len(nodes)) if nodes == list(range(len(nodes))) else nodes
    uniforms = torch.tensor([result.uniforms[node] for node in nodes], dtype=torch.float64)
    return Rows(
        judgement.verifier_probs[which],
        judgement.draft_probs[which],
        judgement.tokens[which],
        judgement.residual_probs[which],
        uniforms,
        None if judgement.laws is None else judgement.laws[which],
    )
