"""The command line, `specviz` or `python -m specviz`: the same things as the page without a browser, and the page. A
command is a module with `add_arguments` and `run`, which returns the exit status."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from specviz import __version__, optional
from specviz.types import ModelError

COMMANDS = (
    ("page", "specviz.ui.serve", "serve the page, to open in a browser"),
    ("generate", "specviz.cli.generate", "decode a prompt with one acceptance rule"),
    ("compare", "specviz.cli.compare", "decode a prompt with several rules under shared randomness"),
    ("verify", "specviz.cli.verify", "re-run a saved trace and say whether it reproduces"),
    ("export", "specviz.cli.export", "make a file of a saved trace, to show or to send on"),
    ("site", "specviz.cli.site", "make a static site of the recorded runs, and push it as a Static Space"),
    ("space", "specviz.cli.space", "check what a Gradio Space needs, and push it"),
    ("advise", "specviz.cli.advise", "from recorded runs to a knob value for each rule"),
    ("sweep", "specviz.cli.sweep", "what rules and knob values cost in right answers"),
    ("train", "specviz.training", "train a pair from texts, or a draft for a verifier of yours"),
    ("bench", "specviz.bench", "measure speed side by side with what one would use instead"),
)

ENVIRONMENT = {  # of the libraries, before they are imported
    "OMP_WAIT_POLICY": "passive",  # threads that wait for each other by spinning lose 8 ms at every step on a busy machine
    "GRADIO_ANALYTICS_ENABLED": "False",  # nobody is told that specviz is used
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, 1 if a trace does not reproduce, 2 for a usage error."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, ModelError, ModuleNotFoundError) as error:
        sentence = optional.missing(error)
        if sentence is None and isinstance(error, ModuleNotFoundError):
            raise
        print(f"specviz: {sentence or error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except FileNotFoundError as error:
        print(f"specviz: there is no file {error.filename!r}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename!r} cannot be used: {error.strerror}" if error.filename else error
        print(f"specviz: {where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="specviz", description="Run a draft and a verifier model, and see what an acceptance rule does."
    )
    parser.add_argument("--version", action="version", version=f"specviz {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, package, help_text in COMMANDS:
        command = commands.add_parser(name, help=help_text)
        module = importlib.import_module(package)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
