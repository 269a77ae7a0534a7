"""What a drafter would draft along a text that is there already."""

from __future__ import annotations

from torch import Tensor

from specviz.backends import Pair
from specviz.drafters import Drafter
from specviz.drafters.asks import Look
from specviz.drafters.draft import Draft
from specviz.engine.decode import alone
from specviz.prob import noise
from specviz.types import Sampling


class Playing:
    """A drafter at work along a text that is there already."""

    def __init__(
        self, prompt: list[int], written: list[int], pair: Pair, drafter: Drafter, sampling: Sampling, seed: int
    ):
        self._sampling, self._source, self._pair = sampling, noise.Noise(seed), pair
        self._text, self._first = [*prompt, *written], len(prompt)
        self._proposer, self._seen = drafter.open(pair, None), 0
        self._states: dict[int, Tensor] = {}  # of the whole text, by layer
        if layers := drafter.reads(pair):
            look = Look(pair.verifier.session(), self._text, 1, sampling, pair.vocabulary, features=layers)
            self._states = look.answer().features

    @property
    def seconds(self) -> float:
        return self._proposer.seconds

    def draft(self, place: int, length: int, attempt: int = 0) -> Draft:
        """What it drafts in a round that begins at a place of the text, which is behind that of the round before."""
        text = self._text[: self._first + place]
        if self._states:
            self._proposer.saw({layer: states[self._seen : len(text) - 1] for layer, states in self._states.items()})
            self._seen = len(text) - 1
        draft = Draft(
            len(text), length, self._sampling, self._source, self._pair.vocabulary, self._pair.stop_tokens, attempt
        )
        alone(self._proposer.propose(text, draft))
        draft.cut()
        return draft
