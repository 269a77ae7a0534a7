"""The sweep for the page: a request becomes points and questions, progress becomes messages.

A request is {rules: specs as `sweep.expand` reads them, questions, families, temperature, top_k, top_p, draft_length, seed}.
A message is
    {"kind": "sweep", "asked", "points": [{rule, name, knobs}], "rows", "done", "total", "seconds", "left", "starting", "csv",
     "ended", "message", "style", "answers"}
`points` are all that were asked for, `rows` those that are complete (`sweep.Point.row`; "Infinity" stands for an infinite
divergence), plain decoding first; `starting` is how many processes are being started, `style`
how the questions are put to the models. Each message says everything, so that
the page may miss any but the last, which alone has `answers`: what changed on which question, see `answers.shown` (else null).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from specviz import tasks
from specviz.backends import Pair
from specviz.engine.settings import Settings
from specviz.registry import shown
from specviz.rules import Rule
from specviz.stopping import Stopped
from specviz.study import answers, sweep
from specviz.types import ModelError, Sampling
from specviz.ui.advice import plain
from specviz.ui.line import Message, Turn, failed
from specviz.ui.models import Models
from specviz.ui.regimes import REGIMES, Regime
from specviz.ui.requests import Refused, named, refusing

EVERY = 0.25  # seconds between messages
MOST_RULES = 12  # specs in a request
LONGEST_SPEC = 10_000  # characters
MOST_TEXTS = 4000  # of one sweep: a minute or two for the shipped pair


def pair(models: Models) -> str | None:
    """The name of the pair that a sweep asks, whichever is chosen for runs; None: models that the page was started with."""
    return sweep.PAIR if sweep.PAIR in models.known else None


def usual() -> dict[str, Any]:
    """The request that the page opens with."""
    return REGIMES[0].asked


def read(asked: Mapping[str, Any]) -> tuple[list[Rule], list[tasks.Question], Settings]:
    """Rules, questions and settings of a request. Refused names the control that is wrong."""
    specs = asked.get("rules")
    if not isinstance(specs, list) or not 1 <= len(specs) <= MOST_RULES:
        raise Refused("rules", f"A sweep is of 1 to {MOST_RULES} rules.")
    if not all(isinstance(spec, str) and len(spec) <= LONGEST_SPEC for spec in specs):
        raise Refused("rules", f"A rule is a text such as 'cactus:delta=0.1,1' of at most {LONGEST_SPEC:,} characters.")
    wanted = [rule for i, spec in enumerate(specs) for rule in refusing(f"rule{i}", partial(sweep.expand, spec))]
    common = {name: asked[name] for name in ("draft_length", "seed") if name in asked}
    numbers = {name: asked[name] for name in ("temperature", "top_k", "top_p") if name in asked}
    sampling = refusing(named(numbers, lambda some: Sampling(**some)), lambda: Sampling(**numbers))
    settings = refusing(named(common, lambda some: Settings(**some)), lambda: Settings(sampling=sampling, **common))
    if not isinstance(settings.draft_length, int):
        raise Refused("draft_length", "A sweep drafts a fixed number of tokens per round: a whole number from 1 to 32.")
    count, families = asked.get("questions"), asked.get("families")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_TEXTS:
        raise Refused(
            "questions", f"The number of questions must be a whole number from 1 to {MOST_TEXTS:,}; got {shown(count)}."
        )
    points = len(sweep.planned(wanted))
    if points * count > MOST_TEXTS:
        raise Refused(
            "questions",
            f"{points} settings of {count} questions are {points * count:,} texts; here at most {MOST_TEXTS:,} are run, so at most {MOST_TEXTS // points} questions. The command line has no such limit.",
        )
    if not isinstance(families, list) or not families or not all(isinstance(name, str) for name in families):
        raise Refused("families", "Choose at least one family of questions.")
    questions = refusing("families", lambda: tasks.items(list(dict.fromkeys(families)), count, settings.seed))
    return wanted, questions, settings


def compute(turn: Turn, asked: Mapping[str, Any]) -> Iterator[Message]:
    """Runs a sweep, a message about every EVERY seconds. Closing the generator stops the compute."""
    try:
        wanted, questions, settings = read(asked)
        asked = {name: asked[name] for name in usual() if name in asked}  # what it was read of
        steps = refusing("questions", lambda: sweep.sweep(turn.pair, wanted, questions, settings))
    except Refused as error:
        yield failed(error)
        return
    points = [sweep.called(rule) for rule in sweep.planned(wanted)]

    def message(progress: sweep.Progress, ended: bool = False, words: str = "") -> Message:
        rows = [
            {name: plain(value) if isinstance(value, float) else value for name, value in point.row().items()}
            for point in progress.points
        ]
        changed = None
        if ended and progress.points:
            changed = answers.shown(questions, settings.seed, *sweep.by_rule(progress.points))
        return {
            "kind": "sweep", "asked": asked, "points": points, "rows": rows, "done": progress.done, "total": progress.total, "seconds": progress.seconds,
            "left": progress.left, "starting": progress.starting, "csv": sweep.csv_text(progress.points), "ended": ended, "message": words,
            "style": sweep.style_of(turn.pair), "answers": changed,
        }  # fmt: skip

    progress = sweep.Progress(0, len(points) * len(questions), 0.0, None, ())
    last, words, starting = time.monotonic() - EVERY, "", 0
    try:
        for progress in steps:
            turn.left = progress.left
            if time.monotonic() - last >= EVERY or progress.starting != starting:
                yield message(progress)
                last, starting = time.monotonic(), progress.starting
    except Stopped as stop:
        words = f"{stop} What is complete stays."
    except ModelError as error:
        yield failed(error, "questions")
        return
    finally:
        steps.close()  # type: ignore[attr-defined]
    yield message(progress, True, words)


def record(pair: Pair, regime: Regime) -> str:
    """The last message of a sweep, as JSON text."""
    *_, end = compute(Turn(pair), regime.asked)
    return json.dumps(
        {name: value for name, value in end.items() if name not in ("seconds", "left", "starting", "message")},
        allow_nan=False,
        separators=(",", ":"),
    )
