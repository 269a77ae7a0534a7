"""Where in a text a run of its last tokens stands already."""

from __future__ import annotations


class Runs:
    """The places right behind each run of `shortest` to `longest` tokens of one growing text."""

    def __init__(self, longest: int, shortest: int):
        self._longest, self._shortest = longest, min(shortest, longest)
        self._behind: dict[tuple[int, ...], list[int]] = {}
        self._indexed = 1  # runs that end before this index are in it

    def repeated(self, text: list[int]) -> tuple[list[int], int]:
        """The places behind the longest run that `text` ends with and that stands earlier in it, the first place first, and
        the run's length; no places and 0 where nothing repeats."""
        self._index(text)
        for n in range(min(self._longest, len(text)), self._shortest - 1, -1):
            if places := self._behind.get(tuple(text[-n:])):
                return places, n
        return [], 0

    def _index(self, text: list[int]) -> None:
        for end in range(self._indexed, len(text)):
            for n in range(self._shortest, min(self._longest, end) + 1):
                self._behind.setdefault(tuple(text[end - n : end]), []).append(end)
        self._indexed = max(self._indexed, len(text))
