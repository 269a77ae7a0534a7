"""The one record of a run: everything shown, saved, measured or replayed is read from it and nothing else.

    record = trace.begin(pair, prompt, style, lanes)     # lanes: list of Settings
    for step in race.race(pair, tokens, lanes):
        record.add(step)
    record.save("trace.json");  trace.load("trace.json");  trace.verify(record, pair)

The JSON is an object with
    format, version, prompt, style, prompt_tokens, seed, max_new_tokens, sampling, models, versions
    pieces   {token id: its text} for every id below
    continued  {prompt_length, position, forced}, if the run goes on from a place in an earlier one: `prompt_tokens` are then
             the prompt's own, that many, those kept up to `position`, and `forced`, the token a person put there (or null)
    lanes    [{rule, name, knobs, lossless, scope, draft_length, rounds, finished}]; rule null is plain decoding;
             draft_length may be "auto", and then a round's `drafted` says what was chosen
    digest   SHA-256 of the rest, so that an edit shows
A round is {start, drafted, kept, emitted, origin, judged, slices, draft_seconds, verify_seconds, seconds, clock}:
`judged` holds one list per column, an entry per judged token; `origin` is that of the last emitted token
(null: the round ended on an accepted end of text). Infinity is the string "Infinity". No [V] array is ever kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from specviz import __version__, registry, rules
from specviz.backends import Pair
from specviz.engine.measure import COLUMNS
from specviz.engine.race import Step, race
from specviz.record.check import check
from specviz.types import Drafted, Emitted, Finished, Judged, Sampling, Settings, Verified

FORMAT, VERSION = "specviz-trace", 1
JUDGED = ("uniform", "accept_prob", "strict_accept_prob", "draft_prob", "verifier_prob")
MAX_BYTES = 100_000_000


class Trace:
    """The record. `data` is the JSON object described above, kept up to date by `add`."""

    def __init__(self, data: dict, piece=None):
        self.data = data
        self._piece = piece

    def add(self, step: Step) -> dict:
        """Folds one step in. Returns what is new: {"lane", "round" (None if the lane only ended), "pieces", "finished"}."""
        lane = self.data["lanes"][step.lane]
        round_ = None
        for event in step.events:
            match event:
                case Drafted(start, tokens, seconds):
                    columns = {name: [] for name in (*JUDGED, *COLUMNS)}
                    round_ = {
                        "start": start,
                        "drafted": list(tokens),
                        "kept": 0,
                        "emitted": [],
                        "origin": None,
                        "judged": columns,
                        "slices": [],
                        "draft_seconds": _short(seconds),
                    }
                case Verified(seconds):
                    round_["verify_seconds"] = _short(seconds)
                case Judged():
                    measures = dict(event.measures)
                    if "slice" in measures:
                        found = measures.pop("slice")
                        round_["slices"].append(
                            {"tokens": found.pop("tokens")}
                            | {k: v and [_short(x) for x in v] for k, v in found.items()}
                        )
                    for name in JUDGED:
                        round_["judged"][name].append(getattr(event, name))
                    for name, value in measures.items():
                        round_["judged"][name].append(_short(value))
                case Emitted(_, token, origin):
                    round_["emitted"].append(token)
                    round_["kept"] += origin == "accepted"
                    round_["origin"] = None if origin == "accepted" else origin
                case Finished(reason):
                    lane["finished"] = reason
        pieces = {}
        if round_ is not None:
            round_ |= {"seconds": _short(step.seconds), "clock": _short(step.clock)}
            round_["judged"] = {name: column for name, column in round_["judged"].items() if column}
            lane["rounds"].append(round_)
            pieces = self._name(
                [*round_["drafted"], *round_["emitted"], *(t for s in round_["slices"] for t in s["tokens"])]
            )
        return {"lane": step.lane, "round": round_, "pieces": pieces, "finished": lane["finished"]}

    def stop(self) -> None:
        """Marks the lanes that have not ended as stopped by a person."""
        for lane in self.data["lanes"]:
            lane["finished"] = lane["finished"] or "stopped"

    def _name(self, tokens: list[int]) -> dict[str, str]:
        known = self.data["pieces"]
        new = {str(t): self._piece(t) for t in dict.fromkeys(tokens) if str(t) not in known}
        known |= new
        return new

    def settings(self) -> list[Settings]:
        """The settings of every lane."""
        data = self.data
        return [
            Settings(
                rule=None if lane["rule"] is None else rules.parse(lane["rule"]),
                sampling=Sampling(**data["sampling"]),
                draft_length=lane["draft_length"], max_new_tokens=data["max_new_tokens"], seed=data["seed"],
            )
            for lane in data["lanes"]
        ]  # fmt: skip

    def kept(self) -> tuple[list[int], int | None]:
        """What stands between the prompt and the lanes: tokens kept from an earlier run, and the one put in by a person."""
        found = self.data.get("continued")
        return (
            (self.data["prompt_tokens"][found["prompt_length"] : found["position"]], found.get("forced"))
            if found
            else ([], None)
        )

    def text(self, lane: int) -> str:
        """What a lane wrote, from its pieces."""
        return "".join(self.data["pieces"][str(t)] for r in self.data["lanes"][lane]["rounds"] for t in r["emitted"])

    def to_json(self) -> str:
        """The JSON text, with its digest."""
        return orjson.dumps(self.data | {"digest": _digest(self.data)}).decode()

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """Reads a trace. ValueError says what is wrong: truncated, edited, of another version, or no trace at all."""
        if len(text) > MAX_BYTES:
            raise ValueError(f"This file has {len(text):,} characters; a trace has at most {MAX_BYTES:,}.")
        try:
            data = json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            raise ValueError("This is not a trace: it is nested too deeply.") from None
        except json.JSONDecodeError as error:
            whole = text.strip()
            cut = whole.startswith("{") and (not whole.endswith("}") or error.pos >= len(whole))
            raise ValueError(
                f"This trace is cut off: it ends after {len(text):,} characters, in the middle."
                if cut
                else f"This is not JSON: {error.msg} in line {error.lineno}."
            ) from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError("This is JSON, but not a specviz trace.")
        if data.get("version") != VERSION:
            raise ValueError(f"This trace has version {data.get('version')!r}; this specviz reads version {VERSION}.")
        digest = data.pop("digest", None)
        check(data, JUDGED, tuple(COLUMNS))
        if digest != _digest(data):
            raise ValueError("This trace was changed after it was saved: its digest does not match its contents.")
        return cls(data)

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.to_json(), encoding="utf-8")


def begin(
    pair: Pair,
    prompt: str,
    style: str | None,
    lanes: list[Settings],
    kept: Sequence[int] = (),
    forced: int | None = None,
) -> Trace:
    """An empty trace of a run of `lanes`, which must share sampling, seed and max_new_tokens. ValueError if they do not.

    `kept`: tokens of an earlier run to go on from, `forced`: a token to put behind them. Randomness is keyed by absolute
    position, so such a run makes the draws that the earlier one made or would have made there. ValueError if a token is
    none of the models', if the text has ended with it, or if it leaves no room.
    """
    first = lanes[0]
    for other in lanes[1:]:
        if (other.sampling, other.seed, other.max_new_tokens) != (first.sampling, first.seed, first.max_new_tokens):
            raise ValueError(
                "Lanes of one run must share sampling, seed and length; only rule and draft length may differ."
            )
    import torch

    if pair.draft is None:
        raise ValueError("A run needs a draft model as well: give both models, or a pair.")
    tokens = pair.encode(prompt, style)
    more = [*kept, *([] if forced is None else [forced])]
    if odd := [t for t in more if not 0 <= t < pair.vocabulary]:
        raise ValueError(f"A token id is from 0 to {pair.vocabulary - 1:,} here; got {odd[0]}.")
    if pair.stop_tokens.intersection(more):
        raise ValueError(
            "The text ends with this token, so there is nothing to go on with."
            if forced in pair.stop_tokens
            else "The kept text has ended, so there is nothing to go on with."
        )
    if len(tokens) + len(more) >= pair.max_positions:
        raise ValueError(
            f"The kept text is {len(tokens) + len(more):,} tokens long; these models hold {pair.max_positions:,}, and some must be left to write."
        )
    record = Trace(
        {
            "format": FORMAT,
            "version": VERSION,
            "prompt": prompt,
            "style": style,
            "prompt_tokens": [*tokens, *more],
            **(
                {"continued": {"prompt_length": len(tokens), "position": len(tokens) + len(kept), "forced": forced}}
                if more
                else {}
            ),
            "pieces": {},
            "models": {role: _about(model) for role, model in (("draft", pair.draft), ("verifier", pair.verifier))},
            "versions": {"specviz": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "sampling": {k["name"]: getattr(first.sampling, k["name"]) for k in registry.knobs(Sampling)},
            "seed": first.seed,
            "max_new_tokens": first.max_new_tokens,
            "lanes": [_lane(settings) for settings in lanes],
        },
        pair.tokenizer.piece,
    )
    record._name(record.data["prompt_tokens"])
    return record


def load(path: str | Path) -> Trace:
    """Reads a trace from a file. ValueError says what is wrong with it."""
    try:
        return Trace.from_json(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError("This is not a trace: it is not text.") from None


def verify(record: Trace, pair: Pair) -> tuple[bool, str]:
    """Re-runs a trace. Returns whether every choice reproduces, and a sentence that says so or where it first does not."""
    data = record.data
    for role, model in (("draft", pair.draft), ("verifier", pair.verifier)):
        was, now = data["models"][role], _about(model)
        if (was["revision"], was["dtype"]) != (now["revision"], now["dtype"]):
            return (
                False,
                f"Not checked: the trace was made with the {role} {was['id']} ({was['revision']}, {was['dtype']}), and this is {now['id']} ({now['revision']}, {now['dtype']}).",
            )
    again = begin(pair, data["prompt"], data["style"], record.settings(), *record.kept())
    if (again.data["prompt_tokens"], again.data.get("continued")) != (data["prompt_tokens"], data.get("continued")):
        return False, "The prompt gives other tokens than the trace records."
    lanes = [
        replace(settings, draft_length=tuple(len(r["drafted"]) for r in lane["rounds"]))
        if settings.draft_length == "auto"
        else settings
        for settings, lane in zip(record.settings(), data["lanes"])
    ]  # what was chosen by the clock is chosen again by the record
    for step in race(pair, data["prompt_tokens"], lanes):
        again.add(step)
    rounds = 0
    for lane, (old, new) in enumerate(zip(data["lanes"], again.data["lanes"])):
        for old_round, new_round in zip(old["rounds"], new["rounds"]):
            if how := _difference(old_round, new_round):
                return (
                    False,
                    f"Lane {lane + 1} ({old['name']}) differs first in the round at position {old_round['start']}: {how}.",
                )
        if old["finished"] not in ("stopped", None, new["finished"]):
            return (
                False,
                f"Lane {lane + 1} ({old['name']}) ends with {old['finished']!r} in the trace and {new['finished']!r} now.",
            )
        if len(old["rounds"]) > len(new["rounds"]) or (
            old["finished"] == new["finished"] and len(old["rounds"]) != len(new["rounds"])
        ):
            return (
                False,
                f"Lane {lane + 1} ({old['name']}) has {len(old['rounds'])} rounds in the trace and {len(new['rounds'])} now.",
            )
        rounds += len(old["rounds"])
    return True, f"Reproduced: all {rounds} rounds of {len(data['lanes'])} lanes, every draft, verdict and token."


def _difference(old: dict, new: dict) -> str | None:
    """What differs between two rounds, or None. Choices must be equal, numbers equal within float noise."""
    for name in ("start", "drafted", "kept", "emitted", "origin"):
        if old[name] != new[name]:
            return f"{name} was {old[name]} and is {new[name]}"
    for name, column in old["judged"].items():
        for was, now in zip(column, new["judged"].get(name, column)):
            if was != now and not math.isclose(_number(was), _number(now), rel_tol=1e-3, abs_tol=1e-5):
                return f"{name} was {was} and is {now}"
    return None


def _lane(settings: Settings) -> dict:
    rule = settings.rule
    return {
        "rule": None if rule is None else rule.spec,
        "name": "plain" if rule is None else rule.name,
        "knobs": {} if rule is None else {k["name"]: getattr(rule, k["name"]) for k in registry.knobs(type(rule))},
        "lossless": rule is None or rule.lossless,
        "scope": "token" if rule is None else rule.scope,
        "draft_length": settings.draft_length,
        "rounds": [],
        "finished": None,
    }


def _about(model) -> dict:
    return {
        "id": model.id,
        "revision": model.revision,
        "parameters": model.parameters,
        "dtype": model.dtype,
        "backend": model.name,
    }


def _short(value):
    """A number with 5 significant digits; infinity as a word; None as it is."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else "Infinity"


def _number(value) -> float:
    return math.nan if value is None else float(value)


def _digest(data: dict) -> str:
    plain = _whole({k: v for k, v in data.items() if k != "digest"})
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(value):
    """`value` with 1.0 written as 1, as JavaScript does: a trace that went through a browser is still the same."""
    kind = type(value)
    if kind is list:  # mostly of numbers, which are not worth a call each
        return [
            _whole(one) if type(one) in (dict, list) else int(one) if type(one) is float and one.is_integer() else one
            for one in value
        ]
    if kind is dict:
        return {key: _whole(one) for key, one in value.items()}
    return int(value) if kind is float and value.is_integer() else value


def _no_constant(word: str):
    raise ValueError(f"This is not a trace: it holds {word}, which is no JSON number.")
