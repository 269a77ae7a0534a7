"""Counting forwards and backwards through the days of the week and the months."""

from __future__ import annotations

import random

from specviz.tasks._words import listing

ABOUT = "Which day or month comes so many days or months before or after."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)
LEAST = (2, 2, 5, 8, 15)  # days or months away, by difficulty
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    names: tuple[str, ...]
    asks: tuple[str, ...]
    if difficulty == 1 and rng.random() < 0.1:
        return whole(rng)
    if rng.random() < 0.35:
        names, unit, now, whole_unit = MONTHS, "month", "this month is", "year"
        away = rng.randint(LEAST[difficulty - 1], (8, 11, 14, 24, 36)[difficulty - 1])
    else:
        names, unit, now, whole_unit = DAYS, "day", "today is", "week"
        away = rng.randint(LEAST[difficulty - 1], (6, 14, 30, 60, 100)[difficulty - 1])
    back = rng.random() < (0.2 if difficulty < 3 else 0.4)
    start = rng.randrange(len(names))
    if back:
        asks = (
            f"If {now} {names[start]}, which {unit} was it {away} {unit}s ago?",
            f"{now.capitalize()} {names[start]}. Which {unit} was {away} {unit}s before?",
        )
    else:
        asks = (
            f"If {now} {names[start]}, which {unit} will it be in {away} {unit}s?",
            f"{now.capitalize()} {names[start]}. Which {unit} comes {away} {unit}s later?",
            f"{now.capitalize()} {names[start]}. Count {away} {unit}s on: which {unit} is it?",
        )
    wholes, rest = divmod(away, len(names))
    steps = []
    if wholes:
        times = wholes * len(names)
        steps.append(
            f"{wholes} {whole_unit}{'s' * (wholes > 1)} is {wholes} * {len(names)} = {times} {unit}s. "
            f"{away} - {times} = {rest}."
        )
    row = [names[(start + (-k if back else k)) % len(names)] for k in range(rest + 1)]
    steps.append(f"{'Back' if back else 'On'} from {row[0]}: {listing(row[1:])}." if rest else f"It is {row[0]} again.")
    return rng.choice(asks), " ".join([*steps, f"The answer is {row[-1]}."]), row[-1]


def whole(rng: random.Random) -> tuple[str, str, str]:
    names, unit = rng.choice(((DAYS, "days of the week"), (MONTHS, "months of the year")))
    start = rng.randrange(len(names))
    row = [names[(start + k) % len(names)] for k in range(len(names))]
    prompt = rng.choice(
        (
            f"List the {unit}, starting with {row[0]}.",
            f"Name all the {unit} from {row[0]} on.",
            f"Say the {unit}, {row[0]} first.",
        )
    )
    return prompt, f"There are {len(names)}. The answer is {listing(row)}.", listing(row)
