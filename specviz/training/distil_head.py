"""Steps of `specviz train --verifier MODEL --head`: from what a verifier wrote to a head on its states.

    1. written   the verifier writes, as for a draft
    2. states    it reads what it wrote, and its states after several layers are kept, those of the prompts among them
    3. head      learns, and is measured on texts that it does not learn

`state/head/log.jsonl` has the overlap sum(min(verifier, head)) on the held-out answers, now and then, for the first, second,
... drafted token; the rest as in `distil`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specviz.backends import Model
from specviz.backends.weights import EMBEDDING, Weights
from specviz.training import cut, loop
from specviz.training.head import Batch, HeadModel, distill_loss, overlap
from specviz.training.optimizer import ForHead
from specviz.training.reading import Readings, read
from specviz.training.shards import Entry, Reader
from specviz.training.writing import COOL, HOT

FITTED = 20_000  # tokens that the head's beginning is fitted to
HELD_OUT_TEXTS = 48  # for each of the two overlaps
LEAST_SOFT = 0.15  # weight of the divergence in the loss at the end; at the start it is 1
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the verifier's layers: those whose states the head sees
SAMPLINGS = {"overlap": HOT, "overlap_cool": COOL}  # name in the log -> how both are sampled


def spread(count: int) -> list[int]:
    """Of so many layers those whose states a head sees, the last among them."""
    return sorted({max(1, round(share * count)) for share in SHARES})


def soft(progress: float) -> float:
    return 1 + (LEAST_SOFT - 1) * progress


def start(weights: Weights, kept: Tensor, reads: Sequence[int], layer: int, output: Tensor) -> HeadModel:
    """The head before it learns: a copy of the verifier's `layer`, and random numbers around it. `output` [V, width]: the
    verifier's whole output layer. ValueError if its layers cannot be copied."""
    model = HeadModel(cut.size_of(weights.config, 1), kept, reads, weights[EMBEDDING], output[kept.long()])
    model.copy(weights, layer)
    return model


def fit(model: HeadModel, verifier: Model, entries: Sequence[Entry], layer: int) -> None:
    """Lets the verifier read some of the texts, and has the head begin as `HeadModel.fit` says."""
    texts = fitted(entries)
    states, _ = read(verifier, texts, [layer, verifier.layers])
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


def train(
    model: HeadModel, readings: Readings, output: Tensor, budget: loop.Budget, state: Path, rows: int, seed: int
) -> tuple[loop.Run, bool]:
    """As `learn`, of a head."""

    def rounded(model: HeadModel, *of: Any) -> list[float]:
        return [round(share, 4) for share in overlap(model, *of)]

    return learn(model, distill_loss, rounded, readings, output, budget, state, rows, seed)


def learn(
    model: Any,
    loss: Callable[..., Tensor],
    overlap: Callable[..., Any],
    readings: Readings,
    output: Tensor,
    budget: loop.Budget,
    state: Path,
    rows: int,
    seed: int,
) -> tuple[loop.Run, bool]:
    """The run that trains a head or an exit on `readings`, on the device of `output`, and whether it came to its end. `loss` and
    `overlap` are those of its module."""
    device = output.device
    model.to(device)
    rows_of_output = output[model.kept_tokens.long()]
    held_out = {name: held_out_texts(readings, rows, sampling is COOL) for name, sampling in SAMPLINGS.items()}
    run = loop.Run(
        state,
        model,
        Reader(readings, seed),
        lambda model, *batch: loss(model, *batch, output=rows_of_output, soft=soft(run.progress)),
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


def held_out_texts(readings: Readings, rows: int, cool: bool) -> list[Batch]:
    entries = [entry for entry in readings.entries if entry.held_out and entry.cool == cool][:HELD_OUT_TEXTS]
    entries.sort(key=lambda entry: len(entry.tokens))
    return [readings.batch(entries[first : first + rows]) for first in range(0, len(entries), rows)]
