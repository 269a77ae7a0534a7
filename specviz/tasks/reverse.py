"""Saying a row of words, letters or digits backwards."""

from __future__ import annotations

import random
import string

from specviz.tasks._words import WORDS, listing

ABOUT = "Rows of words, letters or digits, said backwards."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    count = rng.randint(difficulty + 2, difficulty + 3)
    kind = rng.choice(("words", "letters", "digits"))
    pool = {"words": WORDS, "letters": string.ascii_lowercase, "digits": string.digits}[kind]
    row = rng.sample(pool, count)
    text = listing(row) if kind == "words" else " ".join(row)
    prompt = rng.choice(
        (
            "Say these {} backwards: {}.",
            "Write the {} {} in reverse.",
            "Turn these {} around: {}.",
            "Read the {} {} from the end to the start.",
        )
    ).format(kind, text)
    answer = listing(row[::-1]) if kind == "words" else " ".join(row[::-1])
    one = kind[:-1]
    return prompt, f"The last {one} is {row[-1]} and the first is {row[0]}. The answer is {answer}.", answer
