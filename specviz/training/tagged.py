"""What a verifier writes behind the tags of its pair, for a head or an exit to learn from.

    python -m specviz.training.tagged small DIR/state/written --tokens 400000
    python -m specviz train --verifier assets/pairs/small/verifier --head --tokens 1 --resume --out DIR

A verifier without a chat template that was taught to expect a style tag writes nothing of use behind its bare opening. So each text
begins as the page puts a prompt: a question of a family, of those that training may see, or the first words of a story that the
verifier wrote before, those that are written first from the tag alone. Styles take turns by the pair's `draft_mix`, as shares of the
tokens. What is written is kept shard by shard, each a function of its number alone, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

import torch

from specviz import backends, tasks
from specviz.backends import Pair
from specviz.backends.weights import Weights
from specviz.training import teachers, writing
from specviz.training.prompts import BEGINNING, Frame
from specviz.training.shards import Shards, words
from specviz.training.teachers import Teacher
from specviz.training.texts import keep
from specviz.training.writing import SAID, Text

ROWS, LONGEST = 48, 384  # texts written in step, and tokens of the longest
TOGETHER = 40_000  # tokens of a shard
TASK = "task"  # the style of questions


class Writer:
    """Texts in the styles of `pair`, of which `mix` says what share of the tokens each is to have."""

    def __init__(self, pair: Pair, teacher: Teacher, mix: dict[str, float], seed: str):
        self.pair, self.teacher, self.mix, self.seed = pair, teacher, mix, seed
        frame = Frame.of(pair.tokenizer)
        self.frame = Frame(frame.opening, [], frame.plain, pair.stop_tokens)
        self.stories: dict[str, list[list[int]]] = {style: [] for style in mix}  # what was written, without tag and end
        self.used: Counter[str] = Counter()  # tokens written, and to be expected of texts under way

    def write(self, count: int) -> list[Text]:
        """So many tokens and a few more or less."""
        made: list[Text] = []
        while self.used.total() < count:
            begun = self._begun(count, len(made))
            writing.write(self.teacher, [text for _, text in begun], LONGEST, (self.teacher.layers,))
            for style, text in begun:
                self.used[style] += text.roles.count(SAID) - LONGEST // 2
                if style != TASK:
                    self.stories[style].append(text.tokens[len(self._opening(style)) : -1])
                made.append(text)
        return made

    def _begun(self, count: int, number: int) -> list[tuple[str, Text]]:
        """Texts of the next styles, so many that `count` tokens may be expected, ROWS at most; the `number` of the first."""
        begun: list[tuple[str, Text]] = []
        while len(begun) < ROWS and self.used.total() < count:
            rng = random.Random(f"{self.seed} {number + len(begun)}")
            style = max(self.mix, key=lambda name: self.mix[name] * self.used.total() - self.used[name])
            begun.append((style, Text((self._beginning(style, rng), False), self.frame, LONGEST, rng)))
            self.used[style] += LONGEST // 2
        return begun

    def _opening(self, style: str) -> list[int]:
        return self.pair.encode("a", style)[: -len(self.pair.tokenizer.plain("a"))]

    def _beginning(self, style: str, rng: random.Random) -> list[int]:
        if style == TASK:
            return self.pair.encode(tasks.family(rng.choice(tasks.names())).draw(rng, "train").prompt, style)
        known = self.stories[style]
        return self._opening(style) + (rng.choice(known)[: rng.randint(*BEGINNING)] if known else [])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specviz.training.tagged", description=__doc__.split("\n\n")[0])
    parser.add_argument("pair", help="a pair with tags: its name or its folder")
    parser.add_argument("written", type=Path, help="the folder of shards that is written")
    parser.add_argument("--tokens", type=int, default=400_000, help="that it writes, at least (default 400,000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    pair = backends.load_pair(options.pair)
    if pair.facts is None or not pair.facts.tags:
        parser.error(f"The pair {options.pair!r} has no tags: `specviz train` lets its verifier write by itself.")
    backends.dedicate_process(pair)
    mix = json.loads((pair.facts.folder / "pair.json").read_text(encoding="utf-8"))["draft_mix"]
    shards = Shards(options.written, pair.verifier.revision)
    teacher = teachers.of(pair.verifier, Weights(pair.facts.folder / "verifier"), torch.device("cpu"))
    while shards.written < options.tokens:
        began, writer = time.monotonic(), Writer(pair, teacher, mix, f"{options.seed} {len(shards)}")
        made = writer.write(min(TOGETHER, options.tokens))
        states, log_sums = torch.cat([text.states for text in made]), torch.cat([text.log_sums for text in made])
        keep(words(made), states, log_sums, shards, None, time.monotonic() - began)
        print(f"{len(shards.entries):,} texts, {shards.written:,} tokens written by the verifier", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
