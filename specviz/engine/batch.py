"""Many texts at once: the loop of `decode`, with one forward for all texts that wait for the same model, and one verdict
for all drafts that wait for the same rule.

    for i, result in batch.decode(pair, [(prompt, settings), ...]): ...     # a round of the i-th text
    written = batch.write(pair, [(prompt, settings), ...])                  # the same, summed up

Every text has its own settings, randomness and length. It gets the tokens it would get alone, unless two choices are
so close that the last bits of float arithmetic decide between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from specviz.backends import Batch, Model, Pair, Session
from specviz.drafters.asks import Begin, Judge, Look, Looked, judge
from specviz.engine import lengths
from specviz.engine.decode import Answer, Asked, Asking, Decoding, RoundResult
from specviz.engine.settings import Settings
from specviz.engine.workers import Workers
from specviz.prob import dists
from specviz.types import Reason

SEEDS = 2**53  # how many there are
Job = tuple[list[int], Settings]  # prompt tokens, and how to go on from them


@dataclass
class Written:
    """What became of one job. `tokens`: the new ones; `drafted`, `accepted`: tokens; `rounds`: forwards of the verifier."""

    tokens: list[int] = field(default_factory=list)
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    finished: Reason | None = None

    def add(self, result: RoundResult) -> None:
        """Counts the job's next round."""
        self.rounds += 1
        self.drafted += len(result.draft)
        self.accepted += len(result.walk.path)
        self.tokens += result.emitted
        self.finished = result.finished


@dataclass
class _Lane:
    """A job at work: its round under way, and what that waits for (None: the round is over)."""

    decoding: Decoding
    draft: Session | None
    round: Asking[RoundResult]
    ask: Asked | None = None


@torch.inference_mode()
def decode(pair: Pair, jobs: Sequence[Job], *, rows: int = 32) -> Iterator[tuple[int, RoundResult]]:
    """Decodes all jobs, at most `rows` at a time, yielding (index of the job, its next round).

    The rounds are those of one lane alone; a forward's seconds are shared by the texts in it. Jobs begin in their order.
    Closing the generator stops the compute. ModelError if a model returns NaN; ValueError if a drafter cannot work with
    these models or under its rule.
    """
    verifier = pair.verifier.batch(rows, _room(jobs, pair, pair.verifier))
    draft = pair.draft.batch(rows, _room(jobs, pair, pair.draft)) if pair.draft is not None else None
    waiting = iter(range(len(jobs)))
    lanes: dict[int, _Lane] = {}
    while True:
        while len(lanes) < rows and (job := next(waiting, None)) is not None:
            prompt, settings = jobs[job]
            session = draft.session() if draft is not None and settings.drafting.uses_draft_model else None
            decoding = Decoding(pair, prompt, settings, verifier.session(), session)
            lanes[job] = _Lane(decoding, session, decoding.round())
            _advance(lanes[job], None)  # no round is over before it has asked for the verifier
        if not lanes:
            return
        for job, answer in _answers(lanes, draft, verifier):
            lane = lanes[job]
            result = _advance(lane, answer)
            if result is None:
                continue
            if result.finished:
                del lanes[job]
                verifier.release(lane.decoding.verifier)
                if draft is not None and lane.draft is not None:
                    draft.release(lane.draft)
            else:
                lane.round = lane.decoding.round()
                _advance(lane, None)
            yield job, result


def _room(jobs: Sequence[Job], pair: Pair, model: Model) -> int:
    """The most tokens that a text takes up in a cache: its own, and those of a draft that share a place; look-ahead tokens too."""
    most = 0
    for prompt, settings in jobs:
        length = settings.draft_length if isinstance(settings.draft_length, int) else lengths.LONGEST
        drafts = range(min(length, settings.max_new_tokens) + 1)
        nodes, ahead = settings.drafting.nodes, settings.drafting.ahead(pair)
        shared = max(nodes(n) - n + (nodes(n) + 1) * ahead for n in drafts)
        most = max(most, min(len(prompt) + settings.max_new_tokens, model.max_positions) + shared)
    return most


def _answers(lanes: dict[int, _Lane], draft: Batch | None, verifier: Batch) -> list[tuple[int, Answer]]:
    """What some of the lanes wait for, all at once: drafts are judged first, then whoever still drafts is served, by the verifier's
    first layers one after the other; then all go to the verifier together."""
    judging = {job: ask for job, lane in lanes.items() if isinstance(ask := lane.ask, Judge)}
    if judging:
        return [*zip(judging, judge(list(judging.values())))]
    if beginning := {job: ask for job, lane in lanes.items() if isinstance(ask := lane.ask, Begin)}:
        return [(job, ask.answer()) for job, ask in beginning.items()]
    looks = {job: ask for job, lane in lanes.items() if isinstance(ask := lane.ask, Look)}
    drafting = {job: ask for job, ask in looks.items() if ask.session is lanes[job].draft}
    if drafting and draft is not None:
        return [*zip(drafting, _looked(draft, list(drafting.values())))]
    return [*zip(looks, _looked(verifier, list(looks.values())))]


def _advance(lane: _Lane, answer: Answer | None) -> RoundResult | None:
    """Lets a lane go on with an answer until it asks again, or its round is over."""
    try:
        lane.ask = lane.round.send(answer)
    except StopIteration as end:
        lane.ask = None
        result: RoundResult = end.value
        return result
    return None


def _looked(batch: Batch, looks: Sequence[Look]) -> list[Looked]:
    """One forward for all, and one softmax for all that sample alike."""
    seen = batch.forward([look.forward for look in looks])
    answers: dict[int, Looked] = {}
    for sampling in dict.fromkeys(look.sampling for look in looks):
        alike = [i for i, look in enumerate(looks) if look.sampling == sampling]
        probs = dists.to_probs(torch.cat([seen[i].logits[: looks[i].keep] for i in alike]), sampling)
        for i, rows in zip(alike, torch.split(probs, [looks[i].keep for i in alike])):
            answers[i] = looks[i].looked(seen[i], rows)
    return [answers[i] for i in range(len(looks))]


def write(pair: Pair, jobs: Sequence[Job], *, rows: int = 32, workers: Workers | None = None) -> list[Written]:
    """Decodes all jobs, at most `rows` at a time, and sums up each; with `workers`, each takes a part of the jobs."""
    written = [Written() for _ in jobs]
    ends = (
        ended(pair, jobs, rows) if workers is None else workers.shared(ended, jobs, -(-rows // len(workers)), most=rows)
    )
    for end in ends:
        if end is not None:
            written[end[0]] = end[1]
    return written


def samples(pair: Pair, prompt: list[int], lanes: Sequence[Settings]) -> list[list[int]]:
    """As many texts behind a prompt as the drafters of these lanes want, by the verifier alone and with seeds of their own."""
    count = max(settings.drafting.wants_samples for settings in lanes)
    first = lanes[0]
    jobs = [
        (
            prompt,
            Settings(None, first.sampling, max_new_tokens=first.max_new_tokens, seed=(first.seed + number) % SEEDS),
        )
        for number in range(1, count + 1)
    ]
    return [job.tokens for job in write(pair, jobs)]


def ended(pair: Pair, jobs: Sequence[Job], rows: int) -> Iterator[tuple[int, Written] | None]:
    """(Index of the job, what became of it) for every job as it ends, and None after every other round."""
    written = [Written() for _ in jobs]
    for i, result in decode(pair, jobs, rows=rows):
        written[i].add(result)
        yield (i, written[i]) if result.finished else None
