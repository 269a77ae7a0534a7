"""One training run of one model: steps, schedule, checkpoints, log.

Progress, from 0 to 1, is the share of the budget that is used: of the steps if their number is
given, else of the minutes spent in training (over all resumed parts). The rates follow progress:
a short rise, a flat part, then a straight line to zero over the last `DECAY` of the budget, so
that a slow machine still ends its decay.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specviz.training.machine import precision
from specviz.training.model import Llama
from specviz.training.optimizer import Both, Scaled

WARM = 0.01  # share of the budget in which the rates rise
DECAY = 0.6  # share of the budget in which they fall to zero
CLIP = 1.0  # norm of the whole gradient


@dataclass(frozen=True)
class Budget:
    """What one run may use. steps counts optimizer steps; minutes is wall-clock time of training."""

    steps: int | None = None
    minutes: float | None = None

    def progress(self, step: int, seconds: float) -> float:
        shares = [step / self.steps] if self.steps else []
        if self.minutes:
            shares.append(seconds / 60 / self.minutes)
        return min(1.0, max(shares))


def prepared(args: argparse.Namespace) -> tuple[Path, torch.device]:
    """The folder that keeps what a run has done, and where it computes. ValueError if another run used that folder, and
    this one does not --resume it."""
    state = Path(args.out) / "state"
    if state.exists() and not args.resume:
        raise ValueError(f"{state} holds an earlier run: add --resume to go on with it, or choose another --out")
    if args.threads:
        torch.set_num_threads(args.threads)
    return state, torch.device("cuda" if torch.cuda.is_available() else "cpu")


def above_zero(args: argparse.Namespace, *names: str) -> None:
    """ValueError if one of these arguments is given and not above 0."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value <= 0:
            raise ValueError(f"--{name.replace('_', '-')} must be above 0, not {value}")


def scale(progress: float) -> float:
    return min(1.0, progress / WARM + 0.02, (1 - progress) / DECAY)


def weighted(loss: Tensor, weights: Tensor) -> Tensor:
    return (loss * weights).sum() / weights.sum().clamp_min(1e-6)


def language_loss(model: Llama, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy in nats per token. x, y, weights: [B, T]."""
    loss = F.cross_entropy(model(x).float().flatten(0, 1), y.flatten(), reduction="none")
    return weighted(loss, weights.flatten())


def distill_loss(model: Llama, teacher: Llama, x: Tensor, y: Tensor, weights: Tensor, soft: float) -> Tensor:
    """soft * (KL(teacher || model) + TV(teacher, model)) + (1 - soft) * cross-entropy. x, y, weights: [B, T].

    KL teaches the whole distribution (Hinton et al. 2015); the total variation TV is what strict speculative
    sampling rejects (Leviathan et al. 2023; as a loss: Zhou et al. 2024, DistillSpec).
    """
    mine = F.log_softmax(model(x).float(), dim=-1).flatten(0, 1)
    theirs = F.log_softmax(teacher(x).float(), dim=-1).flatten(0, 1)
    probs = theirs.exp()
    kl = (probs * (theirs - mine)).sum(-1)
    tv = (probs - mine.exp()).abs().sum(-1) / 2
    hard = F.nll_loss(mine, y.flatten(), reduction="none")
    return weighted(soft * (kl + tv) + (1 - soft) * hard, weights.flatten())


class Reader(Protocol):
    """Where batches come from: each a few tensors, the first of them tokens [rows, T]."""

    def batch(self, rows: int) -> tuple[Tensor, ...]: ...

    def state(self) -> dict: ...

    def restore(self, state: dict) -> None: ...


class Run:
    """`loss(model, *batch)` is minimised over the reader's batches, and `measure()` logged now and then."""

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        reader: Reader,
        loss: Callable[..., Tensor],
        budget: Budget,
        *,
        rows: int,
        measure: Callable[[], dict[str, float]],
        device: torch.device,
        every: float = 240.0,
        optimizer: Callable[[nn.Module], Scaled] = Both,
    ):
        self.folder, self.model, self.reader, self.loss = Path(folder), model, reader, loss
        self.budget, self.rows = budget, rows
        self.measure, self.device, self.every = measure, device, every
        self.optimizer = optimizer(model)
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        self.progress = 0.0  # of the budget, as the step under way began
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reader": self.reader.state(),
            "torch": torch.get_rng_state(),
            "step": self.step,
            "seconds": self.seconds,
            "tokens": self.tokens,
        }
        save_whole(state, self.checkpoint)

    def resume(self) -> bool:
        """Goes on from the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=False)  # our own file
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.reader.restore(state["reader"])
        torch.set_rng_state(state["torch"].cpu())
        self.step, self.seconds, self.tokens = state["step"], state["seconds"], state["tokens"]
        return True

    def log(self, **facts) -> None:
        facts = {"step": self.step, "seconds": round(self.seconds, 1), "tokens": self.tokens, **facts}
        line = json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in facts.items()})
        print(line, flush=True)
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def train(self, stop_after: int | None = None) -> bool:
        """Until the budget is used (True) or, with a checkpoint, an interruption or `stop_after` steps (False)."""
        interrupted = []
        before = {}
        if stop_after is None:
            before = {s: signal.signal(s, lambda *_: interrupted.append(True)) for s in (signal.SIGTERM, signal.SIGINT)}
        saved, recent, taken = time.monotonic(), [], 0
        try:
            while (progress := self.budget.progress(self.step, self.seconds)) < 1:
                self.progress = progress
                if interrupted or (stop_after is not None and taken == stop_after):
                    return False
                begun = time.monotonic()
                batch = [part.to(self.device) for part in self.reader.batch(self.rows)]
                with precision(self.device):
                    loss = self.loss(self.model, *batch)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
                self.optimizer.step(scale(progress))
                self.optimizer.zero_grad()
                recent.append(loss.detach())
                self.step += 1
                taken += 1
                self.tokens += batch[0].numel()
                self.seconds += time.monotonic() - begun
                if self.step % 20 == 0:
                    mean = torch.stack(recent).mean().item()
                    if mean != mean:
                        raise FloatingPointError(f"the loss is not a number at step {self.step}")
                    self.log(loss=mean, progress=progress)
                    recent = []
                if time.monotonic() - saved > self.every:
                    self.save()
                    self.log(**self.measure())
                    saved = time.monotonic()
            self.log(finished=True, **self.measure())
            return True
        finally:
            self.save()
            for number, handler in before.items():
                signal.signal(number, handler)


def save_whole(value, file: Path) -> None:
    """Saves with torch; a crash leaves the older file, or none, rather than half of this one."""
    part = file.with_suffix(".part")
    torch.save(value, part)
    os.replace(part, file)


def losses_on(model: Llama, held_out: dict, device: torch.device) -> dict[str, float]:
    return {style: loss_on(model, rows, device) for style, rows in held_out.items()}


def loss_on(model: Llama, rows, device: torch.device, at_a_time: int = 16) -> float:
    """Mean cross-entropy, nats per counted token, of rows as `data.held_out` gives them."""
    total = count = 0.0
    with torch.no_grad(), precision(device):
        for start in range(0, len(rows[0]), at_a_time):
            x, y, weights = (part[start : start + at_a_time].to(device) for part in rows)
            loss = F.cross_entropy(model(x).float().flatten(0, 1), y.flatten(), reduction="none")
            total += (loss * weights.flatten()).sum().item()
            count += weights.sum().item()
    return total / max(count, 1e-6)
