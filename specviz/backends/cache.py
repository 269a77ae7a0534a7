"""A cache of transformers with a row for each text, whose tokens go to the slots that they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Where:
    """What a RowCache is told before a forward: the `rows` that take part, k of them, the slots of their new tokens
    [k, n], and the `end` of what is looked at. It has a slot more than `positions`, for what pads a row."""

    rows: slice
    slots: Tensor
    end: int
    positions: int


class RowCache(Protocol):
    """Keys and values of several texts."""

    where: Where

    def grow(self, positions: int) -> None:
        """Makes room for more `positions`; what is held moves to other addresses."""

    def move(self, row: int, target: int, slots: list[int]) -> None:
        """Copies what a row holds in `slots` to those from `target` on."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` slots of a row to another."""


def row_cache(layers: int, rows: int, positions: int) -> RowCache:
    """An empty cache for a model of so many layers, of `rows` texts of at most `positions` tokens."""
    return _row_cache_class()(layers, rows, positions)


def states_of(layers: Iterable[object]) -> list[Tensor]:
    """Keys and values, [rows, heads, slots, size] each, of every layer that has some."""
    both = [getattr(layer, name, None) for layer in layers for name in ("keys", "values")]
    return [states for states in both if states is not None]


@cache
def _row_cache_class() -> Callable[[int, int, int], RowCache]:
    """Made when it is first needed: transformers takes seconds to import."""
    from transformers.cache_utils import Cache, CacheLayerMixin

    class Layer(CacheLayerMixin):
        is_sliding = False

        def __init__(self, rows: int, where: Where):
            CacheLayerMixin.__init__(self)
            self.rows, self.where = rows, where

        def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
            self.keys, self.values = (
                s.new_zeros(self.rows, s.shape[1], self.where.positions + 1, s.shape[3])
                for s in (key_states, value_states)
            )
            self.is_initialized = True

        def update(
            self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
        ) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            assert self.keys is not None and self.values is not None
            slots = self.where.slots.to(key_states.device)
            row = torch.arange(len(slots), device=slots.device)[:, None]
            keys, values = self.keys[self.where.rows], self.values[self.where.rows]
            keys[row, :, slots], values[row, :, slots] = key_states.transpose(1, 2), value_states.transpose(1, 2)
            return keys[:, :, : self.where.end], values[:, :, : self.where.end]

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self.where.end, 0

        def get_seq_length(self) -> int:
            return self.where.end - self.where.slots.shape[1]

        def get_max_length(self) -> int:
            return self.where.positions

    class Rows(Cache):
        def __init__(self, layers: int, rows: int, positions: int):
            self.where = where = Where(slice(0, rows), torch.empty(0, 0), positions, positions)
            self._own = [Layer(rows, where) for _ in range(layers)]
            super().__init__(layers=[*self._own])

        def grow(self, positions: int) -> None:
            more = positions - self.where.positions
            self.where.positions = self.where.end = positions
            for layer in self._own:
                if layer.keys is not None and layer.values is not None:
                    layer.keys, layer.values = (F.pad(s, (0, 0, 0, more)) for s in (layer.keys, layer.values))

        def move(self, row: int, target: int, slots: list[int]) -> None:
            for states in states_of(self._own):
                states[row, :, target : target + len(slots)] = states[row][:, slots]

        def copy(self, source: int, target: int, length: int) -> None:
            for states in states_of(self._own):
                states[target, :, :length] = states[source, :, :length]

    return Rows
