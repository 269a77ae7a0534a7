"""Long multiplication by parts: one wrong digit spoils everything after it."""

from __future__ import annotations

import random

ABOUT = "Products of a number of one or two digits with one of up to three, split into hundreds, tens and ones."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)
DIGITS = ((2, 1), (2, 1), (2, 2), (3, 1), (2, 2))  # of the two factors, by difficulty
TOPS = (5, 10, 5, 10, 10)  # above every digit


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    left, right = DIGITS[difficulty - 1]
    a, b = (number(rng, digits, TOPS[difficulty - 1]) for digits in (left, right))
    pairs = [(x, y) for y in parts(b) for x in parts(a)]
    steps = [f"{a} * {b} = {' + '.join(f'{x} * {y}' for x, y in pairs)}."] if len(pairs) > 1 else []
    values = [x * y for x, y in pairs]
    steps += [f"{x} * {y} = {v}." for (x, y), v in zip(pairs, values)]
    total = values[0]
    for value in values[1:]:
        steps.append(f"{total} + {value} = {total + value}.")
        total += value
    prompt = rng.choice(
        (
            f"What is {a} * {b}?",
            f"Work out {a} * {b}.",
            f"How much is {a} times {b}?",
            f"Multiply {a} by {b}.",
            f"Find the product of {a} and {b}.",
        )
    )
    return prompt, " ".join([*steps, f"The answer is {total}."]), str(total)


def number(rng: random.Random, digits: int, top: int) -> int:
    """A number of so many digits below `top`, the first of them not zero; one digit means 2 or more."""
    if digits == 1:
        return rng.randint(2, top - 1)
    return int("".join(str(rng.randrange(1 if place == 0 else 0, top)) for place in range(digits)))


def parts(n: int) -> list[int]:
    """347 -> [300, 40, 7], without zeros."""
    text = str(n)
    return [int(d) * 10 ** (len(text) - 1 - i) for i, d in enumerate(text) if d != "0"]
