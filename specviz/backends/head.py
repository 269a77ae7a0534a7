"""A head: a block that reads a verifier's own states, and guesses what comes after the next token (EAGLE: Li et al. 2024).

Place t holds the token at t + 1 and the verifier's states at t, and is followed by a law of the token at t + 2. Where the
verifier has not been yet the head's own state of the place before stands for its states.

A folder `head/` beside a pair's pair.json: config.json and safetensors of a Llama of one layer, as `static_llama` runs it,
which says {"specviz": {"borrows": [names], "reads": [layers of the verifier]}}; and besides those of the layer

    fuse.weight           [width, reads * width], over the states of the layers that it reads, each behind its norm
    mix.weight            [width, 2 * width], over the token and the state, each behind its norm
    norm_token, norm_state, norm_features.0, ...  those norms' gains [width]
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from specviz.backends.packed import Matrix
from specviz.backends.session import Model
from specviz.backends.static_llama import StaticLlama, StaticLlamaSession
from specviz.backends.weights import Weights
from specviz.types import ModelError


class LlamaHead:
    """A folder as above, on the CPU in float32, wherever the verifier is."""

    def __init__(self, folder: Path, verifier: Model):
        try:
            self.block = StaticLlama(str(folder), lender=verifier)
            weights = Weights(folder, verifier)
            self.reads = tuple(int(layer) for layer in weights.config["specviz"]["reads"])
            width = weights.config["hidden_size"]
            gains = [weights[f"norm_features.{i}.weight"] for i in range(len(self.reads))]
            self.fuse = Matrix(weights["fuse.weight"] * torch.cat(gains) * width**0.5)
            gain = torch.cat([weights["norm_token.weight"], weights["norm_state.weight"]])
            self.mix = Matrix(weights["mix.weight"] * gain * width**0.5)
        except KeyError as error:
            raise ModelError(
                f"The head in {str(folder)!r} lacks {error}; the folder is damaged or holds none."
            ) from error
        if odd := [layer for layer in self.reads if not 0 <= layer <= verifier.layers]:
            raise ModelError(f"The head in {str(folder)!r} reads layer {odd[0]}, which {verifier.id!r} has not.")
        self.name, self.id, self.dtype = "head", str(folder), "float32"
        self.revision, self.parameters, self.kept = self.block.revision, weights.parameters, weights.kept

    def session(self) -> LlamaHeadSession:
        return LlamaHeadSession(self)


class LlamaHeadSession:
    def __init__(self, head: LlamaHead):
        self.seconds = 0.0
        self._head, self._block = head, head.block
        self._cache = StaticLlamaSession(head.block)
        self._state = torch.empty(0)  # [1, width]: its own, of the last place

    @property
    def length(self) -> int:
        return self._cache.length

    @torch.inference_mode()
    def read(self, tokens: list[int], features: dict[int, Tensor]) -> Tensor:
        began = perf_counter()
        norm = self._block.norm
        states = [norm(features[layer].to("cpu", torch.float32)) for layer in self._head.reads]
        logits = self._add(tokens, self._head.fuse(torch.cat(states, -1)))
        self.seconds += perf_counter() - began
        return logits

    @torch.inference_mode()
    def go_on(self, token: int) -> Tensor:
        began = perf_counter()
        logits = self._add([token], self._state)
        self.seconds += perf_counter() - began
        return logits

    def rollback(self, length: int) -> None:
        self._cache.rollback(length)

    def _add(self, tokens: list[int], states: Tensor) -> Tensor:
        norm, cache = self._block.norm, self._cache
        token = self._block.embed(torch.tensor(tokens))
        x, _ = cache.run(self._head.mix(torch.cat([norm(token), norm(states)], -1)))
        cache.length += len(tokens)
        self._state = x[-1:]
        return self._block.kept_logits(self._state)[0]
