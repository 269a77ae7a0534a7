"""The same things as the page, without a browser: `python -m specviz COMMAND`. A command is a module with `add_arguments`
and `run`, which returns the exit status."""

from __future__ import annotations

import argparse
import importlib
import sys

from specviz.types import ModelError

COMMANDS = (
    ("generate", "specviz.cli.generate", "decode a prompt with one acceptance rule"),
    ("compare", "specviz.cli.compare", "decode a prompt with several rules under shared randomness"),
    ("verify", "specviz.cli.verify", "re-run a saved trace and say whether it reproduces"),
    ("advise", "specviz.cli.advise", "from recorded runs to a knob value for each rule"),
    ("sweep", "specviz.cli.sweep", "what rules and knob values cost in right answers"),
    ("train", "specviz.training", "train the shipped pair from texts and generated questions"),
    ("bench", "specviz.bench", "measure speed side by side with what one would use instead"),
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, 1 if a trace does not reproduce, 2 for a usage error."""
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, ModelError) as error:
        print(f"specviz: {error}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"specviz: there is no file {error.filename!r}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m specviz", description="Run a draft and a verifier model, and see what an acceptance rule does."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, package, help_text in COMMANDS:
        command = commands.add_parser(name, help=help_text)
        module = importlib.import_module(package)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
