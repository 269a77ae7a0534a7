"""`specviz export`: makes a file of saved traces."""

from __future__ import annotations

import argparse
from pathlib import Path

from specviz import exports
from specviz.record import trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "traces", nargs="+", metavar="trace", help="a trace made by --json or downloaded from the page, or several"
    )
    parser.add_argument("--as", dest="kind", required=True, metavar="NAME", help="an export (see below)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = (f"  {words['name']:<15}{words['summary']} (*{words['suffix']})" for words in exports.words())
    parser.epilog = "\n".join(["exports:", *listed])


def run(options: argparse.Namespace) -> int:
    export = exports.make(options.kind)
    saved = [trace.load(path) for path in options.traces]
    if len(saved) > 1 and not export.several:
        raise ValueError(f"The export {export.name} holds one run, and you gave {len(saved)}.")
    for path in options.traces:
        if options.output.resolve() == Path(path).resolve():
            raise ValueError(f"{path!r} is the trace itself. Give the export a file of its own.")
    export.write(saved, options.output)
    print(f"{options.kind.capitalize()} saved to {options.output}")
    return 0
