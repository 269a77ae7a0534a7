from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from specviz.drafters import TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.draft import Draft, Provenance
from specviz.drafters.runs import Runs, put
from specviz.registry import knob

if TYPE_CHECKING:
    from specviz.backends import Pair, Session

BETWEEN = -1  # stands between two samples; no token


@dataclass(frozen=True)
class Consensus(Drafter):
    """What other samples of the same prompt say: the longest run of last tokens that stands in them is looked up, and what followed it
    there is counted; a token is the most frequent one, or drawn by its share of the counts.

    The samples are the verifier's own, written with other seeds before the run begins, and the trace holds them. They share no
    draw with the lane, so that what they say tells nothing of the noise that a draft is judged with. (Lanes of one run do share
    their draws: copied from each other they would no longer write what the verifier would.)
    """

    name = "consensus"
    summary = "No model: other answers to the same prompt are searched for the last tokens, and what most of them say next is copied."
    source = "Li et al. 2025, Speculative Decoding for Multi-Sample Inference (arXiv 2503.05330)"
    as_there = "Parallel samples of one prompt draft for each other: suffixes are matched in them, and what follows is put to a vote."
    left_out = "Samples that grow while they are copied from: here they are written first, and their time counts for no lane; a graph of all that agree, and weights: the most frequent token goes on."

    samples: int = knob(3, "How many other samples are written and searched.", low=1, high=16)
    longest: int = knob(8, "The longest run of last tokens that is looked up.", low=1, high=64, unit="tokens")
    shortest: int = knob(
        2, "Nothing is drafted where fewer tokens than these are found.", low=1, high=16, unit="tokens"
    )
    share: float = knob(0.3, "Drafting ends where the likeliest continuation has less than this share.", low=0, high=1)
    tokens: str = knob("chosen", TOKENS_HELP, choices=TOKENS)

    @property
    def wants_samples(self) -> int:
        return self.samples

    def open(self, pair: Pair, session: Session | None) -> ConsensusProposer:
        return ConsensusProposer(self)


class ConsensusProposer(Proposer):
    """Holds the samples one behind the other."""

    def __init__(self, drafter: Consensus):
        self._seconds, self._drafter = 0.0, drafter
        self._runs = Runs(drafter.longest, drafter.shortest)
        self._said: list[int] = []
        self._of: list[int] = []  # which sample each token is of

    @property
    def seconds(self) -> float:
        return self._seconds

    def given(self, samples: Sequence[Sequence[int]]) -> None:
        for number, sample in enumerate(samples):
            begin = len(self._said)
            self._said += [*sample, BETWEEN]
            self._of += [number] * (len(sample) + 1)
            self._runs.add(self._said, begin + 1, len(self._said) - 1)

    async def propose(self, text: list[int], draft: Draft) -> None:
        began = perf_counter()
        places, matched = self._runs.find(text)
        chosen = self._drafter.chooses or draft.sampling.temperature == 0
        while places and draft.room():
            counts = Counter(self._said[place] for place in places)
            if max(counts.values()) < self._drafter.share * len(places):
                break
            token = put(draft, counts, chosen)
            places = [place for place in places if self._said[place] == token]
            draft.note(Provenance(matched=matched, sample=self._of[places[0]]))
            places = [place + 1 for place in places if self._said[place + 1] != BETWEEN]
        self._seconds += perf_counter() - began
