"""python -m specviz.training: the same as `python -m specviz train`."""

from __future__ import annotations

import argparse
import sys

from specviz.training import add_arguments, run

parser = argparse.ArgumentParser(prog="python -m specviz.training", description="Train a draft and verifier pair.")
add_arguments(parser)
try:
    sys.exit(run(parser.parse_args()))
except ValueError as problem:
    parser.error(str(problem))
