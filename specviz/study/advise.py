"""Which knob value? From recorded runs to "spend at most D nats per token" or "keep at least a tokens per round".

The models read every recorded text once more, which gives the exact distributions of verifier and drafter at each place.
For a rule and a knob value the chance that a draft is kept there is then exact, and a small dynamic program over the
text gives what a lane would keep per round if its text stayed the same. That last assumption makes the answer an
estimate; its interval comes from how much texts differ and from the chance within one run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from specviz import drafters, registry, rules
from specviz.backends import Model, Pair
from specviz.drafters import Drafter
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.stopping import checkpoint
from specviz.study import exact
from specviz.study.reading import Offers, Reading, drafter_of, read

LENGTHS = range(1, 9)  # draft lengths that are considered
POINTS = 33  # knob values that are considered
MAX_POSITIONS = 4000  # of all texts together
MAX_ENTRIES = 100_000_000  # of the laws of all drafts of `by_drafter`
Array = NDArray[np.float64]
KnobValue = float | int | None


@dataclass(frozen=True)
class Costs:
    """Measured seconds: `draft` per drafted token, `verify[n]` of a forward over n tokens, `rest` per round."""

    draft: float
    verify: dict[int, float]
    rest: float

    def drafting(self, readings: Sequence[Reading]) -> Costs:
        """The same for a drafter that was played along the texts: a drafted token costs what it cost there."""
        played = [reading.offers.seconds for reading in readings if reading.offers.seconds is not None]
        return replace(self, draft=median(played)) if played else self

    def speedup(self, emitted_per_round: Array, drafted_per_round: Array) -> Array:
        """Tokens per second against plain decoding, which pays one verifier forward and the rest per token."""
        counts = sorted(self.verify)
        look = np.interp(drafted_per_round + 1, counts, [self.verify[n] for n in counts])
        plain = self.verify[1] + self.rest
        return np.asarray(emitted_per_round * plain / (drafted_per_round * self.draft + look + self.rest))


@dataclass(frozen=True)
class Advice:
    """One rule's answer. `accepted_per_round` and `speedup` are estimates; `interval` holds what a fresh prompt of the
    same kind keeps per round, 95 times in 100, and `speedup_interval` what that means at the costs measured; `kl` is
    the mean KL(output law || verifier) per judged token, nats."""

    rule: str  # a spec for `rules.parse`
    drafter: str  # a spec for `drafters.parse`
    draft_length: int
    accepted_per_round: float
    interval: tuple[float, float]
    kl: float
    speedup: float
    speedup_interval: tuple[float, float]


def advise(
    traces: Sequence[Trace],
    pair: Pair,
    *,
    spend: float | None = None,
    accept: float | None = None,
    names: Sequence[str] = (),
    draft_length: int | None = None,
    drafter: Drafter | None = None,
    most: int = MAX_POSITIONS,
) -> list[Advice]:
    """The best setting of each rule in `names` (default: all token rules) that spends at most `spend` nats per judged
    token, or that keeps at least `accept` tokens per round; fastest first. Rules that cannot are left out.

    `draft_length` None lets each rule use its fastest; `drafter` None is the one that the traces were made with; `most`
    positions are read, an equal share of each text. Raises ValueError unless exactly one goal is given, unless there are at
    least two recorded texts (their differences make the interval), if a trace was made with other models than `pair`, or
    if the traces have several drafters and none is named.
    """
    if (spend is None) == (accept is None):
        raise ValueError("Give one goal: at most so many nats per token, or at least so many kept tokens per round.")
    if (spend or 0) < 0 or (accept or 0) < 0:
        raise ValueError("A goal cannot be below 0.")
    drafter = drafter_of(traces) if drafter is None else drafter
    lengths = [draft_length] if draft_length else list(LENGTHS)
    readings = _readings(traces, pair, drafter, lengths, most)
    costs = measure_costs(pair, traces, lengths).drafting(readings)
    best: list[Advice] = []
    for name in names or [n for n in rules.names() if rules.get(n).scope == "token"]:
        settings = candidates(name, readings, costs, lengths, drafter)
        if spend is not None:
            settings = [advice for advice in settings if advice.kl <= spend + 1e-12]
            best += sorted(settings, key=lambda advice: -advice.speedup)[:1]
        elif accept is not None:
            settings = [advice for advice in settings if advice.accepted_per_round >= accept]
            best += sorted(settings, key=lambda advice: (round(advice.kl, 9), -advice.speedup))[:1]
    return sorted(best, key=lambda advice: -advice.speedup)


def by_drafter(
    traces: Sequence[Trace],
    pair: Pair,
    *,
    draft_length: int | None = None,
    most: int = MAX_POSITIONS,
) -> list[Advice]:
    """Which drafter, and how long a draft? For each drafter of `able`, at its own defaults, the draft length that should be
    fastest under `sps` on texts like these; fastest first. Otherwise as `advise`."""
    advices = each_drafter(traces, pair, draft_length=draft_length, most=most)
    return sorted(advices, key=lambda advice: -advice.speedup)


def able(pair: Pair) -> list[Drafter]:
    """The drafters of chains that can work with `pair` under `sps` and a text alone, at their own defaults."""
    return [drafter for drafter in chains() if drafter.refusal(rules.make("sps"), pair) is None]


def chains() -> list[Drafter]:
    """The drafters of chains that need a text alone, at their own defaults."""
    return [drafter for drafter in drafters.of_text() if not drafter.branches]


def each_drafter(
    traces: Sequence[Trace],
    pair: Pair,
    *,
    draft_length: int | None = None,
    most: int = MAX_POSITIONS,
) -> Iterator[Advice]:
    """The answers of `by_drafter` one by one, in the order of `able`, each once it is known."""
    lengths = [draft_length] if draft_length else list(LENGTHS)
    most = min(
        most, MAX_ENTRIES // (pair.vocabulary * max(lengths))
    )  # every place may have a law for each token of a draft
    costs = measure_costs(pair, traces, lengths)
    for drafter in able(pair):
        readings = _readings(traces, pair, drafter, lengths, most)
        best = candidates("sps", readings, costs.drafting(readings), lengths, drafter)
        yield max(best, key=lambda advice: advice.speedup)


def _readings(
    traces: Sequence[Trace], pair: Pair, drafter: Drafter, lengths: Sequence[int], most: int
) -> list[Reading]:
    """The texts of all lanes as `drafter` would draft for them. ValueError if there is only one."""
    share = max(1, most // max(1, sum(bool(lane.rounds) for trace in traces for lane in trace.lanes)))
    readings = [reading for trace in traces for reading in read(trace, pair, drafter, max(lengths), share)]
    if len(readings) < 2:
        raise ValueError(
            "One text says nothing about how texts differ. Give traces with at least two lanes or prompts."
        )
    return readings


def candidates(
    name: str, readings: Sequence[Reading], costs: Costs, lengths: Sequence[int], drafter: Drafter
) -> list[Advice]:
    """What a rule would do on the texts at each of its knob values and draft lengths."""
    knob, values = grid(name)
    verifier = torch.cat([reading.verifier_probs[reading.offers.places] for reading in readings])
    laws = torch.cat([reading.offers.laws for reading in readings])
    whole = exact.curve(name, knob, values, verifier, laws)
    ends = np.cumsum([len(reading.offers.laws) for reading in readings])[:-1]
    parts = list(zip(np.split(whole.acceptance, ends), np.split(whole.kl, ends)))
    weight = np.array([len(reading.verifier_probs) for reading in readings])[:, None]
    advices = []
    for length in lengths:
        expected = [expect(*part, reading.offers, length) for part, reading in zip(parts, readings)]
        kept, spent, noise, drafted = (np.stack(columns) for columns in zip(*expected))  # [texts, K] each
        mean, kl, offered = ((values_ * weight).sum(0) / weight.sum() for values_ in (kept, spent, drafted))
        low, high = stats.prediction_interval(kept, noise)
        low, high = np.maximum(low, 0.0), np.minimum(high, length)  # what one round can keep
        speeds = [costs.speedup(accepted + 1, offered) for accepted in (mean, low, high)]
        for i, value in enumerate(values):
            rule = rules.make(name, **({} if knob is None else {knob: value}))
            interval, fast = (float(low[i]), float(high[i])), (float(speeds[1][i]), float(speeds[2][i]))
            advices.append(
                Advice(
                    rule.spec, drafter.spec, length, float(mean[i]), interval, float(kl[i]), float(speeds[0][i]), fast
                )  # fmt: skip
            )
    return advices


def grid(name: str) -> tuple[str | None, list[KnobValue]]:
    """A rule's first numeric knob and the values of it that are tried; (None, [None]) for a rule without one."""
    for info in registry.knobs(rules.get(name)):
        if info["choices"] is not None or info["low"] is None:
            continue
        low, high = info["low"], 1.0 if info["high"] is None else info["high"]
        if info["type"] == "int":
            spread = np.geomspace(max(low, 1), min(high, 1000), POINTS)
            return info["name"], [int(value) for value in np.unique(spread.round())]
        if info["scale"] == "log":
            spread = np.append([] if info["open_low"] else low, np.geomspace(max(low, high * 1e-5), high, POINTS))
        else:
            spread = np.linspace(low, high, POINTS + 1)[int(info["open_low"]) :]
        return info["name"], [*sorted({float(f"{value:.4g}") for value in spread})]
    return None, [None]


def expect(acceptance: Array, kl: Array, offers: Offers, length: int) -> tuple[Array, Array, Array, Array]:
    """A lane over a fixed text, exactly, in drafts of at most `length` tokens. acceptance, kl [R, K] belong to the rows of
    `offers`. Per round, [K] each: expected kept tokens, mean kl of what is judged, the variance of a run's mean kept tokens,
    and expected drafted tokens."""
    checkpoint()
    (count, _), values = offers.at.shape, acceptance.shape[1]
    starts = np.zeros((count + length + 2, values))  # chance that a round starts at this place
    starts[0] = 1.0
    judged = np.zeros_like(acceptance)
    kept, square, drafted = np.zeros((3, values))
    for s in range(count):
        reach = starts[s]  # chance that the round starts here and all drafts up to this one were kept
        offered = min(length, int(offers.count[s]))
        drafted += reach * offered
        for k in range(offered):
            row = offers.at[s, k]
            if row < 0:  # the text ends inside this round, and the round with it
                break
            judged[row] += reach
            passed = reach * acceptance[row]
            starts[s + k + 1] += reach - passed
            kept += passed
            square += passed * (2 * k + 1)
            reach = passed
        starts[s + offered + 1] += reach
    rounds = np.maximum(starts[:count].sum(0), 1e-12)
    mean = kept / rounds
    with np.errstate(invalid="ignore"):
        spent = np.where(judged > 0, judged * kl, 0.0).sum(0) / np.maximum(judged.sum(0), 1e-12)
    return mean, spent, np.maximum(square / rounds - mean**2, 0.0) / rounds, drafted / rounds


def measure_costs(pair: Pair, traces: Sequence[Trace], lengths: Sequence[int] = LENGTHS) -> Costs:
    """Seconds of the models' forwards, timed here and now at the length of the texts, for rounds that draft up to `lengths`
    tokens by the draft model; the rest of a round as recorded."""
    verify, draft = look_seconds(pair, traces, sorted({1, *(length + 1 for length in lengths)}), [1])
    return Costs(draft.get(1, math.nan), verify, rest_seconds(traces))


def look_seconds(
    pair: Pair, traces: Sequence[Trace], verify: Sequence[int], draft: Sequence[int]
) -> tuple[dict[int, float], dict[int, float]]:
    """Seconds of a forward of the verifier, and of the draft model if there is one, over so many tokens behind the first text."""
    trace = traces[0]
    tokens = [*trace.prompt_tokens, *trace.lanes[0].tokens][: pair.max_positions - max(*verify, *draft) - 1]
    forwards: list[tuple[Model, int]] = [(pair.verifier, n) for n in verify]
    if pair.draft is not None:
        forwards += [(pair.draft, n) for n in draft]
    times = _times(forwards, tokens)
    return dict(zip(verify, times)), dict(zip(draft, times[len(verify) :]))


def rest_seconds(traces: Sequence[Trace]) -> float:
    """What a recorded round took beside both models, the median."""
    rest = [
        max(r.seconds - r.draft_seconds - r.verify_seconds, 0.0)
        for trace in traces
        for lane in trace.lanes
        for r in lane.rounds[1:]
    ]
    return median(rest) if rest else 0.0


def _times(forwards: Sequence[tuple[Model, int]], tokens: list[int]) -> list[float]:
    """Seconds of each forward (model, count) over `count` tokens behind `tokens`: the least of many timings, since what
    else ran only adds; they take turns, so that it adds to all of them alike."""
    sessions = {model: model.session() for model, _ in forwards}
    for session in sessions.values():
        session.forward(tokens, keep=1)
    least = [math.inf] * len(forwards)
    began, turns = perf_counter(), 0
    while turns < 15 or perf_counter() - began < 1.0:
        turns += 1
        for i, (model, count) in enumerate(forwards):
            session = sessions[model]
            before = session.seconds
            session.forward(tokens[:1] * count)
            least[i] = min(least[i], session.seconds - before)
            session.rollback(len(tokens))
    return least


def check(advice: Advice, traces: Sequence[Trace], pair: Pair, attempt: int = 1) -> tuple[float, float, bool]:
    """Runs the advised rule for real on the traces' prompts with fresh seeds, others for each `attempt`. Returns kept per
    round over all prompts, mean kl per judged token, and whether the former lies in the advice's interval."""
    kept = rounds = 0
    costs: list[float] = []
    for trace in traces:
        lane = Settings(
            rule=rules.parse(advice.rule),
            drafter=drafters.parse(advice.drafter),
            sampling=trace.sampling,
            draft_length=advice.draft_length,
            max_new_tokens=trace.max_new_tokens,
            seed=(trace.seed + 1_000_003 * attempt) % 2**53,
        )
        tokens, forced = trace.continued_from()
        running = run(pair, trace.prompt, [lane], style=trace.style, system=trace.system, kept=tokens, forced=forced)
        for added in running:
            kept, rounds = kept + added.round.kept, rounds + 1
            costs += added.round.column("kl_output_verifier")
    mean = kept / max(rounds, 1)
    inside = advice.interval[0] <= mean <= advice.interval[1]
    return mean, sum(costs) / len(costs) if costs else math.nan, inside
