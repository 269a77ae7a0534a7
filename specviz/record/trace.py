"""The one record of a run: everything shown, saved, measured or replayed is read from it and nothing else.

    trace = begin(pair, prompt, style, lanes)     # lanes: list of Settings; `running.run` does this and fills it
    trace.save("trace.json");  load("trace.json")

The JSON is an object with
    format, version, prompt, style, prompt_tokens, seed, max_new_tokens, sampling, models, versions
    pieces   {token id: its text} for every id below
    special  those of these ids that are no text, as the end of a message; absent: not known
    system   the system message of a chat, absent: what the template puts by itself
    continued  {prompt_length, position, forced}, if the run goes on from a place in an earlier one: `prompt_tokens` are then
             the prompt's own, that many, those kept up to `position`, and `forced`, the token a person put there (or null)
    samples  [[token id]]: what the verifier wrote behind `prompt_tokens` with other seeds, if a drafter copies from that
    lanes    [{rule, name, knobs, lossless, scope, drafter, draft_length, rounds, finished}]; rule null is plain decoding;
             draft_length may be a word of `lengths.WAYS`; of "auto" a round's draft says what was chosen
    digest   SHA-256 of the rest, so that an edit shows
A round is {start, drafted, kept, emitted, origin, judged, slices, draft_seconds, verify_seconds, seconds, clock}, and for a
draft that is no chain {parents, path, node} as in `Round`: `judged` holds one list per column, an entry per judged token;
`origin` is that of the last emitted token (null: the round ended on an accepted end of text). A round whose drafter says
where its tokens came from has `provenance` too, {by, copied_from, matched, layer, sample, ahead}: lists with an entry per drafted token,
null where that says nothing of it, and a list left out where it says nothing of any. `by` names the drafter, where one
stands for several; `copied_from` is the index in the text (prompt_tokens, then what the lane emitted before this round) of
the token that this one is a copy of; `matched` is the length of the run that was looked up to find it; `layer` the
verifier's layer behind which it was proposed; `sample` the index of that of `samples` which it is a copy of; `ahead` the number,
from 1 on, of the look-ahead token behind which it was proposed. Infinity is the string
"Infinity". No [V] array is ever kept. Version 1 had neither drafters nor trees; it is read as well.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from specviz import __version__, registry
from specviz.backends import Exit, Head, Lookahead, Model, Pair
from specviz.backends.facts import TRAINED
from specviz.engine.race import Step
from specviz.engine.settings import Settings
from specviz.record.check import check
from specviz.record.lane import Lane
from specviz.record.pieces import Tokenizer, joined
from specviz.record.round import Round
from specviz.types import Reason, Sampling

FORMAT, VERSION, READ = "specviz-trace", 2, (1, 2)
MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class ModelFacts:
    """Which model took part. `revision`: a commit, or a hash of the weight files."""

    id: str
    revision: str
    parameters: int
    dtype: str
    backend: str

    @classmethod
    def of(cls, model: Model | Head | Exit | Lookahead) -> ModelFacts:
        return cls(model.id, model.revision, model.parameters, model.dtype, model.name)


@dataclass(frozen=True)
class Continued:
    """Where a run went on from: after `prompt_length` tokens of the prompt, those kept up to `position`, and `forced`."""

    prompt_length: int
    position: int
    forced: int | None


class Added(NamedTuple):
    """What a step brought: its round, the texts of tokens not seen before, which of these are no text, and why its lane
    ended (None: it goes on)."""

    lane: int
    round: Round
    pieces: dict[str, str]
    special: list[int]
    finished: Reason | None


@dataclass
class Trace:
    """The record. `models` has a "verifier", a "draft" if one was loaded, and a "head", an "exit" and a "lookahead" if a lane drafts by them; `versions` are those of the software."""

    prompt: str
    style: str | None
    prompt_tokens: list[int]
    seed: int
    max_new_tokens: int
    sampling: Sampling
    models: dict[str, ModelFacts]
    versions: dict[str, str]
    lanes: list[Lane]
    pieces: dict[str, str]
    continued: Continued | None = None
    system: str | None = None
    special: list[int] = field(default_factory=list)
    samples: list[list[int]] = field(default_factory=list)

    def sampled(self, samples: Sequence[Sequence[int]], tokenizer: Tokenizer) -> None:
        """Notes what others wrote behind the same prompt."""
        self.samples = [list(sample) for sample in samples]
        self.name([token for sample in samples for token in sample], tokenizer)

    def add(self, step: Step, tokenizer: Tokenizer) -> Added:
        """Folds one step in. The step itself stays as it is."""
        round_, lane = Round.of(step), self.lanes[step.lane]
        lane.rounds.append(round_)
        lane.finished = step.result.finished
        shown = (token for slice_ in round_.slices for token in slice_.tokens)
        new, special = self.name([*round_.drafted, *round_.emitted, *shown], tokenizer)
        return Added(step.lane, round_, new, special, lane.finished)

    def name(self, tokens: Iterable[int], tokenizer: Tokenizer) -> tuple[dict[str, str], list[int]]:
        """Notes the texts of tokens; returns those that are new, and which of these are no text."""
        new = {str(t): tokenizer.piece(t) for t in dict.fromkeys(tokens) if str(t) not in self.pieces}
        special = [int(t) for t in new if int(t) in tokenizer.special]
        self.pieces |= new
        self.special += special
        return new, special

    def stop(self) -> None:
        """Marks the lanes that have not ended as stopped by a person."""
        for lane in self.lanes:
            lane.finished = lane.finished or "stopped"

    def settings(self) -> list[Settings]:
        """The settings of every lane."""
        return [
            Settings(
                lane.rule,
                self.sampling,
                lane.draft_length,
                self.max_new_tokens,
                self.seed,
                lane.drafter,
                samples=tuple(map(tuple, self.samples)),
            )  # fmt: skip
            for lane in self.lanes
        ]

    def continued_from(self) -> tuple[list[int], int | None]:
        """What stands between the prompt and the lanes: tokens kept from an earlier run, and the one put in by a person."""
        there = self.continued
        return (self.prompt_tokens[there.prompt_length : there.position], there.forced) if there else ([], None)

    def text(self, lane: int) -> str:
        """What a lane wrote, from its pieces, without tokens that are no text."""
        special = frozenset(self.special)
        return "".join(joined([self.pieces[str(token)] for token in self.lanes[lane].tokens if token not in special]))

    def drafters(self) -> list[str]:
        """The specs of the drafters at work, each once."""
        return list(dict.fromkeys(lane.drafter.spec for lane in self.lanes if lane.rule is not None))

    def specs(self) -> list[str]:
        """Each lane as text (see `engine.settings.parse_lane`); the drafter only where the lanes have several."""
        several = len(self.drafters()) > 1
        return [f"{lane.spec}@{lane.drafter.spec}" if several and lane.rule else lane.spec for lane in self.lanes]

    def plain(self) -> Lane | None:
        """The lane of the verifier alone, if there is one."""
        return next((lane for lane in self.lanes if lane.rule is None), None)

    def to_data(self) -> dict[str, object]:
        """The trace as plain data, without its digest."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "prompt": self.prompt,
            "style": self.style,
            **({} if self.system is None else {"system": self.system}),
            "prompt_tokens": self.prompt_tokens,
            **({"continued": asdict(self.continued)} if self.continued else {}),
            **({"samples": self.samples} if self.samples else {}),
            "pieces": self.pieces,
            **({"special": self.special} if self.special else {}),
            "models": {role: asdict(facts) for role, facts in self.models.items()},
            "versions": self.versions,
            "sampling": registry.values(self.sampling),
            "seed": self.seed,
            "max_new_tokens": self.max_new_tokens,
            "lanes": [lane.to_json() for lane in self.lanes],
        }

    def to_json(self) -> str:
        """The JSON text, with its digest."""
        data = self.to_data()
        return orjson.dumps(data | {"digest": digest(data)}).decode()

    @classmethod
    def from_json(cls, text: object) -> Trace:
        """Reads a trace. ValueError says what is wrong: truncated, edited, of another version, or no trace at all."""
        data = _parsed(text)
        claimed = data.pop("digest", None)
        try:
            check(data)
            same = claimed == digest(data)
        except RecursionError:
            raise ValueError("This is not a trace: it is nested too deeply.") from None
        if not same:
            raise ValueError("This trace was changed after it was saved: its digest does not match its contents.")
        return cls(
            **{
                name: data[name] for name in ("prompt", "prompt_tokens", "seed", "max_new_tokens", "versions", "pieces")
            },
            sampling=Sampling(**data["sampling"]),
            models={
                role: ModelFacts(**{k: facts[k] for k in _FACTS}) for role, facts in data["models"].items() if facts
            },
            lanes=[Lane.from_json(lane) for lane in data["lanes"]],
            continued=_continued(data["continued"]) if data.get("continued") else None,
            style=data.get("style"),
            system=data.get("system"),
            special=data.get("special") or [],
            samples=data.get("samples") or [],
        )

    def save(self, path: str | Path) -> None:
        """Writes the JSON text to a file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")


_FACTS = ("id", "revision", "parameters", "dtype", "backend")


def _continued(data: Mapping[str, Any]) -> Continued:
    return Continued(data["prompt_length"], data["position"], data.get("forced"))


def begin(
    pair: Pair,
    prompt: str,
    style: str | None,
    lanes: Sequence[Settings],
    kept: Sequence[int] = (),
    forced: int | None = None,
    system: str | None = None,
) -> Trace:
    """An empty trace of a run of `lanes`, which must share sampling, seed and max_new_tokens. ValueError if they do not.

    `kept`: tokens of an earlier run to go on from, `forced`: a token to put behind them. Randomness is keyed by absolute
    position, so such a run makes the draws that the earlier one made or would have made there. ValueError if a token is
    none of the models', if the text has ended with it, or if it leaves no room.
    """
    import torch

    first = lanes[0]
    for other in lanes[1:]:
        if (other.sampling, other.seed, other.max_new_tokens) != (first.sampling, first.seed, first.max_new_tokens):
            raise ValueError(
                "Lanes of one run must share sampling, seed and length; only rule, drafter and draft length may differ."
            )
    for settings in lanes:
        if refusal := settings.drafting.refusal(settings.rule, pair):
            raise ValueError(refusal)
    tokens = pair.encode(prompt, style, system)
    more = [*kept, *([] if forced is None else [forced])]
    _check_continued(pair, tokens, more, forced)
    used = {role for settings in lanes for role in settings.drafting.trained}
    parts = {role: part for role, part in pair.parts.items() if role in used or role not in TRAINED}
    trace = Trace(
        prompt,
        style,
        [*tokens, *more],
        first.seed,
        first.max_new_tokens,
        first.sampling,
        {role: ModelFacts.of(part) for role, part in parts.items()},
        {"specviz": __version__, "torch": torch.__version__, "python": platform.python_version()},
        [Lane.of(settings) for settings in lanes],
        {},
        Continued(len(tokens), len(tokens) + len(kept), forced) if more else None,
        system,
    )
    trace.name(trace.prompt_tokens, pair.tokenizer)
    return trace


def _check_continued(pair: Pair, tokens: Sequence[int], more: Sequence[int], forced: int | None) -> None:
    if odd := [t for t in more if not 0 <= t < pair.vocabulary]:
        raise ValueError(f"A token id is from 0 to {pair.vocabulary - 1:,} here; got {odd[0]}.")
    if pair.stop_tokens.intersection(more):
        ends = "The text ends with this token" if forced in pair.stop_tokens else "The kept text has ended"
        raise ValueError(f"{ends}, so there is nothing to go on with.")
    if len(tokens) + len(more) >= pair.max_positions:
        raise ValueError(
            f"The kept text is {len(tokens) + len(more):,} tokens long; these models hold {pair.max_positions:,}, "
            "and some must be left to write."
        )


def load(path: str | Path) -> Trace:
    """Reads a trace from a file. ValueError says what is wrong with it."""
    try:
        return Trace.from_json(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError("This is not a trace: it is not text.") from None


def _parsed(text: object) -> dict[str, Any]:
    """The JSON object of a trace's text, of a version that is read here. Every text in it is Unicode, and every number
    one that a computer holds: whole ones have at most 64 bits, the others are finite."""
    if not isinstance(text, str):
        raise ValueError("This is not a trace: a trace is text.")
    if len(text) > MAX_BYTES:
        raise ValueError(f"This file has {len(text):,} characters; a trace has at most {MAX_BYTES:,}.")
    try:
        data = orjson.loads(text)
    except json.JSONDecodeError as error:
        whole = text.strip()
        if whole.startswith("{") and (not whole.endswith("}") or error.pos >= len(whole)):
            raise ValueError(f"This trace is cut off: it ends after {len(text):,} characters, in the middle.") from None
        raise ValueError(f"This is not JSON: {error.msg} in line {error.lineno}.") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError("This is JSON, but not a specviz trace.")
    version = data.get("version")
    if type(version) is not int or version not in READ:
        raise ValueError(f"This trace has version {registry.shown(version)}; this specviz reads versions 1 and 2.")
    return data


def digest(data: Mapping[str, object]) -> str:
    """SHA-256 of plain data, the same after a browser has read and written it."""
    plain = _whole({k: v for k, v in data.items() if k != "digest"})
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(value: object) -> object:
    """`value` with 1.0 written as 1, as JavaScript does: a trace that went through a browser is still the same."""
    if type(value) is list:  # mostly of numbers, which are not worth a call each
        return [
            _whole(item)
            if type(item) in (dict, list)
            else int(item)
            if type(item) is float and item.is_integer()
            else item
            for item in value
        ]
    if type(value) is dict:
        return {key: _whole(item) for key, item in value.items()}
    return int(value) if type(value) is float and value.is_integer() else value
