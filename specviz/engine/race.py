"""Several lanes over one prompt, on a fair clock: the lane that has computed least goes next."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

from specviz.backends import Pair, memory
from specviz.drafters.model import ModelDrafter
from specviz.engine.decode import decode
from specviz.engine.measure import Meter
from specviz.types import Emitted, Event, Finished, Judged, Settings


class Step(NamedTuple):
    """One round of one lane, or its end. `seconds`: compute of this step; `clock`: of the lane so far."""

    lane: int
    events: tuple[Event, ...]
    seconds: float
    clock: float


HELD = (
    100_000  # probabilities of judged positions that wait to be measured together: more do not fit into a core's cache
)
HELD_SECONDS = 0.04  # the longest that a step is held back for them
NO_MEMORY = "There is not enough memory for this run. Ask for fewer lanes or a shorter text, or choose smaller models."


def start(pair: Pair, prompt: list[int], settings: Settings, measure=None) -> Iterator[Event]:
    """The events of one lane, on caches of its own."""
    with memory.explained(NO_MEMORY):
        draft, verifier = pair.draft.session(), pair.verifier.session()
    return decode(
        verifier, ModelDrafter(draft, pair.vocabulary, pair.stop_tokens), prompt, settings,
        vocabulary=pair.vocabulary, stop_tokens=pair.stop_tokens, measure=measure,
    )  # fmt: skip


def race(pair: Pair, prompt: list[int], lanes: list[Settings], measured: bool = True) -> Iterator[Step]:
    """Runs all lanes to their ends, a round at a time. What a lane writes does not depend on the others, only
    when it writes. `measured` False leaves the exact measures out. Closing the generator stops the compute within
    a round. Steps come in order, a few held back at a time (HELD, HELD_SECONDS), so that they are measured
    together; a lane's clock holds its share of that."""
    meter = Meter()
    runs = {i: start(pair, prompt, settings, meter.add if measured else None) for i, settings in enumerate(lanes)}
    clocks = dict.fromkeys(runs, 0.0)
    held: list[Step] = []
    since = perf_counter()
    try:
        while runs:
            lane = min(runs, key=lambda i: clocks[i])
            began = perf_counter()
            try:
                events = tuple(_one_round(runs[lane]))
            except Exception:
                yield from _measured(held, meter, clocks)
                raise
            now = perf_counter()
            clocks[lane] += now - began
            held.append(Step(lane, events, now - began, clocks[lane]))
            if isinstance(events[-1], Finished):
                del runs[lane]
            if not runs or meter.rows * pair.vocabulary >= HELD or now - since >= HELD_SECONDS:
                yield from _measured(held, meter, clocks)
                held, since = [], perf_counter()
    finally:
        for run in runs.values():
            run.close()


def _measured(held: list[Step], meter: Meter, clocks: dict[int, float]) -> Iterator[Step]:
    """The steps held back, measured now; the time this takes is added to each by its judged positions."""
    rows, began = max(1, meter.rows), perf_counter()
    meter.flush()
    seconds = (perf_counter() - began) / rows
    late = dict.fromkeys(clocks, 0.0)
    for step in held:
        share = seconds * sum(isinstance(event, Judged) for event in step.events)
        late[step.lane] += share
        clocks[step.lane] += share
        yield Step(step.lane, step.events, step.seconds + share, step.clock + late[step.lane])


def _one_round(run: Iterator[Event]) -> Iterator[Event]:
    with memory.explained(NO_MEMORY):
        for event in run:
            yield event
            if isinstance(event, Finished) or (isinstance(event, Emitted) and event.origin != "accepted"):
                return
