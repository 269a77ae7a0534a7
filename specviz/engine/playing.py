"""What a drafter would draft along a text that is there already."""

from __future__ import annotations

from specviz.backends import Pair
from specviz.drafters import Drafter
from specviz.drafters.asks import Look, Looked
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
        self._session = pair.verifier.session() if drafter.uses_exit else None
        self._ahead = drafter.ahead(pair)
        self._text_alone = pair.verifier.session() if self._ahead else None  # look-ahead tokens behind it are forgotten
        if drafter.uses_draft_model and pair.draft is not None:
            self._session = pair.draft.session()
        self._proposer, self._seen = drafter.open(pair, self._session), 0
        self._verifier: Looked | None = None  # what the verifier sees in the whole text
        layers = drafter.reads(pair)
        if layers or drafter.reads_probs:
            keep = len(self._text) if drafter.reads_probs else 1
            look = Look(pair.verifier.session(), self._text, keep, sampling, pair.vocabulary, features=layers)
            self._verifier = look.answer()

    @property
    def seconds(self) -> float:
        return self._proposer.seconds

    def draft(self, place: int, length: int, attempt: int = 0) -> Draft:
        """What it drafts in a round that begins at a place of the text, which is behind that of the round before."""
        text = self._text[: self._first + place]
        if self._verifier is not None:
            probs, features, _ = self._verifier
            new = slice(self._seen, len(text) - 1)
            self._proposer.saw(Looked(probs[new], {layer: states[new] for layer, states in features.items()}))
            self._seen = len(text) - 1
        if self._text_alone is not None and (tail := text[self._text_alone.length : -1]):
            look = Look(self._text_alone, tail, 1, self._sampling, self._pair.vocabulary, ahead=self._ahead)
            self._proposer.saw(look.answer())
            self._text_alone.settle(range(len(tail)))
        draft = Draft(
            len(text), length, self._sampling, self._source, self._pair.vocabulary, self._pair.stop_tokens, attempt
        )
        alone(self._proposer.propose(text, draft))
        draft.cut()
        if self._session is not None:
            self._session.rollback(len(text))
        return draft
