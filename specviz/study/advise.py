"""Which knob value? From recorded runs to "spend at most D nats per token" or "keep at least a tokens per round".

Both models read every recorded text once more, which gives the two exact distributions at each of its positions.
For a rule and a knob value the chance that a draft is kept there is then exact, and a small dynamic program over the
text gives what a lane would keep per round if its text stayed the same. That last assumption makes the answer an
estimate; its interval comes from how much texts differ and from the chance within one run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch
from numpy import ndarray

from specviz import registry, rules
from specviz.backends import Pair
from specviz.prob import dists
from specviz.record.trace import Trace
from specviz.study import exact
from specviz.types import Sampling

LENGTHS = range(1, 9)  # draft lengths that are considered
POINTS = 33  # knob values that are considered
MAX_POSITIONS = 4000  # of all texts together


@dataclass(frozen=True)
class Text:
    """The exact distributions [N, V] at each of the N positions of one lane's text."""

    verifier_probs: torch.Tensor
    draft_probs: torch.Tensor


@dataclass(frozen=True)
class Costs:
    """Measured seconds: `draft` per drafted token, `verify[n]` of a forward over n tokens, `rest` per round."""

    draft: float
    verify: dict[int, float]
    rest: float

    def speedup(self, emitted_per_round: ndarray, length: int) -> ndarray:
        """Tokens per second against plain decoding, which pays one verifier forward and the rest per token."""
        return (
            emitted_per_round
            * (self.verify[1] + self.rest)
            / (length * self.draft + self.verify[length + 1] + self.rest)
        )


@dataclass(frozen=True)
class Advice:
    """One rule's answer. `accepted_per_round` and `speedup` are estimates; `interval` holds what a fresh prompt of the
    same kind keeps per round, 95 times in 100, and `speedup_interval` what that means at the costs measured; `kl` is
    the mean KL(output law || verifier) per judged token, nats."""

    rule: str  # a spec for `rules.parse`
    draft_length: int
    accepted_per_round: float
    interval: tuple[float, float]
    kl: float
    speedup: float
    speedup_interval: tuple[float, float]


def advise(
    records: Sequence[Trace],
    pair: Pair,
    *,
    spend: float | None = None,
    accept: float | None = None,
    names: Sequence[str] = (),
    draft_length: int | None = None,
    most: int = MAX_POSITIONS,
) -> list[Advice]:
    """The best setting of each rule in `names` (default: all token rules) that spends at most `spend` nats per judged
    token, or that keeps at least `accept` tokens per round; fastest first. Rules that cannot are left out.

    `draft_length` None lets each rule use its fastest; `most` positions are read, an equal share of each text. Raises
    ValueError unless exactly one goal is given, unless there are at least two recorded texts (their differences make
    the interval), and if a record was made with other models than `pair`.
    """
    if (spend is None) == (accept is None):
        raise ValueError("Give one goal: at most so many nats per token, or at least so many kept tokens per round.")
    if (spend or 0) < 0 or (accept or 0) < 0:
        raise ValueError("A goal cannot be below 0.")
    count = sum(bool(lane["rounds"]) for record in records for lane in record.data["lanes"])
    texts = [text for record in records for text in texts_of(record, pair, max(1, most // max(1, count)))]
    if len(texts) < 2:
        raise ValueError(
            "One text says nothing about how texts differ. Give traces with at least two lanes or prompts."
        )
    lengths = [draft_length] if draft_length else LENGTHS
    costs = measure_costs(pair, records, lengths)
    found = []
    for name in names or [n for n in rules.names() if rules.get(n).scope == "token"]:
        able = candidates(name, texts, costs, lengths)
        if spend is not None:
            able = [one for one in able if one.kl <= spend + 1e-12]
            best = max(able, key=lambda one: one.speedup, default=None)
        else:
            able = [one for one in able if one.accepted_per_round >= accept]
            best = min(able, key=lambda one: (round(one.kl, 9), -one.speedup), default=None)
        if best is not None:
            found.append(best)
    return sorted(found, key=lambda advice: -advice.speedup)


def texts_of(record: Trace, pair: Pair, most: int = MAX_POSITIONS) -> list[Text]:
    """The texts of a trace's lanes, the first `most` tokens of each, with their exact distributions: one forward of each
    model over each text. ValueError if other models wrote them."""
    data = record.data
    for role, model in (("draft", pair.draft), ("verifier", pair.verifier)):
        if data["models"][role]["revision"] != model.revision:
            raise ValueError(
                f"This run was made with another {role} ({data['models'][role]['id']}) than the one loaded here, so its text cannot be read again."
            )
    sampling = Sampling(**data["sampling"])
    found = []
    for lane in data["lanes"]:
        written = [token for r in lane["rounds"] for token in r["emitted"]][:most]
        if written:
            tokens = data["prompt_tokens"] + written[:-1]
            both = (
                dists.pad(
                    dists.to_probs(model.session().forward(tokens, keep=len(written)).logits, sampling), pair.vocabulary
                )
                for model in (pair.verifier, pair.draft)
            )
            found.append(Text(*both))
    return found


def candidates(name: str, texts: Sequence[Text], costs: Costs, lengths) -> list[Advice]:
    """What a rule would do on `texts` at each of its knob values and draft lengths."""
    knob, values = grid(name)
    sizes = [len(text.verifier_probs) for text in texts]
    whole = exact.curve(
        name,
        knob,
        values,
        *(torch.cat([getattr(text, side) for text in texts]) for side in ("verifier_probs", "draft_probs")),
    )
    parts = list(zip(np.split(whole.acceptance, np.cumsum(sizes)[:-1]), np.split(whole.kl, np.cumsum(sizes)[:-1])))
    found = []
    for length in lengths:
        runs = [expect(acceptance, kl, length) for acceptance, kl in parts]  # per text: [K] each
        kept, spent, noise = (np.stack([run[i] for run in runs]) for i in range(3))  # [texts, K]
        weight = np.array(sizes)[:, None]
        mean = (kept * weight).sum(0) / weight.sum()
        low, high = prediction_interval(kept, noise, length)
        for i, value in enumerate(values):
            rule = rules.make(name, **({} if knob is None else {knob: value}))
            kl = float((spent[:, i] * weight[:, 0]).sum() / weight.sum())
            speed, slowest, fastest = (
                float(costs.speedup(kept_per_round + 1, length)) for kept_per_round in (mean[i], low[i], high[i])
            )
            found.append(
                Advice(
                    rule.spec, length, float(mean[i]), (float(low[i]), float(high[i])), kl, speed, (slowest, fastest)
                )
            )
    return found


def grid(name: str) -> tuple[str | None, list]:
    """A rule's first numeric knob and the values of it that are tried; (None, [None]) for a rule without one."""
    for info in registry.knobs(rules.get(name)):
        if info["choices"] is not None:
            continue
        low, high = info["low"], info["high"]
        high = high if high is not None else 1.0
        if info["type"] == "int":
            values = np.unique(np.geomspace(max(low, 1), min(high, 1000), POINTS).round().astype(int)).tolist()
        elif info["scale"] == "log":
            values = [low] * (not info["open_low"]) + np.geomspace(max(low, high * 1e-5), high, POINTS).tolist()
        else:
            values = np.linspace(low, high, POINTS + 1)[int(info["open_low"]) :].tolist()
        return info["name"], sorted({float(f"{v:.4g}") if info["type"] != "int" else v for v in values})
    return None, [None]


def expect(acceptance: ndarray, kl: ndarray, length: int) -> tuple[ndarray, ndarray, ndarray]:
    """A lane over a fixed text, exactly: acceptance, kl [N, K] per position -> per round, [K] each: expected kept
    tokens, mean kl of the judged positions, and the variance of a run's mean kept tokens."""
    count, values = acceptance.shape
    padded = np.concatenate([acceptance, np.zeros((length + 2, values))])
    starts = np.zeros((count + length + 2, values))  # chance that a round starts at this position
    starts[0] = 1.0
    judged = np.zeros_like(starts)
    kept = np.zeros(values)
    square = np.zeros(values)
    for s in range(count):
        reach = starts[s]  # chance that the round starts here and all drafts up to this one were kept
        for k in range(length):
            if s + k >= count:  # the text ends inside this round, and the round with it
                break
            judged[s + k] += reach
            passed = reach * padded[s + k]
            starts[s + k + 1] += reach - passed
            kept += passed
            square += passed * (2 * k + 1)
            reach = passed
        starts[min(s + length + 1, count + length + 1)] += reach
    rounds = np.maximum(starts[:count].sum(0), 1e-12)
    mean = kept / rounds
    positions = np.maximum(judged[:count].sum(0), 1e-12)
    with np.errstate(invalid="ignore"):
        spent = np.where(judged[:count] > 0, judged[:count] * kl, 0.0).sum(0) / positions
    return mean, spent, np.maximum(square / rounds - mean**2, 0.0) / rounds


def prediction_interval(kept: ndarray, noise: ndarray, length: int) -> tuple[ndarray, ndarray]:
    """What one fresh text keeps per round, 95 times in 100: from the spread between texts [T, K] and the chance within
    a run [T, K], by Student's t with T - 1 degrees of freedom; within what `length` allows."""
    count = len(kept)
    middle = kept.mean(0)
    spread = kept.var(0, ddof=1) * (1 + 1 / count) + noise.mean(0)
    half = student_quantile(count - 1) * np.sqrt(spread)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, length)


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t (Hill 1970's expansion, within 0.1 % from 3 degrees of freedom on)."""
    if freedom < 3:
        return (12.7062, 4.3027)[freedom - 1]
    z = 1.959964
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4


def measure_costs(pair: Pair, records: Sequence[Trace], lengths: Sequence[int] = LENGTHS) -> Costs:
    """Seconds of both models' forwards, timed here and now at the length of the texts, for rounds that draft `lengths`
    tokens; the rest of a round as recorded."""
    record = records[0].data
    tokens = record["prompt_tokens"] + [t for r in record["lanes"][0]["rounds"] for t in r["emitted"]]
    tokens = tokens[: pair.max_positions - max(lengths) - 2]
    rest = [
        max(r["seconds"] - r["draft_seconds"] - r["verify_seconds"], 0.0)
        for one in records
        for lane in one.data["lanes"]
        for r in lane["rounds"][1:]
    ]
    counts = sorted({1, *(length + 1 for length in lengths)})
    draft, *verify = _times([(pair.draft, 1), *((pair.verifier, n) for n in counts)], tokens)
    return Costs(draft, dict(zip(counts, verify, strict=True)), median(rest) if rest else 0.0)


def _times(forwards: Sequence[tuple], tokens: list[int]) -> list[float]:
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


def check(
    advice: Advice, records: Sequence[Trace], pair: Pair, attempt: int = 1, deadline: float = math.inf
) -> tuple[float, float, bool]:
    """Runs the advised rule for real on the records' prompts with fresh seeds, others for each `attempt`, for at most
    `deadline` seconds. Returns kept per round over all prompts, mean kl per judged token, and whether the former lies
    in the advice's interval."""
    from specviz.engine import race
    from specviz.record import trace
    from specviz.types import Settings

    kept = rounds = judged = 0
    spent = 0.0
    began = perf_counter()
    for record in records:
        data = record.data
        lane = Settings(
            rule=rules.parse(advice.rule),
            sampling=Sampling(**data["sampling"]),
            draft_length=advice.draft_length,
            max_new_tokens=data["max_new_tokens"],
            seed=(data["seed"] + 1_000_003 * attempt) % 2**53,
        )
        made = trace.begin(pair, data["prompt"], data["style"], [lane], *record.kept())
        for step in race.race(pair, data["prompt_tokens"], [lane]):
            made.add(step)
            if perf_counter() - began > deadline:
                break
        for r in made.data["lanes"][0]["rounds"]:
            kept, rounds = kept + r["kept"], rounds + 1
            costs = r["judged"].get("kl_output_verifier", [])
            judged, spent = judged + len(costs), spent + sum(map(float, costs))
    mean = kept / max(rounds, 1)
    return mean, spent / judged if judged else math.nan, advice.interval[0] <= mean <= advice.interval[1]
