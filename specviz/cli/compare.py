"""`specviz compare`: decodes a prompt with several rules under shared randomness."""

from __future__ import annotations

import argparse

from specviz.cli import generate
from specviz.cli import options as shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rule",
        action="append",
        required=True,
        metavar="RULE[:NAME=VALUE,...][@DRAFTER]",
        help="one lane, for example cactus:delta=0.5, or sps@ngram:longest=4 with a drafter of its own; repeat for more; plain "
        "is the verifier alone",
    )
    shared.add_run(parser)


def run(options: argparse.Namespace) -> int:
    return generate.decode(options, options.rule)
