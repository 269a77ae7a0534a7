"""Steps of `specviz train --verifier MODEL --exit E`: from what a verifier wrote to an exit behind its layer E.

    1. written   the verifier writes, and its states are kept, as for a head; those that a head was trained on do
    2. exit      learns, and is measured on texts that it does not learn

`state/exit/log.jsonl` has the overlap sum(min(verifier, exit)) on the held-out answers, now and then; the rest as in `distil`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from specviz.backends.weights import Weights
from specviz.training import cut, loop
from specviz.training.distil_head import fitted
from specviz.training.exit import ExitModel, distill_loss, overlap
from specviz.training.learning import Options, learn
from specviz.training.reading import Readings
from specviz.training.shards import Entry
from specviz.training.teachers import Teacher


def start(weights: Weights, kept: Tensor, layer: int, reads: Sequence[int], copied: int, output: Tensor) -> ExitModel:
    """The exit behind `layer`, one of those that are `reads`, before it learns: a copy of the verifier's layer `copied`. `output`
    [V, width]: its whole output layer. ValueError if its layers cannot be copied."""
    model = ExitModel(cut.size_of(weights.config, 1), kept, layer, list(reads).index(layer), output[kept.long()])
    model.copy(weights, copied)
    return model


def fit(model: ExitModel, teacher: Teacher, entries: Sequence[Entry], copied: int) -> None:
    """Lets the verifier read some of the texts, and has the exit begin as `ExitModel.fit` says."""
    states = torch.cat(teacher.read(fitted(entries), [model.layer, copied])[0]).float()
    model.fit(states[:, 0], states[:, 1])


def train(model: ExitModel, readings: Readings, output: Tensor, options: Options) -> tuple[loop.Run, bool]:
    """As `learning.learn`, of an exit."""
    return learn(model, distill_loss, overlap, readings, output, options)
