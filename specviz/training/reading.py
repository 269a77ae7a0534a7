"""What a verifier thinks of every token of its texts, on disk: states of several layers, for a head to see.

For each shard of texts a safetensors file: `states` [N, layers, width] in half precision and `log_sums` [N] of all its
tokens, those of the prompts among them. They are kept while the verifier writes; texts of which they were not are read. A head
and an exit may learn from the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from specviz.training.head import Batch
from specviz.training.shards import ASKED_WEIGHT, Entry, Shards
from specviz.training.teachers import Teacher
from specviz.training.writing import GIVEN, SAID


class Readings:
    """What a verifier makes of the texts of `shards`, in `folder`; `layers` of it are kept, the last of all the last among
    them."""

    def __init__(self, shards: Shards, layers: Sequence[int], folder: Path):
        self.shards, self.layers, self.folder = shards, tuple(layers), folder
        self.entries = shards.entries
        self._files: dict[int, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self._path(0).exists():
            self._file(0)

    def add(self, shard: int, states: Tensor, log_sums: Tensor) -> None:
        """Those of all tokens of a shard, [N, layers, width] float16 and [N]."""
        path = self._path(shard)
        part = path.with_suffix(".part")
        save_file({"states": states, "log_sums": log_sums}, part, metadata={"layers": json.dumps(self.layers)})
        os.replace(part, path)

    def complete(self, teacher: Teacher) -> None:
        """Has the verifier read the shards of which nothing is kept."""
        for shard in range(len(self.shards)):
            if not self._path(shard).exists():
                texts = [entry.tokens for entry in self.entries if entry.shard == shard]
                states, log_sums = teacher.read(texts, self.layers)
                self.add(shard, torch.cat(states), torch.cat(log_sums))

    def batch(self, entries: Sequence[Entry]) -> Batch:
        longest = max(len(entry.tokens) for entry in entries)
        rows, places = len(entries), longest - 2
        tokens, weights = torch.zeros(rows, longest, dtype=torch.long), torch.zeros(rows, places)
        log_sums, states = torch.zeros(rows, places), None
        for row, entry in enumerate(entries):
            count, begin = len(entry.tokens), entry.begin
            tokens[row, :count] = entry.tokens
            roles = entry.roles[2:]
            weights[row, : count - 2] = torch.where(roles == SAID, 1.0, ASKED_WEIGHT).masked_fill(roles == GIVEN, 0.0)
            file = self._file(entry.shard)
            seen = file.get_slice("states")[begin : begin + count - 1]
            if states is None:
                states = torch.zeros(rows, longest - 1, *seen.shape[1:], dtype=seen.dtype)
            states[row, : count - 1] = seen
            log_sums[row, : count - 2] = file.get_slice("log_sums")[begin + 1 : begin + count - 1]
        assert states is not None
        return tokens, weights, states.float(), log_sums

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:05d}.safetensors"

    def _file(self, shard: int) -> Any:
        if shard not in self._files:
            self._files[shard] = file = safe_open(self._path(shard), "pt")
            kept = (file.metadata() or {}).get("layers")  # older files do not say
            if kept not in (None, json.dumps(self.layers)):
                raise ValueError(
                    f"{str(self.folder)!r} holds the states of the layers {kept}, not of {list(self.layers)}: give --reads those, or "
                    "choose another --out."
                )
        return self._files[shard]
