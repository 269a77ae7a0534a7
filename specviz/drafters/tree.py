from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from torch import Tensor

from specviz.drafters import Drafter, Proposer
from specviz.drafters.asks import Look, Looked
from specviz.drafters.draft import TEXT, Draft
from specviz.drafters.siblings import offer
from specviz.registry import knob, shown
from specviz.types import DRAWINGS, Drawing, Walk

if TYPE_CHECKING:
    from specviz.backends import Pair, Session

MOST_NODES = 256


@dataclass(frozen=True)
class Tree(Drafter):
    """The draft model writes a tree, level by level, with one forward for each level.

    `shape` says how many candidates follow each node, before anything is drawn, so no draw decides which others survive.
    Its levels are parted by "-": "3-2-1" is three candidates for the first place, two behind each of them, one behind each
    of those. Where the nodes of a level differ, there is a number for each of them: "3-2.1.0". A draft length below the
    number of levels cuts the deeper ones off.
    """

    name = "tree"
    summary = "A small language model writes a tree of fixed shape: several candidates for one place."
    source = "Miao et al. 2024, SpecInfer (arXiv 2305.09781); Chen et al. 2024, Sequoia (arXiv 2402.12374)"
    as_there = "A fixed shape, one forward for each level, candidates drawn with or without replacement, or chosen."
    left_out = "The search for the best shape, which is `specviz.study.trees`."
    branches = True
    uses_draft_model = True

    shape: str = knob(
        "3-2-1-1",
        "How many candidates follow each node, level by level; a number for each node of a level as in 3-2.1.0.",
        form=f"numbers of candidates such as 3-2-1, of at most {MOST_NODES} nodes",
    )
    siblings: str = knob(
        "without_replacement", "How the candidates for one place are drawn or chosen.", choices=tuple(DRAWINGS)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        widths(self.shape)

    @property
    def drawing(self) -> Drawing:
        return cast(Drawing, self.siblings)

    @property
    def even(self) -> bool:
        return all(len(set(counts)) == 1 for counts in widths(self.shape))

    def nodes(self, length: int) -> int:
        return sum(map(sum, widths(self.shape)[:length]))

    def open(self, pair: Pair, session: Session | None) -> TreeProposer:
        assert session is not None
        return TreeProposer(widths(self.shape), self.drawing, session)


def widths(shape: str) -> list[list[int]]:
    """For each level of a shape the number of candidates behind each node of the level before; the text is the only node
    of the first. ValueError if the text is not such a shape, or one of more than MOST_NODES nodes."""
    levels: list[list[int]] = []
    before = 1
    for level in shape.split("-"):
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3})*", level):
            raise ValueError(
                f"shape must be numbers of candidates for each level, such as 3-2-1 or 3-2.1.0; got {shown(shape)}."
            )
        counts = [int(number) for number in level.split(".")]
        if len(counts) == 1:
            counts *= before
        if len(counts) != before:
            raise ValueError(
                f"shape must be one number for a level, or one for each of its nodes; level {len(levels) + 1} of "
                f"{shown(shape)} has {len(counts)} for {before}."
            )
        before = sum(counts)
        levels.append(counts)
        if not 0 < sum(map(sum, levels)) <= MOST_NODES:
            raise ValueError(f"shape must be of 1 to {MOST_NODES} nodes; {shown(shape)} is not.")
    return levels


class TreeProposer(Proposer):
    """Shows the draft model the text, then for each level all nodes there are. Those from which nothing has branched off
    yet, the trunk, are seen once, as text is."""

    def __init__(self, levels: list[list[int]], drawing: Drawing, session: Session):
        self._levels, self._drawing, self._session = levels, drawing, session
        self._trunk = self._shown = 0  # of the last draft: nodes of the trunk, and nodes, that the model was shown

    @property
    def seconds(self) -> float:
        return self._session.seconds

    async def propose(self, text: list[int], draft: Draft) -> None:
        level = {TEXT: 0}  # the nodes of the newest level, and which of its places in the shape each takes
        for counts in self._levels:
            if not any(counts[place] and draft.room(node) for node, place in level.items()):
                return
            rows = dict(zip(level, await self._look(text, draft, len(level))))
            starts = [0, *accumulate(counts)]
            level = {
                child: starts[place] + rank
                for node, place in level.items()
                if draft.room(node)
                for rank, child in enumerate(offer(draft, node, rows[node], counts[place], self._drawing))
            }

    async def _look(self, text: list[int], draft: Draft, keep: int) -> Tensor:
        """[keep, V]: the laws behind the newest nodes, or behind the text."""
        parents = None
        if draft.is_chain:
            tokens = [*text, *draft.tokens][self._session.length :]
            self._trunk = len(draft)
        else:
            self._session.rollback(len(text) + self._trunk)
            tokens = list(draft.tokens[self._trunk :])
            parents = [max(parent - self._trunk, -1) for parent in draft.parents[self._trunk :]]
        self._shown = len(draft)
        looked = await Look(self._session, tokens, keep, draft.sampling, draft.vocabulary, parents)
        return looked.probs

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        kept = sum(node < self._trunk for node in walk.path)
        if kept < self._trunk or self._shown == self._trunk:
            self._session.rollback(length + kept)
        else:
            self._session.settle([node - self._trunk for node in walk.path[kept:] if node < self._shown])
        self._trunk = self._shown = 0
