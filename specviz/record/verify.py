"""Does a trace reproduce? It is run again, and every choice held against the record."""

from __future__ import annotations

import math
from dataclasses import replace

from specviz.backends import Pair
from specviz.engine.measure import Candidates
from specviz.record.round import Round
from specviz.record.running import run
from specviz.record.trace import ModelFacts, Trace


def verify(trace: Trace, pair: Pair) -> tuple[bool, str]:
    """Re-runs a trace. Returns whether every choice reproduces, and a sentence that says so or where it first does not."""
    for role, was in trace.models.items():
        now = ModelFacts.of(pair.parts[role]) if role in pair.parts else None
        if now is None or (was.revision, was.dtype) != (now.revision, now.dtype):
            here = "there is none here" if now is None else f"this is {now.id} ({now.revision}, {now.dtype})"
            return (
                False,
                f"Not checked: the trace was made with the {role} {was.id} ({was.revision}, {was.dtype}), and {here}.",
            )
    lanes = [
        replace(settings, draft_length=tuple(round_.depth for round_ in lane.rounds))
        if settings.draft_length == "auto"
        else settings
        for settings, lane in zip(trace.settings(), trace.lanes)
    ]  # what was chosen by the clock is chosen again by the record
    kept, forced = trace.continued_from()
    running = run(
        pair,
        trace.prompt,
        lanes,
        style=trace.style,
        system=trace.system,
        kept=kept,
        forced=forced,
        samples=trace.samples,
    )
    again = running.trace
    if (again.prompt_tokens, again.continued) != (trace.prompt_tokens, trace.continued):
        return False, "The prompt gives other tokens than the trace records."
    running.finish()
    rounds = 0
    for number, (old, new) in enumerate(zip(trace.lanes, again.lanes), 1):
        for old_round, new_round in zip(old.rounds, new.rounds):
            if how := _difference(old_round, new_round):
                place = f"Lane {number} ({old.name}) differs first in the round at position {old_round.start}"
                return False, f"{place}: {how}."
        if old.finished not in ("stopped", None, new.finished):
            return (
                False,
                f"Lane {number} ({old.name}) ends with {old.finished!r} in the trace and {new.finished!r} now.",
            )
        count, expected = len(old.rounds), len(new.rounds)
        if count > expected or (old.finished == new.finished and count != expected):
            return False, f"Lane {number} ({old.name}) has {count} rounds in the trace and {expected} now."
        rounds += count
    return True, f"Reproduced: all {rounds} rounds of {len(trace.lanes)} lanes, every draft, verdict and token."


def _difference(old: Round, new: Round) -> str | None:
    """What differs between two rounds, or None. Choices must be equal, numbers equal within float noise."""
    for name in ("start", "drafted", "parents", "path", "nodes", "emitted", "origin"):
        if getattr(old, name) != getattr(new, name):
            return f"{name} was {getattr(old, name)} and is {getattr(new, name)}"
    if old.provenance and old.provenance != new.provenance:  # older traces do not say
        return f"provenance was {old.provenance} and is {new.provenance}"
    if old.candidates:  # older traces do not say
        for name, was_all, now_all in zip(Candidates._fields, zip(*old.candidates), zip(*new.candidates)):
            for was, now in zip(was_all, now_all):
                if not _close(was, now):
                    return f"{name} of the candidates was {was} and is {now}"
    for name, column in old.judged.items():
        for was, now in zip(column, new.judged.get(name, column)):
            if not _close(was, now):
                return f"{name} was {was} and is {now}"
    return None


def _close(was: float | int | None, now: float | int | None) -> bool:
    return was == now or math.isclose(_float(was), _float(now), rel_tol=1e-3, abs_tol=1e-5)


def _float(value: float | int | None) -> float:
    return math.nan if value is None else float(value)
