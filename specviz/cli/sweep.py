"""`specviz sweep`: what rules and knob values cost in right answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from specviz import tasks
from specviz.cli import options as shared
from specviz.cli import terminal
from specviz.options import add_models
from specviz.study import answers, sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="RULE[:NAME=VALUE,...]",
        help="a rule; several values of a knob are a point each, for example cactus:delta=0.1,0.3,1; may be repeated (default: sps, cactus and tas)",
    )
    parser.add_argument(
        "--questions",
        type=int,
        default=sweep.QUESTIONS,
        metavar="N",
        help=f"how many questions each point answers (default {sweep.QUESTIONS})",
    )
    parser.add_argument(
        "--family",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only questions of this family; may be repeated ({', '.join(tasks.names())}; default: all)",
    )
    parser.add_argument("--csv", metavar="FILE", help="save the table")
    parser.add_argument(
        "--answers", metavar="FILE", help="save every answer as CSV, each won, lost or alike beside plain decoding"
    )
    shared.add_settings(parser)
    add_models(parser, usual=f"{sweep.PAIR}, which can find the answers")


def run(options: argparse.Namespace) -> int:
    wanted = [rule for spec in options.rule or sweep.DEFAULT if spec != "plain" for rule in sweep.expand(spec)]
    questions = tasks.items(options.family or tasks.names(), options.questions, options.seed)
    shared.lanes(options, ["plain"])  # before the models are loaded: are they allowed?
    if not (options.pair or options.draft or options.verifier):
        options.pair = sweep.PAIR
    shown = 0.0
    pair = shared.load(options)
    (settings,) = shared.lanes(options, ["plain"], pair)
    points: tuple[sweep.Point, ...] = ()
    try:
        for progress in sweep.sweep(pair, wanted, questions, settings):
            points = progress.points
            if progress.starting or progress.seconds - shown >= 0.2 or progress.done == progress.total:
                shown = progress.seconds
                left = "" if progress.left is None else f", about {progress.left:.0f} s left"
                left = f", starting {progress.starting} processes" if progress.starting else left
                said = f"\r{progress.done} of {progress.total} texts, {shown:.0f} s{left}".ljust(60)
                print(said, end="", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("\nStopped; what is complete stays.", end="", file=sys.stderr)
    print(file=sys.stderr)
    terminal.show_points(points, sys.stdout)
    if options.csv:
        Path(options.csv).write_text(sweep.csv_text(points), encoding="utf-8")
        print(f"Table saved to {options.csv}")
    if options.answers and points:
        text = answers.csv_text(questions, settings.seed, *sweep.by_rule(points))
        Path(options.answers).write_text(text, encoding="utf-8")
        print(f"Answers saved to {options.answers}")
    return 0 if points else 1
