"""One lane of a run: what it was asked to do, and its rounds so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from specviz import drafters, registry, rules
from specviz.drafters import Drafter
from specviz.engine.settings import Settings
from specviz.record.round import Round, RoundData
from specviz.rules import Rule
from specviz.types import Reason


class Version1Data(TypedDict):
    """A `Lane` as plain data; `rule` and `drafter` are specs."""

    rule: str | None
    name: str
    knobs: dict[str, registry.Value]
    lossless: bool
    scope: str
    draft_length: int | str
    rounds: list[RoundData]
    finished: Reason | None


class LaneData(Version1Data, total=False):
    """The same; version 1 of a trace had one drafter, and does not name it."""

    drafter: str


@dataclass
class Lane:
    """`rule` None is plain decoding. `draft_length` may be a word of `lengths.WAYS`; of "auto" each round's depth says what was
    chosen. `finished`: why it ended, or None."""

    rule: Rule | None
    drafter: Drafter
    draft_length: int | str
    rounds: list[Round] = field(default_factory=list)
    finished: Reason | None = None

    @classmethod
    def of(cls, settings: Settings) -> Lane:
        """An empty lane with these settings; lengths that were chosen round by round are "auto"."""
        length = settings.draft_length
        return cls(settings.rule, settings.drafting, "auto" if isinstance(length, tuple) else length)

    @property
    def name(self) -> str:
        """The rule's name, or "plain"."""
        return "plain" if self.rule is None else self.rule.name

    @property
    def spec(self) -> str:
        """The rule with all its knobs, or "plain"."""
        return "plain" if self.rule is None else self.rule.spec

    @property
    def knobs(self) -> dict[str, registry.Value]:
        """The rule's knobs by name."""
        return {} if self.rule is None else registry.values(self.rule)

    @property
    def lossless(self) -> bool:
        return self.rule is None or self.rule.lossless

    @property
    def scope(self) -> str:
        """What the rule judges at once: a "token" or a "block"."""
        return "token" if self.rule is None else self.rule.scope

    @property
    def tokens(self) -> list[int]:
        """What the lane wrote."""
        return [token for round_ in self.rounds for token in round_.emitted]

    def column(self, name: str) -> list[float]:
        """A column of numbers over all judged nodes of the lane; see `Round.judged`."""
        return [value for round_ in self.rounds for value in round_.column(name)]

    def to_json(self) -> LaneData:
        return {
            "rule": None if self.rule is None else self.rule.spec,
            "name": self.name,
            "knobs": self.knobs,
            "lossless": self.lossless,
            "scope": self.scope,
            "drafter": self.drafter.spec,
            "draft_length": self.draft_length,
            "rounds": [round_.to_json() for round_ in self.rounds],
            "finished": self.finished,
        }

    @classmethod
    def from_json(cls, data: LaneData) -> Lane:
        """The lane of data that `check` has passed. Version 1 knew one drafter, the model."""
        rule = None if data["rule"] is None else rules.parse(data["rule"])
        drafter = drafters.parse(data.get("drafter", "model")) if rule is not None else drafters.make("nothing")
        rounds = [
            Round.from_json(round_, judged_count(rule, len(round_["drafted"]), round_["kept"]))
            for round_ in data["rounds"]
        ]
        return cls(rule, drafter, data["draft_length"], rounds, data.get("finished"))


def judged_count(rule: Rule | None, drafted: int, kept: int) -> int:
    """How many nodes of a chain were judged: up to the first refused one, or by a block rule all."""
    if rule is None or not drafted:
        return 0
    return drafted if rule.scope == "block" else min(kept + 1, drafted)
