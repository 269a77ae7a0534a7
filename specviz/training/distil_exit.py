"""Steps of `specviz train --verifier MODEL --exit E`: from what a verifier wrote to an exit behind its layer E.

    1. written   the verifier writes, as for a draft
    2. states    it reads what it wrote, as for a head; those that a head was trained on do
    3. exit      learns, and is measured on texts that it does not learn

`state/exit/log.jsonl` has the overlap sum(min(verifier, exit)) on the held-out answers, now and then; the rest as in `distil`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from specviz.backends import Model
from specviz.backends.weights import Weights
from specviz.training import cut, loop
from specviz.training.distil_head import fitted, learn
from specviz.training.exit import ExitModel, distill_loss, overlap
from specviz.training.reading import Readings, read
from specviz.training.shards import Entry


def start(weights: Weights, kept: Tensor, layer: int, reads: Sequence[int], copied: int, output: Tensor) -> ExitModel:
    """The exit behind `layer`, one of those that are `reads`, before it learns: a copy of the verifier's layer `copied`. `output`
    [V, width]: its whole output layer. ValueError if its layers cannot be copied."""
    model = ExitModel(cut.size_of(weights.config, 1), kept, layer, list(reads).index(layer), output[kept.long()])
    model.copy(weights, copied)
    return model


def fit(model: ExitModel, verifier: Model, entries: Sequence[Entry], copied: int) -> None:
    """Lets the verifier read some of the texts, and has the exit begin as `ExitModel.fit` says."""
    states, _ = read(verifier, fitted(entries), [model.layer, copied])
    model.fit(states[:, 0].float(), states[:, 1].float())


def train(
    model: ExitModel, readings: Readings, output: Tensor, budget: loop.Budget, state: Path, rows: int, seed: int
) -> tuple[loop.Run, bool]:
    """As `distil_head.learn`, of an exit."""
    return learn(model, distill_loss, overlap, readings, output, budget, state, rows, seed)
