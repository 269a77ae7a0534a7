"""How texts of a verifier begin: the fixed parts of its chat template, questions from files, or nothing at all.

A model that was taught to chat knows both turns. Behind what its template puts in front of a message it writes such a
message, so prompts in its own taste come for nothing (Xu et al. 2024, Magpie).
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specviz.backends.tokenizer import Tokenizer

ASKS = ("question", "instruction", "prompt")  # fields of a JSON line that may hold what is asked
PROBES = ("Why?", "9 apples", "the cat sat", "\u00e9t\u00e9 !")
BEGINNING = (3, 25)  # tokens of an answer that a plain text goes on from
PLAIN, FILES = 0.12, 0.5  # shares of texts that go on from such a beginning, and that answer a prompt of the files

Beginning = tuple[list[int], bool]  # tokens; whether the verifier is to write a message behind them, and then answer it


def read(files: list[Path]) -> list[str]:
    """The prompts in files. Of a .jsonl file each line's question, instruction or prompt, with its `input` (its own, or
    of its first instance) behind it; of any other each line that is not empty. ValueError if a file has none."""
    prompts = []
    for file in files:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"There is no prompt in {str(file)!r}.")
        prompts += [_asked(line, file, number) for number, line in enumerate(lines, 1)] if is_json(file) else lines
    return [prompt.strip() for prompt in prompts]


def is_json(file: Path) -> bool:
    return file.suffix in (".jsonl", ".json")


def _asked(line: str, file: Path, number: int) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    asks = [str(fields[name]) for name in ASKS if fields.get(name)] if isinstance(fields, dict) else []
    if not asks:
        raise ValueError(f"Line {number} of {str(file)!r} is no JSON object with one of {', '.join(ASKS)}.")
    instances = fields.get("instances") or [{}]
    given = fields.get("input") or instances[0].get("input") or ""
    return f"{asks[0]}\n{given}".strip()


@dataclass(frozen=True)
class Frame:
    """What stands before a message to the verifier, and between that and its answer. Without a chat template there are
    no messages: `opening` begins every text, and `closing` is empty."""

    opening: list[int]
    closing: list[int]
    plain: list[int]  # what stands before a text that is no message
    stops: frozenset[int]  # tokens that end a text

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Frame:
        """ValueError if the chat template puts messages in no such frame, or nothing can begin a text."""
        stops = tokenizer.stop_tokens
        begun = tokenizer.encode("a")
        plain = begun[: len(begun) - len(tokenizer.plain("a"))]
        if "chat" not in tokenizer.styles:
            opening = plain or sorted(stops)[:1]
            if not opening:
                raise ValueError("This verifier has no chat template, and its tokenizer no token that begins a text.")
            return cls(opening, [], plain, stops)
        made = [tokenizer.encode(probe, "chat") for probe in PROBES]
        before = _common(made)
        behind = _common([ids[before:][::-1] for ids in made])
        frame = cls(made[0][:before], made[0][len(made[0]) - behind :], plain, stops)
        for probe, ids in zip(PROBES, made):
            if not frame.closing or frame.message(tokenizer.plain(probe)) != ids:
                raise ValueError("The chat template does not put a message between two parts that are always the same.")
        return frame

    def message(self, ids: list[int]) -> list[int]:
        return [*self.opening, *ids, *self.closing]


def _common(rows: list[list[int]]) -> int:
    """How many first ids all rows share."""
    for count, column in enumerate(zip(*rows)):
        if len(set(column)) > 1:
            return count
    return min(map(len, rows))


@dataclass(frozen=True)
class Source:
    """Where beginnings are drawn from."""

    frame: Frame
    prompts: list[list[int]]  # ids of those in files
    longest: int  # tokens of a beginning

    @classmethod
    def of(cls, tokenizer: Tokenizer, files: list[Path], longest: int) -> Source:
        frame = Frame.of(tokenizer)
        made = [tokenizer.plain(prompt) for prompt in read(files)]
        fits = [ids for ids in made if len(frame.message(ids)) <= longest]
        if made and not fits:
            raise ValueError(f"Every prompt of the files is longer than {longest} tokens, half of --length.")
        return cls(frame, fits, longest)

    def draw(self, rng: random.Random, answers: list[list[int]]) -> Beginning:
        """A beginning; `answers` are what the verifier has said before, none of them empty."""
        kind = rng.random()
        if answers and kind < PLAIN:
            return [*self.frame.plain, *rng.choice(answers)[: rng.randint(*BEGINNING)]], False
        if self.prompts and kind < PLAIN + FILES:
            return self.frame.message(rng.choice(self.prompts)), False
        return list(self.frame.opening), bool(self.frame.closing)
