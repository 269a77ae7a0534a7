from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from specviz.drafters import Drafter, Proposer
from specviz.drafters.asks import Looked
from specviz.drafters.draft import Draft
from specviz.drafters.head import Head
from specviz.drafters.model import Model
from specviz.drafters.ngram import NGram
from specviz.drafters.suffix import Suffix
from specviz.registry import knob
from specviz.types import Walk

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class Hybrid(Drafter):
    """Copies where the text repeats enough of itself, and asks a model or a head where it does not.

    Who drafts is decided by the text alone, before anything is drawn, so every token has the law of the one that drafted it.
    """

    name = "hybrid"
    summary = "What the text repeats is copied; where it repeats nothing, a model or a head drafts."
    source = "vLLM, llama.cpp and others: n-grams first, then a model"
    as_there = "The first drafter that has something to say drafts the whole round."
    left_out = "More than two drafters, and drafts begun by one and ended by the other."

    first: str = knob("suffix", "Who copies.", choices=("ngram", "suffix"))
    then: str = knob("model", "Who drafts where nothing is copied.", choices=("model", "head"))
    shortest: int = knob(3, "Nothing is copied where fewer tokens than these repeat.", low=1, high=16, unit="tokens")

    @property
    def copies(self) -> Drafter:
        longest = max(self.shortest, 3)
        return NGram(longest, self.shortest) if self.first == "ngram" else Suffix(shortest=self.shortest)

    @property
    def asks(self) -> Drafter:
        return Model() if self.then == "model" else Head()

    @property
    def uses_draft_model(self) -> bool:
        return self.asks.uses_draft_model

    @property
    def uses_head(self) -> bool:
        return self.asks.uses_head

    def reads(self, pair: Pair) -> tuple[int, ...]:
        return self.asks.reads(pair)

    def open(self, pair: Pair, session: Session | None) -> HybridProposer:
        return HybridProposer([(part.name, part.open(pair, session)) for part in (self.copies, self.asks)])


class HybridProposer(Proposer):
    """Holds the proposers by name; the first that drafts anything has drafted the round."""

    def __init__(self, parts: list[tuple[str, Proposer]]):
        self._parts = parts

    @property
    def seconds(self) -> float:
        return sum(part.seconds for _, part in self._parts)

    def saw(self, seen: Looked) -> None:
        for _, part in self._parts:
            part.saw(seen)

    async def propose(self, text: list[int], draft: Draft) -> None:
        for name, part in self._parts:
            await part.propose(text, draft)
            if len(draft):
                draft.credit(name)
                break

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        for _, part in self._parts:
            part.settled(length, draft, walk, seen)
