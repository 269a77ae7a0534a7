"""Steps of `specviz train --verifier MODEL`: from what a verifier wrote to a draft for it; the rest as in `distil`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from specviz.backends.weights import EMBEDDING, Weights
from specviz.training import cut, loop
from specviz.training.learning import Options, learn
from specviz.training.model import Size, inherit
from specviz.training.shards import Shards


def start(weights: Weights, kept: Tensor, layers: Sequence[int], size: str | None, head: Tensor) -> cut.CutLlama:
    """The draft before it learns: copies of layers, or random ones; borrowing what it can from a verifier of its width. `head`
    [V, width]: the verifier's whole output layer."""
    embedding, output = weights[EMBEDDING], head[kept.long()]
    if size is None:
        model = cut.CutLlama(cut.size_of(weights.config, len(layers)), kept, embedding, output)
        model.copy(weights, layers)
        return model
    positions = weights.config.get("max_position_embeddings", 2048)
    shape = Size.parse(size, vocabulary=len(head), positions=positions)
    if shape.width == head.shape[1]:
        return cut.CutLlama(shape, kept, embedding, output)
    model = cut.CutLlama(shape, kept)
    inherit(model.model.embed_tokens.weight, embedding)
    inherit(model.lm_head.weight, output)
    return model


def train(model: cut.CutLlama, shards: Shards, head: Tensor, options: Options) -> tuple[loop.Run, bool]:
    """As `learning.learn`, of a draft."""
    return learn(model, cut.distill_loss, cut.overlap, shards, head, options)
