"""The decode loop: draft, look, judge, walk, write. One round is one coroutine; what it waits for is in `drafters.asks`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from specviz.backends import Pair, Session
from specviz.drafters.asks import Ask, Judge, Judgement, Look, Looked
from specviz.drafters.draft import Draft
from specviz.engine import lengths
from specviz.engine.probe import Probe
from specviz.engine.settings import Settings
from specviz.prob import dists, noise
from specviz.rules import Rule
from specviz.types import Origin, Reason, Walk

Result = TypeVar("Result")
Answer = Looked | Judgement | Tensor
Asked = Ask[Looked] | Ask[Judgement] | Ask[Tensor]
Asking = Coroutine[Asked, Answer | None, Result]  # None starts it
NOTHING = Walk((), (), None)
PROBS_AT_ONCE = 64  # distributions over the whole vocabulary


class RoundResult(NamedTuple):
    """What one round did, distributions included, which nothing outlives but its measures (see `meter`).

    start          position of the round's first token
    rule           None in plain decoding
    draft, walk    what was drafted, and which of it stays
    judgement, uniforms  what the rule said of every node, and the numbers drawn for them; None and empty without a draft
    emitted        the tokens that became text: those of `walk.path`, then the one each round adds
    origin         how that last one came; None if the text ended on an accepted token
    finished       why the lane is done, or None
    draft_seconds, verify_seconds  time in the drafter, and in the verifier's forward
    """

    start: int
    rule: Rule | None
    draft: Draft
    judgement: Judgement | None
    uniforms: list[float]
    walk: Walk
    emitted: tuple[int, ...]
    origin: Origin | None
    finished: Reason | None
    draft_seconds: float
    verify_seconds: float


class Decoding:
    """One text being written, on caches of its own.

    `verifier` and `draft` are new sessions of the pair's models, `draft` None where the drafter needs none. ValueError if
    the drafter cannot work with these models or under this rule, or if the prompt leaves no room.
    """

    def __init__(self, pair: Pair, prompt: list[int], settings: Settings, verifier: Session, draft: Session | None):
        self.settings, self.drafter, self.verifier = settings, settings.drafting, verifier
        if refusal := self.drafter.refusal(settings.rule, pair):
            raise ValueError(refusal)
        self.text = list(prompt)
        room = verifier.max_positions if draft is None else min(verifier.max_positions, draft.max_positions)
        self.limit = min(len(prompt) + settings.max_new_tokens, room)
        if len(prompt) >= self.limit:
            raise ValueError(f"The prompt is {len(prompt):,} tokens long; these models hold {room:,}.")
        self.finished: Reason | None = None
        self.proposer = self.drafter.open(pair, verifier if self.drafter.uses_exit else draft)
        self._reads, self._ahead = self.drafter.reads(pair), self.drafter.ahead(pair)
        if isinstance(settings.draft_length, int):
            self._ahead = min(self._ahead, settings.draft_length)
        if count := self.drafter.wants_samples:
            if len(settings.samples) < count:
                raise ValueError(
                    f"The drafter {self.drafter.name} copies from {count} other samples of its prompt, which are written for a run of "
                    "lanes alone: use the page, `generate` or `compare`."
                )
            self.proposer.given(settings.samples[:count])
        self.vocabulary, self.stop_tokens = pair.vocabulary, pair.stop_tokens
        self._source = noise.Noise(settings.seed)
        self._lengths = lengths.chooser(settings.draft_length, self._source)

    async def round(self) -> RoundResult:
        """One round. ModelError if a model returns numbers that are not finite."""
        settings, rule = self.settings, self.settings.rule
        start = len(self.text)
        draft = self._empty_draft()
        verify_seconds = self.verifier.seconds
        if draft.budget and not self.verifier.length:
            await self._show_prompt()
        before = self.proposer.seconds
        if draft.budget:
            await self.proposer.propose(self.text, draft)
            draft.cut()
        draft_seconds = self.proposer.seconds - before

        unseen = self.text[self.verifier.length :]
        parents = None if draft.is_chain else [*range(-1, len(unseen) - 1), *(p + len(unseen) for p in draft.parents)]
        ahead = self._looked_ahead(draft)
        seen = await self._look([*unseen, *draft.tokens], len(draft) + 1, parents, ahead)
        verify_seconds = self.verifier.seconds - verify_seconds

        judgement, uniforms, walk = None, [], NOTHING
        if rule is not None and len(draft):
            judgement = await Judge(rule, draft, seen.probs, settings.sampling)
            uniforms = draft.uniforms()
            walk = rule.walk(draft.parents, judgement.accept_prob, uniforms)
        emitted = draft.path(walk.path)
        origin: Origin | None = None
        if not (emitted and emitted[-1] in self.stop_tokens):
            token, origin = self._next_token(draft, judgement, walk, seen)
            emitted.append(token)

        # What was kept stays in both caches, the token added is in neither yet.
        self.verifier.settle([*range(len(unseen)), *(len(unseen) + node for node in walk.path)])
        self.proposer.settled(start, draft, walk, seen)
        if len(draft):
            self._lengths.observe(draft.depth, len(walk.path), draft_seconds, verify_seconds)
        self.text += emitted
        if self.text[-1] in self.stop_tokens:
            self.finished = "end of text"
        elif len(self.text) >= self.limit:
            self.finished = "length"
        return RoundResult(
            start, rule, draft, judgement, uniforms, walk, tuple(emitted), origin, self.finished, draft_seconds, verify_seconds
        )  # fmt: skip

    async def _show_prompt(self) -> None:
        """Lets the drafter see what the verifier sees in the prompt, if it wants to, and what look-ahead tokens behind it say;
        distributions a few at a time."""
        tokens, all_probs = self.text[:-1], self.drafter.reads_probs
        if not (self._reads or all_probs or self._ahead):
            return
        step = PROBS_AT_ONCE if all_probs else len(tokens)
        for first in range(0, len(tokens), step or 1):
            part = tokens[first : first + step]
            self.proposer.saw(await self._look(part, len(part) if all_probs else 1, ahead=self._ahead))
            self.verifier.settle(range(len(part)))

    def _look(self, tokens: list[int], keep: int, parents: list[int] | None = None, ahead: int = 0) -> Look:
        return Look(self.verifier, tokens, keep, self.settings.sampling, self.vocabulary, parents, self._reads, ahead)

    def _looked_ahead(self, draft: Draft) -> int:
        """How many look-ahead tokens hang at every place of a round: as many as the drafter wants, if the next round can draft so
        many, and if the text has so many places left behind the draft."""
        left = self.limit - len(self.text)
        return max(0, min(self._ahead, left - 2, left - draft.depth))

    def _empty_draft(self) -> Draft:
        settings, start = self.settings, len(self.text)
        # A refused draft's noise is still fresh when its position comes again, because a token rule judges from
        # left to right. A block rule has let it decide about earlier tokens, so each attempt draws its own.
        attempt = start if settings.rule is not None and settings.rule.scope == "block" else 0
        most = self.limit - start - 1  # the round adds a token of its own
        budget = self._lengths.choose(start, most) if self.drafter.drafts and most else 0
        return Draft(
            start,
            budget,
            settings.sampling,
            self._source,
            self.vocabulary,
            self.stop_tokens,
            attempt,
            self._lengths.least,
        )

    def _next_token(self, draft: Draft, judgement: Judgement | None, walk: Walk, seen: Looked) -> tuple[int, Origin]:
        """The token that a round adds: from what the last refusal left over, or the verifier's own."""
        origin: Origin
        if judgement is not None and walk.refused is not None:
            origin, probs, purpose = "resampled", judgement.residual_probs[walk.refused], noise.RESIDUAL
        else:
            origin, probs, purpose = "bonus", seen.probs[walk.end + 1], noise.VERIFIER
        position = draft.start + len(walk.path)
        exponentials = self._source.exponentials(purpose, position, self.vocabulary, draft.attempt)
        return dists.draw_token(probs, exponentials.to(probs.device)), origin


def alone(asking: Asking[Result], probe: Probe | None = None) -> Result:
    """Drives a coroutine of one lane: every ask is answered at once. `probe` learns where the time goes."""
    answer: Answer | None = None
    with torch.inference_mode():
        while True:
            try:
                ask = asking.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            answer = probe.answer(ask) if probe else ask.answer()
