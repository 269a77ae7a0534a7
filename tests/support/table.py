"""A language model small enough to know exactly: a table from the last two tokens to logits."""

from __future__ import annotations

from itertools import product

import torch

from specviz.backends import Session


class TableModel:
    """`logits` [V + 1, V + 1, V]: the next token's logits after (second last, last); index V stands for "no token"."""

    name, id, revision, parameters, dtype, max_positions = "table", "table", "0", 0, "float32", 512

    def __init__(self, vocabulary: int, seed: int, spread: float = 1.0):
        generator = torch.Generator().manual_seed(seed)
        self.vocabulary = vocabulary
        self.logits = spread * torch.randn(vocabulary + 1, vocabulary + 1, vocabulary, generator=generator)

    def session(self) -> TableSession:
        return TableSession(self)

    def probs(self, text: tuple[int, ...]) -> torch.Tensor:
        padded = (self.vocabulary, self.vocabulary, *text)
        return torch.softmax(self.logits[padded[-2], padded[-1]].double(), -1)

    def law(self, prompt: tuple[int, ...], length: int) -> dict[tuple[int, ...], float]:
        """The exact distribution of the next `length` tokens."""
        law = {}
        for tail in product(range(self.vocabulary), repeat=length):
            chance = 1.0
            for i, token in enumerate(tail):
                chance *= float(self.probs(prompt + tail[:i])[token])
            law[tail] = chance
        return law


class TableSession(Session):
    def __init__(self, model: TableModel):
        super().__init__(model)
        self._model, self.seen = model, []

    def _forward(self, tokens, keep):
        rows = []
        for token in tokens:
            self.seen.append(token)
            padded = [self._model.vocabulary, *self.seen]
            rows.append(self._model.logits[padded[-2], padded[-1]])
        assert len(self.seen) == self.length + len(tokens)
        return torch.stack(rows)[-keep:]

    def _rollback(self, length):
        del self.seen[length:]
