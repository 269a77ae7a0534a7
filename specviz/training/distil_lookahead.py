"""Steps of `specviz train --verifier MODEL --lookahead L`: from what a verifier wrote to L look-ahead tokens.

    1. written     the verifier writes, and its last state of every token is kept
    2. lookahead   their embeddings learn, and are measured on texts that they do not learn

`state/lookahead/log.jsonl` has the overlap sum(min(verifier, look-ahead token)) on the held-out answers, now and then, of the
first, second, ... look-ahead token; the rest as in `distil`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from specviz.backends.weights import Weights
from specviz.training import cut, loop
from specviz.training.learning import Options, learn
from specviz.training.lookahead import LookaheadModel, distill_loss, overlap
from specviz.training.reading import Readings


def start(weights: Weights, kept: Tensor, count: int, device: torch.device) -> LookaheadModel:
    """`count` look-ahead tokens before they learn. ValueError if the verifier is no plain Llama."""
    size = cut.size_of(weights.config, weights.config["num_hidden_layers"])
    return LookaheadModel.start(weights, size, kept, count, device)


def train(model: LookaheadModel, readings: Readings, output: Tensor, options: Options) -> tuple[loop.Run, bool]:
    """As `learning.learn`, of look-ahead tokens."""
    return learn(model, distill_loss, overlap, readings, output, options)
