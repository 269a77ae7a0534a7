from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.drafters import CONFIDENCE_HELP, TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.asks import Looked
from specviz.drafters.draft import Draft
from specviz.prob import dists
from specviz.registry import knob
from specviz.types import Walk

if TYPE_CHECKING:
    from specviz.backends import Head as HeadWeights
    from specviz.backends import HeadSession, Pair, Session


@dataclass(frozen=True)
class Head(Drafter):
    """One block that reads the verifier's own states, and goes on from its own where the verifier has not been yet.

    Each token is drawn from its law. Whether another one follows is decided by what the head thought of the place before,
    ahead of any draw there, so nothing that was drawn is ever thrown away.
    """

    name = "head"
    summary = (
        "One block reads the verifier's own states and writes ahead; each token is drawn from its own distribution."
    )
    source = "Li et al. 2024, EAGLE (arXiv 2401.15077); Li et al. 2025, EAGLE-3 (arXiv 2503.01840)"
    as_there = "States of several layers fused, one block, its own states beyond the verifier's, a cut output layer."
    left_out = "Trees, and their reranking by confidence, which holds for chosen tokens alone."
    uses_head = True
    servers = {
        "vLLM": '"method": "eagle3", "model": "HEAD", "draft_sample_method": "{tokens?drawn=probabilistic;chosen=greedy}"'
    }

    confidence: float = knob(0.4, CONFIDENCE_HELP, low=0, high=1)
    tokens: str = knob("drawn", TOKENS_HELP, choices=TOKENS)

    def reads(self, pair: Pair) -> tuple[int, ...]:
        return () if pair.head is None else pair.head.reads

    def open(self, pair: Pair, session: Session | None) -> HeadProposer:
        assert pair.head is not None
        return HeadProposer(pair.head, self.confidence, self.chooses)


class HeadProposer(Proposer):
    """Holds the verifier's states of the text's last tokens, which no place of the head has read yet."""

    def __init__(self, head: HeadWeights, confidence: float, chooses: bool):
        self._session: HeadSession = head.session()
        self._kept, self._confidence, self._chooses = head.kept, confidence, chooses
        self._unread: dict[int, Tensor] = {}  # layer -> [n, width]

    @property
    def seconds(self) -> float:
        return self._session.seconds

    def saw(self, seen: Looked) -> None:
        self._add(seen.features)

    def _add(self, states: dict[int, Tensor]) -> None:
        for layer, new in states.items():
            self._unread[layer] = torch.cat([self._unread[layer], new]) if layer in self._unread else new

    async def propose(self, text: list[int], draft: Draft) -> None:
        if not self._unread:  # a text of one token
            return
        behind = self._session.length + 1
        logits, places = self._session.read(text[behind:], self._unread), len(text) - 1
        self._unread = {}
        while True:
            token = draft.take(whole_law(logits, self._kept, draft), self._chooses)
            if not draft.room() or torch.softmax(logits, -1).max() < self._confidence:
                break
            logits = self._session.go_on(token)
        self._session.rollback(places)

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        for layer, states in seen.features.items():
            self._add({layer: along(states, draft, walk)})


def along(states: Tensor, draft: Draft, walk: Walk) -> Tensor:
    """Of the verifier's states [n, width] of a look at the text's end and a draft, those of the text and of the nodes kept."""
    unseen = len(states) - len(draft)
    return states[[*range(unseen), *(unseen + node for node in walk.path)]]


def whole_law(logits: Tensor, kept: Tensor | None, draft: Draft) -> Tensor:
    """[V]: of the next token, from the logits of the `kept` ones (None: of all)."""
    probs = dists.to_probs(logits, draft.sampling)
    if kept is None:
        return dists.pad(probs, draft.vocabulary)
    return probs.new_zeros(draft.vocabulary).index_copy_(0, kept, probs)
