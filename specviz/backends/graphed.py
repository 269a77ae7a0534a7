"""Forwards of a few tokens on a GPU, recorded once and replayed: launching their kernels from Python takes longer than
what they compute.

A recorded forward finds its tokens, their places and its cache always at the same addresses. So the cache has a fixed
length (doubled when a text outgrows it), a mask hides what lies behind the text, and rolling back is forgetting a number.
Tokens that branch have a mask of their own each time, and are not recorded.
"""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.backends.cache import row_cache
from specviz.backends.session import Begun, Seen, Session, Shown
from specviz.types import ModelError

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

    from specviz.backends.hub import Network, Transformers

FEW = 33  # tokens of one forward that is worth a recording: the longest draft and the token before it
MANY = 512  # tokens of a longer one that go through the model at a time, so that the mask stays small
SHORT = 512  # positions that a cache has at first


class Arena:
    """Where one text lives on the device: a cache of `positions` tokens, and the recorded forwards over it."""

    def __init__(self, network: Network, positions: int = SHORT):
        self._network, self._device = network, network.device
        self._tokens = torch.zeros(1, FEW, dtype=torch.int64, device=self._device)
        self._start = torch.zeros((), dtype=torch.int64, device=self._device)
        # By number of tokens and layers asked for. Replaying one writes over what it gave before.
        self._recorded: dict[tuple[int, tuple[int, ...]], tuple[torch.cuda.CUDAGraph, Seen]] = {}
        self._records = self._device.type == "cuda"
        self._pool: _POOL_HANDLE | None = None
        self._cache = row_cache(network.layers, 1, positions)

    def forward(self, shown: Shown, start: int) -> Seen:
        """What is seen in tokens that stand behind `start` others. The next call may write over it."""
        tokens, keep, tree, layers = shown
        needed, positions = start + len(tokens), self._cache.where.end
        if needed > positions:
            self._grow(needed)
        if tree is None and len(tokens) <= FEW:
            logits, features = self._few(tokens, start, layers)
            return Seen(logits[-keep:], features)
        seen, end = [], len(tokens)
        for first in range(0, end, MANY):
            part = slice(first, min(first + MANY, end))
            inputs = torch.tensor([tokens[part]], device=self._device)
            wanted = max(1, min(part.stop - first, keep - (end - part.stop)))
            self._start.fill_(start + first)
            if tree is None:
                seen.append(self._run(inputs, wanted, layers))
            else:
                depths = torch.tensor(tree.depths[part], device=self._device)
                mask = tree.mask(start, self._cache.where.end)[part].to(self._device)
                seen.append(self._run(inputs, wanted, layers, depths + start, mask))
        logits = torch.cat([part.logits for part in seen])[-keep:]
        return Seen(logits, {layer: torch.cat([part.features[layer] for part in seen]) for layer in layers})

    def first(self, tokens: list[int], start: int, layer: int) -> Tensor:
        """What the first `layer` layers make of tokens behind `start` others, [n, width]. A forward does these again."""
        needed, positions = start + len(tokens), self._cache.where.end
        if needed > positions:
            self._grow(needed)
        self._start.fill_(start)
        inputs = torch.tensor([tokens], device=self._device)
        position, mask = self._chain(inputs)
        return self._network.first(inputs, layer, self._cache, position[None], mask[None, None])[0]

    def move(self, target: int, slots: list[int]) -> None:
        """See `Session._move`."""
        self._cache.move(0, target, slots)

    def _grow(self, needed: int) -> None:
        self._cache.grow(self._cache.where.end * 2 ** ceil(log2(needed / self._cache.where.end)))
        self._recorded.clear()

    def _chain(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Positions [n] of tokens [1, n] that follow `_start` others, and their mask [n, positions]; tells the cache their slots."""
        slots = self._start + torch.arange(tokens.shape[1], device=self._device)
        self._cache.where.slots = slots[None]
        later = torch.arange(self._cache.where.end, device=self._device) > slots[:, None]
        mask = torch.zeros(later.shape, dtype=self._network.dtype, device=self._device)
        return slots, mask.masked_fill_(later, float("-inf"))

    def _few(self, tokens: list[int], start: int, layers: tuple[int, ...]) -> Seen:
        count = len(tokens)
        inputs = self._tokens[:, :count]
        inputs.copy_(torch.tensor([tokens]))
        self._start.fill_(start)
        if self._records and (count, layers) not in self._recorded:
            self._record(count, layers)
        if (count, layers) not in self._recorded:
            return self._run(inputs, count, layers)
        graph, seen = self._recorded[count, layers]
        graph.replay()
        return seen

    def _run(
        self,
        tokens: Tensor,
        keep: int,
        layers: tuple[int, ...],
        position: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Seen:
        """The forward of tokens [1, n] behind `_start` others, on the device alone: nothing here waits for a number.
        `position` [n] and `mask` [n, positions] are those of a chain by default."""
        if position is None or mask is None:
            position, mask = self._chain(tokens)
        else:
            self._cache.where.slots = (self._start + torch.arange(tokens.shape[1], device=self._device))[None]
        logits, features = self._network(tokens, keep, layers, self._cache, position[None], mask[None, None])
        return Seen(logits[0], {layer: states[0] for layer, states in features.items()})

    def _record(self, count: int, layers: tuple[int, ...]) -> None:
        """Records the forward of `count` tokens. Where that fails, or gives other numbers, forwards stay unrecorded."""
        inputs = self._tokens[:, :count]
        try:
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    expected = self._run(inputs, count, layers).logits
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                seen = self._run(inputs, count, layers)
            graph.replay()
            if not torch.allclose(seen.logits, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
                raise RuntimeError("The recorded forward gives other numbers.")
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            self._records = False
            self._recorded.clear()
        else:
            self._recorded[count, layers] = graph, seen


class GraphedSession(Session):
    """A text in an arena of its own, which the next text may have when this one is gone."""

    def __init__(self, model: Transformers):
        super().__init__(model)
        self._arenas = model.arenas
        self._arena = self._arenas.pop() if self._arenas else Arena(model.network)

    def __del__(self) -> None:
        if arena := getattr(self, "_arena", None):
            self._arenas.append(arena)

    @torch.inference_mode()
    def _forward(self, shown: Shown) -> Seen:
        try:
            seen = self._arena.forward(shown, self.length)
            seen = Seen(seen.logits.clone(), {layer: states.clone() for layer, states in seen.features.items()})
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self._model.id!r} ran out of memory after {self.length} tokens.") from error
        if seen.logits.is_cuda:
            torch.cuda.synchronize(seen.logits.device)  # so that the seconds counted are the model's own
        return seen

    @torch.inference_mode()
    def _begin(self, tokens: list[int], layer: int, known: Begun | None) -> Tensor:
        return self._arena.first(tokens, self.length, layer)

    def _rollback(self, length: int) -> None:
        pass

    @torch.inference_mode()
    def _move(self, target: int, slots: list[int]) -> None:
        self._arena.move(target, slots)
