"""What a job's messages say to a program: plain data, each round once, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from specviz import registry
from specviz.record import metrics
from specviz.record.pieces import joined
from specviz.record.round import RoundData
from specviz.record.trace import Trace
from specviz.ui import advice
from specviz.ui.line import Message


def waiting(message: Message) -> Message:
    return {name: value for name, value in message.items() if name in ("kind", "message", "place", "seconds")}


def kept(message: Message, names: Iterable[str], kind: str = "end") -> Message:
    return {"kind": kind} | {name: message[name] for name in names}


class Rounds:
    """The rounds of a run's messages, each of which may repeat what another brought."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}
        self._special: set[int] = set()
        self._seen = 0
        self.end: Message | None = None  # the message that brought the last ones

    def told(self, message: Message) -> Message | None:
        """What a message brings that was not told before."""
        self.end = message
        rounds = self.new(message)
        return {"kind": "rounds", "rounds": rounds} if rounds else None

    def new(self, message: Message) -> list[dict[str, Any]]:
        """Of the rounds in a message those that no message before it had."""
        header = message.get("trace", {})
        self._pieces |= header.get("pieces", {})
        self._special |= set(header.get("special", ()))
        rounds = []
        for delta in message["deltas"]:
            if delta["seq"] > self._seen:
                self._seen = delta["seq"]
                self._pieces |= delta["pieces"]
                self._special |= set(delta["special"])
                rounds += [self._round(*round_) for round_ in delta["rounds"]]
        return rounds

    def _round(self, lane: int, round_: RoundData) -> dict[str, Any]:
        written = [self._pieces[str(token)] for token in round_["emitted"] if token not in self._special]
        return {
            "lane": lane, "text": "".join(joined(written)), "drafted": len(round_["drafted"]), "kept": round_["kept"],
            "written": len(round_["emitted"]), "seconds": round_["seconds"],
        }  # fmt: skip


def summary(text: str, note: str = "", with_trace: bool = False) -> dict[str, Any]:
    """What a trace's text says: {kind, note, models, prompt_tokens, seed, lanes, definitions, trace}. `note`: why the run
    ended before its lanes did."""
    trace = Trace.from_json(text)
    lanes = [
        {
            "rule": lane.spec, "drafter": lane.drafter.spec, "draft_length": lane.draft_length, "finished": lane.finished,
            "text": trace.text(number), "figures": _numbers(metrics.figures(lane, trace.plain())),
        }
        for number, lane in enumerate(trace.lanes)
    ]  # fmt: skip
    return {
        "kind": "end", "note": note, "models": {role: model.id for role, model in trace.models.items()},
        "prompt_tokens": len(trace.prompt_tokens), "sampling": registry.values(trace.sampling), "seed": trace.seed,
        "lanes": lanes, "definitions": metrics.DEFINITIONS, "trace": text if with_trace else None,
    }  # fmt: skip


def worded(values: Any) -> Any:
    """Numbers, or rows of them, as JSON can hold them."""
    return [worded(value) for value in values] if isinstance(values, list) else advice.plain(values)


def _numbers(figures: Mapping[str, float | None]) -> dict[str, float | str | None]:
    return {name: advice.plain(value) for name, value in figures.items()}


def point(message: Message) -> Message:
    """How far a sweep is, or its points."""
    if not message["ended"]:
        return kept(message, ("done", "total", "seconds", "left"), "progress")
    return kept(message, ("rows", "csv")) | {"note": message["message"], "definitions": metrics.SWEEP}
