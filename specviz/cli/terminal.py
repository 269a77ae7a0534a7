"""A trace in a terminal: tokens in the colours of their fate, and the figures with their definitions."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from specviz.record import metrics
from specviz.record.round import Round
from specviz.record.trace import Trace
from specviz.study.sweep import Point

STYLES = {  # fate -> ANSI codes; shape as well as colour, so that it reads without colour vision
    "accepted": "",
    "relaxed": "1;30;43",
    "rejected": "9;31",
    "discarded": "2;9;3",
    "resampled": "4;34",
    "bonus": "4:3;34",
}
WORDS = {
    "accepted": "kept",
    "relaxed": "kept by leniency: strict sampling would have refused it",
    "rejected": "refused",
    "discarded": "drafted behind a refusal, never judged",
    "resampled": "put in by the verifier",
    "bonus": "one more, earned by a clean round",
}
SHOWN = ("accepted_per_round", "acceptance_rate", "relaxed_share", "mean_kl", "tokens_per_second", "speedup")


class Terminal:
    """Writes a trace to `stream`, in colour if it is a terminal."""

    def __init__(self, trace: Trace, stream: TextIO):
        self._trace, self._out = trace, stream
        self._colour = stream.isatty()

    def show_round(self, lane: int, round_: Round) -> None:
        """Writes the tokens of one round, drafted and refused ones included (without colour: only the text)."""
        fates = round_.fates(self._trace.lanes[lane].lossless)
        kept = [(round_.drafted[node], fates[node]) for node in round_.path]
        cut = [(token, fate) for token, fate in zip(round_.drafted, fates) if fate in ("rejected", "discarded")]
        last = [(round_.emitted[-1], round_.origin)] if round_.origin else []
        for token, fate in [*kept, *(cut if self._colour else []), *last]:
            self._out.write(self._paint(safe(self._trace.pieces[str(token)]), fate))
        self._out.flush()

    def show_lane(self, number: int) -> None:
        """Writes a lane's name and its whole text."""
        self._out.write(f"\n== {self._trace.specs()[number]} ==\n")
        for round_ in self._trace.lanes[number].rounds:
            self.show_round(number, round_)
        self._out.write("\n")

    def show_figures(self) -> None:
        """Writes who drafted, a table of the lanes' figures, what the colours mean, and each figure's definition."""
        lanes = self._trace.lanes
        plain = self._trace.plain()
        rows = [metrics.figures(lane, plain) for lane in lanes]
        shown = [key for key in SHOWN if any(figures[key] is not None for figures in rows)]
        self._out.write("\n\n")
        if self._colour:
            self._out.write("  ".join(self._paint(fate, fate) + " " + WORDS[fate] for fate in STYLES) + "\n\n")
        if drafters := self._trace.drafters():
            self._out.write(f"drafter: {', '.join(drafters)}\n")
        heads = {key: _head(metrics.DEFINITIONS[key]) for key in shown}
        several = len(self._trace.drafters()) > 1
        names = [f"{lane.name}@{lane.drafter.name}" if several and lane.rule else lane.name for lane in lanes]
        self._out.write(metrics.table(list(zip(names, rows)), heads) + "\n\n")
        for key in shown:
            self._out.write(_defined(metrics.DEFINITIONS[key]))

    def _paint(self, text: str, fate: str) -> str:
        return f"\x1b[{STYLES[fate]}m{text}\x1b[0m" if self._colour and STYLES[fate] else text


POINTS = {
    "accuracy": (100, 1),
    "against_plain": (100, 1),
    "accepted_per_round": (1, 2),
    "emitted_per_round": (1, 2),
    "mean_kl": (1, 4),
}  # scale, digits


def show_points(points: Sequence[Point], stream: TextIO) -> None:
    """Writes a table of a sweep's points, every figure with its interval, and each figure's definition."""
    rows = [["rule", "questions", *(_head(metrics.SWEEP[key]) for key in POINTS)]]
    for point in points:
        row = point.row()
        cells = []
        for key, (scale, digits) in POINTS.items():
            value, low, high = (
                f"{scale * number:.{digits}f}" if isinstance(number := row[name], float | int) else None
                for name in (key, f"{key}_low", f"{key}_high")
            )
            cells.append("" if value is None else value if low is None else f"{value} ({low} to {high})")
        rows.append([str(row["rule"]), str(row["questions"]), *cells])
    wide = [max(map(len, column)) for column in zip(*rows)]
    for name, *cells in rows:
        columns = ("  " + cell.rjust(size) for cell, size in zip(cells, wide[1:]))
        stream.write(name.ljust(wide[0]) + "".join(columns) + "\n")
    stream.write("\n")
    for key in POINTS:
        stream.write(_defined(metrics.SWEEP[key]))


def _head(about: dict[str, str]) -> str:
    return about["label"] + (f", {about['unit']}" if about["unit"] else "")


def _defined(about: dict[str, str]) -> str:
    words = f"{about['label']} ({about['kind']}): {about['definition']}"
    return textwrap.fill(words, 100, subsequent_indent="    ") + "\n"


@contextmanager
def progress(stream: TextIO) -> Iterator[Callable[[float, str], None] | None]:
    """What shows on one line how far something is, (share, sentence), and wipes it at the end; None off a terminal."""
    if not stream.isatty():
        yield None
        return

    def show(share: float, sentence: str) -> None:
        stream.write(f"\r{safe(sentence)} {share:.0%}\x1b[K" if share else f"\r{safe(sentence)}\x1b[K")
        stream.flush()

    try:
        yield show
    finally:
        stream.write("\r\x1b[K")


def safe(text: str) -> str:
    """Model text for a terminal: newline stays, every other control or direction-changing character is shown as its code."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs") else f"⟨{ord(c):04X}⟩" for c in text
    )
