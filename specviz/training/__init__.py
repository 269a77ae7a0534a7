"""The recipe of the shipped pair: from texts and generators to a verifier and a draft, in one command.

    python -m specviz train --data DIR --out DIR --minutes 90

This module is cheap to import; torch is imported when the training runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of .txt files, documents separated by <|endoftext|>")
    add("--out", type=Path, required=True, help="folder that receives verifier/, draft/, pair.json and state/")
    add("--quick", action="store_true", help="a tiny pair in a minute: shows that everything runs, learns little")
    add("--minutes", type=float, help="wall-clock minutes for both models together (default 90)")
    add("--steps", type=int, help="optimizer steps of the verifier, instead of minutes (reproducible)")
    add("--draft-steps", type=int, help="optimizer steps of the draft (default: as many as the verifier's)")
    add("--verifier-size", default="6x256", metavar="LxW", help="layers x width (default 6x256)")
    add("--draft-size", default="2x128", metavar="LxW", help="layers x width (default 2x128)")
    add("--rows", type=int, default=16, help="texts per step (default 16)")
    add("--length", type=int, default=384, help="tokens per text (default 384)")
    add("--seed", type=int, default=1)
    add("--resume", action="store_true", help="go on where an interrupted run in --out stopped")
    add("--no-compile", action="store_true", help="do without torch.compile (no C++ compiler needed, slower)")
    add("--threads", type=int, help="processor threads (default: all)")


def run(args: argparse.Namespace) -> int:
    """Trains as `add_arguments` describes. 0: both models are written; 1: stopped early, can be resumed."""
    from specviz.training.recipe import train_pair

    return train_pair(args)
