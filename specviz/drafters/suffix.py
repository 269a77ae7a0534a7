from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from specviz.drafters import TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.draft import Draft, Provenance
from specviz.drafters.runs import Runs, put
from specviz.registry import knob

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class Suffix(Drafter):
    """The longest run of last tokens that stands earlier in the text is looked up, and what followed it there, everywhere, is
    counted. A token is the most frequent one, or drawn by its share of the counts.

    The longer the run, the longer the draft: at most `ratio` times its length. It ends before a token where the share of
    the likeliest, times the shares of those before it in the draft, is below `share`: that is known before anything is drawn.
    """

    name = "suffix"
    summary = (
        "No model: what followed the longest repeated run of last tokens is counted, and the most frequent is copied."
    )
    source = "Oliaro et al. 2024, SuffixDecoding (arXiv 2411.04975)"
    as_there = "Counts of continuations, the length budget from the length of the match, the least share of 0.1 along the draft."
    left_out = (
        "Texts of other requests, trees, and the score that compares matches of several lengths: the longest counts."
    )

    longest: int = knob(16, "The longest run of last tokens that is looked up.", low=1, high=64, unit="tokens")
    ratio: float = knob(1.0, "Tokens drafted for each token of the run that was found.", low=0, high=16)
    share: float = knob(0.1, "Drafting ends where the likeliest continuation has less than this share.", low=0, high=1)
    shortest: int = knob(1, "Nothing is drafted where fewer tokens than these repeat.", low=1, high=16, unit="tokens")
    tokens: str = knob("chosen", TOKENS_HELP, choices=TOKENS)

    def open(self, pair: Pair, session: Session | None) -> SuffixProposer:
        return SuffixProposer(self)


class SuffixProposer(Proposer):
    """Counts what stands at the places behind the longest run that repeats."""

    def __init__(self, drafter: Suffix):
        self._seconds, self._drafter = 0.0, drafter
        self._runs = Runs(drafter.longest, drafter.shortest)

    @property
    def seconds(self) -> float:
        return self._seconds

    async def propose(self, text: list[int], draft: Draft) -> None:
        began = perf_counter()
        self._copy(text, *self._runs.repeated(text), draft)
        self._seconds += perf_counter() - began

    def _copy(self, text: list[int], places: list[int], matched: int, draft: Draft) -> None:
        """Drafts what stands at these places, then behind those of them where the drafted token stands, and so on."""
        most, reach = max(1, int(matched * self._drafter.ratio)), 1.0
        chosen = self._drafter.chooses or draft.sampling.temperature == 0
        while places and len(draft) < most and draft.room():
            counts = Counter(text[place] for place in places)
            if reach * max(counts.values()) < self._drafter.share * len(places):
                break
            token = put(draft, counts, chosen)
            reach *= counts[token] / len(places)
            places = [place for place in places if text[place] == token]
            draft.note(Provenance(copied_from=places[-1], matched=matched))
            places = [place + 1 for place in places if place + 1 < len(text)]
