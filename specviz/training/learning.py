"""What the trainings of a draft, a head and an exit share: batches, loss, optimizer, and what is measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from specviz.training import loop, machine
from specviz.training.loss import losses
from specviz.training.optimizer import Scaled
from specviz.training.shards import Entry, Reader
from specviz.training.writing import COOL, HOT

HELD_OUT_TEXTS = 48  # for each of the two overlaps
LEAST_SOFT = 0.15  # weight of the divergence in the loss at the end; at the start it is 1
SAMPLINGS = {"overlap": HOT, "overlap_cool": COOL}  # name in the log -> how both are sampled


class Texts(Protocol):
    """Where batches come from: `shards.Shards` or `reading.Readings`."""

    entries: list[Entry]

    def batch(self, entries: Sequence[Entry]) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Options:
    """How a training goes on. `state`: the folder of its checkpoints and log; `rows`: texts of a step."""

    state: Path
    budget: loop.Budget
    rows: int
    seed: int
    device: torch.device
    optimizer: Callable[[nn.Module], Scaled]
    compiled: bool = True


def soft(progress: float) -> float:
    return 1 + (LEAST_SOFT - 1) * progress


def learn(
    model: Any, loss: Callable[..., Tensor], overlap: Callable[..., Any], texts: Texts, output: Tensor, options: Options
) -> tuple[loop.Run, bool]:
    """The run that trains a model on texts, and whether it came to its end. `loss` and `overlap` are those of its module; `output`
    [V, width]: the verifier's whole output layer."""
    device, rows = options.device, options.rows
    model.to(device)
    output = output.to(device)
    loss = partial(
        loss, output=output[model.kept_tokens.long()], compute=machine.compiled(losses, device, options.compiled)
    )
    held_out = {name: held_out_texts(texts, rows, sampling is COOL) for name, sampling in SAMPLINGS.items()}
    run = loop.Run(
        options.state,
        model,
        Reader(texts, options.seed),
        lambda model, *batch: loss(model, *batch, soft=soft(run.progress)),
        options.budget,
        rows=rows,
        measure=lambda: {
            name: overlap(model, batches, output, SAMPLINGS[name]) for name, batches in held_out.items() if batches
        },
        device=device,
        optimizer=options.optimizer,
    )
    if not run.resume():
        run.log(**run.measure())
    return run, run.train()


def held_out_texts(texts: Texts, rows: int, cool: bool) -> list[tuple[Tensor, ...]]:
    entries = [entry for entry in texts.entries if entry.held_out and entry.cool == cool][:HELD_OUT_TEXTS]
    entries.sort(key=lambda entry: len(entry.tokens))
    return [texts.batch(entries[first : first + rows]) for first in range(0, len(entries), rows)]
