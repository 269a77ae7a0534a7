"""`specviz verify`: re-runs a saved trace and says whether it reproduces."""

from __future__ import annotations

import argparse

from specviz.cli import options as shared
from specviz.options import add_models
from specviz.record import trace, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", help="a trace made by --json or downloaded from the page")
    add_models(parser)


def run(options: argparse.Namespace) -> int:
    saved = trace.load(options.trace)
    same, sentence = verify.verify(saved, shared.load_for(saved, options))
    print(sentence)
    return 0 if same else 1
