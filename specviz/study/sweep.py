"""What does a knob cost in right answers? Every rule at every knob value decodes the same questions, whose answers can be checked.

    questions = tasks.items(tasks.names(), 160, seed=0)
    for progress in sweep(pair, [*expand("sps"), *expand("cactus:delta=0.1,1")], questions):
        ...                                      # texts done, seconds left, and the points that are complete

One point is one rule at one setting of its knobs; plain decoding, the verifier alone, is always the first, and complete
before the others begin. Question i has the same seed at every point, so two points differ only where their rules do. The
question is the unit of every interval: the tokens of one text are alike, texts are not. Texts share their forwards here
(`batch`), so nothing is said about speed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from time import perf_counter

import torch

from specviz import registry, rules, tasks
from specviz.backends import Pair, memory
from specviz.engine import batch
from specviz.engine.measure import Rows
from specviz.engine.meter import Meter
from specviz.engine.settings import Settings
from specviz.engine.workers import Workers, cores
from specviz.prob import dists
from specviz.prob.stats import Estimate, paired_difference, ratio, wilson
from specviz.rules import Rule
from specviz.study.answers import Answer, seed_of

ROWS = 32  # texts at a time
MOST_SETTINGS = 500  # of one spec
MANY = 400  # texts that are worth the seconds in which processes start
HELD = 1_000_000  # probabilities that wait to be measured together
DEFAULT = ("sps", "cactus:delta=0.03,0.1,0.3,1,3", "tas:epsilon=0.09,0.01,0.001")
QUESTIONS = 160
PAIR = "small"  # what is swept where nothing else is asked for: it can find the answers
NO_MEMORY = f"There is not enough memory for {ROWS} texts at once with these models. Ask for shorter texts, or choose smaller models."


@dataclass(frozen=True)
class Point:
    """One rule at one setting, after all questions. Counts first; figures as in `metrics.SWEEP`, shares from 0 to 1."""

    rule: Rule | None  # None is plain decoding
    settings: Settings  # seed: of the sweep
    questions: int
    right: int
    rounds: int
    accepted: int
    emitted: int
    judged: int
    accuracy: Estimate
    against_plain: Estimate | None  # None for plain itself
    accepted_per_round: Estimate | None  # None for plain, which drafts nothing
    emitted_per_round: Estimate
    mean_kl: Estimate  # nats per judged token
    answers: tuple[Answer, ...] = field(repr=False)  # in the order of the questions

    def row(self) -> dict[str, object]:
        """The point as plain data; an interval of a figure is its `_low` and `_high`."""
        row = called(self.rule)
        row |= {name: getattr(self, name) for name in ("questions", "right", "rounds", "accepted", "emitted", "judged")}
        for name in ("accuracy", "against_plain", "accepted_per_round", "emitted_per_round", "mean_kl"):
            estimate: Estimate | None = getattr(self, name)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), estimate or (None, None, None)))
        sampling, settings = self.settings.sampling, self.settings
        row |= {"temperature": float(sampling.temperature), "top_k": sampling.top_k, "top_p": float(sampling.top_p)}
        row |= {name: getattr(settings, name) for name in ("draft_length", "max_new_tokens", "seed")}
        return row | {"drafter": settings.drafting.spec if self.rule is not None else ""}


@dataclass(frozen=True)
class Progress:
    """How far a sweep is. `done` of `total` texts; `left`: seconds still to go, as the latest half of the texts went,
    or None while too few have ended to say; `points`: those that are complete, in the order asked for; `starting`: how
    many processes are being started, 0 once they decode."""

    done: int
    total: int
    seconds: float
    left: float | None
    points: tuple[Point, ...]
    starting: int = 0


def called(rule: Rule | None) -> dict[str, object]:
    """A rule, None for plain decoding, as plain data: its spec, its name and its knobs."""
    if rule is None:
        return {"rule": "plain", "name": "plain", "knobs": {}}
    return {"rule": rule.spec, "name": rule.name, "knobs": registry.values(rule)}


def expand(spec: str) -> list[Rule]:
    """The rules of a spec in which a knob may have several values: ``cactus:delta=0.1,0.5,1,solver=exact`` is three."""
    name, _, rest = spec.partition(":")
    values: dict[str, list[str]] = {}
    for part in filter(None, map(str.strip, rest.split(","))):
        knob, equals, value = part.partition("=")
        if not equals and not values:
            raise ValueError(f"In {registry.shown(spec)}, {registry.shown(part)} is not of the form name=value.")
        if equals:
            values[knob.strip()] = []
        values[list(values)[-1]].append(value if equals else part)
    if (count := math.prod(map(len, values.values()))) > MOST_SETTINGS:
        raise ValueError(
            f"{registry.shown(name)} with all these knob values is {count:,} settings; at most {MOST_SETTINGS} are swept."
        )
    return [
        rules.parse(f"{name}:" + ",".join(f"{knob}={value}" for knob, value in zip(values, chosen)))
        for chosen in product(*values.values())
    ]


def planned(wanted: Sequence[Rule | None]) -> list[Rule | None]:
    """The rules of the points: plain decoding, then each rule once."""
    return [None, *dict.fromkeys(rule for rule in wanted if rule is not None)]


def style_of(pair: Pair) -> str | None:
    """How questions are put to the models of a pair."""
    return "task" if "task" in pair.styles else next(iter(pair.styles), None)


def sweep(
    pair: Pair,
    wanted: Sequence[Rule | None],
    questions: Sequence[tasks.Question],
    settings: Settings | None = None,
) -> Iterator[Progress]:
    """Decodes the questions plainly and under each of the rules `wanted`, yielding Progress after every step.

    `settings` says how (None: the defaults); its seed decides the draws of all texts, and its rule is not used. Closing the
    generator stops the compute. A point that is not complete then is no point: the texts that had ended would be the short
    ones. Raises ValueError if there is nothing to do, or if the drafter cannot work under one of the rules, and ModelError
    if a model fails.
    """
    if not questions:
        raise ValueError("A sweep needs at least one question.")
    settings = settings or Settings()
    if not isinstance(settings.draft_length, int):
        raise ValueError(
            "A sweep drafts the same number of tokens in every round: draft_length must be a whole number."
        )
    points = planned(wanted)
    for rule in points:
        if rule is not None and (refusal := settings.drafter.refusal(rule, pair)):
            raise ValueError(refusal)
    prompts = [pair.encode(question.prompt, style_of(pair)) for question in questions]
    return _sweep(pair, points, prompts, questions, settings)


def _sweep(
    pair: Pair,
    points: Sequence[Rule | None],
    prompts: Sequence[list[int]],
    questions: Sequence[tasks.Question],
    settings: Settings,
) -> Iterator[Progress]:
    count = len(questions)
    jobs = []
    for rule in points:
        seeds = (seed_of(settings.seed, i) for i in range(count))
        jobs += [(prompt, replace(settings, rule=rule, seed=seed)) for prompt, seed in zip(prompts, seeds)]
    answers: list[dict[int, _Answer]] = [{} for _ in points]  # of each point, by question
    ends = [0.0]  # the seconds at which texts ended
    complete: tuple[Point, ...] = ()
    began = perf_counter()
    processes = cores(pair) if len(jobs) >= MANY else 1
    yield Progress(0, len(jobs), 0.0, None, (), processes if processes > 1 else 0)
    with memory.explained(NO_MEMORY), closing(_answers(pair, jobs, count, processes)) as steps:
        for end in steps:
            now = perf_counter() - began
            if end is not None:
                job, answer = end
                which, i = divmod(job, count)
                answers[which][i] = answer
                answer.text = pair.tokenizer.decode(answer.tokens)
                answer.right = tasks.grade(answer.text, questions[i].answer)
                ends.append(now)
                if len(answers[which]) == count:
                    complete = _points(points, settings, answers, count)
            done = len(ends) - 1
            left = None
            if done >= min(ROWS, len(jobs)):
                left = (len(jobs) - done) * (ends[done] - ends[done // 2]) / (done - done // 2)
            yield Progress(done, len(jobs), now, left, complete)


def _points(
    rules_: Sequence[Rule | None], settings: Settings, answers: Sequence[dict[int, _Answer]], count: int
) -> tuple[Point, ...]:
    """The points that are complete; plain is the first to be."""
    ordered = [[known[i] for i in sorted(known)] for known in answers]
    plain = ordered[0]
    return tuple(_point(rule, settings, texts, plain) for rule, texts in zip(rules_, ordered) if len(texts) == count)


def _answers(
    pair: Pair, jobs: Sequence[batch.Job], first: int, processes: int
) -> Generator[tuple[int, _Answer] | None, None, None]:
    """(Index of the job, its text) for every job as it ends, and None in between, shared out to so many processes. The `first`
    jobs end before the others begin."""
    with Workers(pair, processes) if processes > 1 else nullcontext() as workers:
        yield None  # they have started
        for offset, part in ((0, jobs[:first]), (first, jobs[first:])):
            if part:
                with closing(_measured(pair, part) if workers is None else workers.shared(_measured, part)) as ends:
                    for end in ends:
                        yield end and (offset + end[0], end[1])


@torch.inference_mode()
def _measured(pair: Pair, jobs: Sequence[batch.Job]) -> Generator[tuple[int, _Answer] | None, None, None]:
    """As `batch.ended`, with what was measured."""
    meter: Meter[int, float] = Meter(_law_divergence)
    answers = [_Answer() for _ in jobs]
    for i, result in batch.decode(pair, jobs, rows=ROWS):
        answers[i].add(result)
        if result.rule is None or result.rule.lossless:  # its law is the verifier's
            answers[i].spent += [0.0] * len(result.walk.judged)
        else:
            meter.add(i, result)
        if meter.rows * pair.vocabulary >= HELD or (result.finished and len(meter)):
            for job, _, nats in meter.flush():
                answers[job].spent += nats
        yield (i, answers[i]) if result.finished else None


def _law_divergence(rule: Rule, rows: Rows) -> list[float]:
    """KL(output law || verifier) of each judged position, nats."""
    law = rule.output_law(rows.verifier_probs, rows.draft_probs) if rows.laws is None else rows.laws
    nats: list[float] = dists.kl(law, rows.verifier_probs).tolist()
    return nats


@dataclass
class _Answer(batch.Written):
    """One answer: also its text, whether it is right, and what was measured: KL(output law || verifier) per judged token,
    nats."""

    text: str = ""
    right: bool = False
    spent: list[float] = field(default_factory=list)


def _point(rule: Rule | None, settings: Settings, texts: list[_Answer], plain: list[_Answer]) -> Point:
    rounds, accepted = [text.rounds for text in texts], [text.accepted for text in texts]
    emitted, judged = [len(text.tokens) for text in texts], [len(text.spent) for text in texts]
    right = [text.right for text in texts]
    exact = rule is None or rule.lossless
    return Point(
        rule,
        replace(settings, rule=rule),
        len(texts),
        sum(right),
        sum(rounds),
        sum(accepted),
        sum(emitted),
        sum(judged),
        accuracy=Estimate(sum(right) / len(texts), *(wilson(sum(right), len(texts)) or (None, None))),
        against_plain=None if rule is None else paired_difference(right, [text.right for text in plain]),
        accepted_per_round=None if rule is None else ratio(accepted, rounds),
        emitted_per_round=ratio(emitted, rounds),
        mean_kl=Estimate(0.0, 0.0, 0.0) if exact else ratio([sum(text.spent) for text in texts], judged),
        answers=tuple(Answer(text.text, text.right) for text in texts),
    )


def by_rule(points: Sequence[Point]) -> tuple[Sequence[Answer], dict[str, Sequence[Answer]]]:
    """The answers of plain decoding, the first of the points, and those of the others by the spec of their rule."""
    plain, *others = points
    return plain.answers, {point.rule.spec: point.answers for point in others if point.rule is not None}


def csv_text(points: Sequence[Point]) -> str:
    """The points as CSV, one a line; divergences in nats, shares from 0 to 1, an empty field where there is no figure."""
    out = io.StringIO()
    rows = [point.row() for point in points]
    writer = csv.DictWriter(
        out, [name for name in (rows[0] if rows else ()) if name != "knobs"], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
