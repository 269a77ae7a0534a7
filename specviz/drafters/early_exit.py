from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.drafters import CONFIDENCE_HELP, TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.asks import Begin, Looked
from specviz.drafters.draft import Draft, Provenance
from specviz.drafters.head import along, whole_law
from specviz.registry import knob
from specviz.types import Walk

if TYPE_CHECKING:
    from specviz.backends import Exit, Pair, Session


@dataclass(frozen=True)
class EarlyExit(Drafter):
    """The verifier drafts for itself: its first layers, and a trained exit behind them.

    What those layers kept of a drafted token, keys, values and its state, is what the verification would compute, and where the
    backend can go on from a layer it is not computed again. Whether another token follows is decided as in `head`.
    """

    name = "early_exit"
    summary = (
        "The verifier's own first layers and a small exit behind them write ahead; the verification goes on from there."
    )
    source = "Zhang et al. 2023, Draft & Verify (arXiv 2309.08168); Elhoushi et al. 2024, LayerSkip (arXiv 2404.16710); Liu et al. 2024, Kangaroo (arXiv 2404.18911)"
    as_there = "The first layers draft and their keys, values and states are used again (LayerSkip); a trained adapter behind them, and a stop where it is unsure (Kangaroo)."
    left_out = "Layers left out in the middle (Draft & Verify), an exit at several layers, and to go on from a layer in transformers' own forward, which does drafted tokens again."
    uses_exit = True

    confidence: float = knob(0.5, CONFIDENCE_HELP, low=0, high=1)
    tokens: str = knob("drawn", TOKENS_HELP, choices=TOKENS)

    def reads(self, pair: Pair) -> tuple[int, ...]:
        return () if pair.exit is None else (pair.exit.layer,)

    def open(self, pair: Pair, session: Session | None) -> EarlyExitProposer:
        assert pair.exit is not None and session is not None
        return EarlyExitProposer(self, pair.exit, session)


class EarlyExitProposer(Proposer):
    """Holds the states of the text's last tokens that the exit has not read yet; `verifier` is the lane's own."""

    def __init__(self, drafter: EarlyExit, exit_: Exit, verifier: Session):
        self._drafter, self._exit, self._verifier = drafter, exit_, verifier
        self._session = exit_.session()
        self._unread: Tensor | None = None  # [n, width]

    @property
    def seconds(self) -> float:
        return self._session.seconds + self._verifier.begin_seconds

    def saw(self, seen: Looked) -> None:
        self._add(seen.features[self._exit.layer])

    def _add(self, states: Tensor) -> None:
        self._unread = states if self._unread is None else torch.cat([self._unread, states])

    async def propose(self, text: list[int], draft: Draft) -> None:
        layer, behind = self._exit.layer, text[self._verifier.length :]
        states = await Begin(self._verifier, behind, layer)
        known = self._session.length + (0 if self._unread is None else len(self._unread))
        self._add(states[len(states) - (len(text) - known) :])
        assert self._unread is not None
        logits, self._unread = self._session.read(self._unread), None
        while True:
            token = draft.take(whole_law(logits, self._exit.kept, draft), self._drafter.chooses)
            draft.note(Provenance(layer=layer))
            if not draft.room() or torch.softmax(logits, -1).max() < self._drafter.confidence:
                break
            behind = [*behind, token]
            states = await Begin(self._verifier, behind, layer)
            logits = self._session.read(states[-1:])
        self._session.rollback(len(text) - 1)

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        self._add(along(seen.features[self._exit.layer], draft, walk))
