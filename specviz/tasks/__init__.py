"""Generated questions with worked steps and an answer that can be checked.

One file per family; the folder is scanned, so adding a file adds a family. A family file holds

    ABOUT      one line for people
    TRAIN      how often each difficulty (1 = first) is drawn for training, any positive scale
    TEST       the same for the held-out items
    generate   (rng: random.Random, difficulty: int) -> (prompt, solution, answer)

The solution ends with "The answer is X."; X is the answer and holds no full stop.
A prompt whose SHA-256 falls in the held-out tenth is never trained on.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType

CLAIM = "The answer is "
LONGEST_ANSWER = 300  # characters looked at after the claim
HELD_OUT = 26  # of 256 values of the first hash byte: 10.2 % of all prompts
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Question:
    """prompt and solution are plain text; a model reads prompt, newline, solution."""

    prompt: str
    solution: str
    answer: str
    family: str
    difficulty: int

    @property
    def text(self) -> str:
        return f"{self.prompt}\n{self.solution}"


@dataclass(frozen=True)
class Family:
    name: str
    module: ModuleType

    @property
    def about(self) -> str:
        return str(self.module.ABOUT)

    @property
    def levels(self) -> int:
        """The hardest difficulty; the easiest is 1."""
        return len(self.module.TRAIN)

    def generate(self, rng: random.Random, difficulty: int) -> Question:
        if not 1 <= difficulty <= self.levels:
            raise ValueError(f"difficulty of {self.name} is 1 to {self.levels}, not {difficulty}")
        prompt, solution, answer = self.module.generate(rng, difficulty)
        return Question(prompt, solution, answer, self.name, difficulty)

    def draw(self, rng: random.Random, split: str) -> Question:
        """One question of the split, at a difficulty drawn from the split's mix."""
        mix = self.module.TRAIN if split == "train" else self.module.TEST
        while True:
            difficulty = rng.choices(range(1, self.levels + 1), mix)[0]
            question = self.generate(rng, difficulty)
            if held_out(question.prompt) == (split == "test"):
                return question


@cache
def names() -> tuple[str, ...]:
    """All families, in alphabetical order."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def family(name: str) -> Family:
    if name not in names():
        raise ValueError(f"There is no task family {name!r}. There are: {', '.join(names())}.")
    return Family(name, importlib.import_module(f"{__name__}.{name}"))


def held_out(prompt: str) -> bool:
    """True for the tenth of all prompts that training never sees."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[0] < HELD_OUT


def stream(names: Iterable[str], rng: random.Random, split: str) -> Iterator[Question]:
    """Endless questions, the families in turn."""
    if split not in SPLITS:
        raise ValueError(f"split is one of {', '.join(SPLITS)}, not {split!r}")
    families = [family(name) for name in names]
    if not families:
        raise ValueError("There is no task family to draw from: name at least one.")
    while True:
        for each in families:
            yield each.draw(rng, split)


def items(names: Iterable[str], count: int, seed: int, split: str = "test") -> list[Question]:
    """`count` questions with different prompts, the families in turn; a pure function of its arguments."""
    chosen: dict[str, Question] = {}
    if count < 1:
        return []
    for tries, question in enumerate(stream(names, random.Random(f"{split} {seed}"), split)):
        chosen.setdefault(question.prompt, question)
        if len(chosen) == count:
            return list(chosen.values())
        if tries > 100 * (count + 100):
            raise ValueError(
                f"These families do not hold {count} different questions. Ask fewer, or name more families."
            )
    raise AssertionError("the stream is endless")


def claimed(text: str) -> str | None:
    """X of the last complete "The answer is X." in the text; None without one."""
    end = len(text)
    while (start := text.rfind(CLAIM, 0, end)) >= 0:
        tail = text[start + len(CLAIM) : start + len(CLAIM) + LONGEST_ANSWER]
        stop = tail.find(".")
        if stop > 0 and "\n" not in tail[:stop]:
            return tail[:stop].strip(" ")
        end = start + len(CLAIM) - 1
    return None


def grade(text: str, answer: str) -> bool:
    """Whether the last complete claim in the text is exactly the answer."""
    return claimed(text) == answer
