"""Recipes, each one command, that stop and go on: a pair from nothing, and a draft, a head, an exit or look-ahead tokens for a verifier
that is there.

    python -m specviz train --data DIR --out DIR --minutes 90
    python -m specviz train --verifier MODEL --out DIR --minutes 90
    python -m specviz train --verifier MODEL --head --out DIR --minutes 90
    python -m specviz train --verifier MODEL --exit 8 --out DIR --minutes 90
    python -m specviz train --verifier MODEL --lookahead 3 --out DIR --minutes 90

This module is cheap to import; torch is imported when the training runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

OF_ONE = {  # options that only one of the recipes knows
    "data": ("steps", "verifier_size"),
    "verifier": ("head", "exit", "lookahead", "begin", "prompts", "texts", "tokens", "layers", "reads", "kept_tokens"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--data", type=Path, help="train a pair on this folder of .txt files, <|endoftext|> between texts"
    )
    what.add_argument(
        "--verifier", metavar="MODEL", help="train a draft for this model: a folder, a GGUF file or a Hub id"
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder that receives the models, pair.json and state/")
    add("--quick", action="store_true", help="a tiny run in a minute: shows that everything runs, learns little")
    add("--minutes", type=float, help="wall-clock minutes for everything together (default 90)")
    add("--draft-steps", type=int, help="optimizer steps of the draft, instead of minutes (reproducible)")
    add("--draft-size", metavar="LxW", help="layers x width; with --verifier instead of copies of its layers")
    add("--rows", type=int, default=16, help="texts per step, of a draft half as many (default 16)")
    add("--length", type=int, default=384, help="most tokens of a text (default 384)")
    add("--seed", type=int, default=1)
    add("--resume", action="store_true", help="go on where an interrupted run in --out stopped")
    add("--threads", type=int, help="processor threads (default: all)")
    add(
        "--no-compile", action="store_true", help="do without torch.compile, as where there is no C++ compiler (slower)"
    )
    add = parser.add_argument_group("with --data").add_argument
    add("--steps", type=int, help="optimizer steps of the verifier, instead of minutes (reproducible)")
    add("--verifier-size", metavar="LxW", help="layers x width (default 6x256)")
    add = parser.add_argument_group("with --verifier").add_argument
    add(
        "--head",
        action="store_true",
        help="train a head on its states instead: one block that reads them and writes ahead",
    )
    add(
        "--exit",
        type=int,
        metavar="E",
        help="train an exit behind its layer E instead: with its first E layers it drafts for itself",
    )
    add(
        "--lookahead",
        type=int,
        metavar="L",
        help="train L look-ahead tokens instead: embeddings with which its own forward says what comes further on",
    )
    add("--begin", type=Path, metavar="FOLDER", help="go on from the draft, head or exit in this folder, which an earlier training"
        " made, such as assets/pairs/smollm2/head")  # fmt: skip
    add("--texts", type=Path, nargs="+", metavar="FILE", help="what it wrote for an earlier training (.npz, see"
        " specviz.training.texts): it reads that, and writes what is missing")  # fmt: skip
    add("--prompts", type=Path, nargs="+", metavar="FILE", help="what to ask it, besides what it asks itself: lines of text,"
        " or of JSON with a question, instruction or prompt")  # fmt: skip
    add("--tokens", type=int, help="tokens that it writes to learn from, instead of for half of the minutes")
    add(
        "--layers",
        metavar="N,N,...",
        help="its layers that the draft begins with (default: the first, and three of the last), or the one of a head or an exit",
    )
    add(
        "--reads",
        metavar="N,N,...",
        help="the layers whose states a head reads, or that are kept for an exit; the last is always among them",
    )
    add("--kept-tokens", type=int, help="tokens that the draft knows, of those it writes most (default 8192)")


def run(args: argparse.Namespace) -> int:
    """Trains as `add_arguments` describes. 0: everything is written; 1: stopped early, can be resumed."""
    this, other = ("data", "verifier") if args.data else ("verifier", "data")
    for name in OF_ONE[other]:
        if getattr(args, name) not in (None, False):
            raise ValueError(f"--{name.replace('_', '-')} goes with --{other}, not with --{this}")
    if args.data:
        from specviz.training.recipe import train_pair

        return train_pair(args)
    from specviz.training.distil import train_draft

    return train_draft(args)
