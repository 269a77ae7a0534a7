"""Forwards of a few tokens on a GPU, recorded once and replayed: launching their kernels from Python takes longer than
what they compute.

A recorded forward finds its tokens, their places and its cache always at the same addresses. So the cache has a fixed
length (doubled when a text outgrows it), a mask hides what lies behind the text, and rolling back is forgetting a number.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2

import torch
from torch import Tensor

from specviz.backends import Session
from specviz.types import ModelError

FEW = 33  # tokens of one forward that is worth a recording: the longest draft and the token before it
MANY = 512  # tokens of a longer one that go through the model at a time, so that the mask stays small
SHORT = 512  # positions that a cache has at first


class Room:
    """Where one text lives on the device: a cache of `positions` tokens, and the recorded forwards over it."""

    def __init__(self, model, cache: Callable, positions: int, keeps: bool):
        self._model, self._make, self._keeps = model, cache, keeps
        self._tokens = torch.zeros(1, FEW, dtype=torch.int64, device=model.device)
        self._start = torch.zeros((), dtype=torch.int64, device=model.device)
        self._recorded: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}  # by number of tokens; the logits it writes
        self._records, self._pool = model.device.type == "cuda", None
        self._resize(positions)

    def _resize(self, positions: int) -> None:
        before = getattr(self, "_cache", None)
        self._recorded.clear()
        self._cache = self._make(positions)
        self._cache.rows, self._cache.end = slice(0, 1), positions
        for layer, old in zip(self._cache.layers, before.layers if before else ()):
            if old.is_initialized:
                layer.lazy_initialization(old.keys, old.values)
                for states, known in ((layer.keys, old.keys), (layer.values, old.values)):
                    states[:, :, : known.shape[2] - 1] = known[:, :, :-1]  # the last slot is for padding

    def forward(self, tokens: list[int], start: int, keep: int) -> Tensor:
        """Logits [keep, V] after each of the last `keep` of `tokens`, which stand behind `start` others. The next call may
        write over them."""
        needed, positions = start + len(tokens), self._cache.end
        if needed > positions:
            self._resize(positions * 2 ** ceil(log2(needed / positions)))
        if len(tokens) <= FEW:
            return self._few(tokens, start)[-keep:]
        found, left = [], len(tokens)
        for given in torch.tensor([tokens], device=self._model.device).split(MANY, 1):
            self._start.fill_(start + len(tokens) - left)
            left -= given.shape[1]
            wanted = min(given.shape[1], keep - left)
            logits = self._run(given, max(1, wanted))
            found += [logits[-wanted:]] if wanted > 0 else []
        return torch.cat(found)

    def _few(self, tokens: list[int], start: int) -> Tensor:
        count = len(tokens)
        inputs = self._tokens[:, :count]
        inputs.copy_(torch.tensor([tokens]))
        self._start.fill_(start)
        if self._records and count not in self._recorded:
            self._record(count)
        if count not in self._recorded:
            return self._run(inputs, count)
        graph, logits = self._recorded[count]
        graph.replay()
        return logits

    def _run(self, tokens: Tensor, keep: int) -> Tensor:
        """The forward of tokens [1, n] behind `_start` others, on the device alone: nothing here waits for a number."""
        device, end = self._model.device, self._cache.end
        position = self._start + torch.arange(tokens.shape[1], device=device)
        self._cache.slots = position[None]
        later = torch.arange(end, device=device) > position[:, None]
        mask = torch.zeros(later.shape, dtype=self._model.dtype, device=device).masked_fill_(later, float("-inf"))
        extra = {"logits_to_keep": keep} if self._keeps else {}
        logits = self._model(
            input_ids=tokens, position_ids=position[None], attention_mask=mask[None, None],
            past_key_values=self._cache, use_cache=True, **extra,
        ).logits[0]  # fmt: skip
        return logits[-keep:]

    def _record(self, count: int) -> None:
        """Records the forward of `count` tokens. Where that fails, or gives other numbers, forwards stay unrecorded."""
        inputs = self._tokens[:, :count]
        try:
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    expected = self._run(inputs, count)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                logits = self._run(inputs, count)
            graph.replay()
            if not torch.allclose(logits, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
                raise RuntimeError("The recorded forward gives other numbers.")
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            self._records = False
            self._recorded.clear()
        else:
            self._recorded[count] = graph, logits


class GraphedSession(Session):
    """A text in a room of its own, which the next text may have when this one is gone."""

    def __init__(self, model):
        super().__init__(model)
        self._id, self._rooms = model.id, model.rooms
        self._room = self._rooms.pop() if self._rooms else model.room()

    def __del__(self):
        if room := getattr(self, "_room", None):
            self._rooms.append(room)

    @torch.inference_mode()
    def _forward(self, tokens: list[int], keep: int) -> Tensor:
        try:
            logits = self._room.forward(tokens, self.length, keep).clone()
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self._id!r} ran out of memory after {self.length} tokens.") from error
        if logits.is_cuda:
            torch.cuda.synchronize(logits.device)  # so that the seconds counted are the model's own
        return logits

    def _rollback(self, length: int) -> None:
        pass
