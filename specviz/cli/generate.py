"""`specviz generate`: decodes a prompt with one acceptance rule."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from specviz.cli import options as shared
from specviz.cli import terminal
from specviz.record.running import run as begin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rule", default="sps", help="an acceptance rule (see below), or plain for the verifier alone")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the rule; may be repeated"
    )
    shared.add_run(parser)


def run(options: argparse.Namespace) -> int:
    return decode(options, [":".join([options.rule, *filter(None, [",".join(options.set)])])])


def decode(options: argparse.Namespace, specs: Sequence[str]) -> int:
    """Runs the lanes, shows what they wrote and their figures, and saves the trace where that was asked for."""
    shared.lanes(options, specs)  # before the models are loaded: are they allowed?
    pair = shared.load(options)
    lanes = shared.lanes(options, specs, pair)
    style = options.style or next(iter(pair.styles), None)
    quiet = options.json == "-"
    running = begin(pair, options.prompt, lanes, style=style, system=options.system)
    view = terminal.Terminal(running.trace, sys.stdout)
    for added in running:
        if not quiet and len(lanes) == 1:
            view.show_round(0, added.round)
    if quiet:
        sys.stdout.write(running.trace.to_json())
        return 0
    for lane in range(len(lanes) if len(lanes) > 1 else 0):
        view.show_lane(lane)
    view.show_figures()
    if options.json:
        running.trace.save(options.json)
        print(f"Trace saved to {options.json}")
    return 0
