"""The options that name models, for every program that takes them."""

from __future__ import annotations

import argparse
import os

OPTIONS = (  # name, how its value is called, what it is
    ("pair", None, "a pair by its name, or a folder with a pair.json (default: {usual})"),
    ("draft", "MODEL", "instead: a draft model, which is a folder, a GGUF file, a Hub id, or hub:owner/repository/file.gguf"),
    ("verifier", "MODEL", "and its verifier; alone, for drafters that need no model"),
    ("device", None, "cpu, cuda, or auto to spread a model over devices (default cpu)"),
    ("dtype", None, "float32, bfloat16 or float16 (default: float32 on CPU, the model's own elsewhere)"),
)  # fmt: skip


def add_models(
    parser: argparse.ArgumentParser, usual: str = "the first that can be had", device: str | None = "cpu", environment: bool = False
) -> None:  # fmt: skip
    """Adds them to a parser; `device` is the default of that one. With `environment` each may come from a variable instead,
    SPECVIZ_PAIR and so on, where an empty value is none."""
    for name, metavar, words in OPTIONS:
        default, variable = device if name == "device" else None, f"SPECVIZ_{name.upper()}"
        if environment:
            default, words = os.environ.get(variable) or default, f"{words} [{variable}]"
        parser.add_argument(f"--{name}", metavar=metavar, default=default, help=words.format(usual=usual))
