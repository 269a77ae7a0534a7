"""Is this object really a trace? Checked before anything looks at it, so that no view meets a surprise."""

from __future__ import annotations

from specviz import rules

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
_REASONS = (None, "end of text", "length", "stopped")
_ORIGINS = (None, "resampled", "bonus")


def check(data: dict, judged: tuple[str, ...], measures: tuple[str, ...]) -> None:
    """Raises ValueError, naming the place, if `data` has not the shape of a trace or contradicts itself.

    `judged`: the columns every judged token has; `measures`: those it may have besides.
    """
    _fields("the trace", data, _HEADER)
    if not isinstance(data.get("style"), str | None):
        _wrong("style", "a word or null")
    for role in ("draft", "verifier"):
        _fields(
            f"models.{role}",
            data["models"].get(role),
            {"id": str, "revision": str, "parameters": int, "dtype": str, "backend": str},
        )
    pieces = data["pieces"]
    if not all(isinstance(v, str) for v in pieces.values()):
        _wrong("pieces", "texts")
    _tokens("prompt_tokens", data["prompt_tokens"], pieces)
    if data.get("continued") is not None:
        _continued(data["continued"], data["prompt_tokens"])
    if not 1 <= len(data["lanes"]) <= 64:
        _wrong("lanes", "a list of 1 to 64 lanes")
    for i, lane in enumerate(data["lanes"]):
        where = f"lanes[{i}]"
        _fields(where, lane, _LANE)
        if lane.get("draft_length") != "auto":
            _fields(where, lane, {"draft_length": int})
        if lane.get("finished") not in _REASONS:
            _wrong(f"{where}.finished", "one of the known reasons")
        rule = _rule(where, lane)
        position = len(data["prompt_tokens"])
        for j, round_ in enumerate(lane["rounds"]):
            _round(f"{where}.rounds[{j}]", round_, position, rule, pieces, judged, measures)
            position += len(round_["emitted"])


def _continued(found, tokens: list[int]) -> None:
    _fields("continued", found, {"prompt_length": int, "position": int})
    forced = found.get("forced")
    if forced is not None and (not tokens or forced != tokens[-1] or isinstance(forced, bool)):
        _wrong("continued.forced", "the last of prompt_tokens, or null")
    if found["position"] != len(tokens) - (forced is not None):
        _wrong("continued.position", "where the kept tokens end")
    if not 1 <= found["prompt_length"] <= found["position"] or found["prompt_length"] == len(tokens):
        _wrong("continued.prompt_length", "the number of tokens before the kept ones")


def _rule(where: str, lane: dict):
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


def _round(
    where: str, round_, position: int, rule, pieces: dict, judged: tuple[str, ...], measures: tuple[str, ...]
) -> None:
    _fields(where, round_, _ROUND)
    drafted, emitted, kept = round_["drafted"], round_["emitted"], round_["kept"]
    _tokens(f"{where}.drafted", drafted, pieces)
    _tokens(f"{where}.emitted", emitted, pieces)
    if round_["start"] != position:
        _wrong(f"{where}.start", f"{position}, where the round before ended")
    if not 0 <= kept <= len(drafted) or emitted[:kept] != drafted[:kept]:
        _wrong(f"{where}.kept", "the number of drafted tokens that were emitted")
    origin = round_.get("origin")
    if origin not in _ORIGINS or len(emitted) != kept + (origin is not None) or not emitted:
        _wrong(f"{where}.origin", "that of the token after the kept ones")
    if rule is None and drafted:
        _wrong(f"{where}.drafted", "empty in plain decoding")
    columns = round_["judged"]
    expected = 0 if not drafted else len(drafted) if rule.scope == "block" else min(kept + 1, len(drafted))
    for name in judged if expected else ():
        if name not in columns:
            _wrong(f"{where}.judged.{name}", "there")
    for name, column in columns.items():
        if name not in (*judged, *measures):
            _wrong(f"{where}.judged.{name}", "a known column")
        nullable = name == "kl_target_verifier"
        if (
            not isinstance(column, list)
            or len(column) != expected
            or not all(_is_number(v) or (nullable and v is None) for v in column)
        ):
            _wrong(f"{where}.judged.{name}", f"{expected} numbers")
    for name in judged:
        if not all(v != "Infinity" and 0 <= v <= 1.001 for v in columns.get(name, [])):
            _wrong(f"{where}.judged.{name}", "probabilities")
    if (
        drafted
        and rule.kept(
            (columns["accept_prob"] + [0.0] * len(drafted))[: len(drafted)],
            (columns["uniform"] + [1.0] * len(drafted))[: len(drafted)],
        )
        != kept
    ):
        _wrong(f"{where}.kept", "what uniform and accept_prob say")
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
            if (
                not isinstance(column, list)
                or len(column) != len(piece["tokens"])
                or not all(_is_number(v) and v != "Infinity" for v in column)
            ):
                _wrong(f"{here}.{name}", f"{len(piece['tokens'])} numbers")


def _fields(where: str, value, fields: dict[str, type]) -> None:
    if not isinstance(value, dict):
        _wrong(where, "an object")
    for name, kind in fields.items():
        if name not in value:
            raise ValueError(f"This trace is damaged: {where} lacks {name!r}.")
        given = value[name]
        right = (
            _is_number(given) and given != "Infinity"
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


def _tokens(where: str, value, pieces: dict) -> None:
    if not isinstance(value, list) or not all(
        isinstance(t, int) and not isinstance(t, bool) and str(t) in pieces for t in value
    ):
        _wrong(where, "a list of token ids that `pieces` names")


def _is_number(value) -> bool:
    return value == "Infinity" or (isinstance(value, int | float) and not isinstance(value, bool))


def _wrong(where: str, expected: str) -> None:
    raise ValueError(f"This trace is damaged: {where} should be {expected}.")
