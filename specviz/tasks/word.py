"""Word problems: someone has things, gets and gives some, and one number is asked for."""

from __future__ import annotations

import random

from specviz.tasks._words import HOLDERS, THINGS, people, plural, she

ABOUT = "Word problems of one to three steps, with the sums worked out."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)
STEPS = (1, 1, 2, 2, 3)  # by difficulty


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    if rng.random() < 0.3:
        return shopping(rng, difficulty)
    return having(rng, difficulty)


def having(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    name, friend = people(rng, 2)
    thing = rng.choice(THINGS)
    total = rng.randint(3, 10 + 5 * difficulty)
    story = [
        rng.choice(
            (
                f"{name} has {plural(total, thing)}.",
                f"{name} starts with {plural(total, thing)}.",
                f"There are {plural(total, thing)} on {name}'s table.",
            )
        )
    ]
    steps = []
    for _ in range(STEPS[difficulty - 1]):
        who = rng.choice((name, she(name).capitalize()))
        kind = rng.choice(("gain", "lose", "bags", "twice" if total < 30 else "lose"))
        if kind == "lose" and total < 3:
            kind = "gain"
        if kind == "gain":
            n = rng.randint(2, 6 + 4 * difficulty)
            story.append(
                rng.choice((f"{who} finds {n} more.", f"{friend} gives {name} {n} more.", f"{who} buys another {n}."))
            )
            steps.append(f"{total} + {n} = {total + n}.")
            total += n
        elif kind == "lose":
            n = rng.randint(1, total - 1)
            story.append(
                rng.choice((f"{who} gives {n} to {friend}.", f"{who} loses {n} of them.", f"{friend} takes {n} away."))
            )
            steps.append(f"{total} - {n} = {total - n}.")
            total -= n
        elif kind == "bags":
            k, m = rng.randint(2, 5), rng.randint(2, 9)
            holder = rng.choice(HOLDERS)
            many = f"{holder}es" if holder == "box" else f"{holder}s"
            story.append(f"{who} gets {k} {many} with {plural(m, thing)} in each.")
            steps.append(f"{k} * {m} = {k * m}. {total} + {k * m} = {total + k * m}.")
            total += k * m
        else:
            story.append(rng.choice((f"{who} doubles them.", "Then the number doubles.")))
            steps.append(f"{total} * 2 = {total * 2}.")
            total *= 2
    ask = rng.choice(
        (
            f"How many {thing}s does {name} have now?",
            f"How many {thing}s are there in the end?",
            f"How many {thing}s is that?",
        )
    )
    return " ".join([*story, ask]), " ".join([*steps, f"The answer is {total}."]), str(total)


def shopping(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    (name,) = people(rng, 1)
    kinds = rng.sample(THINGS, STEPS[difficulty - 1])
    prices = [rng.randint(2, 9) for _ in kinds]
    counts = [rng.randint(2, 9) for _ in kinds]
    costs = ", ".join(
        f"a {k} costs {p} coins" if k[0] not in "ae" else f"an {k} costs {p} coins" for k, p in zip(kinds, prices)
    )
    wants = " and ".join(plural(n, k) for n, k in zip(counts, kinds))
    prompt = rng.choice(
        (
            f"In a shop {costs}. {name} buys {wants}. How many coins does {she(name)} pay?",
            f"At the market {costs}. What do {wants} cost?",
        )
    )
    steps, total = [], 0
    for n, p in zip(counts, prices):
        steps.append(f"{n} * {p} = {n * p}.")
        if total:
            steps.append(f"{total} + {n * p} = {total + n * p}.")
        total += n * p
    return prompt, " ".join([*steps, f"The answer is {total}."]), str(total)
