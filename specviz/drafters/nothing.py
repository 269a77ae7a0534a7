from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from specviz.drafters import Drafter, Proposer
from specviz.drafters.draft import Draft

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class Nothing(Drafter):
    """Drafts nothing: each round is one token of the verifier alone, which is plain decoding."""

    name = "nothing"
    summary = "Drafts nothing: the verifier writes alone, one token per call."
    source = ""
    drafts = False

    def open(self, pair: Pair, session: Session | None) -> NothingProposer:
        return NothingProposer()


class NothingProposer(Proposer):
    async def propose(self, text: list[int], draft: Draft) -> None:
        pass
