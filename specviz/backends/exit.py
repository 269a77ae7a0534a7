"""An exit: what a verifier would say behind the first of its layers (Elhoushi et al. 2024, LayerSkip; Liu et al. 2024, Kangaroo).

A folder `exit/` beside a pair's pair.json: config.json and safetensors of a Llama of one layer, as `static_llama` runs it,
which says {"specviz": {"borrows": [names], "layer": of the verifier}}; and besides those of the layer

    bridge.weight         [width, width], over the state behind the verifier's layer, behind its norm
    norm_state.weight     that norm's gain [width]
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


class LlamaExit:
    """A folder as above, on the CPU in float32, wherever the verifier is."""

    def __init__(self, folder: Path, verifier: Model):
        try:
            self.block = StaticLlama(str(folder), lender=verifier)
            weights = Weights(folder, verifier)
            self.layer = int(weights.config["specviz"]["layer"])
            gain = weights["norm_state.weight"] * weights.config["hidden_size"] ** 0.5
            self.bridge = Matrix(weights["bridge.weight"] * gain)
        except KeyError as error:
            raise ModelError(
                f"The exit in {str(folder)!r} lacks {error}; the folder is damaged or holds none."
            ) from error
        if not 1 <= self.layer < verifier.layers:
            raise ModelError(
                f"The exit in {str(folder)!r} is behind layer {self.layer}, and {verifier.id!r} has {verifier.layers}."
            )
        self.name, self.id, self.dtype = "exit", str(folder), "float32"
        self.revision, self.parameters, self.kept = self.block.revision, weights.parameters, weights.kept

    def session(self) -> LlamaExitSession:
        return LlamaExitSession(self)


class LlamaExitSession:
    def __init__(self, exit_: LlamaExit):
        self.seconds = 0.0
        self._exit, self._cache = exit_, StaticLlamaSession(exit_.block)

    @property
    def length(self) -> int:
        return self._cache.length

    @torch.inference_mode()
    def read(self, states: Tensor) -> Tensor:
        began, block = perf_counter(), self._exit.block
        x, _ = self._cache.run(self._exit.bridge(block.norm(states.to("cpu", torch.float32))))
        self._cache.length += len(states)
        logits = block.kept_logits(x[-1:])[0]
        self.seconds += perf_counter() - began
        return logits

    def rollback(self, length: int) -> None:
        self._cache.rollback(length)
