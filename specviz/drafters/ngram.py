from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from specviz.drafters import Drafter, Proposer
from specviz.drafters.draft import Draft, Provenance
from specviz.drafters.runs import Runs
from specviz.registry import knob

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class NGram(Drafter):
    """Prompt lookup: the last n tokens are looked up earlier in the text, and what followed them there is copied.

    n goes from `longest` down to `shortest`; of several places the earliest counts. The copied tokens are chosen, so a strict rule
    keeps one with the verifier's probability of it. Nothing is drafted where the text repeats nothing.
    """

    name = "ngram"
    summary = "No model: what followed the last few tokens earlier in the text is copied."
    source = "Saxena 2023, prompt lookup decoding (github.com/apoorvumang/prompt-lookup-decoding)"
    as_there = "The longest run that repeats counts, and of its places the first, as in transformers and vLLM."
    left_out = "Nothing."
    servers = {
        "vLLM": '"method": "ngram", "prompt_lookup_max": {longest}, "prompt_lookup_min": {shortest}',
        "llama.cpp": "--spec-type ngram-simple --spec-ngram-size-n {longest}",
        "transformers": "max_matching_ngram_size={longest}",
    }

    longest: int = knob(
        3, "How many of the last tokens are looked up at first; then fewer.", low=1, high=16, unit="tokens"
    )
    shortest: int = knob(1, "Nothing is drafted where fewer tokens than these repeat.", low=1, high=16, unit="tokens")

    @property
    def chooses(self) -> bool:
        return True

    def open(self, pair: Pair, session: Session | None) -> NGramProposer:
        return NGramProposer(Runs(self.longest, self.shortest))


class NGramProposer(Proposer):
    """Copies from the first of the places behind the longest run that repeats."""

    def __init__(self, runs: Runs):
        self._seconds, self._runs = 0.0, runs

    @property
    def seconds(self) -> float:
        return self._seconds

    async def propose(self, text: list[int], draft: Draft) -> None:
        began = perf_counter()
        places, matched = self._runs.repeated(text)
        for place in range(places[0], min(places[0] + draft.budget, len(text))) if places else ():
            if not draft.room():
                break
            draft.pick(text[place])
            draft.note(Provenance(copied_from=place, matched=matched))
        self._seconds += perf_counter() - began
