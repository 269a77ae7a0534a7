"""Word lists shared by the families: common words, so that a small vocabulary spells them shortly."""

from __future__ import annotations

import random
from collections.abc import Iterable

GIRLS = ("Lily", "Mia", "Sue", "Anna", "Lucy", "Jane", "Emma", "Sara", "Amy", "Rose", "Kate", "Ella")
BOYS = ("Tom", "Ben", "Max", "Sam", "Tim", "Jack", "Bob", "Leo", "Dan", "Peter", "Mark", "Joe")
NAMES = GIRLS + BOYS
THINGS = (
    "apple",
    "ball",
    "book",
    "shell",
    "coin",
    "flower",
    "stone",
    "button",
    "egg",
    "pear",
    "cake",
    "card",
    "nut",
    "star",
    "stick",
    "toy",
    "cookie",
    "pencil",
)
HOLDERS = ("bag", "box", "basket", "jar")
PLACES = ("kitchen", "garden", "bedroom", "attic", "barn", "shed", "hall", "cellar", "school", "shop")
WORDS = (
    "apple",
    "bird",
    "boat",
    "bread",
    "cat",
    "chair",
    "cloud",
    "cow",
    "cup",
    "dog",
    "door",
    "duck",
    "fish",
    "flower",
    "fox",
    "frog",
    "goat",
    "grass",
    "hat",
    "horse",
    "house",
    "king",
    "lamp",
    "lion",
    "milk",
    "moon",
    "mouse",
    "nest",
    "owl",
    "pig",
    "queen",
    "rabbit",
    "rain",
    "ring",
    "river",
    "rock",
    "rose",
    "sand",
    "ship",
    "snow",
    "spoon",
    "star",
    "stone",
    "sun",
    "tree",
    "wall",
    "wind",
    "wolf",
)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def people(rng: random.Random, count: int) -> list[str]:
    return rng.sample(NAMES, count)


def she(name: str) -> str:
    return "she" if name in GIRLS else "he"


def plural(count: int, thing: str) -> str:
    """`3 apples`, `1 apple`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def listing(parts: Iterable[object]) -> str:
    return ", ".join(str(part) for part in parts)
