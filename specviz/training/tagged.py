"""What a verifier writes behind the tags of its pair, for a head or an exit to learn from.

    python -m specviz.training.tagged small written.npz --tokens 400000
    python -m specviz train --verifier assets/pairs/small/verifier --head --texts written.npz --tokens 1 --out DIR

A verifier without a chat template that was taught to expect a style tag writes nothing of use behind its bare opening. So each text
begins as the page puts a prompt: a question of a family, of those that training may see, or the first words of a story that the
verifier wrote before, the first of all from the tag alone. Styles take turns by the pair's `draft_mix`, as shares of the
tokens. The file is one of `texts`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from specviz import backends, tasks
from specviz.backends import Pair
from specviz.training import texts, writing
from specviz.training.prompts import BEGINNING, Frame
from specviz.training.shards import Shards
from specviz.training.writing import Text

ROWS, LONGEST = 48, 384  # texts written at a time, and tokens of the longest
ALONE = 8  # stories of each style that begin with the tag alone
TASK = "task"  # the style of questions


class Writer:
    """Texts in the styles of `pair`, of which `mix` says what share of the tokens each is to have."""

    def __init__(self, pair: Pair, mix: dict[str, float], seed: int):
        self.pair, self.mix, self.seed = pair, mix, seed
        frame = Frame.of(pair.tokenizer)
        self.frame = Frame(frame.opening, [], frame.plain, pair.stop_tokens)
        self.stories: dict[str, list[list[int]]] = {style: [] for style in mix}  # what was written, without tag and end
        self.styles: dict[int, str] = {}  # of the texts under way, by their ids
        self.used: Counter[str] = Counter()  # tokens written, and to be expected of texts under way

    def write(self, count: int) -> Iterator[Text]:
        """At least so many tokens, text by text."""
        for text in writing.write(self.pair.verifier, self._begun(count), ROWS, LONGEST):
            style = self.styles.pop(id(text))
            self.used[style] += len(text.states) - LONGEST // 2
            if style != TASK:
                begun = self._opening(style)
                self.stories[style].append(text.tokens[len(begun) :][:-1])
            yield text

    def _begun(self, count: int) -> Iterator[Text]:
        number = 0
        while sum(self.used.values()) < count:
            rng = random.Random(f"{self.seed} {number}")
            style = max(self.mix, key=lambda name: self.mix[name] * self.used.total() - self.used[name])
            text = Text((self._beginning(style, rng), False), self.frame, LONGEST, rng)
            self.styles[id(text)] = style
            self.used[style] += LONGEST // 2
            number += 1
            yield text

    def _opening(self, style: str) -> list[int]:
        return self.pair.encode("a", style)[: -len(self.pair.tokenizer.plain("a"))]

    def _beginning(self, style: str, rng: random.Random) -> list[int]:
        if style == TASK:
            return self.pair.encode(tasks.family(rng.choice(tasks.names())).draw(rng, "train").prompt, style)
        known = self.stories[style]
        return self._opening(style) + (rng.choice(known)[: rng.randint(*BEGINNING)] if len(known) > ALONE else [])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specviz.training.tagged", description=__doc__.split("\n\n")[0])
    parser.add_argument("pair", help="a pair with tags: its name or its folder")
    parser.add_argument("file", type=Path, help="the file to write, .npz")
    parser.add_argument("--tokens", type=int, default=400_000, help="that it writes at least (default 400,000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    pair = backends.load_pair(options.pair)
    if pair.facts is None or not pair.facts.tags:
        raise ValueError(f"The pair {options.pair!r} has no tags: `specviz train` lets its verifier write by itself.")
    backends.dedicate_process(pair)
    mix = json.loads((pair.facts.folder / "pair.json").read_text(encoding="utf-8"))["draft_mix"]
    with TemporaryDirectory() as folder:
        shards = Shards(Path(folder), pair.verifier.revision)
        shards.add(list(Writer(pair, mix, options.seed).write(options.tokens)), 0.0)
        texts.save(options.file, shards.entries, pair.verifier.vocabulary)
        print(f"{len(shards.entries):,} texts, {shards.written:,} tokens written by the verifier")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())
