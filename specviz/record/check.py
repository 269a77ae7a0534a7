"""Is this object really a trace? Checked before anything looks at it, so that no view meets a surprise."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import Any, NoReturn

from specviz import drafters, registry, rules
from specviz.backends.facts import TRAINED
from specviz.drafters import Drafter
from specviz.engine.measure import COLUMNS
from specviz.engine.settings import Settings
from specviz.record.lane import judged_count
from specviz.record.round import JUDGED
from specviz.rules import Rule
from specviz.types import Sampling, depths

_HEADER = {
    "prompt": str,
    "prompt_tokens": list,
    "pieces": dict,
    "models": dict,
    "versions": dict,
    "sampling": dict,
    "seed": int,
    "max_new_tokens": int,
    "lanes": list,
}
_LANE = {"name": str, "knobs": dict, "lossless": bool, "scope": str, "rounds": list}
_ROUND = {
    "start": int,
    "drafted": list,
    "kept": int,
    "emitted": list,
    "judged": dict,
    "slices": list,
    "draft_seconds": float,
    "verify_seconds": float,
    "seconds": float,
    "clock": float,
}
_SLICE = ("draft", "verifier", "target", "residual", "output")
_MODEL = {"id": str, "revision": str, "parameters": int, "dtype": str, "backend": str}
NUMBERS = {int, float}
NULLABLE = ("kl_target_verifier", "flip")  # measures that not every rule has
MOST_LANES = 64
MOST_TOKENS = 2**31  # in a vocabulary
MOST_SECONDS = 1e9
MOST_NATS = 1e12  # of any measure, or whatever else its unit is
LONGEST_DRAFT = 32  # tokens on one path
LONGEST_NAME = 1000  # characters of what a model or a version is called
_REASONS = (None, "end of text", "length", "stopped")
_ORIGINS = (None, "resampled", "bonus")


def check(data: dict[str, Any]) -> None:
    """Raises ValueError, naming the place, if `data` has not the shape of a trace or contradicts itself."""
    _fields("the trace", data, _HEADER)
    if not isinstance(data.get("style"), str | None):
        _wrong("style", "a word or null")
    if not isinstance(data.get("system"), str | None):
        _wrong("system", "a text or null")
    pieces = data["pieces"]
    if not all(isinstance(text, str) for text in pieces.values()):
        _wrong("pieces", "texts")
    _tokens("prompt_tokens", data["prompt_tokens"], pieces)
    if data.get("special") is not None:
        _tokens("special", data["special"], pieces)
    if data.get("continued") is not None:
        _continued(data["continued"], data["prompt_tokens"])
    if data.get("samples") is not None:
        _samples(data["samples"], pieces)
    _names("versions", data["versions"].values())
    sampling = _sampling(data["sampling"])
    if not 1 <= len(data["lanes"]) <= MOST_LANES:
        _wrong("lanes", f"a list of 1 to {MOST_LANES} lanes")
    lanes = [_lane(f"lanes[{i}]", lane, sampling, data) for i, lane in enumerate(data["lanes"])]
    if max(settings.drafting.wants_samples for settings in lanes) > len(data.get("samples") or []):
        _wrong("samples", "as many as its drafters copy from")
    needed = {
        "verifier": True,
        "draft": any(settings.drafter.uses_draft_model for settings in lanes),
        **{role: any(role in settings.drafter.trained for settings in lanes) for role in TRAINED},
    }
    if not data["models"].keys() <= needed.keys():
        _wrong("models", "a verifier, a draft, a head, an exit and look-ahead tokens")
    for role in [role for role in needed if needed[role] or data["models"].get(role) is not None]:
        facts = data["models"].get(role)
        _fields(f"models.{role}", facts, _MODEL)
        _names(f"models.{role}", (facts[name] for name, kind in _MODEL.items() if kind is str))
        if facts["parameters"] < 0:
            _wrong(f"models.{role}.parameters", "at least 0")


def _samples(samples: Any, pieces: dict[str, Any]) -> None:
    if (
        not isinstance(samples, list)
        or not 1 <= len(samples) <= MOST_LANES
        or not all(isinstance(s, list) for s in samples)
    ):
        _wrong("samples", f"1 to {MOST_LANES} lists of tokens")
    for i, sample in enumerate(samples):
        _tokens(f"samples[{i}]", sample, pieces)


def _sampling(data: dict[str, Any]) -> Sampling:
    names = [info["name"] for info in registry.knobs(Sampling)]
    if sorted(data) != sorted(names):
        _wrong("sampling", f"a number for each of {', '.join(names)}")
    try:
        return Sampling(**data)
    except ValueError as error:
        raise ValueError(f"In this trace, sampling is not usable. {error}") from None


def _names(where: str, names: Iterable[Any]) -> None:
    if not all(isinstance(name, str) and len(name) <= LONGEST_NAME and name.isprintable() for name in names):
        _wrong(where, f"named by texts of one line and at most {LONGEST_NAME} characters")


def _lane(where: str, lane: Any, sampling: Sampling, data: dict[str, Any]) -> Settings:
    _fields(where, lane, _LANE)
    if not isinstance(lane.get("draft_length"), str):
        _fields(where, lane, {"draft_length": int})
    if lane.get("finished") not in _REASONS:
        _wrong(f"{where}.finished", "one of the known reasons")
    rule, drafter = _rule(where, lane), _drafter(where, lane)
    try:
        settings = Settings(rule, sampling, lane["draft_length"], data["max_new_tokens"], data["seed"], drafter)
    except ValueError as error:
        raise ValueError(f"In this trace, {where} is not usable. {error}") from None
    if settings.rule != rule:
        _wrong(f"{where}.drafter", "one that drafts")
    text = list(data["prompt_tokens"])
    for j, round_ in enumerate(lane["rounds"]):
        _round(f"{where}.rounds[{j}]", round_, len(text), settings, data["pieces"])
        if "provenance" in round_:
            _provenance(
                f"{where}.rounds[{j}].provenance", round_["provenance"], round_, text, data.get("samples") or []
            )
        text += round_["emitted"]
    return settings


def _continued(continued: Any, tokens: list[int]) -> None:
    _fields("continued", continued, {"prompt_length": int, "position": int})
    forced = continued.get("forced")
    if forced is not None and (not tokens or forced != tokens[-1] or type(forced) is not int):
        _wrong("continued.forced", "the last of prompt_tokens, or null")
    if continued["position"] != len(tokens) - (forced is not None):
        _wrong("continued.position", "where the kept tokens end")
    if not 1 <= continued["prompt_length"] <= continued["position"] or continued["prompt_length"] == len(tokens):
        _wrong("continued.prompt_length", "the number of tokens before the kept ones")


def _rule(where: str, lane: dict[str, Any]) -> Rule | None:
    if lane.get("rule") is None:
        if lane["name"] != "plain":
            _wrong(f"{where}.rule", "an acceptance rule")
        return None
    if not isinstance(lane["rule"], str):
        _wrong(f"{where}.rule", "a text such as 'cactus:delta=1'")
    try:
        rule = rules.parse(lane["rule"])
    except ValueError as error:
        raise ValueError(f"In this trace, {where}.rule is not usable. {error}") from None
    if (rule.name, rule.lossless, rule.scope) != (lane["name"], lane["lossless"], lane["scope"]):
        _wrong(where, f"what the rule {rule.name} says of itself")
    if any(getattr(rule, name, None) != value for name, value in lane["knobs"].items()):
        _wrong(f"{where}.knobs", "those of its rule")
    return rule


def _drafter(where: str, lane: dict[str, Any]) -> Drafter:
    if lane.get("rule") is None:
        return drafters.make("nothing")
    spec = lane.get("drafter", "model")
    if not isinstance(spec, str):
        _wrong(f"{where}.drafter", "a text such as 'ngram:longest=4'")
    try:
        return drafters.parse(spec)
    except ValueError as error:
        raise ValueError(f"In this trace, {where}.drafter is not usable. {error}") from None


def _round(where: str, round_: Any, position: int, settings: Settings, pieces: dict[str, str]) -> None:
    _fields(where, round_, _ROUND)
    rule, longest = settings.rule, settings.draft_length
    for name in ("draft_seconds", "verify_seconds", "seconds", "clock"):
        if not 0 <= round_[name] <= MOST_SECONDS:
            _wrong(f"{where}.{name}", f"from 0 to {MOST_SECONDS:g} seconds")
    drafted, emitted, kept = round_["drafted"], round_["emitted"], round_["kept"]
    _tokens(f"{where}.drafted", drafted, pieces)
    _tokens(f"{where}.emitted", emitted, pieces)
    if round_["start"] != position:
        _wrong(f"{where}.start", f"{position}, where the round before ended")
    if rule is None and drafted:
        _wrong(f"{where}.drafted", "empty in plain decoding")
    if not 0 <= kept <= len(drafted):
        _wrong(f"{where}.kept", "the number of drafted tokens that were emitted")
    parents, path, nodes = _shape(where, round_, rule)
    if max(depths(parents), default=-1) >= (longest if isinstance(longest, int) else LONGEST_DRAFT):
        _wrong(f"{where}.drafted", f"no longer than the draft length, {longest}")
    if len(path) != kept or emitted[:kept] != [drafted[node] for node in path]:
        _wrong(f"{where}.kept", "the number of drafted tokens that were emitted")
    origin = round_.get("origin")
    if origin not in _ORIGINS or len(emitted) != kept + (origin is not None) or not emitted:
        _wrong(f"{where}.origin", "that of the token after the kept ones")
    columns, expected = round_["judged"], len(nodes)
    for name in JUDGED if expected else ():
        if name not in columns:
            _wrong(f"{where}.judged.{name}", "there")
    for name, column in columns.items():
        if name not in JUDGED and name not in COLUMNS:
            _wrong(f"{where}.judged.{name}", "a known column")
        if not _is_column(column, name) or len(column) != expected:
            _wrong(f"{where}.judged.{name}", f"{expected} numbers")
        if name in JUDGED and not _are_probabilities(column):
            _wrong(f"{where}.judged.{name}", "probabilities")
    if rule is not None and drafted:
        accept, uniform = [0.0] * len(drafted), [1.0] * len(drafted)
        for node, chance, number in zip(nodes, columns["accept_prob"], columns["uniform"]):
            accept[node], uniform[node] = chance, number
        walk = rule.walk(parents, accept, uniform)
        if (list(walk.path), list(walk.judged)) != (path, nodes):
            _wrong(f"{where}.kept", "what uniform and accept_prob say")
    _slices(where, round_, expected, pieces)
    if "candidates" in round_:
        _candidates(f"{where}.candidates", round_["candidates"], parents, path)


def _candidates(where: str, columns: Any, parents: list[int], path: list[int]) -> None:
    _fields(where, columns, {"behind": list, "kept_chance": list, "optimum": list})
    several = [end for end in (-1, *path) if parents.count(end) > 1]
    if columns["behind"] != several or not several:
        _wrong(f"{where}.behind", "the kept nodes, and -1 for the text, that several candidates follow")
    for name in ("kept_chance", "optimum"):
        column = [value for value in columns[name] if value is not None or name != "optimum"]
        if len(columns[name]) != len(several) or not _are_probabilities(column):
            _wrong(f"{where}.{name}", f"{len(several)} probabilities")


def _shape(where: str, round_: dict[str, Any], rule: Rule | None) -> tuple[list[int], list[int], list[int]]:
    """Parents of all nodes, the nodes kept, the nodes judged."""
    count = len(round_["drafted"])
    if not any(name in round_ for name in ("parents", "path", "node")):  # a chain
        return (
            list(range(-1, count - 1)),
            list(range(round_["kept"])),
            list(range(judged_count(rule, count, round_["kept"]))),
        )
    _fields(where, round_, {"parents": list, "path": list, "node": list})
    parents, path, nodes = round_["parents"], round_["path"], round_["node"]
    if len(parents) != count or not all(_is_whole(p) and -1 <= p < i for i, p in enumerate(parents)):
        _wrong(f"{where}.parents", "for each drafted token the number of an earlier one, or -1")
    for name, numbers in (("path", path), ("node", nodes)):
        if not all(_is_whole(node) and 0 <= node < count for node in numbers) or numbers != sorted(set(numbers)):
            _wrong(f"{where}.{name}", "rising numbers of drafted tokens")
    if rule is not None and not rule.drawings and parents != list(range(-1, count - 1)):
        _wrong(f"{where}.parents", "those of a chain, which is all that this rule judges")
    if "chosen" in round_ or "law_prob" in round_:
        _fields(where, round_, {"chosen": list, "law_prob": list})
        if len(round_["chosen"]) != count or not all(isinstance(came, bool) for came in round_["chosen"]):
            _wrong(f"{where}.chosen", "true or false for each drafted token")
        if len(round_["law_prob"]) != count or not _are_probabilities(round_["law_prob"]):
            _wrong(f"{where}.law_prob", "a probability for each drafted token")
    return parents, path, nodes


def _provenance(where: str, columns: Any, round_: dict[str, Any], text: list[int], samples: list[list[int]]) -> None:
    """`text`: the tokens before the round."""
    drafted, numbers = round_["drafted"], ("copied_from", "matched", "layer", "sample", "ahead")
    if not isinstance(columns, dict) or not {"by", *numbers} >= columns.keys() or not columns:
        _wrong(where, f"lists called by, {', '.join(numbers)}, or some of them")
    for name, column in columns.items():
        if not isinstance(column, list) or len(column) != len(drafted):
            _wrong(f"{where}.{name}", f"a list with an entry for each of {len(drafted)} drafted tokens")
        if all(value is None for value in column):
            _wrong(f"{where}.{name}", "left out where it says nothing")
        right = _is_index if name in numbers else _is_drafter
        if not all(value is None or right(value) for value in column):
            _wrong(f"{where}.{name}", "drafters or nulls" if name == "by" else "whole numbers from 0 on, or nulls")
    nothing = [None] * len(drafted)
    places, lengths = columns.get("copied_from", nothing), columns.get("matched", nothing)
    for token, place, length in zip(drafted, places, lengths):
        if place is not None and (place >= len(text) or text[place] != token):
            _wrong(f"{where}.copied_from", "places in the text where the same tokens stand")
        if length is not None and not 1 <= length <= (len(text) + len(drafted) if place is None else place):
            _wrong(f"{where}.matched", "lengths of runs of tokens before those copied")
    for token, sample in zip(drafted, columns.get("sample", nothing)):
        if sample is not None and (sample >= len(samples) or token not in samples[sample]):
            _wrong(f"{where}.sample", "numbers of the trace's samples, each with that token")


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS


def _is_drafter(value: object) -> bool:
    return isinstance(value, str) and value in drafters.names()


def _slices(where: str, round_: dict[str, Any], expected: int, pieces: dict[str, str]) -> None:
    if len(round_["slices"]) not in (0, expected):
        _wrong(f"{where}.slices", f"{expected} slices")
    for k, piece in enumerate(round_["slices"]):
        here = f"{where}.slices[{k}]"
        _fields(here, piece, {"tokens": list})
        _tokens(f"{here}.tokens", piece["tokens"], pieces)
        for name in _SLICE:
            column = piece.get(name)
            if column is None and name == "target":
                continue
            if not isinstance(column, list) or len(column) != len(piece["tokens"]) or not _are_probabilities(column):
                _wrong(f"{here}.{name}", f"{len(piece['tokens'])} probabilities")


def _fields(where: str, value: Any, fields: dict[str, type]) -> None:
    if not isinstance(value, dict):
        _wrong(where, "an object")
    for name, kind in fields.items():
        if name not in value:
            raise ValueError(f"This trace is damaged: {where} lacks {name!r}.")
        given = value[name]
        right = (
            type(given) in NUMBERS
            if kind is float
            else isinstance(given, kind) and (kind is bool or not isinstance(given, bool))
        )
        if not right:
            _wrong(
                f"{where}.{name}",
                {
                    float: "a number",
                    int: "a whole number",
                    str: "a text",
                    bool: "true or false",
                    list: "a list",
                    dict: "an object",
                }[kind],
            )


def _tokens(where: str, value: Any, pieces: dict[str, str]) -> None:
    whole = isinstance(value, list) and _kinds(value) <= {int}
    if not whole or not pieces.keys() >= set(map(str, value)):
        _wrong(where, "a list of token ids that `pieces` names")
    if value and not 0 <= min(value) <= max(value) < MOST_TOKENS:
        _wrong(where, f"token ids from 0 to {MOST_TOKENS - 1:,}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_column(value: object, name: str) -> bool:
    """Whether this is a list of numbers, "Infinity" among them, and null where a measure of that name may be. A flip point is a
    value of a knob, of any size; the others are nats, ranks and probabilities."""
    if not isinstance(value, list):
        return False
    others = _kinds(value) - NUMBERS - ({NoneType} if name in NULLABLE else set())
    if others and (others != {str} or any(v != "Infinity" for v in value if isinstance(v, str))):
        return False
    return name == "flip" or all(-MOST_NATS <= v <= MOST_NATS for v in value if type(v) in NUMBERS)


def _are_probabilities(column: list[Any]) -> bool:
    """Whether these are numbers from 0 to 1, but for rounding."""
    return not column or (_kinds(column) <= NUMBERS and 0 <= min(column) <= max(column) <= 1.001)


def _kinds(values: list[Any]) -> set[type]:
    """The types of what a list holds: found many times faster than by asking for each."""
    return set(map(type, values))


def _wrong(where: str, expected: str) -> NoReturn:
    raise ValueError(f"This trace is damaged: {where} should be {expected}.")
