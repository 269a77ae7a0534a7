from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.drafters import TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.asks import Looked
from specviz.drafters.draft import Draft, Provenance
from specviz.registry import knob
from specviz.types import Walk

if TYPE_CHECKING:
    from specviz.backends import Pair, Session

KEPT = 10  # tokens of each mean distribution


@dataclass(frozen=True)
class Stand(Drafter):
    """For every run of tokens in the text, the mean of the verifier's own distributions behind it; a token is drawn from the
    mean of the longest run that the text, and the draft so far, ends with.

    Of a mean only the 10 likeliest tokens are kept. Distributions behind refused tokens are not taken: the noise at their
    places is drawn on again, and a draft that knew what it had led to would no longer be independent of it.
    """

    name = "stand"
    summary = (
        "No model: the verifier's own distributions behind earlier runs of the same tokens, averaged, are drawn from."
    )
    source = "Song et al. 2025, STAND (arXiv 2506.04708)"
    as_there = (
        "Runs of 4 to 2 tokens, the running mean of the verifier's distributions, its 10 likeliest tokens, drawn."
    )
    left_out = (
        "Trees, texts of other requests, and distributions behind refused tokens, which would change what is written."
    )
    reads_probs = True

    longest: int = knob(
        4, "How many of the last tokens are looked up at first; then fewer.", low=1, high=8, unit="tokens"
    )
    shortest: int = knob(2, "Nothing is drafted where fewer tokens than these repeat.", low=1, high=8, unit="tokens")
    tokens: str = knob("drawn", TOKENS_HELP, choices=TOKENS)

    def open(self, pair: Pair, session: Session | None) -> StandProposer:
        return StandProposer(self)


class StandProposer(Proposer):
    """Holds, for each run of tokens, how often it was seen and the mean of what the verifier gave the likeliest next ones."""

    def __init__(self, drafter: Stand):
        self._seconds, self._drafter = 0.0, drafter
        self._lengths = range(drafter.longest, min(drafter.shortest, drafter.longest) - 1, -1)
        self._means: dict[tuple[int, ...], tuple[int, dict[int, float]]] = {}
        self._rows: list[dict[int, float]] = []  # behind the tokens of the text from `_indexed` on
        self._indexed = 0

    @property
    def seconds(self) -> float:
        return self._seconds

    def saw(self, seen: Looked) -> None:
        self._keep(seen.probs)

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        self._keep(seen.probs[[0, *(node + 1 for node in walk.path)]])

    def _keep(self, probs: Tensor) -> None:
        """Notes the likeliest tokens of distributions [n, V] behind the next n tokens of the text."""
        began = perf_counter()
        values, tokens = probs.topk(min(KEPT, probs.shape[-1]), -1)
        self._rows += [dict(zip(*row)) for row in zip(tokens.tolist(), values.tolist())]
        self._seconds += perf_counter() - began

    async def propose(self, text: list[int], draft: Draft) -> None:
        began = perf_counter()
        self._index(text)
        chosen, context = self._drafter.chooses or draft.sampling.temperature == 0, list(text)
        while draft.room() and (run := self._longest(context)):
            _, mean = self._means[run]
            law = torch.zeros(draft.vocabulary, dtype=torch.float64)
            law[list(mean)] = torch.tensor(list(mean.values()), dtype=torch.float64)
            context.append(draft.take(law / law.sum(), chosen))
            draft.note(Provenance(matched=len(run)))
        self._seconds += perf_counter() - began

    def _longest(self, context: list[int]) -> tuple[int, ...] | None:
        """The longest run at the end of `context` that was seen before."""
        runs = (tuple(context[-n:]) for n in self._lengths if n <= len(context))
        return next((run for run in runs if run in self._means), None)

    def _index(self, text: list[int]) -> None:
        for end, row in enumerate(self._rows, self._indexed + 1):
            for n in self._lengths:
                if n <= end:
                    run = tuple(text[end - n : end])
                    visits, mean = self._means.get(run, (0, {}))
                    self._means[run] = visits + 1, _averaged(mean, row, visits)
        self._indexed, self._rows = self._indexed + len(self._rows), []


def _averaged(mean: dict[int, float], row: dict[int, float], visits: int) -> dict[int, float]:
    """The mean of `visits` rows with one more, cut to its likeliest tokens."""
    tokens = dict.fromkeys([*mean, *row])
    both = {token: (mean.get(token, 0.0) * visits + row.get(token, 0.0)) / (visits + 1) for token in tokens}
    return dict(sorted(both.items(), key=lambda item: -item[1])[:KEPT])
