"""What a verifier wrote, on disk: shards that are whole or not there, and a reader that makes batches of them.

A shard is a safetensors file: `tokens` and `roles` [N] of its texts one after the other, their `lengths` and whether
each is `cool` [n], and of the tokens written `states` [M, width] in half precision and `log_sums` [M].
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from specviz.training.data import shuffled
from specviz.training.writing import COOL, GIVEN, SAID, Text

HELD_OUT = 20  # one text in so many, by what stands before its answer, is never trained on
ASKED_WEIGHT = 0.3  # of the tokens of a message in the loss; those of an answer have 1
BUCKETS = 16  # batches whose texts are sorted by length together, so that little of a batch is padding

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""tokens [B, T], padded with 0; weights [B, T] of what follows each, 0 where the verifier did not write that; and of
the M others, row by row, the verifier's states [M, width] and log_sums [M]."""


@dataclass(frozen=True)
class Entry:
    """A text of a shard."""

    shard: int
    tokens: Tensor  # [n] int32
    roles: Tensor  # [n] uint8
    cool: bool
    begin: int  # its first token in the shard
    first: int  # its first row of the shard's states

    @cached_property
    def written(self) -> int:
        return int((self.roles != GIVEN).sum())

    @property
    def answer(self) -> list[int]:
        return list(self.tokens[self.roles == SAID].tolist())

    @cached_property
    def held_out(self) -> bool:
        before = ",".join(map(str, self.tokens[: int((self.roles == SAID).nonzero()[0])].tolist()))
        return int(hashlib.sha256(before.encode()).hexdigest(), 16) % HELD_OUT == 0


def words(texts: Sequence[Text]) -> dict[str, Tensor]:
    """Of texts what a shard has of them, but for states and log_sums."""
    return {
        "tokens": torch.tensor([token for text in texts for token in text.tokens], dtype=torch.int32),
        "roles": torch.tensor([role for text in texts for role in text.roles], dtype=torch.uint8),
        "lengths": torch.tensor([len(text.tokens) for text in texts], dtype=torch.int32),
        "cool": torch.tensor([text.answering is COOL for text in texts]),
    }


class Shards:
    """The shards of a folder, in order. ValueError if one was written by a verifier of another `revision` (None: of any)."""

    def __init__(self, folder: Path, revision: str | None = None):
        self.folder, self.revision = folder, revision
        self.seconds = 0.0  # that the writing took
        self.entries: list[Entry] = []
        self._files: list[Any] = []
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("[0-9]*.safetensors")):
            self._open(path)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def written(self) -> int:
        """Tokens that the verifier wrote."""
        return sum(entry.written for entry in self.entries)

    def add(self, texts: dict[str, Tensor], states: Tensor, log_sums: Tensor, seconds: float) -> None:
        """A shard more: `texts` as in a shard, and of all their tokens the verifier's last states [N, width] and log_sums [N]."""
        starts = torch.cumsum(texts["lengths"], 0) - texts["lengths"]
        behind = (texts["roles"] != GIVEN).index_fill(0, starts.long(), False).roll(-1)  # what is written behind these
        tensors = texts | {"states": states[behind], "log_sums": log_sums[behind]}
        path = self.folder / f"{len(self):05d}.safetensors"
        part = path.with_suffix(".part")
        save_file(tensors, part, metadata={"verifier": self.revision, "seconds": json.dumps(seconds)})
        os.replace(part, path)
        self._open(path)

    def _open(self, path: Path) -> None:
        file = safe_open(path, "pt")
        facts = file.metadata()
        if self.revision not in (None, facts["verifier"]):
            raise ValueError(
                f"{str(self.folder)!r} holds what a verifier of revision {facts['verifier']} wrote, and this one is "
                f"{self.revision}: choose another --out."
            )
        self.seconds += json.loads(facts["seconds"])
        lengths: list[int] = file.get_tensor("lengths").tolist()
        parts = zip(
            torch.split(file.get_tensor("tokens"), lengths),
            torch.split(file.get_tensor("roles"), lengths),
            file.get_tensor("cool").tolist(),
        )
        begin = first = 0
        for tokens, roles, cool in parts:
            entry = Entry(len(self), tokens, roles, cool, begin, first)
            begin += len(tokens)
            first += entry.written
            self.entries.append(entry)
        self._files.append(file)

    def answers(self, shard: int) -> list[list[int]]:
        """What the verifier said in one shard, but for the last token; nothing if there is no such shard."""
        answers = [entry.answer[:-1] for entry in self.entries if entry.shard == shard and not entry.held_out]
        return [answer for answer in answers if answer]

    def frequent(self, count: int, always: frozenset[int], vocabulary: int) -> Tensor:
        """The `count` tokens that the verifier wrote most often, those in `always` among them, ascending [count] int32.
        Where it wrote fewer the first of the vocabulary fill up: a tokenizer's merges come by frequency."""
        counts: Counter[int] = Counter()
        for entry in self.entries:
            if not entry.held_out:
                counts.update(entry.tokens[entry.roles != GIVEN].tolist())
        order = sorted(range(vocabulary), key=lambda token: (token not in always, -counts[token], token))
        return torch.tensor(sorted(order[:count]), dtype=torch.int32)

    def batch(self, entries: Sequence[Entry]) -> Batch:
        longest = max(len(entry.tokens) for entry in entries) - 1
        tokens, weights = torch.zeros(len(entries), longest, dtype=torch.long), torch.zeros(len(entries), longest)
        states, log_sums = [], []
        for row, entry in enumerate(entries):
            count, rows = len(entry.tokens) - 1, slice(entry.first, entry.first + entry.written)
            tokens[row, :count] = entry.tokens[:-1]
            roles = entry.roles[1:]
            weights[row, :count] = torch.where(roles == SAID, 1.0, ASKED_WEIGHT).masked_fill(roles == GIVEN, 0.0)
            states.append(self._files[entry.shard].get_slice("states")[rows])
            log_sums.append(self._files[entry.shard].get_slice("log_sums")[rows])
        return tokens, weights, torch.cat(states), torch.cat(log_sums)


class Reader:
    """Endless batches of what is trained on, every time round in another order."""

    def __init__(self, shards: Shards, seed: int):
        self.shards, self.seed = shards, seed
        self.entries = [entry for entry in shards.entries if not entry.held_out]
        self.cursor = 0  # batches given

    def state(self) -> dict[str, int]:
        return {"cursor": self.cursor}

    def restore(self, state: dict[str, int]) -> None:
        self.cursor = state["cursor"]

    def per_pass(self, rows: int) -> int:
        """Batches in which every text occurs once."""
        return -(-len(self.entries) // rows)

    def batch(self, rows: int) -> Batch:
        turn, place = divmod(self.cursor, self.per_pass(rows))
        self.cursor += 1
        order = shuffled(len(self.entries), f"{self.seed} {turn}")
        bucket, index = divmod(place, BUCKETS)
        several = order[bucket * BUCKETS * rows : (bucket + 1) * BUCKETS * rows]
        alike = sorted(several, key=lambda i: len(self.entries[i].tokens))
        starts = list(range(0, len(alike), rows))
        random.Random(f"{self.seed} {turn} {bucket}").shuffle(starts)
        return self.shards.batch([self.entries[i] for i in alike[starts[index] : starts[index] + rows]])
