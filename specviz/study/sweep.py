"""What does a knob cost in right answers? Every rule at every knob value decodes the same questions, whose answers can be checked.

    questions = tasks.items(tasks.names(), 160, seed=0)
    for progress in sweep(pair, [*expand("sps"), *expand("cactus:delta=0.1,1")], questions):
        ...                                      # texts done, seconds left, and the points that are complete

One point is one rule at one setting of its knobs; plain decoding, the verifier alone, is always the first. Question i has
the same seed at every point, so two points differ only where their rules do. The question is the unit of every interval:
the tokens of one text are alike, texts are not. Texts share their forwards here (`batch`), so nothing is said about speed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from time import perf_counter

import torch

from specviz import registry, rules, tasks
from specviz.backends import Pair, memory
from specviz.engine import batch
from specviz.engine.settings import Settings
from specviz.engine.workers import Workers, cores
from specviz.prob import dists
from specviz.prob.stats import Estimate, paired_difference, ratio, wilson
from specviz.types import Judged

ROWS = 32  # texts at a time
MOST_SETTINGS = 500  # of one spec
MANY = 400  # texts that are worth the seconds in which processes start
HELD = 1_000_000  # probabilities that wait to be measured together
DEFAULT = ("sps", "cactus:delta=0.03,0.1,0.3,1,3", "tas:epsilon=0.09,0.01,0.001")
QUESTIONS = 160
NO_MEMORY = f"There is not enough memory for {ROWS} texts at once with these models. Ask for shorter texts, or choose smaller models."


@dataclass(frozen=True)
class Point:
    """One rule at one setting, after all questions. Counts first; figures as in `metrics.SWEEP`, shares from 0 to 1."""

    rule: object | None  # None is plain decoding
    settings: Settings  # seed: of the sweep
    questions: int
    right: int
    rounds: int
    accepted: int
    emitted: int
    judged: int
    accuracy: Estimate
    against_plain: Estimate | None  # None for plain itself, and until plain is complete
    accepted_per_round: Estimate | None  # None for plain, which drafts nothing
    emitted_per_round: Estimate
    mean_kl: Estimate  # nats per judged token

    def row(self) -> dict:
        """The point as plain data; an interval of a figure is its `_low` and `_high`."""
        found = called(self.rule)
        found |= {
            name: getattr(self, name) for name in ("questions", "right", "rounds", "accepted", "emitted", "judged")
        }
        for name in ("accuracy", "against_plain", "accepted_per_round", "emitted_per_round", "mean_kl"):
            figure = getattr(self, name) or Estimate(None, None, None)
            found |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        sampling = self.settings.sampling
        found |= {"temperature": float(sampling.temperature), "top_k": sampling.top_k, "top_p": float(sampling.top_p)}
        return found | {name: getattr(self.settings, name) for name in ("draft_length", "max_new_tokens", "seed")}


@dataclass(frozen=True)
class Progress:
    """How far a sweep is. `done` of `total` texts; `left`: seconds still to go, as the latest half of the texts went,
    or None while too few have ended to say; `points`: those that are complete, in the order asked for."""

    done: int
    total: int
    seconds: float
    left: float | None
    points: tuple[Point, ...]


def called(rule) -> dict:
    """A rule, None for plain decoding, as plain data: its spec, its name and its knobs."""
    if rule is None:
        return {"rule": "plain", "name": "plain", "knobs": {}}
    return {
        "rule": rule.spec,
        "name": rule.name,
        "knobs": {k["name"]: getattr(rule, k["name"]) for k in registry.knobs(type(rule))},
    }


def expand(spec: str) -> list:
    """The rules of a spec in which a knob may have several values: ``cactus:delta=0.1,0.5,1,solver=exact`` is three."""
    name, _, rest = spec.partition(":")
    values: dict[str, list[str]] = {}
    for part in filter(None, map(str.strip, rest.split(","))):
        knob, equals, value = part.partition("=")
        if not equals and not values:
            raise ValueError(f"In {spec!r}, {part!r} is not of the form name=value.")
        if equals:
            values[knob.strip()] = []
        values[list(values)[-1]].append(value if equals else part)
    if (count := math.prod(map(len, values.values()))) > MOST_SETTINGS:
        raise ValueError(
            f"{name!r} with all these knob values is {count:,} settings; at most {MOST_SETTINGS} are swept."
        )
    return [
        rules.parse(f"{name}:" + ",".join(f"{knob}={value}" for knob, value in zip(values, chosen)))
        for chosen in product(*values.values())
    ]


def planned(wanted: Sequence) -> list:
    """The rules of the points: plain decoding, then each rule once."""
    return [None, *dict.fromkeys(rule for rule in wanted if rule is not None)]


def sweep(
    pair: Pair, wanted: Sequence, questions: Sequence[tasks.Question], settings: Settings | None = None
) -> Iterator[Progress]:
    """Decodes the questions plainly and under each of the rules `wanted`, yielding Progress after every step.

    `settings` says how (None: the defaults); its seed decides the draws of all texts, and its rule is not used. Closing the
    generator stops the compute. A point that is not complete then is no point: the texts that had ended would be the short
    ones. Raises ValueError if there is nothing to do, and ModelError if a model fails.
    """
    if not questions:
        raise ValueError("A sweep needs at least one question.")
    settings = settings or Settings()
    if not isinstance(settings.draft_length, int):
        raise ValueError(
            "A sweep drafts the same number of tokens in every round: draft_length must be a whole number."
        )
    points = planned(wanted)
    style = "task" if "task" in pair.styles else next(iter(pair.styles), None)
    prompts = [pair.encode(question.prompt, style) for question in questions]
    return _sweep(pair, points, prompts, questions, settings)


def _sweep(
    pair: Pair, points: list, prompts: list[list[int]], questions: Sequence[tasks.Question], settings: Settings
) -> Iterator[Progress]:
    count = len(questions)
    jobs = [
        (prompt, replace(settings, rule=rule, seed=(1_000_003 * settings.seed + i) % 2**53))
        for rule in points for i, prompt in enumerate(prompts)
    ]  # fmt: skip
    texts: list[list[_Text | None]] = [[None] * count for _ in points]
    open_texts = [count] * len(points)
    ends = [0.0]  # the seconds at which texts ended
    complete: tuple[Point, ...] = ()
    began = perf_counter()
    yield Progress(0, len(jobs), 0.0, None, ())
    with memory.explained(NO_MEMORY), closing(_answers(pair, jobs)) as answers:
        for found in answers:
            now = perf_counter() - began
            if found is not None:
                job, text = found
                which, i = divmod(job, count)
                texts[which][i] = text
                text.right = tasks.grade(pair.tokenizer.decode(text.tokens), questions[i].answer)
                ends.append(now)
                open_texts[which] -= 1
                if not open_texts[which]:
                    plain = None if open_texts[0] else texts[0]
                    complete = tuple(
                        _point(rule, settings, some, plain)
                        for rule, some, still in zip(points, texts, open_texts)
                        if not still
                    )
            done = len(ends) - 1
            left = None
            if done >= min(ROWS, len(jobs)):
                left = (len(jobs) - done) * (ends[done] - ends[done // 2]) / (done - done // 2)
            yield Progress(done, len(jobs), now, left, complete)


def _answers(pair: Pair, jobs: list[batch.Job]) -> Iterator[tuple[int, _Text] | None]:
    """(Index of the job, its text) for every job as it ends, and None in between. Much work is shared out to the cores."""
    count = cores(pair) if len(jobs) >= MANY else 1
    if count == 1:
        yield from _measured(pair, jobs)
        return
    with Workers(pair, count) as workers, closing(workers.shared(_measured, jobs)) as found:
        yield from found


def _measured(pair: Pair, jobs: list[batch.Job]) -> Iterator[tuple[int, _Text] | None]:
    """As `batch.ended`, with what was measured."""
    meter, texts = _Meter(), [_Text() for _ in jobs]
    for i, events in batch.decode(pair, jobs, rows=ROWS, measure=meter.add):
        texts[i].add(events)
        if texts[i].finished:
            meter.flush()
        yield (i, texts[i]) if texts[i].finished else None


class _Text(batch.Text):
    """One answer: also whether it is right, and what was measured at each judged token."""

    def __init__(self):
        super().__init__()
        self.right = False
        self.spent: list[list[float]] = []  # per judged token [KL(output law || verifier)], nats; filled by the meter

    def add(self, events: list) -> None:
        super().add(events)
        self.spent += [event.measures for event in events if isinstance(event, Judged)]


class _Meter:
    """KL(output law || verifier) of judged tokens, many of a rule at a time. A lossless rule's is 0 and is not computed."""

    def __init__(self):
        self._waiting: dict = {}
        self._held = 0

    def add(self, rule, verifier_probs, draft_probs, tokens, residual_probs, uniforms) -> list[list[float]]:
        """verifier_probs, draft_probs [m, V] -> m lists that `flush` puts the number in; it comes by itself when much is waiting."""
        if rule.lossless:
            return [[0.0]] * len(tokens)
        rows: list[list[float]] = [[] for _ in range(len(tokens))]
        self._waiting.setdefault(rule, []).append((rows, verifier_probs, draft_probs))
        self._held += verifier_probs.numel()
        if self._held >= HELD:
            self.flush()
        return rows

    @torch.inference_mode()
    def flush(self) -> None:
        for rule, rounds in self._waiting.items():
            rows, verifier_probs, draft_probs = zip(*rounds)
            verifier_probs, draft_probs = torch.cat(verifier_probs), torch.cat(draft_probs)
            nats = dists.kl(rule.law(verifier_probs, draft_probs), verifier_probs).tolist()
            for row, value in zip((row for part in rows for row in part), nats, strict=True):
                row.append(value)
        self._waiting, self._held = {}, 0


def _point(rule, settings: Settings, texts: list[_Text], plain: list[_Text] | None) -> Point:
    rounds, accepted = [text.rounds for text in texts], [text.accepted for text in texts]
    emitted, judged = [len(text.tokens) for text in texts], [len(text.spent) for text in texts]
    right = [text.right for text in texts]
    return Point(
        rule, settings, len(texts), sum(right), sum(rounds), sum(accepted), sum(emitted), sum(judged),
        accuracy=Estimate(sum(right) / len(texts), *wilson(sum(right), len(texts))),
        against_plain=None if rule is None or plain is None else paired_difference(right, [text.right for text in plain]),
        accepted_per_round=None if rule is None else ratio(accepted, rounds),
        emitted_per_round=ratio(emitted, rounds),
        mean_kl=Estimate(0.0, 0.0, 0.0) if rule is None or rule.lossless else ratio([sum(map(sum, text.spent)) for text in texts], judged),
    )  # fmt: skip


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
