"""A language model small enough to know exactly: a table from the last two tokens to logits."""

from __future__ import annotations

from itertools import product

import torch

from specviz.backends import Batch, Seen, Session


class TableModel:
    """`logits` [V + 1, V + 1, V]: the next token's logits after (second last, last); index V stands for "no token", which is also
    what the look-ahead token -1 is taken for, and -2 and -3 for the last tokens of the vocabulary."""

    name, id, revision, parameters, dtype, max_positions = "table", "table", "0", 0, "float32", 512
    layers, threads, ahead, can = 2, 1, 3, frozenset({"tree", "features", "begin", "ahead"})

    def __init__(self, vocabulary: int, seed: int, spread: float = 1.0):
        generator = torch.Generator().manual_seed(seed)
        self.vocabulary = vocabulary
        self.logits = spread * torch.randn(vocabulary + 1, vocabulary + 1, vocabulary, generator=generator)

    def session(self) -> TableSession:
        return TableSession(self)

    def batch(self, rows: int, positions: int) -> Batch:
        return Batch(self)

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
    """Features: layers 0 and 1 are the token, one-hot [V]; layer 2 its logits [V], which say all that the model knows."""

    def __init__(self, model: TableModel):
        super().__init__(model)
        self.seen: list[int] = []  # by slot

    def _forward(self, shown):
        table, nobody = self._model.logits, self._model.vocabulary
        start, parents = len(self.seen), range(-1, len(shown.tokens) - 1)
        assert start == self.length
        self.seen += shown.tokens
        rows = []
        for token, parent in zip(shown.tokens, parents if shown.tree is None else shown.tree.parents):
            slot = start + parent if parent >= 0 else start - 1
            rows.append(table[self.seen[slot] if slot >= 0 else nobody, token])
        rows = torch.stack(rows)
        tokens = self._begin(shown.tokens, 1, None)
        features = {0: tokens, 1: tokens, 2: rows}
        return Seen(rows[-shown.keep :], {layer: features[layer] for layer in shown.layers})

    def _begin(self, tokens, layer, known):
        return torch.nn.functional.one_hot(torch.tensor(tokens).clamp_min(0), self._model.vocabulary).float()

    def _rollback(self, length):
        del self.seen[length:]

    def _move(self, target, slots):
        self.seen[target : target + len(slots)] = [self.seen[slot] for slot in slots]


class TableHead:
    """A head whose law behind a token is that of a `TableModel`, but that of the last place once it goes on from its own
    state, which says another token than the verifier's would. Reads layer 0, the token itself."""

    name, id, revision, parameters, dtype, reads, kept = "table", "table", "0", 0, "float32", (0,), None

    def __init__(self, model: TableModel):
        self.model = model

    def session(self) -> TableHeadSession:
        return TableHeadSession(self.model)


class TableHeadSession:
    def __init__(self, model: TableModel):
        self.length, self.seconds = 0, 0.0
        self._model, self._last = model, None

    def read(self, tokens, features):
        assert len(tokens) == len(features[0])
        self.length += len(tokens)
        return self._behind(int(features[0][-1].argmax()), tokens[-1])

    def go_on(self, token):
        self.length += 1
        return self._behind(self._last, token)

    def rollback(self, length):
        self.length, self._last = min(self.length, length), None

    def _behind(self, state, token):
        self._last = (state + token) % self._model.vocabulary
        return self._model.logits[state, token]


class TableLookahead:
    """The look-ahead tokens that every `TableModel` has."""

    name, id, revision, parameters, dtype, count, kept = "table", "table", "0", 0, "float32", TableModel.ahead, None


class TableExit:
    """An exit behind layer 1, which says of every text what a `TableModel` does."""

    name, id, revision, parameters, dtype, layer, kept = "table", "table", "0", 0, "float32", 1, None

    def __init__(self, model: TableModel):
        self.model = model

    def session(self) -> TableExitSession:
        return TableExitSession(self.model)


class TableExitSession:
    def __init__(self, model: TableModel):
        self.seconds, self._model, self._seen = 0.0, model, []

    @property
    def length(self):
        return len(self._seen)

    def read(self, states):
        self._seen += states.argmax(-1).tolist()
        second, last = (self._model.vocabulary, *self._seen)[-2:]
        return self._model.logits[second, last]

    def rollback(self, length):
        del self._seen[length:]
