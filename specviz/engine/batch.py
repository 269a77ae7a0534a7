"""Many texts at once: the loop of `decode`, with one forward for all texts that wait for the same model, and one
verdict for all drafts that wait for the same rule.

    for i, events in batch.decode(pair, [(prompt, settings), ...]): ...     # the i-th text's next events
    texts = batch.texts(pair, [(prompt, settings), ...])                    # the same, summed up

Every text has its own settings, randomness and length. It gets the tokens it would get alone, unless two choices are
so close that the last bits of float arithmetic decide between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from specviz.backends import Batch, Forward, Pair, Request
from specviz.drafters.model import ModelDrafter
from specviz.drafters.proposal import Judging, judge
from specviz.engine.decode import rounds
from specviz.engine.workers import Workers
from specviz.prob import dists
from specviz.types import Drafted, Emitted, Event, Finished, Settings

Job = tuple[list[int], Settings]  # prompt tokens, and how to go on from them


@dataclass
class Text:
    """What became of one job. `tokens`: the new ones; `drafted`, `accepted`: tokens; `rounds`: forwards of the verifier."""

    tokens: list[int] = field(default_factory=list)
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    finished: str | None = None

    def add(self, events: list[Event]) -> None:
        """Counts the job's next events."""
        for event in events:
            match event:
                case Drafted():
                    self.rounds += 1
                    self.drafted += len(event.tokens)
                case Emitted():
                    self.tokens.append(event.token)
                    self.accepted += event.origin == "accepted"
                case Finished():
                    self.finished = event.reason


@torch.inference_mode()
def decode(
    pair: Pair, jobs: Sequence[Job], *, rows: int = 32, measure: Callable | None = None
) -> Iterator[tuple[int, list[Event]]]:
    """Decodes all jobs, at most `rows` at a time, yielding (index of the job, its next events).

    The events are those of `decode.decode`; a forward's seconds are shared by the texts in it. Jobs begin in their
    order. Closing the generator stops the compute. Raises ModelError if a model returns NaN.
    """
    positions = max((len(prompt) + settings.max_new_tokens for prompt, settings in jobs), default=0)
    draft, verifier = (model.batch(rows, min(positions, model.max_positions)) for model in (pair.draft, pair.verifier))
    waiting = iter(range(len(jobs)))
    lanes: dict[int, tuple] = {}  # job -> its generator and its two sessions
    asked: dict[int, Request | Judging] = {}  # job -> what it waits for
    while True:
        for job in [job for job in lanes if job not in asked]:  # these have ended
            _, *sessions = lanes.pop(job)
            draft.release(sessions[0])
            verifier.release(sessions[1])
        while len(lanes) < rows and (job := next(waiting, None)) is not None:
            prompt, settings = jobs[job]
            sessions = draft.session(), verifier.session()
            drafter = ModelDrafter(sessions[0], pair.vocabulary, pair.stop_tokens)
            lane = rounds(
                sessions[1],
                drafter,
                prompt,
                settings,
                vocabulary=pair.vocabulary,
                stop_tokens=pair.stop_tokens,
                measure=measure,
            )
            lanes[job] = lane, *sessions
            yield job, _until_asking(job, lane, None, asked)
        if not lanes:
            return
        # Drafts are judged first, then whoever still drafts is served; then all go to the verifier together.
        judged = [job for job in asked if isinstance(asked[job], Judging)]
        drafting = [job for job in asked if not judged and asked[job].session is lanes[job][1]]
        served = judged or drafting or list(asked)
        requests = [asked.pop(job) for job in served]
        answers = judge(requests) if judged else _answers(draft if drafting else verifier, requests)
        for job, answer in zip(served, answers):
            yield job, _until_asking(job, lanes[job][0], answer, asked)


def _until_asking(job: int, lane, answer, asked: dict) -> list[Event]:
    """The events of a lane that was sent an answer, until it asks again (noted in `asked`) or ends."""
    events = []
    item = lane.send(answer)
    while item is not None:
        if isinstance(item, Request | Judging):
            asked[job] = item
            break
        events.append(item)
        item = next(lane, None)
    return events


def _answers(batch: Batch, requests: list[Request]) -> list[torch.Tensor]:
    """One forward for all, and one softmax for all that sample alike."""
    logits = [seen.logits for seen in batch.forward([Forward(r.session, r.tokens, r.keep) for r in requests])]
    answers: list = [None] * len(requests)
    for sampling in {r.sampling: None for r in requests}:
        alike = [i for i, r in enumerate(requests) if r.sampling == sampling]
        probs = dists.pad(dists.to_probs(torch.cat([logits[i] for i in alike]), sampling), requests[0].vocabulary)
        for i, found in zip(alike, probs.split([requests[i].keep for i in alike])):
            answers[i] = found
    return answers


def texts(pair: Pair, jobs: Sequence[Job], *, rows: int = 32, workers: Workers | None = None) -> list[Text]:
    """Decodes all jobs, at most `rows` at a time, and sums up each; with `workers`, each takes a part of the jobs."""
    found = [Text() for _ in jobs]
    ends = (
        ended(pair, jobs, rows) if workers is None else workers.shared(ended, jobs, -(-rows // len(workers)), most=rows)
    )
    for i, text in filter(None, ends):
        found[i] = text
    return found


def ended(pair: Pair, jobs: Sequence[Job], rows: int) -> Iterator[tuple[int, Text] | None]:
    """(Index of the job, what became of it) for every job as it ends, and None after every other step."""
    found = {i: Text() for i in range(len(jobs))}
    for i, events in decode(pair, jobs, rows=rows):
        found[i].add(events)
        yield (i, found.pop(i)) if found[i].finished else None
