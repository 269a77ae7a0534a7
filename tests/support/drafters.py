"""Drafters that offer several candidates for one place, in every way that candidates may come."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from specviz.drafters import Draft, Drafter, Proposer
from specviz.drafters.asks import Look, Looked
from specviz.drafters.draft import TEXT
from specviz.prob import dists
from specviz.registry import knob
from specviz.types import Walk

WAYS = {
    "drawn": "each from the draft model's distribution, independently",
    "apart": "each from that distribution without the elder ones: drawn without replacement",
    "chosen": "the likeliest, all picked",
    "drawn_last": "the likeliest picked, the last drawn from what is left of the distribution",
    "drawn_first": "one drawn, the others the likeliest besides it, picked",
}

WAY_DRAWN = {
    "drawn": "iid", "apart": "without_replacement", "chosen": "picked", "drawn_last": "greedy", "drawn_first": "greedy",
}  # fmt: skip


@dataclass(frozen=True)
class Candidates(Drafter):
    """A tree of `levels` levels, with `width` candidates behind every node, that come in the way `way` says."""

    name = "candidates"
    summary = "Offers several candidates for each place."
    source = "Miao et al. 2023 (arXiv 2305.09781), for instance"
    branches = True
    uses_draft_model = True

    width: int = knob(3, "Candidates for one place.", low=1, high=8)
    levels: int = knob(1, "Places drafted for.", low=1, high=32)
    way: str = knob("drawn", "How the candidates come.", choices=tuple(WAYS))

    @property
    def drawing(self):
        return WAY_DRAWN[self.way]

    def nodes(self, length: int) -> int:
        return sum(self.width**level for level in range(1, min(self.levels, length) + 1))

    def open(self, pair, session):
        return CandidatesProposer(self, session)


class CandidatesProposer(Proposer):
    def __init__(self, drafter: Candidates, session):
        self._drafter, self._session = drafter, session

    @property
    def seconds(self) -> float:
        return self._session.seconds

    async def propose(self, text: list[int], draft: Draft) -> None:
        nodes = [TEXT]
        for _ in range(self._drafter.levels):
            parents, nodes = [node for node in nodes if draft.room(node)], []
            if not parents:
                break
            self._session.rollback(len(text) - 1)
            unseen = text[self._session.length :]
            shape = [*range(-1, len(unseen) - 1), *(parent + len(unseen) for parent in draft.parents)]
            tokens = [*unseen, *draft.tokens]
            looked = await Look(self._session, tokens, len(draft) + 1, draft.sampling, draft.vocabulary, shape)
            for parent in parents:
                nodes += offer(draft, parent, looked.probs[parent + 1], self._drafter.width, self._drafter.way)

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        self._session.rollback(length)


def offer(draft: Draft, parent: int, probs: torch.Tensor, width: int, way: str) -> range:
    """Puts `width` candidates behind a node, fewer if the distribution has no more tokens, and returns their numbers."""
    first = len(draft)
    left = probs
    for rank in range(width):
        picks = way == "chosen" or (way == "drawn_last" and rank < width - 1) or (way == "drawn_first" and rank > 0)
        if picks:
            token = int(left.argmax())
            choose(draft, token, parent, probs)
        else:
            token = draft.draw(left, parent)
        if way != "drawn":
            left = left.clone()
            left[token] = 0.0
            if not float(left.sum()) > 0:
                break
            left = dists.normalise(left)
    return range(first, len(draft))


def choose(draft: Draft, token: int, parent: int, probs: torch.Tensor) -> None:
    """Puts a token picked from `probs` behind a node: whatever that distribution says, its law is all on that token."""
    draft.pick(token, parent)
