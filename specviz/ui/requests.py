"""What the page sends: read, or refused in a sentence that names the control it belongs to.

A request for a run is {pair, prompt, style, system, temperature, top_k, top_p, draft_length, max_new_tokens, seed, drafter, lanes,
continued?}: `drafter` is {name, knobs}, and so is each of the `lanes` with "rule" in place of "name" (null: plain decoding).
`drafter` is that of the lanes that do not bring one of their own. `pair` is the name of a pair on offer, or null for the page's own; `system` the
system message of a chat (null: what the template puts, "": none). What is left out is at its default.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from specviz import drafters, rules
from specviz.backends import Pair
from specviz.drafters import Drafter
from specviz.engine.settings import Settings
from specviz.registry import shown

MAX_LANES = 5  # four to look at, and plain decoding to measure against

LONGEST = 1000  # characters of a sentence, which may quote what was sent
DEPTH = 8  # lists and objects inside each other, in what the page sends

Made = TypeVar("Made")


class Refused(ValueError):
    """The page asked for what cannot be. `field` names the control that the sentence belongs to."""

    def __init__(self, field: str, message: str):
        super().__init__(message if len(message) <= LONGEST else f"{message[: LONGEST - 1]}…")
        self.field = field


class Request(NamedTuple):
    """A run as it was asked for; `kept` and `forced` as in `trace.begin`."""

    prompt: str
    style: str | None
    system: str | None
    lanes: list[Settings]
    kept: list[int]
    forced: int | None


def parsed(text: object) -> dict[str, Any]:
    """The JSON object in a text that the page sent. Refused if it is none."""
    if not isinstance(text, str):
        raise Refused("prompt", "A request is a JSON object, sent as text.")
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = f": {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise Refused("prompt", f"This request is not JSON that can be read here{why}.") from None
    if not isinstance(asked, dict):
        raise Refused("prompt", "A request is a JSON object.")
    if _is_deeper(asked, DEPTH):
        raise Refused(
            "prompt", f"A request has at most {DEPTH} lists and objects inside each other; this one has more."
        )
    return asked


def _is_deeper(value: object, depth: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(inner, dict | list) and (depth <= 1 or _is_deeper(inner, depth - 1)) for inner in inside)


def name_of(value: object) -> str:
    """The name that the page gives a run. Refused if it is none."""
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise Refused("prompt", "A run is named by a text of 1 to 100 characters.")
    return value


def sentence_of(error: Exception) -> str:
    """What to tell a person of an error. One that nobody foresaw is named in the log, in one line."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, OSError):
        return f"This could not be written on the server: {error.strerror or error}."
    told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    print(f"specviz: a request could not be answered: {told}", file=sys.stderr, flush=True)
    return f"This could not be computed: {type(error).__name__}. Your other runs are not touched."


def read(pair: Pair, asked: Mapping[str, Any]) -> Request:
    """The run that the page asks for. Refused where a setting is out of its range, or cannot work with these models."""
    prompt = asked.get("prompt")
    if not isinstance(prompt, str):
        raise Refused("prompt", "The prompt must be text.")
    style = asked.get("style") or ("chat" if "chat" in pair.styles else None)
    if not isinstance(style, str | None):
        raise Refused("prompt", f"The style must be one of {', '.join(pair.styles)}; got {shown(style)}.")
    system = asked.get("system") if style == "chat" else None
    if not isinstance(system, str | None):
        raise Refused("system", "The system message must be text.")
    try:
        tokens = pair.encode(prompt, style, system)
    except ValueError as error:
        refusing("prompt", lambda: pair.encode(prompt, style))
        raise Refused("system", str(error)) from None  # the prompt alone would do
    numbers = {name: asked[name] for name in ("temperature", "top_k", "top_p") if name in asked}
    sampling = refusing(named(numbers, lambda some: pair.sampled(**some)), lambda: pair.sampled(**numbers))
    wanted = asked.get("lanes")
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= MAX_LANES:
        raise Refused("prompt", f"A run has 1 to {MAX_LANES} lanes.")
    common = {name: asked[name] for name in ("draft_length", "max_new_tokens", "seed") if name in asked}
    whole = refusing(named(common, lambda some: Settings(**some)), lambda: Settings(**common)).max_new_tokens
    kept, forced = read_continued(pair, asked.get("continued"), len(tokens))
    already = len(kept) + (forced is not None)
    if already >= whole:
        raise Refused(
            "max_new_tokens",
            f"{already} tokens are there already, so a text of {whole} has no room for more. Set Tokens above {already}.",
        )
    common["max_new_tokens"] = whole - already  # the text ends where it would have ended in one run
    lanes = []
    for i, lane in enumerate(wanted):
        if not isinstance(lane, dict):
            raise Refused(f"lane{i}", "A lane names a rule and its knobs.")
        rule = None
        if lane.get("rule") is not None:
            rule = chosen(f"lane{i}", lane["rule"], lane.get("knobs"), rules.make, "A lane names a rule and its knobs.")
        own = rule is not None and lane.get("drafter") is not None
        drafter = read_drafter(pair, lane["drafter"], f"lane{i}") if own else read_drafter(pair, asked.get("drafter"))
        settings = Settings(rule, sampling, drafter=drafter, **common)
        if rule is not None and (refusal := drafter.refusal(rule, pair)):
            raise Refused(f"lane{i}" if own else "drafter", refusal)
        lanes.append(settings)
    return Request(prompt, style, system, lanes, kept, forced)


def pair_of(asked: Mapping[str, Any]) -> str | None:
    """The name of the pair that a request is for; None: the page's own."""
    name = asked.get("pair")
    if not isinstance(name, str | None):
        raise Refused("pair", f"A pair is called by its name; got {shown(name)}.")
    return name


def read_drafter(pair: Pair, asked: Any, field: str = "drafter") -> Drafter:
    """The drafter of {name, knobs}; None is the one that suits the pair. Refused, for this control, if it is none."""
    sentence = "A drafter is named with its knobs."
    if asked is None:
        return drafters.parse(pair.drafter)
    if not isinstance(asked, dict):
        raise Refused(field, sentence)
    drafter: Drafter = chosen(field, asked.get("name"), asked.get("knobs"), drafters.make, sentence)
    if not drafter.drafts:
        raise Refused(field, f"The drafter {drafter.name} drafts nothing. Choose the rule plain for that.")
    return drafter


def read_continued(pair: Pair, asked: Any, prompt_length: int) -> tuple[list[int], int | None]:
    """The tokens to keep and the token to force, from {given, forced, position, revisions} as the page sends it:
    `position` is where the kept tokens end, `revisions` are those of the draft (null: there was none) and the verifier of
    the run that they are kept from."""
    if asked is None:
        return [], None
    given, forced, position, revisions = (
        asked.get(name) if isinstance(asked, dict) else None for name in ("given", "forced", "position", "revisions")
    )
    whole = [*(given if isinstance(given, list) else [None]), position, *([] if forced is None else [forced])]
    if not isinstance(given, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in whole):
        raise Refused(
            "continued",
            "A run goes on from a list of token ids and a position. This request does not give them as whole numbers.",
        )
    here = (None if pair.draft is None else pair.draft.revision, pair.verifier.revision)
    if not isinstance(revisions, list) or tuple(revisions) not in (here, (None, here[1])):
        raise Refused(
            "continued",
            "This run was made with other models than the ones loaded here, so they cannot go on from its tokens.",
        )
    if position != prompt_length + len(given):
        raise Refused(
            "continued",
            f"The prompt and the tokens to keep end at position {prompt_length + len(given)}, so a run cannot go on from position {position}.",
        )
    return given, forced


def chosen(field: str, name: Any, knobs: Any, make: Callable[..., Made], sentence: str) -> Made:
    """The variant of that name with those knobs (None: the defaults); Refused with `sentence` if they are neither."""
    knobs = {} if knobs is None else knobs
    if not isinstance(name, str) or not isinstance(knobs, dict):
        raise Refused(field, sentence)
    return refusing(field, lambda: make(name, **knobs))


def refusing(field: str, build: Callable[[], Made]) -> Made:
    """What `build` makes; Refused, for this control, where it cannot."""
    try:
        return build()
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused(field, str(error)) from None


def named(values: Mapping[str, Any], build: Callable[[dict[str, Any]], object]) -> str:
    """The first of the values that is refused on its own; "prompt" if none is."""
    for name, value in values.items():
        try:
            build({name: value})
        except (ValueError, TypeError, OverflowError):
            return name
    return "prompt"
