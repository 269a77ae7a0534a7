"""Where the time goes: runs that a probe watches, apart from those that are timed for their rates."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any, TypedDict

import orjson

from specviz import registry, rules
from specviz.backends import Pair
from specviz.bench.ways import Prompt, Timed, Way
from specviz.engine.probe import Probe
from specviz.engine.settings import Settings
from specviz.record.running import run

PARTS = {
    "draft": "the drafter: forwards of a draft model or a head, or copying",
    "verify": "the verifier's forwards",
    "distributions": "softmax, temperature, top-k and top-p",
    "judge": "the acceptance rule",
    "measure": "the exact measures of every judged position",
    "loop": "the decode loop: noise, drawing, the walk, the lanes' clocks",
    "record": "rounds as the trace keeps them",
    "stream": "the page's messages, as JSON, and the trace to download",
}


class Part(TypedDict):
    """What one of PARTS took, in seconds per token written and as a share of the whole."""

    part: str
    about: str
    seconds_per_token: float
    share: float


def breakdown(pair: Pair, prompts: Sequence[Prompt], settings: Settings, repeats: int) -> list[Part]:
    """One lane as the page runs it, on each prompt, `repeats` times."""
    through_page(pair, prompts[0], [settings], Probe())
    probe, tokens, whole = Probe(), 0, 0.0
    for seed in range(repeats):
        for prompt in prompts:
            timed = through_page(pair, prompt, [replace(settings, seed=seed)], probe)
            tokens, whole = tokens + timed.tokens, whole + timed.seconds
    return [
        {"part": part, "about": about, "seconds_per_token": probe.seconds[part] / tokens, "share": probe.seconds[part] / whole}
        for part, about in PARTS.items()
    ]  # fmt: skip


def page_and_command_line(pair: Pair, settings: Settings) -> list[Way]:
    """Three lanes through the page's own stream of messages, and run and recorded directly, as the command line does."""

    def lanes(seed: int) -> list[Settings]:
        return [replace(settings, rule=rules.make(name), seed=seed) for name in ("sps", "cactus", "tas")]

    def directly(prompt: Prompt, seed: int) -> Timed:
        began = perf_counter()
        trace = run(pair, prompt[0], lanes(seed), style=prompt[1]).finish()
        trace.to_json()
        return Timed(sum(len(lane.tokens) for lane in trace.lanes), perf_counter() - began)

    alone = f"3 lanes x {settings.max_new_tokens} tokens by the command line"
    return [
        Way(alone, directly),
        Way("the same through the page's stream", lambda prompt, seed: through_page(pair, prompt, lanes(seed)), alone),
    ]


class First(TypedDict):
    """How long it takes from a prompt to the first message with a token: median, least and most seconds."""

    name: str
    seconds: float
    least: float
    most: float


def first_tokens(pair: Pair, prompts: Sequence[Prompt], settings: Settings, repeats: int) -> list[First]:
    """One lane and three as the page runs them, on each prompt, `repeats` times, up to their first message with a token."""
    rows: list[First] = []
    for names in (("sps",), ("sps", "cactus", "tas")):
        seconds = [
            _until_token(pair, prompt, [replace(settings, rule=rules.make(name), seed=seed) for name in names])
            for seed in range(repeats)
            for prompt in prompts
        ]
        row = First(
            name="1 lane" if len(names) == 1 else f"{len(names)} lanes",
            seconds=median(seconds),
            least=min(seconds),
            most=max(seconds),
        )
        rows.append(row)
    return rows


def _until_token(pair: Pair, prompt: Prompt, lanes: Sequence[Settings]) -> float:
    began = perf_counter()
    messages = page_messages(pair, as_request(prompt, lanes), None)
    for message in messages:
        if any(delta["rounds"] for delta in message.get("deltas", ())):
            break
    seconds = perf_counter() - began
    messages.close()
    return seconds


def through_page(pair: Pair, prompt: Prompt, lanes: Sequence[Settings], probe: Probe | None = None) -> Timed:
    """A run as the page asks for it, every message made into JSON as the page gets it."""
    request = as_request(prompt, lanes)

    def last_message() -> Mapping[str, Any]:
        message: Mapping[str, Any] = {}
        for message in page_messages(pair, request, probe):
            orjson.dumps(message).decode()
        return message

    began = perf_counter()
    message = last_message() if probe is None else probe.counting("stream", last_message)
    seconds = perf_counter() - began
    if "final" not in message:
        raise ValueError(message["message"])
    trace = json.loads(message["final"])
    return Timed(sum(len(round_["emitted"]) for lane in trace["lanes"] for round_ in lane["rounds"]), seconds)


def as_request(prompt: Prompt, lanes: Sequence[Settings]) -> dict[str, Any]:
    """What the page would send to have these lanes run, which share all but the rule."""
    words, style = prompt
    first = lanes[0]
    return {
        "prompt": words,
        "style": style,
        "lanes": [{"rule": lane.rule.name, "knobs": registry.values(lane.rule)} for lane in lanes if lane.rule],
        "seed": first.seed,
        "draft_length": first.draft_length,
        "max_new_tokens": first.max_new_tokens,
        **registry.values(first.sampling),
    }


def page_messages(
    pair: Pair, request: Mapping[str, Any], probe: Probe | None
) -> Generator[Mapping[str, Any], None, None]:
    """The page's messages of a run; `probe` learns where its time goes."""
    from specviz.ui.line import Turn
    from specviz.ui.runs import compute

    yield from compute(Turn(pair), request, probe)
