"""The decode loop: draft, verify in one forward, judge, emit, roll back. Everything else watches its events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import torch
from torch import Tensor

from specviz.backends import Request, Session
from specviz.drafters.proposal import Judgement, Judging
from specviz.engine import lengths as adaptive
from specviz.engine.measure import measure as measure_all
from specviz.prob import dists, noise
from specviz.types import Drafted, Emitted, Event, Finished, Judged, Settings, Verified


@torch.inference_mode()
def decode(
    verifier: Session,
    drafter,
    prompt: list[int],
    settings: Settings,
    *,
    vocabulary: int,
    stop_tokens: frozenset[int] = frozenset(),
    measure: Callable | None = measure_all,
) -> Iterator[Event]:
    """Decodes one lane, yielding events; closing the generator stops the compute.

    The arguments are those of `rounds`. Raises ModelError if a model returns NaN.
    """
    lane = rounds(verifier, drafter, prompt, settings, vocabulary=vocabulary, stop_tokens=stop_tokens, measure=measure)
    item = next(lane, None)
    while item is not None:
        if isinstance(item, Request | Judging):
            item = lane.send(item.answer())  # an answer is always followed by something
        else:
            yield item
            item = next(lane, None)


def rounds(
    verifier: Session,
    drafter,
    prompt: list[int],
    settings: Settings,
    *,
    vocabulary: int,
    stop_tokens: frozenset[int] = frozenset(),
    measure: Callable | None = measure_all,
) -> Generator[Event | Request | Judging, Tensor | Judgement | None, None]:
    """The loop itself. It yields events, and what it asks of the models and of the rule, to which it is to be sent the
    answers: so that one lane can have them answered at once, and many lanes together (`batch`).

    `drafter` is a `drafters` object, unused if `settings.rule` is None (plain decoding). `vocabulary` is the common
    width of all distributions. `measure` None leaves the exact measures out of the events.
    """
    rule, sampling, source = settings.rule, settings.sampling, noise.Noise(settings.seed)
    lengths = adaptive.chooser(settings.draft_length)
    text = list(prompt)
    limit = min(len(prompt) + settings.max_new_tokens, verifier.max_positions)
    while len(text) < limit:
        start = len(text)
        # A refused draft's noise is still fresh when its position comes again, because a token rule judges from
        # left to right. A block rule has let it decide about earlier tokens, so each attempt draws its own.
        attempt = start if rule is not None and rule.scope == "block" else 0

        drafted: tuple[int, ...] = ()
        if rule is None or start + 1 == limit:
            yield Drafted(start, (), 0.0)
        else:
            before = drafter.seconds
            proposal = yield from drafter.propose(
                text, lengths.choose(start, limit - start - 1), sampling, source, attempt
            )
            drafted, draft_seconds = proposal.tokens, drafter.seconds - before
            yield Drafted(start, drafted, draft_seconds)

        before = verifier.seconds
        verifier_probs = yield Request(
            verifier, text[verifier.length :] + list(drafted), len(drafted) + 1, sampling, vocabulary
        )  # [m + 1, V]
        verify_seconds = verifier.seconds - before
        yield Verified(verify_seconds)

        kept = 0
        if drafted:
            judged = yield Judging(proposal, rule, verifier_probs[:-1], sampling)
            uniforms = source.uniforms(start, len(drafted), attempt)
            kept = rule.kept(judged.accept_prob, uniforms)
            seen = len(drafted) if rule.scope == "block" else min(kept + 1, len(drafted))  # how many the rule looked at
            measures = [{}] * seen
            if measure is not None:
                rows = (
                    judged.verifier_probs[:seen],
                    judged.draft_probs[:seen],
                    judged.tokens[:seen],
                    judged.residual_probs[:seen],
                )
                measures = measure(rule, *rows, torch.tensor(uniforms[:seen], dtype=torch.float64))
            for i in range(seen):
                accept, draft, verify = judged.accept_prob[i], judged.draft_prob[i], judged.verifier_prob[i]
                strict = min(1.0, verify / draft)  # a drafted token has draft probability > 0
                yield Judged(start + i, drafted[i], i < kept, uniforms[i], accept, strict, draft, verify, measures[i])

        for i in range(kept):
            text.append(drafted[i])
            yield Emitted(start + i, drafted[i], "accepted")
            if drafted[i] in stop_tokens:
                yield Finished("end of text")
                return
        if kept < len(drafted):
            origin, probs, purpose = "resampled", judged.residual_probs[kept], noise.RESIDUAL
        else:
            origin, probs, purpose = "bonus", verifier_probs[-1], noise.VERIFIER
        race = source.race(purpose, start + kept, vocabulary, attempt).to(probs.device)
        token = dists.draw_token(probs, race)
        verifier.rollback(len(text))  # kept drafts stay in both caches, the new token is in neither
        if rule is not None:
            drafter.rollback(len(text))
        if drafted:
            lengths.saw(len(drafted), kept, draft_seconds, verify_seconds)
        text.append(token)
        yield Emitted(start + kept, token, origin)
        if token in stop_tokens:
            yield Finished("end of text")
            return
    yield Finished("length")
