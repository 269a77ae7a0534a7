"""Putting numbers or words in order."""

from __future__ import annotations

import random
from typing import Any

from specviz.tasks._words import WORDS, listing

ABOUT = "Sorting three to eight numbers or words, up or down."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    row: list[Any]  # words, or numbers
    count = rng.randint(difficulty + 2, difficulty + 3)
    down = rng.random() < 0.3
    if rng.random() < 0.3:
        row = rng.sample(WORDS, min(count, 6))
        way = "from Z to A" if down else "in alphabetical order"
        asks = (
            f"Put these words {way}: {listing(row)}.",
            f"Write {listing(row)} again, {way}.",
            f"Sort {listing(row)} so that they stand {way}.",
        )
    else:
        row = rng.sample(range(1 if difficulty == 5 else 10, 100), count)
        way = "from largest to smallest" if down else "from smallest to largest"
        asks = (
            f"Sort these numbers {way}: {listing(row)}.",
            f"Put {listing(row)} in order {way}.",
            f"Write {listing(row)} again, {way}.",
        )
    ordered = sorted(row, reverse=down)
    steps = f"There are {len(row)}. The first is {ordered[0]} and the last is {ordered[-1]}."
    return rng.choice(asks), f"{steps} The answer is {listing(ordered)}.", listing(ordered)
