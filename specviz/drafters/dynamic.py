from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from specviz.drafters import Drafter, Proposer
from specviz.drafters.asks import Look, Looked
from specviz.drafters.draft import TEXT, Draft
from specviz.drafters.siblings import ranked
from specviz.registry import knob
from specviz.types import Drawing, Walk

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class Dynamic(Drafter):
    """A tree whose shape follows what the draft model thinks likely, afresh in every round.

    Level by level each of the `width` likeliest nodes gets its `width` likeliest tokens as candidates; a node is as likely
    as the product of the draft's probabilities on its path. At the end the `size` likeliest of all stay. All of them are
    picked: nothing was drawn, so that to choose by probability distorts nothing. (Of drawn tokens none may be dropped for
    being unlikely: the others would no longer have the law that they are judged with.)
    """

    name = "dynamic"
    summary = (
        "A small language model picks the likeliest paths: a tree whose shape follows its confidence, every round anew."
    )
    source = "Li et al. 2024, EAGLE-2 (arXiv 2406.16858)"
    as_there = "The likeliest nodes of a level are followed, and the likeliest of the whole tree stay."
    left_out = "A trained head to draft by: here it is the draft model."
    chooses = True
    branches = True
    uses_draft_model = True

    size: int = knob(16, "How many nodes stay at the end.", low=1, high=256, unit="tokens")
    width: int = knob(
        4, "How many nodes of a level are followed, and how many candidates each gets.", low=1, high=16, unit="tokens"
    )

    @property
    def drawing(self) -> Drawing:
        return "picked"

    def nodes(self, length: int) -> int:
        return max(self.size, self.width * length) if length else 0  # as many as that the draft model is shown

    def open(self, pair: Pair, session: Session | None) -> DynamicProposer:
        assert session is not None
        return DynamicProposer(self, session)


@dataclass(eq=False)
class Candidate:
    """A token that may follow `parent` (None: the text). `score`: ln of the draft's probability of its whole path."""

    token: int
    parent: Candidate | None
    score: float
    place: int = TEXT  # among those that the draft model was shown
    node: int = TEXT  # in the draft
    path: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.path = (*(self.parent.path if self.parent else ()), self.token)


class DynamicProposer(Proposer):
    def __init__(self, drafter: Dynamic, session: Session):
        self._drafter, self._session = drafter, session

    @property
    def seconds(self) -> float:
        return self._session.seconds

    async def propose(self, text: list[int], draft: Draft) -> None:
        every: list[Candidate] = []
        shown: list[Candidate] = []
        level: list[Candidate | None] = [None]
        for _ in range(draft.budget):
            looked = await self._look(text, shown, len(level), draft)
            new = [
                Candidate(token, parent, (parent.score if parent else 0.0) + math.log(float(probs[token])))
                for parent, probs in zip(level, looked.probs)
                for token in ranked(probs, self._drafter.width)
                if probs[token] > 0
            ]
            every += new
            follow = [one for one in likeliest(new, self._drafter.width) if not draft.ends(one.token)]
            if not follow:
                break
            for place, one in enumerate(follow, len(shown)):
                one.place = place
            shown, level = [*shown, *follow], [*follow]
        for one in sorted(likeliest(every, self._drafter.size), key=lambda one: (len(one.path), -one.score, one.path)):
            draft.pick(one.token, one.parent.node if one.parent else TEXT)
            one.node = len(draft) - 1

    def _look(self, text: list[int], shown: list[Candidate], keep: int, draft: Draft) -> Look:
        """Asks for the laws behind the newest `keep` of the nodes `shown`, or behind the text."""
        if not shown:
            return Look(self._session, text[self._session.length :], 1, draft.sampling, draft.vocabulary)
        self._session.rollback(len(text))
        parents = [one.parent.place if one.parent else TEXT for one in shown]
        tokens = [one.token for one in shown]
        return Look(self._session, tokens, keep, draft.sampling, draft.vocabulary, parents)

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        self._session.rollback(length)


def likeliest(candidates: list[Candidate], count: int) -> list[Candidate]:
    """The `count` of highest score; of equals those nearer to the text, so that nobody comes without its parent."""
    return sorted(candidates, key=lambda one: (-one.score, len(one.path), one.path))[:count]
