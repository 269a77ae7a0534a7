"""Where in a text a run of its last tokens stands already."""

from __future__ import annotations

from collections import Counter

import torch

from specviz.drafters.draft import Draft


class Runs:
    """The places right behind each run of `shortest` to `longest` tokens of one growing text."""

    def __init__(self, longest: int, shortest: int):
        self._longest, self._shortest = longest, min(shortest, longest)
        self._behind: dict[tuple[int, ...], list[int]] = {}
        self._indexed = 1  # runs that end before this index are in it

    def repeated(self, text: list[int]) -> tuple[list[int], int]:
        """The places behind the longest run that `text` ends with and that stands earlier in it, the first place first, and
        the run's length; no places and 0 where nothing repeats."""
        self.add(text, self._indexed, len(text))
        self._indexed = max(self._indexed, len(text))
        return self.find(text)

    def find(self, text: list[int]) -> tuple[list[int], int]:
        """The same among the runs that are indexed."""
        for n in range(min(self._longest, len(text)), self._shortest - 1, -1):
            if places := self._behind.get(tuple(text[-n:])):
                return places, n
        return [], 0

    def add(self, text: list[int], first: int, end: int) -> None:
        """Indexes the places of a text from `first` to before `end`, each behind the runs that end there."""
        for place in range(first, end):
            for n in range(self._shortest, min(self._longest, place) + 1):
                self._behind.setdefault(tuple(text[place - n : place]), []).append(place)


def put(draft: Draft, counts: Counter[int], chosen: bool) -> int:
    """Adds the most frequent token, or one drawn by its share of the counts, to a draft. Returns its id."""
    if chosen:
        token = max(counts, key=counts.__getitem__)
        draft.pick(token, confidence=counts[token] / counts.total())
        return token
    law = torch.zeros(draft.vocabulary, dtype=torch.float64)
    law[list(counts)] = torch.tensor(list(counts.values()), dtype=torch.float64)
    return draft.draw(law / counts.total())
