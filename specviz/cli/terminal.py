"""A trace in a terminal: tokens in the colours of their fate, and the figures with their definitions."""

from __future__ import annotations

import textwrap
import unicodedata

from specviz.record import metrics

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
    "relaxed": "kept on budget: strict sampling would have refused it",
    "rejected": "refused",
    "discarded": "drafted behind a refusal, never judged",
    "resampled": "put in by the verifier",
    "bonus": "one more, earned by a clean round",
}
SHOWN = ("accepted_per_round", "acceptance_rate", "relaxed_share", "mean_kl", "tokens_per_second", "speedup")


class Terminal:
    """Writes a trace's data to `stream`, in colour if it is a terminal."""

    def __init__(self, data: dict, stream):
        self._data, self._out = data, stream
        self._colour = stream.isatty()

    def show_round(self, lane: int, round_: dict | None) -> None:
        """Writes the tokens of one round, drafted and refused ones included (without colour: only the text)."""
        if round_ is None:
            return
        fates = metrics.fates(self._data["lanes"][lane], round_)
        drafted = list(zip(round_["drafted"], fates))
        kept, cut = drafted[: round_["kept"]], drafted[round_["kept"] :]
        last = [(round_["emitted"][-1], round_["origin"])] if round_["origin"] else []
        for token, fate in kept + (cut if self._colour else []) + last:
            self._out.write(self._paint(safe(self._data["pieces"][str(token)]), fate))
        self._out.flush()

    def show_lane(self, lane: int) -> None:
        """Writes a lane's name and its whole text."""
        data = self._data["lanes"][lane]
        self._out.write(f"\n== {data['rule'] or 'plain'} ==\n")
        for round_ in data["rounds"]:
            self.show_round(lane, round_)
        self._out.write("\n")

    def show_figures(self) -> None:
        """Writes a table of the lanes' figures, what the colours mean, and each figure's definition."""
        lanes = self._data["lanes"]
        plain = next((lane for lane in lanes if lane["rule"] is None), None)
        found = [metrics.figures(lane, plain) for lane in lanes]
        shown = [key for key in SHOWN if any(f[key] is not None for f in found)]
        wide = max(len(lane["name"]) for lane in lanes) + 2
        self._out.write("\n\n")
        if self._colour:
            self._out.write("  ".join(self._paint(fate, fate) + " " + WORDS[fate] for fate in STYLES) + "\n\n")
        heads = {
            key: f"{metrics.DEFINITIONS[key]['label']}"
            + (f", {unit}" if (unit := metrics.DEFINITIONS[key]["unit"]) else "")
            for key in shown
        }
        self._out.write(" " * wide + "  ".join(heads.values()) + "\n")
        for lane, figures in zip(lanes, found):
            cells = ("" if figures[key] is None else f"{figures[key]:.4g}" for key in shown)
            self._out.write(
                lane["name"].ljust(wide)
                + "  ".join(cell.rjust(len(head)) for cell, head in zip(cells, heads.values()))
                + "\n"
            )
        self._out.write("\n")
        for key in shown:
            about = metrics.DEFINITIONS[key]
            self._out.write(
                textwrap.fill(
                    f"{about['label']} ({about['kind']}): {about['definition']}", 100, subsequent_indent="    "
                )
                + "\n"
            )

    def _paint(self, text: str, fate: str) -> str:
        return f"\x1b[{STYLES[fate]}m{text}\x1b[0m" if self._colour and STYLES[fate] else text


POINTS = {
    "accuracy": (100, 1),
    "against_plain": (100, 1),
    "accepted_per_round": (1, 2),
    "emitted_per_round": (1, 2),
    "mean_kl": (1, 4),
}  # scale, digits


def show_points(points, stream) -> None:
    """Writes a table of a sweep's points, every figure with its interval, and each figure's definition."""
    heads = [
        metrics.SWEEP[key]["label"] + (f", {unit}" if (unit := metrics.SWEEP[key]["unit"]) else "") for key in POINTS
    ]
    rows = [["rule", "questions", *heads]]
    for point in points:
        row = point.row()
        cells = []
        for key, (scale, digits) in POINTS.items():
            value, low, high = (
                None if x is None else f"{scale * x:.{digits}f}"
                for x in (row[key], row[f"{key}_low"], row[f"{key}_high"])
            )
            cells.append("" if value is None else value if low is None else f"{value} ({low} to {high})")
        rows.append([row["rule"], str(row["questions"]), *cells])
    wide = [max(map(len, column)) for column in zip(*rows)]
    for name, *cells in rows:
        stream.write(
            name.ljust(wide[0]) + "".join("  " + cell.rjust(size) for cell, size in zip(cells, wide[1:])) + "\n"
        )
    stream.write("\n")
    for key in POINTS:
        about = metrics.SWEEP[key]
        stream.write(
            textwrap.fill(f"{about['label']} ({about['kind']}): {about['definition']}", 100, subsequent_indent="    ")
            + "\n"
        )


def safe(text: str) -> str:
    """Model text for a terminal: newline stays, every other control or direction-changing character is shown as its code."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs") else f"⟨{ord(c):04X}⟩" for c in text
    )
