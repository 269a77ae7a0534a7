"""`specviz site`: a static site of the recorded runs."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="an empty folder, or one that is not there yet")
    parser.add_argument(
        "--to", metavar="OWNER/NAME", help="push it as a Static Space, which is free; what is there is replaced"
    )


def run(options: argparse.Namespace) -> int:
    from specviz.hosting import push, site

    to = push.parsed(options.to) if options.to else None
    pages = site.made(options.folder)
    print(f"{len(pages) - 1} runs and the playground are in {options.folder}: open {pages[0]}")
    if to:
        print(f"The Space is at {push.pushed(options.folder, to, sdk='static')}")
    return 0
