"""What the benchmark found, as tables in a terminal and as plots in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Bar, Scatter

Rows = Sequence[Mapping[str, Any]]  # `ways.Rates`, `parts.Part`, `parts.First` or `generated.Behind`

TITLES = {
    "pair": "Tokens per second",
    "drafters": "All drafters under sps, tokens per second",
    "lengths": "sps by draft length, tokens per second",
    "looks": "What one look of the verifier costs, by the nodes it sees at once",
    "trees": "Chain or tree at the same budget of nodes, tokens per second, without measures",
    "parts": "Where the time goes: one lane of sps as the page runs it",
    "first": "From a prompt to its first token in the page's stream (without browser)",
    "page": "The page beside the command line (without browser), tokens per second",
    "context": "Time per token by context, beside the two models' forwards alone",
    "context of the generated pair": "The same for a generated pair of 31 M and 1 M parameters",
    "batch": "Many prompts at once, tokens per second",
    "generated": "Both on transformers' own forward: a generated pair of 31 M and 1 M random weights, tokens per second",
}
NOTES = {
    "pair": "Ratios are medians over neighbouring runs, with the runs between which the true median lies 95 times in 100 (from six runs on). Tracing on unless said otherwise: exact measures and a full record.",
    "drafters": "Tracing off. Kept: of all drafted tokens; each: time in the drafter per drafted token; outside: time in neither drafter nor verifier.",
    "generated": "Random weights: what is kept of a draft is what two nearly flat distributions share, and the same for all ways.",
}

DARK, MIDDLE, GREY, LIGHT = "#26262a", "#8a8a86", "#b4b4ae", "#e2e2dc"


def show(name: str, rows: Rows) -> None:
    """Prints a table."""
    print(TITLES[name])
    if name == "parts":
        for row in rows:
            each = f"{1e6 * row['seconds_per_token']:9.0f} us/token"
            print(f"  {row['part']:13}{row['share']:7.1%}{each}   {row['about']}")
        outside = 1 - sum(row["share"] for row in rows if row["part"] in ("draft", "verify"))
        print(f"  outside the two models' forwards: {outside:.1%}")
    elif name == "first":
        for row in rows:
            print(
                f"  {row['name']:13}{1e3 * row['seconds']:7.0f} ms, {1e3 * row['least']:.0f} to {1e3 * row['most']:.0f}"
            )
    elif name == "looks":
        print(f"  {'nodes':>8}{'as a chain':>15}{'as a tree':>15}{'ratio':>8}")
        for row in rows:
            print(f"  {row['nodes']:8}{1e3 * row['chain']:12.2f} ms{1e3 * row['tree']:12.2f} ms{row['ratio']:8.2f}")
    elif name.startswith("context"):
        print(f"  {'context':>8}{'specviz sps':>15}{'forwards':>15}{'ratio':>8}{'written per round':>20}")
        for row in rows:
            each, bare = 1e3 * row["seconds_per_token"], 1e3 * row["forward_seconds_per_token"]
            print(
                f"  {row['context']:8,}{each:12.2f} ms{bare:12.2f} ms{row['ratio']:8.2f}{row['written_per_round']:20.2f}"
            )
    else:
        wide = max(len(row["name"]) for row in rows) + 2
        for row in rows:
            digits = 0 if row["rate"] >= 100 else 1
            quartiles = f"{row['low']:.{digits}f} to {row['high']:.{digits}f}"
            written = f"{row['written_per_round']:.2f} per call" if row["written_per_round"] else ""
            ratio = ""
            if row["ratio"]:
                ratio = f"{row['ratio']:.2f}x {row['against']} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            line = f"  {row['name']:{wide}}{row['rate']:7.{digits}f}{quartiles:>16}{written:>17}"
            print(f"{line}{_spent(row) if name == 'drafters' else ''}   {ratio}".rstrip())
        if name == "lengths":
            print(f"  fastest fixed length: {max(rows[:-1], key=lambda row: row['rate'])['name']}")
    print("  " + NOTES[name] if name in NOTES else "", end="\n\n" if name in NOTES else "\n")


def _spent(row: Mapping[str, Any]) -> str:
    """What drafting took, in columns."""
    if row["outside"] is None:
        return " " * 46
    drafted = ""
    if row["kept_share"] is not None:
        drafted = f"kept {row['kept_share']:.0%}, each {1e3 * row['seconds_per_drafted']:.2f} ms"
    return f"{drafted:>27}  outside {row['outside']:5.1%}   "


def plot(tables: Mapping[str, Any], path: str) -> None:
    """Writes a self-contained HTML page with a plot of every table; `tables` has an entry "about" besides."""
    from plotly.subplots import make_subplots

    names = [name for name in TITLES if name in tables]
    figure = make_subplots(
        rows=len(names), cols=1, subplot_titles=[TITLES[name] for name in names], vertical_spacing=0.35 / len(names)
    )
    for place, name in enumerate(names, 1):
        rows: Rows = tables[name]
        if name in LINES or name.startswith("context"):
            across, up, *lines = LINES.get(name, LINES["context"])
            for line in _lines(rows, across, lines):
                figure.add_trace(line, row=place, col=1)
            figure.update_xaxes(title=across, row=place, col=1)
            figure.update_yaxes(title=up, rangemode="tozero", row=place, col=1)
        elif name == "first":
            figure.add_trace(_firsts(rows[::-1]), row=place, col=1)
            figure.update_xaxes(title="ms", row=place, col=1)
        elif name == "parts":
            figure.add_trace(_shares(rows[::-1]), row=place, col=1)  # plotly draws upwards
            figure.update_xaxes(tickformat=".0%", row=place, col=1)
        else:
            figure.add_trace(_rates(rows[::-1]), row=place, col=1)
            figure.update_yaxes(type="category", row=place, col=1)
    figure.update_layout(title=tables["about"], showlegend=False, height=330 * len(names), template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)


LINES: dict[str, tuple[str, str, tuple[str, str], tuple[str, str]]] = {  # across, up, and for each line its key and name
    "context": (
        "tokens of context", "ms per token", ("seconds_per_token", "specviz sps"), ("forward_seconds_per_token", "forwards alone"),
    ),
    "looks": ("nodes", "ms", ("chain", "chain"), ("tree", "tree")),
}  # fmt: skip


def _lines(rows: Rows, across: str, lines: Sequence[tuple[str, str]]) -> list[Scatter]:
    """Milliseconds by what stands across: two lines."""
    from plotly.graph_objects import Scatter

    looks = ((dict(color=DARK), "top left"), (dict(color=GREY, dash="dot"), "bottom left"))
    return [
        Scatter(
            x=[row[across.split()[-1]] for row in rows],
            y=[1e3 * row[key] for row in rows],
            line=look,
            mode="lines+markers+text",
            text=[""] * (len(rows) - 1) + [label],
            textposition=where,
            cliponaxis=False,
        )
        for (key, label), (look, where) in zip(lines, looks)
    ]


def _shares(rows: Rows) -> Bar:
    """Parts of the whole."""
    from plotly.graph_objects import Bar

    return Bar(
        y=[row["part"] for row in rows],
        x=[row["share"] for row in rows],
        text=[f"{row['share']:.1%}" for row in rows],
        hovertext=[row["about"] for row in rows],
        orientation="h",
        marker_color=DARK,
    )


def _firsts(rows: Rows) -> Bar:
    """Milliseconds to the first token, from the least to the most."""
    from plotly.graph_objects import Bar

    return Bar(
        y=[row["name"] for row in rows],
        x=[1e3 * row["seconds"] for row in rows],
        error_x=dict(
            type="data",
            symmetric=False,
            array=[1e3 * (row["most"] - row["seconds"]) for row in rows],
            arrayminus=[1e3 * (row["seconds"] - row["least"]) for row in rows],
            color=MIDDLE,
        ),
        orientation="h",
        marker_color=DARK,
    )


def _rates(rows: Rows) -> Bar:
    """Tokens per second with their quartiles."""
    from plotly.graph_objects import Bar

    return Bar(
        y=[row["name"] for row in rows],
        x=[row["rate"] for row in rows],
        error_x=dict(
            type="data",
            symmetric=False,
            array=[row["high"] - row["rate"] for row in rows],
            arrayminus=[row["rate"] - row["low"] for row in rows],
            color=MIDDLE,
        ),
        text=[f"{row['rate']:.0f}" for row in rows],
        insidetextanchor="start",
        textangle=0,
        orientation="h",
        marker_color=[
            GREY if "transformers" in row["name"] else LIGHT if "alone" in row["name"] else DARK for row in rows
        ],
    )
