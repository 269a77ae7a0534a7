"""Texts of different lengths in one cache. What a row holds beyond its text is masked, so forgetting is a number here too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from specviz.backends.session import Batch, Begun, Forward, Model, Seen, Session, Shown, Tree
from specviz.stopping import checkpoint
from specviz.types import ModelError


@dataclass(frozen=True)
class Places:
    """Where the N tokens of one forward belong: those of one text after those of another, in the order of their rows."""

    rows: slice  # the rows of the cache that take part, k of them; some may show no token
    row: Tensor  # [N], counted from the first of `rows`
    column: Tensor  # [N], which of its text's new tokens it is
    position: Tensor  # [N], in its text
    start: Tensor  # [k], tokens already in each row
    wanted: Tensor  # [K], which of the N are to be followed by logits
    columns: int  # most new tokens of one text
    end: int  # slots of the longest text, these tokens included
    trees: dict[int, Tree]  # how the new tokens of a row branch, by its number in `row`
    layers: tuple[int, ...]  # whose hidden states are wanted

    @property
    def slot(self) -> Tensor:
        """[N], of every token in its row of the cache."""
        return self.start[self.row] + self.column

    def spread(self, tokens: Tensor) -> Tensor:
        """[N, ...] to [k, columns, ...], padded with 0."""
        shape = (len(self.start), self.columns, *tokens.shape[1:])
        if len(tokens) == shape[0] * shape[1]:
            return tokens.view(shape)
        padded = tokens.new_zeros(shape)
        padded[self.row, self.column] = tokens
        return padded

    def gather(self, padded: Tensor) -> Tensor:
        """[k, columns, ...] to [N, ...]."""
        whole = len(self.row) == padded.shape[0] * padded.shape[1]
        return padded.flatten(0, 1) if whole else padded[self.row, self.column]

    def mask(self) -> Tensor:
        """[k, 1, columns, end]: 0 where a token may look, -inf where that is later, on another branch, or no part of
        the text."""
        slot = self.start[:, None] + torch.arange(self.columns)
        later = torch.arange(self.end) > slot[..., None]
        mask = torch.zeros(later.shape).masked_fill_(later, float("-inf"))
        for row, tree in self.trees.items():
            start, count = int(self.start[row]), len(tree.parents)
            mask[row, :count, start : start + count] = tree.mask(0)
        return mask.unsqueeze(1)


class RaggedSession(Session):
    """One row of a ragged batch."""

    def __init__(self, model: Model, batch: RaggedBatch, row: int):
        super().__init__(model)
        self.row = row
        self._batch = batch

    def forward(
        self,
        tokens: list[int],
        keep: int | None = None,
        parents: Sequence[int] | None = None,
        features: Sequence[int] = (),
    ) -> Seen:
        return self._batch.forward([Forward(self, tokens, keep, parents, features)])[0]

    def _begin(self, tokens: list[int], layer: int, known: Begun | None) -> Tensor:
        return self._batch.begin(self, tokens, layer)

    def _rollback(self, length: int) -> None:
        pass

    def _move(self, target: int, slots: list[int]) -> None:
        self._batch.move(self.row, target, slots)


Asked = list[tuple[RaggedSession, Shown]]


class RaggedBatch(Batch):
    """A cache with a row for each text; the texts in it are always its first rows. A backend gives `_forward`, `move`
    and `_copy`."""

    def __init__(self, model: Model, positions: int):
        super().__init__(model)
        self._sessions: list[RaggedSession] = []  # by row
        self._positions = positions

    def session(self) -> Session:
        self._sessions.append(RaggedSession(self._model, self, len(self._sessions)))
        return self._sessions[-1]

    @torch.inference_mode()
    def release(self, session: Session) -> None:
        assert isinstance(session, RaggedSession)
        last = self._sessions.pop()
        if last is not session:
            self._copy(last.row, session.row, last.length)
            last.row = session.row
            self._sessions[last.row] = last

    def forward(self, asked: Sequence[Forward]) -> list[Seen]:
        checked: Asked = []
        for ask in asked:
            assert isinstance(ask.session, RaggedSession)
            shown = ask.session.checked(ask.tokens, ask.keep, ask.parents, ask.features)
            if ask.session.length + len(shown.tokens) > self._positions:
                raise ModelError(
                    f"A text of this batch became longer than the {self._positions} tokens it has room for."
                )
            checked.append((ask.session, shown))
        groups: dict[tuple[bool, int], list[int]] = {}
        for i in sorted(range(len(checked)), key=lambda i: checked[i][0].row):
            session, shown = checked[i]
            # Texts that begin go by themselves, and long ones with those not half as long, so that little is padding.
            short = 6 if session.length else 0
            groups.setdefault((session.length == 0, max(short, len(shown.tokens).bit_length())), []).append(i)
        seen: dict[int, Seen] = {}
        for group in groups.values():
            checkpoint()
            began = perf_counter()
            seen |= zip(group, self._run([checked[i] for i in group]))
            seconds = (perf_counter() - began) / len(group)
            for i in group:
                checked[i][0].observe(checked[i][1], seconds)
        return [seen[i] for i in range(len(checked))]

    def begin(self, session: RaggedSession, tokens: list[int], layer: int) -> Tensor:
        """The states [n, width] of tokens behind a text, after so many layers. A forward does these again."""
        asked: Asked = [(session, Shown(tokens, 1, None, ()))]
        return self._first(torch.tensor(tokens), self._places(asked), layer)

    def _run(self, asked: Asked) -> list[Seen]:
        """One forward for all of these, in the order of their rows."""
        places = self._places(asked)
        tokens = torch.tensor([token for _, shown in asked for token in shown.tokens])
        logits, features = self._forward(tokens, places)
        by_text = torch.split(logits, [shown.keep for _, shown in asked])
        counts = [len(shown.tokens) for _, shown in asked]
        hidden = {layer: torch.split(states, counts) for layer, states in features.items()}
        return [
            Seen(logits, {layer: hidden[layer][i] for layer in shown.layers})
            for i, (logits, (_, shown)) in enumerate(zip(by_text, asked))
        ]

    def _places(self, asked: Asked) -> Places:
        rows = slice(asked[0][0].row, asked[-1][0].row + 1)
        row: list[int] = []
        column: list[int] = []
        position: list[int] = []
        wanted: list[int] = []
        trees: dict[int, Tree] = {}
        layers: dict[int, None] = {}
        end = 0
        for session, (new, keep, tree, wished) in asked:
            count = len(new)
            if tree is not None:
                trees[session.row - rows.start] = tree
            row += [session.row - rows.start] * count
            column += range(count)
            start = session.length
            position += range(start, start + count) if tree is None else [start + depth for depth in tree.depths]
            wanted += range(len(row) - keep, len(row))
            layers |= dict.fromkeys(wished)
            end = max(end, start + count)
        return Places(
            rows, torch.tensor(row), torch.tensor(column), torch.tensor(position),
            torch.tensor([session.length for session in self._sessions[rows]]), torch.tensor(wanted),
            max(column) + 1, end, trees, tuple(layers),
        )  # fmt: skip

    def _forward(self, tokens: Tensor, places: Places) -> tuple[Tensor, dict[int, Tensor]]:
        """Sees tokens [N] at their places; logits [K, V] after those wanted, and of every layer asked for the hidden
        states [N, width]."""
        raise NotImplementedError

    def _first(self, tokens: Tensor, places: Places, layer: int) -> Tensor:
        """Tokens [N] of one text at their places, by so many layers alone: their states [N, width]."""
        raise NotImplementedError

    def move(self, row: int, target: int, slots: list[int]) -> None:
        """See `Session._move`, in one row."""
        raise NotImplementedError

    def _copy(self, source: int, target: int, length: int) -> None:
        """Row `target` becomes the first `length` tokens of row `source`."""
        raise NotImplementedError
