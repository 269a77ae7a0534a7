"""`specviz space`: checks what a Gradio Space needs, and pushes it."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="OWNER/NAME", help="the Space to create or to update")
    parser.add_argument(
        "--hardware",
        choices=("cpu-basic", "zero-a10g"),
        default="cpu-basic",
        help="what it runs on; zero-a10g is ZeroGPU, with the versions that it offers (default %(default)s)",
    )
    parser.add_argument("--check", action="store_true", help="check, list the files, and push nothing")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="write the files into an empty folder, and push nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Returns 1 if something was found that the Hub would refuse, or that would not run there."""
    from specviz.hosting import check, prepare, push

    if options.to is None and not (options.check or options.folder):
        raise ValueError(
            "Say where to push with --to OWNER/NAME, or only --check, or write the files with --folder DIR."
        )
    to = push.parsed(options.to) if options.to else "OWNER/NAME"
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "space"
        names = prepare.prepared(folder, to, options.hardware)
        good = True
        for found in check.checks(folder, options.hardware):
            print(f"{'ok' if found.good else 'WRONG':<6} {found.about}: {found.said}")
            good = good and found.good
        print(f"       left out: {', '.join(prepare.left_out())}")
        if options.check:
            print("\n".join(f"       {(folder / name).stat().st_size:>10,}  {name}" for name in names))
        if not good:
            print("Nothing is pushed.")
            return 1
        if options.folder:
            print(f"The Space is in {options.folder}")
        elif not options.check:
            print(f"Pushing {len(names)} files to {to}", flush=True)
            print(f"The Space is at {push.pushed(folder, to, sdk='gradio', hardware=options.hardware)}")
    return 0
