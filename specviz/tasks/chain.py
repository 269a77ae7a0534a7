"""A chain of arithmetic, one operation after the other."""

from __future__ import annotations

import random

ABOUT = "Chains of sums: add, subtract and multiply, step by step."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)
STEPS = (1, 2, 2, 3, 4)  # by difficulty
SAY = {
    "+": ("Add {}.", "Then add {}.", "Now plus {}."),
    "-": ("Subtract {}.", "Take away {}.", "Now minus {}."),
    "*": ("Multiply by {}.", "Times {}.", "Now times {}."),
}


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    value = rng.randint(2, 10 + 6 * difficulty)
    prompt = [rng.choice((f"Start with {value}.", f"Take the number {value}.", f"Begin at {value}."))]
    steps = []
    for _ in range(STEPS[difficulty - 1]):
        sign = rng.choice("+-*" if value <= 12 else "+-")
        if sign == "-" and value < 4:
            sign = "+"
        if sign == "*":
            other, result = (n := rng.randint(2, 9)), value * n
        elif sign == "+":
            other, result = (n := rng.randint(2, 8 * difficulty)), value + n
        else:
            other, result = (n := rng.randint(1, min(value - 1, 8 * difficulty))), value - n
        prompt.append(rng.choice(SAY[sign]).format(other))
        steps.append(f"{value} {sign} {other} = {result}.")
        value = result
    prompt.append(rng.choice(("What do you get?", "What is the result?", "Where do you end?")))
    return " ".join(prompt), " ".join([*steps, f"The answer is {value}."]), str(value)
