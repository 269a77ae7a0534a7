"""One round of a lane, as it is kept: plain numbers, and no distribution over the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from specviz.drafters.draft import Provenance
from specviz.engine.measure import COLUMNS, Candidates, Slice
from specviz.engine.race import Step
from specviz.types import Origin, depths

Number = float | int | None
Column = list[Number]
JUDGED = ("uniform", "accept_prob", "strict_accept_prob", "draft_prob", "verifier_prob")  # columns of every judged node


class SliceData(TypedDict):
    """A `Slice` as plain data."""

    tokens: list[int]
    draft: list[float]
    verifier: list[float]
    target: list[float] | None
    residual: list[float]
    output: list[float]


class ProvenanceData(TypedDict, total=False):
    """Columns of the fields of `Provenance`, an entry per drafted token; a field that says nothing of any is left out."""

    by: list[str | None]
    copied_from: list[int | None]
    matched: list[int | None]
    layer: list[int | None]
    sample: list[int | None]
    ahead: list[int | None]


class CandidatesData(TypedDict):
    """Columns of the fields of `Candidates`, an entry per place that had several."""

    behind: list[int]
    kept_chance: list[float]
    optimum: list[float | None]


class ChainData(TypedDict):
    """A `Round` as plain data; infinity is the word "Infinity"."""

    start: int
    drafted: list[int]
    kept: int
    emitted: list[int]
    origin: Origin | None
    judged: Mapping[str, Sequence[Number | str]]
    slices: list[SliceData]
    draft_seconds: float
    verify_seconds: float
    seconds: float
    clock: float


class RoundData(ChainData, total=False):
    """The same. A draft that is no chain has its shape as well, how its nodes came, and the
    numbers of the places that had several candidates; one whose drafter said where its tokens came
    from, that."""

    parents: list[int]
    path: list[int]
    node: list[int]
    provenance: ProvenanceData
    chosen: list[bool]
    law_prob: list[float]
    candidates: CandidatesData


@dataclass
class Round:
    """What was drafted and what became of it. Of its shape only its own methods know.

    start     position of the round's first token
    drafted   token ids of the draft's nodes; `parents`: of each, the node it follows, -1 for the text
    path      the nodes kept, from the first on
    nodes     the nodes judged, in that order
    provenance  of each drafted token, where it came from; empty if nothing is known of any
    chosen    of each node of a tree, whether it was picked and not drawn; empty for a chain
    law_prob  of each node of a tree, the probability of its token under its own law; empty for a chain
    candidates  of each place of `path` that had several, exact numbers; empty where nothing was measured
    judged    columns of numbers, an entry per judged node: JUDGED, and the measures of `engine.measure`; slices likewise
    emitted   token ids that became text: those of `path`, then the one each round adds
    origin    how that last one came; None if the text ended on an accepted token
    draft_seconds, verify_seconds, seconds  of the drafter, of the verifier, of the whole round; clock: of the lane so far
    """

    start: int
    drafted: list[int]
    parents: list[int]
    path: list[int]
    nodes: list[int]
    emitted: list[int]
    origin: Origin | None
    draft_seconds: float
    verify_seconds: float
    seconds: float
    clock: float
    judged: dict[str, Column] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    provenance: list[Provenance] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)
    law_prob: list[float] = field(default_factory=list)
    candidates: list[Candidates] = field(default_factory=list)

    @classmethod
    def of(cls, step: Step) -> Round:
        """The record of a step of a race."""
        result, judged = step.result, list(step.result.walk.judged)
        columns: dict[str, Column] = {}
        judgement = result.judgement
        if judgement is not None:
            draft, verifier = judgement.draft_prob, judgement.verifier_prob
            columns = {
                "uniform": [result.uniforms[i] for i in judged],
                "accept_prob": [judgement.accept_prob[i] for i in judged],
                # What was drafted had a chance.
                "strict_accept_prob": [min(1.0, verifier[i] / draft[i]) for i in judged],
                "draft_prob": [draft[i] for i in judged],
                "verifier_prob": [verifier[i] for i in judged],
            }
            for name in COLUMNS:
                if step.measures and name in step.measures[0].columns:
                    columns[name] = [short(measures.columns.get(name)) for measures in step.measures]
        branching = judgement is not None and not result.draft.is_chain
        return cls(
            start=result.start,
            drafted=list(result.draft.tokens),
            parents=list(result.draft.parents),
            path=list(result.walk.path),
            nodes=judged,
            emitted=list(result.emitted),
            origin=result.origin,
            draft_seconds=_digits(result.draft_seconds),
            verify_seconds=_digits(result.verify_seconds),
            seconds=_digits(step.seconds),
            clock=_digits(step.clock),
            judged=columns,
            slices=[_short_slice(measures.slice) for measures in step.measures],
            provenance=_known(result.draft.provenance),
            chosen=list(result.draft.chosen) if branching else [],
            law_prob=_shorts(judgement.draft_prob) if branching and judgement is not None else [],
            candidates=[_short_candidates(place) for place in step.candidates],
        )

    @property
    def kept(self) -> int:
        """How many drafted tokens became text."""
        return len(self.path)

    @property
    def is_chain(self) -> bool:
        """Whether every drafted token follows the one before."""
        return self.parents == list(range(-1, len(self.drafted) - 1))

    @property
    def depth(self) -> int:
        """The most drafted tokens on one path."""
        return max(depths(self.parents), default=-1) + 1

    def reached(self, kept: int) -> bool:
        """Whether so many drafted tokens were kept, and the draft offered one to follow them."""
        return kept <= self.kept and (self.path[kept - 1] if kept else -1) in self.parents

    def places(self) -> list[int]:
        """The position in the text of each judged node."""
        deep = depths(self.parents)
        return [self.start + deep[node] for node in self.nodes]

    def column(self, name: str) -> list[float]:
        """A column's numbers, those that are there; none if the column is not."""
        return [float(value) for value in self.judged.get(name, []) if value is not None]

    def fates(self, lossless: bool) -> list[str]:
        """The fate of each drafted token: accepted, relaxed, rejected or discarded."""
        kept, judged = set(self.path), {node: i for i, node in enumerate(self.nodes)}
        uniform, strict_accept = self.column("uniform"), self.column("strict_accept_prob")
        fates = []
        for node, parent in enumerate(self.parents):
            if node in kept:
                strict = uniform[judged[node]] < strict_accept[judged[node]]
                fates.append("accepted" if lossless or strict else "relaxed")
            else:
                looked_at = node in judged and (parent < 0 or parent in kept)
                fates.append("rejected" if looked_at else "discarded")
        return fates

    def to_json(self) -> RoundData:
        """Plain data; a chain's parents, path and nodes are what `kept` says, and left out."""
        data: RoundData = {
            "start": self.start,
            "drafted": self.drafted,
            "kept": self.kept,
            "emitted": self.emitted,
            "origin": self.origin,
            "judged": {name: _worded(column) for name, column in self.judged.items()},
            "slices": [_slice_data(slice_) for slice_ in self.slices],
            "draft_seconds": self.draft_seconds,
            "verify_seconds": self.verify_seconds,
            "seconds": self.seconds,
            "clock": self.clock,
        }
        if not (self.is_chain and self.path == list(range(self.kept)) and self.nodes == list(range(len(self.nodes)))):
            data["parents"], data["path"], data["node"] = self.parents, self.path, self.nodes
        if self.provenance:
            data["provenance"] = _columns(self.provenance)
        if self.chosen:
            data["chosen"], data["law_prob"] = self.chosen, self.law_prob
        if self.candidates:
            behind, kept_chance, optimum = (list(column) for column in zip(*self.candidates))
            data["candidates"] = {"behind": behind, "kept_chance": kept_chance, "optimum": optimum}
        return data

    @classmethod
    def from_json(cls, data: RoundData, judged: int) -> Round:
        """The round of data that `check` has passed; `judged`: how many nodes were judged, where the data does not say."""
        return cls(
            start=data["start"],
            drafted=data["drafted"],
            parents=data.get("parents", list(range(-1, len(data["drafted"]) - 1))),
            path=data.get("path", list(range(data["kept"]))),
            nodes=data.get("node", list(range(judged))),
            emitted=data["emitted"],
            origin=data.get("origin"),
            draft_seconds=data["draft_seconds"],
            verify_seconds=data["verify_seconds"],
            seconds=data["seconds"],
            clock=data["clock"],
            judged={name: _numbers(column) for name, column in data["judged"].items()},
            slices=[_slice(slice_) for slice_ in data["slices"]],
            provenance=_provenance(data.get("provenance", {})),
            chosen=data.get("chosen", []),
            law_prob=data.get("law_prob", []),
            candidates=_candidates(data.get("candidates")),
        )


def short(value: Number) -> Number:
    """A number with 5 significant digits; whole numbers, infinity and None as they are."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


def _shorts(values: Sequence[float]) -> list[float]:
    return [_digits(value) for value in values]


def _short_slice(slice_: Slice) -> Slice:
    tokens, draft, verifier, target, residual, output = slice_
    shown = None if target is None else _shorts(target)
    return Slice(tokens, _shorts(draft), _shorts(verifier), shown, _shorts(residual), _shorts(output))


def _short_candidates(place: Candidates) -> Candidates:
    behind, kept_chance, optimum = place
    return Candidates(behind, _digits(kept_chance), None if optimum is None else _digits(optimum))


def _candidates(columns: CandidatesData | None) -> list[Candidates]:
    if columns is None:
        return []
    return [Candidates(*place) for place in zip(columns["behind"], columns["kept_chance"], columns["optimum"])]


def _slice_data(slice_: Slice) -> SliceData:
    tokens, draft, verifier, target, residual, output = slice_
    return {
        "tokens": tokens, "draft": draft, "verifier": verifier, "target": target, "residual": residual, "output": output
    }  # fmt: skip


def _slice(data: SliceData) -> Slice:
    parts = data["tokens"], data["draft"], data["verifier"], data.get("target"), data["residual"], data["output"]
    return Slice(*parts)


def _known(provenance: Sequence[Provenance | None]) -> list[Provenance]:
    """What is said of each token; nothing, if nothing is said of any."""
    each = [known or Provenance() for known in provenance]
    return each if any(known != Provenance() for known in each) else []


def _columns(provenance: list[Provenance]) -> ProvenanceData:
    columns: ProvenanceData = {}
    if any(known.by is not None for known in provenance):
        columns["by"] = [known.by for known in provenance]
    if any(known.copied_from is not None for known in provenance):
        columns["copied_from"] = [known.copied_from for known in provenance]
    if any(known.matched is not None for known in provenance):
        columns["matched"] = [known.matched for known in provenance]
    if any(known.layer is not None for known in provenance):
        columns["layer"] = [known.layer for known in provenance]
    if any(known.sample is not None for known in provenance):
        columns["sample"] = [known.sample for known in provenance]
    if any(known.ahead is not None for known in provenance):
        columns["ahead"] = [known.ahead for known in provenance]
    return columns


def _provenance(columns: ProvenanceData) -> list[Provenance]:
    count = max((len(column) for column in columns.values() if isinstance(column, list)), default=0)
    nothing: list[None] = [None] * count
    return [
        Provenance(*known)
        for known in zip(
            columns.get("by", nothing),
            columns.get("copied_from", nothing),
            columns.get("matched", nothing),
            columns.get("layer", nothing),
            columns.get("sample", nothing),
            columns.get("ahead", nothing),
        )
    ]


def _worded(column: Column) -> Sequence[Number | str]:
    """Numbers as JSON can hold them."""
    return ["Infinity" if value == math.inf else value for value in column] if math.inf in column else column


def _numbers(column: Sequence[Number | str]) -> Column:
    """The numbers of JSON, where the only word is "Infinity"."""
    return [math.inf if isinstance(value, str) else value for value in column]
