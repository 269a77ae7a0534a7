from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.drafters import TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.asks import Looked
from specviz.drafters.draft import Draft, Provenance
from specviz.drafters.head import whole_law
from specviz.registry import knob
from specviz.types import Walk

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class Lookahead(Drafter):
    """The verifier's own forward says what comes further on: trained tokens hang behind every place that the text may end at.

    Its laws rest on the text as it was a round ago, and not on each other's tokens; all of them are known before any is drawn.
    """

    name = "lookahead"
    summary = "Trained tokens behind the text have the verification's own forward say what comes further on; no other forward drafts."
    source = "Monea et al. 2023, PaSS (arXiv 2311.13581)"
    as_there = "Look-ahead embeddings are all that is trained; the draft's distributions come from the forward that verifies, and are independent of each other's tokens."
    left_out = "A forward of its own for each draft: here look-ahead tokens hang behind every drafted one too, so that one forward a round does both."
    uses_lookahead = True

    most: int = knob(1, "The most tokens drafted by one look.", low=1, high=3, unit="tokens")
    confidence: float = knob(
        0.0,
        "A token is drafted only if the likeliest at its place has this probability, at temperature 1.",
        low=0,
        high=1,
    )
    tokens: str = knob("drawn", TOKENS_HELP, choices=TOKENS)

    def ahead(self, pair: Pair) -> int:
        return 0 if pair.lookahead is None else min(self.most, pair.lookahead.count)

    def open(self, pair: Pair, session: Session | None) -> LookaheadProposer:
        assert pair.lookahead is not None
        return LookaheadProposer(pair.lookahead.kept, self.confidence, self.chooses)


class LookaheadProposer(Proposer):
    """Holds the logits [L, V] behind the look-ahead tokens that hung at the end of the text, before the round added a token."""

    def __init__(self, kept: Tensor | None, confidence: float, chooses: bool):
        self._kept, self._confidence, self._chooses = kept, confidence, chooses
        self._logits: Tensor | None = None

    def saw(self, seen: Looked) -> None:
        self._logits = seen.ahead[-1]

    async def propose(self, text: list[int], draft: Draft) -> None:
        if self._logits is None:
            return
        known = self._logits if self._kept is None else self._logits[:, self._kept.to(self._logits.device)]
        for number, logits in enumerate(known, 1):
            if not draft.room() or torch.softmax(logits, -1).max() < self._confidence:
                break
            draft.take(whole_law(logits, self._kept, draft), self._chooses)
            draft.note(Provenance(ahead=number))

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        self._logits = seen.ahead[walk.end + 1] if len(seen.ahead) else None  # none: nothing can be drafted behind
