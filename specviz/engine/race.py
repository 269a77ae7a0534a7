"""Several lanes over one prompt, on a fair clock: the lane that has computed least goes next."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

from specviz.backends import Pair, memory
from specviz.engine.decode import Decoding, RoundResult, alone
from specviz.engine.measure import Candidates, Measures, candidates, measure
from specviz.engine.meter import Meter
from specviz.engine.probe import Probe
from specviz.engine.settings import Settings

# Probabilities of judged positions that wait to be measured together: more do not fit into a core's cache.
HELD = 100_000
HELD_SECONDS = 0.04  # the longest that a step is held back for them
NO_MEMORY = "There is not enough memory for this run. Ask for fewer lanes or a shorter text, or choose smaller models."


class Step(NamedTuple):
    """One round of one lane. `measures`: of each judged node, and `candidates` of each place that had several, or empty where
    nothing is measured. `seconds`: compute of this step; `clock`: of the lane so far."""

    lane: int
    result: RoundResult
    measures: list[Measures]
    candidates: list[Candidates]
    seconds: float
    clock: float


def open_lane(pair: Pair, prompt: list[int], settings: Settings) -> Decoding:
    """A lane on caches of its own."""
    with memory.explained(NO_MEMORY):
        draft = pair.draft.session() if settings.drafting.uses_draft_model and pair.draft is not None else None
        return Decoding(pair, prompt, settings, pair.verifier.session(), draft)


def race(
    pair: Pair, prompt: list[int], lanes: Sequence[Settings], measured: bool = True, probe: Probe | None = None
) -> Generator[Step, None, None]:
    """Runs all lanes to their ends, a round at a time. What a lane writes does not depend on the others, only when it
    writes. `measured` False leaves the exact measures out; `probe` learns where the time goes. Closing the generator stops
    the compute within a round.

    Steps come in order, a few held back at a time (HELD, HELD_SECONDS), so that they are measured together; a lane's clock
    holds its share of that. ValueError if a drafter cannot work with these models or under its rule.
    """
    return steps([open_lane(pair, prompt, settings) for settings in lanes], measured, probe)


def steps(
    decodings: Sequence[Decoding], measured: bool = True, probe: Probe | None = None
) -> Generator[Step, None, None]:
    """`race` of lanes that are open already."""
    vocabulary = max(decoding.vocabulary for decoding in decodings)
    if probe is not None:
        probe.verifiers |= {decoding.verifier for decoding in decodings}
    clocks = [0.0] * len(decodings)
    running = list(range(len(decodings)))
    meter: Meter[_Timed, Measures] = Meter(measure)
    since = perf_counter()
    while running:
        lane = min(running, key=clocks.__getitem__)
        began = perf_counter()
        try:
            with memory.explained(NO_MEMORY):
                result = _round(decodings[lane], probe)
        except Exception:
            yield from _measured(meter, clocks, probe)
            raise
        now = perf_counter()
        clocks[lane] += now - began
        if result.finished:
            running.remove(lane)
        if not measured:
            yield Step(lane, result, [], [], now - began, clocks[lane])
            continue
        meter.add(_Timed(lane, now - began, clocks[lane]), result)
        if not running or meter.rows * vocabulary >= HELD or now - since >= HELD_SECONDS:
            yield from _measured(meter, clocks, probe)
            since = perf_counter()


def _round(decoding: Decoding, probe: Probe | None) -> RoundResult:
    if probe is None:
        return alone(decoding.round())
    before = probe.seconds["draft"]
    result = alone(decoding.round(), probe)
    probe.drafted(result.draft_seconds - (probe.seconds["draft"] - before))
    return result


class _Timed(NamedTuple):
    lane: int
    seconds: float
    clock: float


def _measured(meter: Meter[_Timed, Measures], clocks: list[float], probe: Probe | None) -> Iterator[Step]:
    """The steps held back, measured now; the time this takes is added to each by its judged positions."""
    rows, began = max(1, meter.rows), perf_counter()
    rounds = _numbers(meter) if probe is None else probe.counting("measure", _numbers, meter)
    seconds = (perf_counter() - began) / rows
    late = [0.0] * len(clocks)
    for timed, result, measures, places in rounds:
        share = seconds * len(result.walk.judged)
        late[timed.lane] += share
        clocks[timed.lane] += share
        yield Step(timed.lane, result, measures, places, timed.seconds + share, timed.clock + late[timed.lane])


def _numbers(meter: Meter[_Timed, Measures]) -> list[tuple[_Timed, RoundResult, list[Measures], list[Candidates]]]:
    return [(timed, result, measures, candidates(result)) for timed, result, measures in meter.flush()]
