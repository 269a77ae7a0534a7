from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from specviz.backends import Request, Session
from specviz.drafters.proposal import Proposal
from specviz.prob import noise
from specviz.types import Sampling


class ModelDrafter:
    """A small language model that writes ahead, token by token."""

    name = "model"

    def __init__(self, session: Session, vocabulary: int, stop_tokens: frozenset[int]):
        self._session, self._vocabulary, self._stop = session, vocabulary, stop_tokens

    @property
    def seconds(self) -> float:
        """Time spent in the model so far."""
        return self._session.seconds

    def propose(
        self, text: list[int], count: int, sampling: Sampling, source: noise.Noise, attempt: int
    ) -> Generator[Request, Tensor, Proposal]:
        """Drafts at most `count` tokens to follow `text`, ending early behind an end of text. Yields what it asks of
        the model, is sent the answers, and returns the proposal."""
        proposal = Proposal(sampling)
        unseen = text[self._session.length :]
        while len(proposal) < count:
            probs = (yield Request(self._session, unseen, 1, sampling, self._vocabulary))[0]
            race = source.race(noise.DRAFT, len(text) + len(proposal), self._vocabulary, attempt)
            token = proposal.add(probs, race.to(probs.device))
            if token in self._stop:
                break
            unseen = [token]
        return proposal

    def rollback(self, length: int) -> None:
        """Forgets what was drafted from absolute position `length` on."""
        self._session.rollback(length)
