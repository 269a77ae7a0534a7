"""What a verifier wrote, as words alone: a small file that another training goes on from.

    python -m specviz.training.texts OUT/state/written written.npz       # from a training's shards
    python -m specviz train --verifier MODEL --out DIR --texts written.npz

A compressed NumPy file: `tokens` and `roles` [N] of the texts one after the other, their `lengths` and whether each is
`cool` [n], as in a shard. What the verifier thought of them is had again by letting it read them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from specviz.training.reading import Readings
from specviz.training.shards import Entry, Shards
from specviz.training.teachers import Teacher

TOGETHER = 256  # texts of a shard


def save(path: Path, entries: Sequence[Entry], vocabulary: int) -> None:
    np.savez_compressed(
        path,
        tokens=torch.cat([entry.tokens for entry in entries])
        .numpy()
        .astype(np.uint16 if vocabulary < 2**16 else np.uint32),
        roles=torch.cat([entry.roles for entry in entries]).numpy(),
        lengths=np.array([len(entry.tokens) for entry in entries], dtype=np.int32),
        cool=np.array([entry.cool for entry in entries]),
    )


def load(path: Path) -> dict[str, Tensor]:
    """The four tensors of a file. ValueError if it holds something else."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in ("tokens", "roles", "lengths", "cool")}
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{str(path)!r} holds no texts of a verifier: {error}") from error
    if not len(arrays["tokens"]) == len(arrays["roles"]) == arrays["lengths"].sum():
        raise ValueError(f"{str(path)!r} holds no texts of a verifier: their lengths do not fit.")
    tensors = {name: torch.from_numpy(array.astype(np.int32)) for name, array in arrays.items()}
    return tensors | {"roles": tensors["roles"].to(torch.uint8), "cool": tensors["cool"].bool()}


def add(paths: Sequence[Path], teacher: Teacher, shards: Shards, readings: Readings | None) -> None:
    """Has the verifier read the texts of files that it wrote, and adds them to the shards, but for those that are there."""
    known = len(shards)
    layers = readings.layers if readings else (teacher.layers,)
    for path in paths:
        texts = load(path)
        tokens, roles = (texts[name].split(texts["lengths"].tolist()) for name in ("tokens", "roles"))
        for first in range(0, len(tokens), TOGETHER):
            if known > 0:
                known -= 1
                continue
            began, part = time.monotonic(), slice(first, first + TOGETHER)
            made = {
                "tokens": torch.cat(tokens[part]),
                "roles": torch.cat(roles[part]),
                "lengths": texts["lengths"][part],
                "cool": texts["cool"][part],
            }
            keep(made, *map(torch.cat, teacher.read(tokens[part], layers)), shards, readings, time.monotonic() - began)


def keep(
    words: dict[str, Tensor],
    states: Tensor,
    log_sums: Tensor,
    shards: Shards,
    readings: Readings | None,
    seconds: float,
) -> None:
    """Adds a shard of `words`, with the states [N, layers, width] of all tokens, and the log_sums [N]; the readings, if there are
    any, first: a shard without them is read again."""
    if readings:
        readings.add(len(shards), states, log_sums)
    shards.add(words, states[:, -1], log_sums, seconds)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specviz.training.texts", description=__doc__.split("\n\n")[0])
    parser.add_argument("written", type=Path, nargs="+", help="folders of shards")
    parser.add_argument("file", type=Path, help="the file to write, .npz")
    options = parser.parse_args(arguments)
    entries: list[Entry] = []
    for folder in options.written:
        entries += Shards(folder).entries
    save(options.file, entries, 1 + max(int(entry.tokens.max()) for entry in entries))
    print(f"{len(entries):,} texts, {sum(entry.written for entry in entries):,} tokens written by the verifier")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
