"""A verifier as training asks it: many texts at once, its laws and its states.

    InStep    a plain Llama: all rows stand at the same place, so keys and values are plain blocks, and one product with packed
              matrices serves them all. In `machine.number_type`: bfloat16 on a GPU and on a processor with matrix units for it
              (four times as fast there as float32), float32 elsewhere
    Sessions  any other model, as its backend computes it

Both say of a text what the model's own forward does, up to rounding. State 0 is the embedding, state i what layer i - 1 leaves,
and the last what stands behind the last norm, before the output layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from specviz.backends import Forward, Model
from specviz.backends.packed import Matrix
from specviz.backends.weights import EMBEDDING, HEAD, Weights
from specviz.training import cut, machine
from specviz.training.model import Size, rope, rotate

TOGETHER = 8  # texts read in one forward
PART = 256  # laws summed at a time, so that they need little memory


class Teacher(Protocol):
    layers: int  # of the model; the number of its last state

    def begin(self, rows: int, longest: int, layers: Sequence[int]) -> None:
        """Texts anew: so many, of at most `longest` tokens; the states of `layers` will be seen."""

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The next token of every row [B] int64: logits [B, V] float32 behind it, and states [B, layers, width] float16, on the
        CPU."""

    def keep(self, rows: Tensor) -> None:
        """Goes on with these rows alone, [B'] int64, ascending."""

    def read(self, texts: Sequence[Tensor], layers: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Of each text [n] the states [n, layers, width] float16, and the log_sums [n]: ln of the sum over the vocabulary of
        exp(logits)."""


def few(texts: Sequence[Tensor]) -> Iterator[list[int]]:
    """The numbers of texts that are read in one forward: so many at a time, of lengths alike."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for first in range(0, len(order), TOGETHER):
        yield order[first : first + TOGETHER]


def of(verifier: Model, weights: Weights, device: torch.device) -> Teacher:
    """The verifier's teacher; `weights`: those of its folder."""
    try:
        size = cut.size_of(weights.config, weights.config["num_hidden_layers"])
    except ValueError:
        return Sessions(verifier)
    return InStep(weights, size, device)


class InStep:
    """See the head of this file; `weights` has the tensors by their names, `size` is that of the whole model."""

    def __init__(self, weights: Weights | Mapping[str, Tensor], size: Size, device: torch.device):
        self.layers, self._size, self._device = size.layers, size, device
        kind = self._kind = machine.number_type(device)

        def matrix(*names: str, norm: str | None = None) -> Matrix:
            """Several weights of a layer as one, what the norm before them multiplies by among them."""
            weight = torch.cat([weights[name] for name in names])
            return Matrix((weight * weights[norm] if norm else weight).to(device, kind), twice=False, rows=PART)

        self._embedding = weights[EMBEDDING].to(device, kind)
        self._layers = []
        for number in range(size.layers):
            own = f"model.layers.{number}."
            attention = [f"{own}self_attn.{part}_proj.weight" for part in "qkvo"]
            self._layers.append(
                (
                    matrix(*attention[:3], norm=f"{own}input_layernorm.weight"),
                    matrix(attention[3]),
                    matrix(
                        f"{own}mlp.gate_proj.weight",
                        f"{own}mlp.up_proj.weight",
                        norm=f"{own}post_attention_layernorm.weight",
                    ),
                    matrix(f"{own}mlp.down_proj.weight"),
                )
            )
        self._last_norm = weights["model.norm.weight"].to(device)
        self._output = Matrix(weights[HEAD].to(device, kind), twice=False, rows=PART)
        self._cos, self._sin = (table[:, None].to(device) for table in rope(size.positions, size.head, size.theta))

    def begin(self, rows: int, longest: int, layers: Sequence[int]) -> None:
        shape = rows, self._size.key_heads, longest, self._size.head
        self._caches = [
            (
                torch.zeros(shape, dtype=self._kind, device=self._device),
                torch.zeros(shape, dtype=self._kind, device=self._device),
            )
            for _ in range(self.layers)
        ]
        self._length, self._shown = 0, tuple(layers)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x, states = self._through(tokens[:, None].to(self._device))
        return self._logits(x[:, 0]), states[:, 0].cpu()

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        count, rows = len(rows), rows.to(self._device)
        for cache in self._caches:
            for part in cache:
                part[:count, :, : self._length] = part[rows, :, : self._length]

    @torch.inference_mode()
    def read(self, texts: Sequence[Tensor], layers: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        states: list[Tensor] = [torch.empty(0)] * len(texts)
        log_sums = list(states)
        for some in few(texts):
            rows = torch.nn.utils.rnn.pad_sequence([texts[i].long() for i in some], batch_first=True)
            self.begin(*rows.shape, layers)
            x, seen = self._through(rows.to(self._device))
            for i, of_text, features in zip(some, x, seen):
                parts = of_text[: len(texts[i])].split(PART)
                log_sums[i] = torch.cat([self._logits(part).logsumexp(-1) for part in parts]).cpu()
                states[i] = features[: len(texts[i])].cpu()
        return states, log_sums

    def _through(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B, n] at the next places, n of them at the beginning and one later: [B, n, width] float32 behind the last norm,
        and the states [B, n, layers, width] float16."""
        start = self._length
        self._length += tokens.shape[1]
        x = self._embedding[tokens].float()
        shown: dict[int, Tensor] = {}
        for number, (qkv, out, gate_up, down) in enumerate(self._layers):
            if number in self._shown:
                shown[number] = x.half()
            x = x + self._attend(number, self._times(qkv, self._normed(x)), start, out)
            gate, up = self._times(gate_up, self._normed(x)).chunk(2, -1)
            x = x + self._times(down, F.silu(gate) * up)
        x = self._normed(x) * self._last_norm
        if self.layers in self._shown:
            shown[self.layers] = x.half()
        empty = x.new_empty(*x.shape[:2], 0, x.shape[2])
        return x, torch.stack([shown[layer] for layer in self._shown], 2) if shown else empty

    def _attend(self, number: int, parts: Tensor, start: int, out: Matrix) -> Tensor:
        """What a layer's attention adds; parts [B, n, heads * head and twice groups * head]: queries, keys, values."""
        size, (count, length, _) = self._size, parts.shape
        heads, groups = size.heads, size.key_heads
        places = slice(start, start + length)
        turned, new = parts.view(count, length, -1, size.head).split([heads + groups, groups], 2)
        turned = rotate(turned.float(), self._cos[places], self._sin[places]).to(self._kind)
        keys, values = (part[:count, :, : places.stop] for part in self._caches[number])
        keys[:, :, places] = turned[:, :, heads:].transpose(1, 2)
        values[:, :, places] = new.transpose(1, 2)
        queries = turned[:, :, :heads]
        if length == 1:  # the heads of a group as several queries of one
            seen = F.scaled_dot_product_attention(queries.reshape(count, groups, -1, size.head), keys, values)
        else:
            queries = queries.transpose(1, 2)
            seen = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=groups < heads)
            seen = seen.transpose(1, 2)
        return self._times(out, seen.reshape(count, length, -1))

    def _logits(self, x: Tensor) -> Tensor:
        """x [n, width] -> [n, V] float32. In bfloat16 what the product's rounding takes away is had by a second one, to which the
        first is subtracted before it is rounded: otherwise a token's chance would be off by some percent."""
        x = x.to(self._kind)
        logits = self._output(x)
        return logits.float() + self._output(x, to=-logits) if self._kind == torch.bfloat16 else logits

    def _times(self, matrix: Matrix, x: Tensor) -> Tensor:
        """x [B, n, in] through a matrix: [B, n, out]."""
        return matrix(x.flatten(0, 1).to(self._kind)).unflatten(0, x.shape[:2])

    def _normed(self, x: Tensor) -> Tensor:
        """x [..., width] float32 with a mean square of 1."""
        return F.rms_norm(x, x.shape[-1:], eps=self._size.epsilon)


class Sessions:
    """Any model that shows its states, through its backend's own batch."""

    def __init__(self, verifier: Model):
        self.layers, self._verifier = verifier.layers, verifier

    def begin(self, rows: int, longest: int, layers: Sequence[int]) -> None:
        self._batch, self._shown = self._verifier.batch(rows, longest), tuple(layers)
        self._sessions = [self._batch.session() for _ in range(rows)]

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        asked = zip(self._sessions, tokens.tolist())
        seen = self._batch.forward([Forward(session, [token], features=self._shown) for session, token in asked])
        states = [torch.stack([each.features[layer][-1] for layer in self._shown]) for each in seen]
        return torch.cat([each.logits for each in seen]).float(), torch.stack(states).to("cpu", torch.float16)

    def keep(self, rows: Tensor) -> None:
        kept = set(rows.tolist())
        for row, session in enumerate(self._sessions):
            if row not in kept:
                self._batch.release(session)
        self._sessions = [self._sessions[row] for row in rows.tolist()]

    @torch.inference_mode()
    def read(self, texts: Sequence[Tensor], layers: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        states: list[Tensor] = [torch.empty(0)] * len(texts)
        log_sums = list(states)
        for some in few(texts):
            batch = self._verifier.batch(len(some), max(len(texts[i]) for i in some))
            seen = batch.forward([Forward(batch.session(), texts[i].tolist(), features=tuple(layers)) for i in some])
            for i, each in zip(some, seen):
                states[i] = torch.stack([each.features[layer].to("cpu", torch.float16) for layer in layers], 1)
                log_sums[i] = each.logits.float().logsumexp(-1).cpu()
        return states, log_sums
