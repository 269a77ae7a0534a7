"""All randomness: a pure function of (seed, purpose, absolute position, attempt, branch), on any machine.

Keyed by position and not by call order, the same draw is made whatever the batch, the order of lanes or the
draft length, and lanes that compare rules share it. `attempt` is 0 unless a rule lets later tokens decide
earlier ones (see `engine.decode`); `branch` numbers the candidates of one depth of a draft, from 0. Counter-based Philox 4x64 (Salmon et al. 2011), as NumPy implements it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

DRAFT, VERIFIER, RESIDUAL, ACCEPT, LENGTH = range(5)  # purposes; VERIFIER serves the bonus and plain decoding alike
_CHUNK = 256  # uniforms are made this many positions at a time
_SMALL = 8192  # entries of a vector of which more are remembered


class Noise:
    """The noise of one seed."""

    def __init__(self, seed: int):
        self.seed = seed

    def exponentials(self, purpose: int, position: int, size: int, attempt: int = 0, branch: int = 0) -> Tensor:
        """`size` independent standard exponentials, float32 [size]; a longer vector begins with the shorter one."""
        make = _exponentials if size <= _SMALL else _many_exponentials
        return make(self.seed, purpose, position, size, attempt, branch)

    def uniforms(self, start: int, count: int, attempt: int = 0, branch: int = 0, purpose: int = ACCEPT) -> list[float]:
        """`count` uniforms in [0, 1), one per position from `start` on, for the acceptance tests."""
        positions = range(start, start + count)
        return [_uniforms(self.seed, purpose, p // _CHUNK, attempt, branch)[p % _CHUNK] for p in positions]


@lru_cache(maxsize=512)  # lanes of one seed ask for the same noise, and so does a position drafted again
def _exponentials(seed: int, purpose: int, position: int, size: int, attempt: int, branch: int) -> Tensor:
    # Made in float64: single precision yields an exact 0 once in 2^23, which wins any race, and with a vocabulary
    # of 150,000 that would be one token in fifty.
    generator = _generator(seed, purpose, position, attempt, branch)
    return torch.from_numpy(generator.standard_exponential(size).astype(np.float32))


_many_exponentials = lru_cache(maxsize=64)(_exponentials.__wrapped__)


@lru_cache(maxsize=256)
def _uniforms(seed: int, purpose: int, chunk: int, attempt: int, branch: int) -> list[float]:
    uniforms: list[float] = _generator(seed, purpose, chunk, attempt, branch).random(_CHUNK).tolist()
    return uniforms


class _Philox(threading.local):
    """One generator per thread, set to a place of the sequence: making one anew takes five times as long."""

    def __init__(self) -> None:
        self.key, self.counter = np.zeros(2, np.uint64), np.zeros(4, np.uint64)
        place = {"key": self.key, "counter": self.counter}
        self.state: Any = {  # NumPy's stubs speak of another dictionary
            "bit_generator": "Philox",
            "state": place,
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.bits = np.random.Philox(key=0)
        self.generator = np.random.Generator(self.bits)


_philox = _Philox()


def _generator(seed: int, purpose: int, position: int, attempt: int, branch: int) -> np.random.Generator:
    """What np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, position, attempt, branch])) would draw;
    to be used before the next call."""
    _philox.key[:], _philox.counter[:] = (seed, purpose), (0, position, attempt, branch)
    _philox.bits.state = _philox.state
    return _philox.generator
