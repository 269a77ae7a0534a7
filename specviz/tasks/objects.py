"""Where is the thing: people move about and carry things with them."""

from __future__ import annotations

import random

from specviz.tasks._words import PLACES, THINGS, people

ABOUT = "Following a thing that people pick up, carry from place to place and pass on."
TRAIN = (2, 2, 2, 3, 3)
TEST = (1, 1, 1, 1, 1)


def generate(rng: random.Random, difficulty: int) -> tuple[str, str, str]:
    one, two = people(rng, 2)
    thing, other = rng.sample(THINGS, 2)
    at = dict(zip((one, two), rng.sample(PLACES, 2)))
    story = [
        f"{one} is in the {at[one]}.",
        f"{two} is in the {at[two]}.",
        rng.choice((f"{one} has the {thing}.", f"{one} picks up the {thing}.")),
    ]
    steps = [f"{one} has the {thing} in the {at[one]}."]
    holder = one
    if difficulty > 1:
        story.append(f"{two} has the {other}.")
    for _ in range((1, 2, 2, 3, 4)[difficulty - 1]):
        kind = rng.choice(("go", "go", "pass", "stray" if difficulty > 2 else "go"))
        aside = two if holder == one else one
        if kind == "go":
            at[holder] = rng.choice([p for p in PLACES if p != at[holder]])
            story.append(rng.choice((f"{holder} goes to the {at[holder]}.", f"{holder} walks to the {at[holder]}.")))
            steps.append(f"{holder} goes to the {at[holder]}.")
        elif kind == "pass":
            at[aside] = at[holder]
            story.append(f"{aside} comes to {holder} and takes the {thing}.")
            holder = aside
            steps.append(f"{holder} has the {thing} in the {at[holder]}.")
        else:
            at[aside] = rng.choice([p for p in PLACES if p != at[aside]])
            story.append(f"{aside} goes to the {at[aside]}.")
    ask = rng.choice((f"Where is the {thing} now?", f"In which place is the {thing}?", f"Where is the {thing}?"))
    return " ".join([*story, ask]), " ".join([*steps, f"The answer is {at[holder]}."]), at[holder]
