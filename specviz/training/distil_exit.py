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
from specviz.training.distil_head import FITTED, SAMPLINGS, held_out_texts, soft
from specviz.training.exit import ExitModel, distill_loss, overlap
from specviz.training.optimizer import ForHead
from specviz.training.reading import Readings, read
from specviz.training.shards import Entry, Reader
from specviz.training.writing import COOL


def start(weights: Weights, kept: Tensor, layer: int, reads: Sequence[int], copied: int, output: Tensor) -> ExitModel:
    """The exit behind `layer`, one of those that are `reads`, before it learns: a copy of the verifier's layer `copied`. `output`
    [V, width]: its whole output layer. ValueError if its layers cannot be copied."""
    model = ExitModel(cut.size_of(weights.config, 1), kept, layer, list(reads).index(layer), output[kept.long()])
    model.copy(weights, copied)
    return model


def fit(model: ExitModel, verifier: Model, entries: Sequence[Entry], copied: int) -> None:
    """Lets the verifier read some of the texts, and has the exit begin as `ExitModel.fit` says."""
    texts, count = [], 0
    for entry in entries:
        if not entry.held_out and count < FITTED:
            texts.append(entry.tokens.long())
            count += len(entry.tokens)
    states, _ = read(verifier, texts, [model.layer, copied])
    model.fit(states[:, 0].float(), states[:, 1].float())


def train(
    model: ExitModel, readings: Readings, output: Tensor, budget: loop.Budget, state: Path, rows: int, seed: int
) -> tuple[loop.Run, bool]:
    """The run that trains an exit, on the device of `output`, and whether it came to its end."""
    device = output.device
    model.to(device)
    rows_of_output = output[model.kept_tokens.long()]
    held_out = {name: held_out_texts(readings, rows, sampling is COOL) for name, sampling in SAMPLINGS.items()}
    run = loop.Run(
        state,
        model,
        Reader(readings, seed),
        lambda model, *batch: distill_loss(model, *batch, output=rows_of_output, soft=soft(run.progress)),
        budget,
        rows=rows,
        measure=lambda: {
            name: overlap(model, batches, output, SAMPLINGS[name]) for name, batches in held_out.items() if batches
        },
        device=device,
        optimizer=ForHead,
    )
    if not run.resume():
        run.log(**run.measure())
    return run, run.train()
