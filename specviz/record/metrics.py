"""Counts and ratios of a recorded lane. Raw counts first, ratios from them, and every figure says what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

from specviz.prob.stats import Estimate, quotient, ratio, wilson
from specviz.record.lane import Lane

DEFINITIONS = {
    "rounds": dict(
        label="rounds", unit="", kind="measured", definition="Times the verifier ran: each round is one forward of it."
    ),
    "drafted": dict(
        label="drafted", unit="tokens", kind="measured", definition="Tokens the drafter proposed, judged or not."
    ),
    "judged": dict(
        label="judged",
        unit="tokens",
        kind="measured",
        definition="Drafted tokens the rule looked at; those behind a refusal never are.",
    ),
    "accepted": dict(label="accepted", unit="tokens", kind="measured", definition="Drafted tokens that were kept."),
    "emitted": dict(
        label="written",
        unit="tokens",
        kind="measured",
        definition="Tokens in the text: accepted ones and the one each round adds.",
    ),
    "relaxed": dict(
        label="kept by leniency",
        unit="tokens",
        kind="exact",
        definition="Kept tokens that strict sampling would have refused with the same draw.",
    ),
    "accepted_per_round": dict(
        label="kept per round",
        unit="tokens",
        kind="measured",
        definition="Accepted draft tokens per verifier call. The one token each call adds is not counted.",
    ),
    "emitted_per_round": dict(
        label="written per verifier call",
        unit="tokens",
        kind="measured",
        definition="Tokens written per verifier call, the one it always adds included (elsewhere called mean acceptance length). A count: it does not depend on the machine.",
    ),
    "acceptance_rate": dict(
        label="of judged kept", unit="%", kind="measured", definition="Accepted tokens as a share of judged tokens."
    ),
    "relaxed_share": dict(
        label="relaxed",
        unit="%",
        kind="exact",
        definition="Tokens kept by leniency as a share of all tokens written: a strict check with the same draw refuses them.",
    ),
    "mean_kl": dict(
        label="KL",
        unit="nats",
        kind="exact",
        definition="Mean over judged positions of KL(output law || verifier): how far what the rule really emits is from the verifier.",
    ),
    "over_budget": dict(
        label="over budget",
        unit="tokens",
        kind="exact",
        definition="Judged tokens where KL(output law || verifier) exceeds delta by more than rounding. delta bounds the target of one drafted token; the lifts of all that could be drafted add up.",
    ),
    "target_over_budget": dict(
        label="target over budget",
        unit="tokens",
        kind="exact",
        definition="Judged tokens where KL(target || verifier), of the drafted token's own target, exceeds delta by more than rounding: where solver taylor lifts too far.",
    ),
    "most_over_budget": dict(
        label="most over budget",
        unit="x",
        kind="exact",
        definition="The largest KL(output law || verifier) of a judged token, as a multiple of delta.",
    ),
    "mean_target_kl": dict(
        label="target KL",
        unit="nats",
        kind="exact",
        definition="Mean over judged tokens of KL(target || verifier), of the target that the drafted token got.",
    ),
    "tokens_per_second": dict(
        label="tok/s",
        unit="tokens/s",
        kind="measured",
        definition="Tokens written per second of this lane's own compute, prompt included.",
    ),
    "speedup": dict(
        label="speed-up",
        unit="x",
        kind="measured",
        definition="Tokens per second against the plain lane of the same run. Interval, 95 %: by round, the linearised standard errors of the two speeds, as if rounds took their time independently.",
    ),
    "speedup_low": dict(
        label="speed-up, low",
        unit="x",
        kind="measured",
        definition="Where the interval of the speed-up begins.",
    ),
    "speedup_high": dict(
        label="speed-up, high",
        unit="x",
        kind="measured",
        definition="Where the interval of the speed-up ends.",
    ),
    "draft_share": dict(
        label="draft", unit="%", kind="measured", definition="Share of this lane's time spent drafting."
    ),
    "verify_share": dict(
        label="verify", unit="%", kind="measured", definition="Share of this lane's time spent in the verifier."
    ),
}
SWEEP = {  # of a sweep over questions; the rest of its figures are those above, over all questions of a point
    "accuracy": dict(
        label="right",
        unit="%",
        kind="measured",
        definition='Questions whose last complete claim ("The answer is X.") is exactly the answer, as a share of all questions. Interval: Wilson, 95 %.',
    ),
    "against_plain": dict(
        label="to plain",
        unit="points",
        kind="measured",
        definition="Share of right answers less that of the verifier alone on the same questions. Interval: Agresti and Min for matched pairs, 95 %.",
    ),
    "accepted_per_round": dict(
        label="kept per round",
        unit="tokens",
        kind="measured",
        definition="Accepted draft tokens per verifier call, over all questions. Interval, 95 %: by question, the linearised standard error of a ratio.",
    ),
    "emitted_per_round": dict(
        label="written per round",
        unit="tokens",
        kind="measured",
        definition="Tokens written per verifier call, the one it always adds included. Interval, 95 %: by question, as for kept per round.",
    ),
    "mean_kl": dict(
        label="divergence",
        unit="nats",
        kind="exact",
        definition="Mean KL(output law || verifier) over the judged tokens, each computed over the whole vocabulary. Interval, 95 %: by question, as for kept per round; how other questions would differ.",
    ),
}


def counts(lane: Lane) -> dict[str, int]:
    """Raw counts of a lane: rounds, drafted, judged, accepted, emitted, relaxed."""
    rounds = lane.rounds
    return {
        "rounds": len(rounds),
        "drafted": sum(len(r.drafted) for r in rounds),
        "judged": sum(len(r.nodes) for r in rounds),
        "accepted": sum(r.kept for r in rounds),
        "emitted": sum(len(r.emitted) for r in rounds),
        "relaxed": sum(r.fates(lane.lossless).count("relaxed") for r in rounds),
    }


def figures(lane: Lane, plain: Lane | None = None) -> dict[str, float | None]:
    """The figures of DEFINITIONS for one lane; None where there is nothing to divide by, or no plain lane to compare with."""
    counted = counts(lane)
    seconds = lane.rounds[-1].clock if lane.rounds else 0.0
    costs, targets = lane.column("kl_output_verifier"), lane.column("kl_target_verifier")
    delta = lane.knobs.get("delta")
    speed = _ratio(counted["emitted"], seconds)
    gained = None if plain is None or not plain.rounds or not lane.rounds else quotient(pace(lane), pace(plain))
    rounds, drafting = counted["rounds"], sum(r.draft_seconds for r in lane.rounds)
    figured: dict[str, float | None] = {
        "accepted_per_round": _ratio(counted["accepted"], rounds),
        "emitted_per_round": _ratio(counted["emitted"], rounds),
        "acceptance_rate": _ratio(100 * counted["accepted"], counted["judged"]),
        "relaxed_share": _ratio(100 * counted["relaxed"], counted["emitted"]),
        "mean_kl": _ratio(sum(costs), len(costs)),
        "over_budget": None if not isinstance(delta, float | int) else sum(_exceeds(cost, delta) for cost in costs),
        "target_over_budget": None
        if not isinstance(delta, float | int)
        else sum(_exceeds(cost, delta) for cost in targets),
        "most_over_budget": _ratio(max(costs), delta) if isinstance(delta, float | int) and delta and costs else None,
        "mean_target_kl": _ratio(sum(targets), len(targets)),
        "tokens_per_second": speed,
        "speedup": None if gained is None or math.isnan(gained.value) else gained.value,
        "speedup_low": None if gained is None else gained.low,
        "speedup_high": None if gained is None else gained.high,
        "draft_share": _ratio(100 * drafting, seconds),
        "verify_share": _ratio(100 * sum(r.verify_seconds for r in lane.rounds), seconds),
    }
    return {**counted, **figured}


def pace(lane: Lane) -> Estimate:
    """Tokens written per second of a lane's own clock, and the interval that its rounds give; the first has read the prompt."""
    clocks = [0.0, *(r.clock for r in lane.rounds)]
    return ratio([len(r.emitted) for r in lane.rounds], [after - before for before, after in zip(clocks, clocks[1:])])


class DraftPosition(TypedDict):
    """How often a token at one place of the draft was kept; see `acceptance_by_position`."""

    position: int
    drafted: int
    reached: int
    kept: int
    conditional: float | None
    conditional_interval: tuple[float, float] | None
    unconditional: float | None
    unconditional_interval: tuple[float, float] | None


def table(rows: Sequence[tuple[str, Mapping[str, float | None]]], heads: Mapping[str, str]) -> str:
    """Figures by name as lines of text, a row for each (name, figures); `heads`: the figures shown, and their headings."""
    wide = max(len(name) for name, _ in rows) + 2
    lines = [" " * wide + "  ".join(heads.values())]
    for name, figured in rows:
        cells = ["" if (figure := figured[key]) is None else f"{figure:.4g}" for key in heads]
        lines.append(name.ljust(wide) + "  ".join(cell.rjust(len(head)) for cell, head in zip(cells, heads.values())))
    return "\n".join(lines)


def acceptance_by_position(lane: Lane) -> list[DraftPosition]:
    """For each draft position (1, 2, ...): how often a token there was kept.

    `conditional`: given that all before it were kept; `unconditional`: of all rounds that drafted that far;
    each with its 95 % Wilson interval [low, high] and the counts behind it.
    """
    rows: list[DraftPosition] = []
    for i in range(max((r.depth for r in lane.rounds), default=0)):
        rounds = [r for r in lane.rounds if r.depth > i]
        reached, kept = sum(r.reached(i) for r in rounds), sum(r.kept > i for r in rounds)
        rows.append(
            {
                "position": i + 1,
                "drafted": len(rounds),
                "reached": reached,
                "kept": kept,
                "conditional": _ratio(kept, reached),
                "conditional_interval": wilson(kept, reached),
                "unconditional": _ratio(kept, len(rounds)),
                "unconditional_interval": wilson(kept, len(rounds)),
            }
        )
    return rows


def accepted_lengths(lane: Lane) -> list[int]:
    """How many rounds kept 0, 1, 2, ... drafted tokens."""
    kept = [r.kept for r in lane.rounds if r.drafted]
    return [kept.count(n) for n in range(max(kept, default=-1) + 1)]


def _exceeds(nats: float, delta: float) -> bool:
    return nats > delta * 1.0001 + 1e-6  # a trace holds five digits


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
