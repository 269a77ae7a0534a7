"""`specviz export`: makes a file of a saved trace."""

from __future__ import annotations

import argparse
from pathlib import Path

from specviz import exports
from specviz.record import trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", help="a trace made by --json or downloaded from the page")
    parser.add_argument("--as", dest="kind", required=True, metavar="NAME", help="an export (see below)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = (f"  {words['name']:<15}{words['summary']} (*{words['suffix']})" for words in exports.words())
    parser.epilog = "\n".join(["exports:", *listed])


def run(options: argparse.Namespace) -> int:
    export = exports.make(options.kind)
    saved = trace.load(options.trace)
    if options.output.resolve() == Path(options.trace).resolve():
        raise ValueError(f"{options.trace!r} is the trace itself. Give the export a file of its own.")
    export.write(saved, options.output)
    print(f"{options.kind.capitalize()} saved to {options.output}")
    return 0
