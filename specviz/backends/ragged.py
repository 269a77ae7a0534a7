"""Texts of different lengths in one cache. What a row holds beyond its text is masked, so forgetting is a number here too."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from specviz.backends import Batch, Model, Session


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
    end: int  # length of the longest text, these tokens included

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
        """[k, 1, columns, end]: 0 where a token may look, -inf where that is later or no part of the text."""
        position = self.start[:, None] + torch.arange(self.columns)
        later = torch.arange(self.end) > position[..., None]
        return torch.zeros(later.shape).masked_fill_(later, float("-inf")).unsqueeze(1)


class RaggedSession(Session):
    """One row of a ragged batch."""

    def __init__(self, model: Model, batch: RaggedBatch, row: int):
        super().__init__(model)
        self.row = row
        self._batch = batch

    def forward(self, tokens, keep=None, parents=None, features=()):
        return self._batch.forward([(self, tokens, keep)])[0]

    def _rollback(self, length: int) -> None:
        pass


class RaggedBatch(Batch):
    """A cache with a row for each text; the texts in it are always its first rows. A backend gives `_forward` and `_move`."""

    def __init__(self, model: Model):
        super().__init__(model)
        self._sessions: list[RaggedSession] = []  # by row

    def session(self) -> Session:
        self._sessions.append(RaggedSession(self._model, self, len(self._sessions)))
        return self._sessions[-1]

    @torch.inference_mode()
    def release(self, session: Session) -> None:
        last = self._sessions.pop()
        if last is not session:
            self._move(last.row, session.row, last.length)
            last.row = session.row
            self._sessions[last.row] = last

    def forward(self, asked: list[tuple[Session, list[int], int]]) -> list[Tensor]:
        asked = [(session, *session.checked(tokens, keep)) for session, tokens, keep, *_ in asked]
        groups: dict[tuple, list[int]] = {}
        for i in sorted(range(len(asked)), key=lambda i: asked[i][0].row):
            session, tokens, _ = asked[i]
            # Texts that begin go by themselves, and long ones with those not half as long, so that little is padding.
            short = 6 if session.length else 0
            groups.setdefault((session.length == 0, max(short, len(tokens).bit_length())), []).append(i)
        logits: dict[int, Tensor] = {}
        for group in groups.values():
            began = perf_counter()
            logits |= zip(group, self._run([asked[i] for i in group]))
            seconds = (perf_counter() - began) / len(group)
            for i in group:
                asked[i][0].saw(len(asked[i][1]), seconds)
        from specviz.backends import Seen

        return [Seen(logits[i], {}) for i in range(len(asked))]

    def _run(self, asked: list[tuple[RaggedSession, list[int], int]]) -> tuple[Tensor, ...]:
        """One forward for all of these, in the order of their rows."""
        rows = slice(asked[0][0].row, asked[-1][0].row + 1)
        row, column, position, wanted = [], [], [], []
        for session, tokens, keep in asked:
            count = len(tokens)
            row += [session.row - rows.start] * count
            column += range(count)
            position += range(session.length, session.length + count)
            wanted += range(len(row) - keep, len(row))
        places = Places(
            rows, *map(torch.tensor, (row, column, position, [s.length for s in self._sessions[rows]], wanted)),
            columns=max(column) + 1, end=max(position) + 1,
        )  # fmt: skip
        logits = self._forward(torch.tensor([t for _, tokens, _ in asked for t in tokens]), places)
        return logits.split([keep for _, _, keep in asked])

    def _forward(self, tokens: Tensor, places: Places) -> Tensor:
        """Sees tokens [N] at their places; logits [K, V] after those wanted."""
        raise NotImplementedError

    def _move(self, source: int, target: int, length: int) -> None:
        """Row `target` becomes the first `length` tokens of row `source`."""
        raise NotImplementedError
