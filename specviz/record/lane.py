"""One lane of a run: what it was asked to do, and its rounds so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from specviz import drafters, registry, rules
from specviz.drafters import Drafter
from specviz.engine.settings import Settings
from specviz.record.round import Round
from specviz.rules import Rule
from specviz.types import Reason


@dataclass
class Lane:
    """`rule` None is plain decoding. `draft_length` may be "auto"; then each round's depth says what was chosen.
    `finished`: why it ended, or None."""

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
    def knobs(self) -> dict[str, float | int | str]:
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

    def to_json(self) -> dict[str, object]:
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
    def from_json(cls, data: Mapping[str, object]) -> Lane:
        """The lane of data that `check` has passed. Version 1 knew one drafter, the model."""
        rule = None if data["rule"] is None else rules.parse(str(data["rule"]))
        drafter = drafters.parse(str(data.get("drafter", "model"))) if rule is not None else drafters.make("nothing")
        rounds: list[dict[str, object]] = data["rounds"]  # type: ignore[assignment]
        return cls(
            rule,
            drafter,
            data["draft_length"],  # type: ignore[arg-type]
            [Round.from_json(round_, judged_count(rule, round_)) for round_ in rounds],
            data.get("finished"),  # type: ignore[arg-type]
        )


def judged_count(rule: Rule | None, data: Mapping[str, object]) -> int:
    """How many nodes of a chain were judged: up to the first refused one, or by a block rule all."""
    drafted, kept = len(data["drafted"]), data["kept"]  # type: ignore[arg-type]
    if rule is None or not drafted:
        return 0
    return drafted if rule.scope == "block" else min(int(kept) + 1, drafted)  # type: ignore[call-overload]
