"""Steps of `specviz train --verifier MODEL --head`: from what a verifier wrote to a head on its states.

    1. written   the verifier writes, as for a draft, and its states after several layers are kept, those of the prompts among them
    2. head      learns, and is measured on texts that it does not learn

`state/head/log.jsonl` has the overlap sum(min(verifier, head)) on the held-out answers, now and then, for the first, second,
... drafted token; the rest as in `distil`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from specviz.backends.weights import EMBEDDING, Weights
from specviz.training import cut, loop
from specviz.training.head import HeadModel, distill_loss, overlap
from specviz.training.learning import Options, learn
from specviz.training.reading import Readings
from specviz.training.shards import Entry
from specviz.training.teachers import Teacher

FITTED = 20_000  # tokens that the head's beginning is fitted to
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the verifier's layers: those whose states the head sees


def spread(count: int) -> list[int]:
    """Of so many layers those whose states a head sees, the last among them."""
    return sorted({max(1, round(share * count)) for share in SHARES})


def start(weights: Weights, kept: Tensor, reads: Sequence[int], layer: int, output: Tensor) -> HeadModel:
    """The head before it learns: a copy of the verifier's `layer`, and random numbers around it. `output` [V, width]: the
    verifier's whole output layer. ValueError if its layers cannot be copied."""
    model = HeadModel(cut.size_of(weights.config, 1), kept, reads, weights[EMBEDDING], output[kept.long()])
    model.copy(weights, layer)
    return model


def fit(model: HeadModel, teacher: Teacher, entries: Sequence[Entry], layer: int) -> None:
    """Lets the verifier read some of the texts, and has the head begin as `HeadModel.fit` says."""
    texts = fitted(entries)
    states = torch.cat(teacher.read(texts, [layer, teacher.layers])[0])
    places = torch.arange(len(states))[torch.cat([torch.arange(len(text)) < len(text) - 1 for text in texts])]
    model.fit(torch.cat(texts)[places + 1], states[places, 1].float(), states[places + 1, 0].float())


def fitted(entries: Sequence[Entry]) -> list[Tensor]:
    """The tokens [n] of some texts, FITTED of them and a few more in all."""
    texts, count = [], 0
    for entry in entries:
        if not entry.held_out and count < FITTED:
            texts.append(entry.tokens.long())
            count += len(entry.tokens)
    return texts


def train(model: HeadModel, readings: Readings, output: Tensor, options: Options) -> tuple[loop.Run, bool]:
    """As `learning.learn`, of a head."""

    def rounded(model: HeadModel, *of: Any) -> list[float]:
        return [round(share, 4) for share in overlap(model, *of)]

    return learn(model, distill_loss, rounded, readings, output, options)
