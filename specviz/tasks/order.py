"""Who is the tallest: a row of people from statements about two at a time."""

from __future__ import annotations

import random

from specviz.tasks._words import ORDINALS, listing, people

ABOUT = "Putting people in a row from comparisons of two, told in any order."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)
TURNED = (0, 0.3, 0, 0.2, 0.2)  # how often a comparison is told from the other end, by difficulty
SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("richer", "poorer", "richest", "poorest"),
)


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    count = (3, 3, 4, 4, 5)[difficulty - 1]
    more, less, most, least = rng.choice(SCALES)
    row = people(rng, count)
    facts = [
        f"{b} is {less} than {a}." if rng.random() < TURNED[difficulty - 1] else f"{a} is {more} than {b}."
        for a, b in zip(row, row[1:])
    ]
    rng.shuffle(facts)
    steps = f"From {most} to {least}: {listing(row)}."
    if difficulty == 1 or rng.random() < 0.4:
        ask, answer = rng.choice(((f"Who is the {most}?", row[0]), (f"Who is the {least}?", row[-1])))
    else:
        place = rng.randrange(1, count - 1)
        ask, answer = f"Who is the {ORDINALS[place]} from the {most}?", row[place]
    return " ".join([*facts, ask]), f"{steps} The answer is {answer}.", answer
