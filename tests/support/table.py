"""A language model small enough to know exactly: a table from the last two tokens to logits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch

from specviz.backends import Batch, Seen, Session


class TableModel:
    """`logits` [V + 1, V + 1, V]: the next token's logits after (second last, last); index V stands for "no token"."""

    name, id, revision, parameters, dtype, max_positions = "table", "table", "0", 0, "float32", 512
    layers, threads, can = 1, 1, frozenset({"tree"})

    def __init__(self, vocabulary: int, seed: int, spread: float = 1.0):
        generator = torch.Generator().manual_seed(seed)
        self.vocabulary = vocabulary
        self.logits = spread * torch.randn(vocabulary + 1, vocabulary + 1, vocabulary, generator=generator)

    def session(self) -> TableSession:
        return TableSession(self)

    def batch(self, rows: int, positions: int) -> Batch:
        return TableBatch(self)

    def probs(self, text: tuple[int, ...]) -> torch.Tensor:
        """[V], float64: the distribution after a text."""
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
        self._model = model
        self.seen: list[int] = []
        self._parents: list[int] = []  # of the last forward

    def forward(
        self, tokens: list[int], keep: int | None = None, parents: Sequence[int] | None = None, features=()
    ) -> Seen:
        table, nobody = self._model.logits, self._model.vocabulary
        start, keep = len(self.seen), len(tokens) if keep is None else keep
        tokens = [token if token < nobody else 0 for token in tokens]
        self._parents = list(range(-1, len(tokens) - 1)) if parents is None else list(parents)
        depths: list[int] = []
        for parent in self._parents:
            depths.append(depths[parent] + 1 if parent >= 0 else 1)
        assert start + max(depths) <= self.max_positions, "the text is longer than the model can hold"
        self.seen += tokens
        rows = []
        for token, parent in zip(tokens, self._parents, strict=True):
            slot = start + parent if parent >= 0 else start - 1
            rows.append(table[self.seen[slot] if slot >= 0 else nobody, token])
        self.length = len(self.seen)
        return Seen(torch.stack(rows)[-keep:], {})

    def settle(self, path: Sequence[int]) -> None:
        start = len(self.seen) - len(self._parents)
        before = -1
        for node in path:
            assert self._parents[node] == before, "settle takes a path from the text on"
            before = node
        self.seen[start:] = [self.seen[start + node] for node in path]
        self.length, self._parents = len(self.seen), []

    def _rollback(self, length: int) -> None:
        del self.seen[length:]


class TableBatch(Batch):
    def forward(self, asked):
        return [item.session.forward(item.tokens, item.keep, item.parents, item.features) for item in asked]
