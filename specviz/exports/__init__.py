"""Ways to take runs along, one file each; they read Traces and nothing else.

An export is a frozen dataclass in its own file here. It is found by its `name`, listed by `specviz export` and in the
page's Export menu, and tested with the others; nothing names it elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from specviz import registry
from specviz.record.trace import Trace


class Export(Protocol):
    """A kind of file made of a trace, or of several."""

    name: str  # one word, as on the command line
    suffix: str  # of the file, with its dot
    summary: str  # one line for people
    several: bool  # whether one file may hold more than one run

    def write(self, records: Sequence[Trace], path: Path) -> None:
        """Writes the file of one run, or of some where `several`. Raises OSError if it cannot be written."""


def names() -> list[str]:
    """All exports, in alphabetical order."""
    return list(registry.variants(__name__))


def make(name: str) -> Export:
    """The export called `name`. ValueError says which there are."""
    return cast(Export, registry.make(__name__, "export", name))


def words() -> list[dict[str, str]]:
    """Name, suffix and summary of every export, for the command line and the page."""
    return [{word: getattr(make(name), word) for word in ("name", "suffix", "summary")} for name in names()]
