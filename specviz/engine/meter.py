"""Holds rounds back until what they judged is measured, many positions at a time: most of what a few rows cost is not
arithmetic. A round comes out once, complete; nothing that was handed out changes later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from specviz.engine.decode import RoundResult
from specviz.engine.measure import Rows
from specviz.rules import Rule, TokenRule

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
        laws = [_laws(result) for _, result in waiting]
        by_rule: dict[
            tuple[Rule, bool], list[tuple[int, list[int]]]
        ] = {}  # the places in `waiting`, and which nodes there
        for i, (_, result) in enumerate(waiting):
            kinds: dict[tuple[Rule, bool], list[int]] = {}
            for node in result.walk.judged if result.judgement is not None else ():
                kinds.setdefault((result.judgement.judges[node], node in laws[i]), []).append(node)
            for kind, nodes in kinds.items():
                by_rule.setdefault(kind, []).append((i, nodes))
        measured: list[dict[int, Measured]] = [{} for _ in waiting]  # node -> its measures
        for (rule, together), places in by_rule.items():
            parts = [judged_rows(waiting[i][1], nodes, laws[i]) for i, nodes in places]
            columns = zip(*parts) if together else zip(*(part[:-1] for part in parts))
            values = iter(self._measure(rule, Rows(*map(torch.cat, columns))))
            for i, nodes in places:
                measured[i] |= zip(nodes, values)
        return [
            (key, result, [measures[node] for node in result.walk.judged])
            for (key, result), measures in zip(waiting, measured)
        ]


def _laws(result: RoundResult) -> dict[int, Tensor]:
    """Of judged nodes with siblings, what is emitted there, [V], where that is not the law of the rule that judged each. The
    eldest bears what its place costs, and the younger nothing: theirs is what they were judged against."""
    rule, judgement, parents = result.rule, result.judgement, result.draft.parents
    laws: dict[int, Tensor] = {}
    if judgement is None or not isinstance(rule, TokenRule) or rule.lossless or result.draft.is_chain:
        return laws
    for parent in {parents[node] for node in result.walk.judged}:
        nodes = [node for node, other in enumerate(parents) if other == parent]
        if len(nodes) == 1:
            continue
        verifier = judgement.verifier_probs[nodes[0]]
        law = rule.law_of_siblings(verifier, judgement.draft_probs[nodes], judgement.tokens[nodes])
        if law is not None:
            laws |= {node: judgement.verifier_probs[node] for node in nodes if judgement.judges[node] == rule}
            laws[nodes[0]] = law
    return laws


def judged_rows(result: RoundResult, nodes: list[int], laws: dict[int, Tensor]) -> Rows:
    """What a round with a draft judged at these nodes, all of which have a law of their own in `laws`, or none."""
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
        torch.stack([laws[node] for node in nodes]) if nodes and nodes[0] in laws else None,
    )
