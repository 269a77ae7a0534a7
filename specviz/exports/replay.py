"""One HTML file that replays traces without a server: styles, modules, traces and plots inside, no request to anywhere."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specviz import __version__, backends
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.view.boot import PLOTLY, drafter_words, head, inside, pair_words, rule_words, run_id

NAME = 40  # characters of the name of a run among others

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>specviz: {title}</title>
<style>body {{ margin: 0; }}</style>
{head}
</head>
<body>
<script type="text/plain" id="plotly">{plotly}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Replay:
    """A self-contained page that plays runs. Opens from a file, and is a whole Static Space."""

    name = "replay"
    suffix = ".html"
    summary = "One HTML file that plays the run without a server."
    several = True

    def write(self, records: Sequence[Trace], path: Path) -> None:
        path.write_text(replay(*records), encoding="utf-8")


def replay(*traces: Trace, address: Callable[[Path], str] = inside) -> str:
    """The HTML of some traces: it opens with the first, and has a button for each where there are several. `address` says
    where a module is found, without it inside the page."""
    boot = {
        "version": __version__,
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "pairs": _pairs(traces),
        "prompts": [_listed(number, trace) for number, trace in enumerate(traces)] if len(traces) > 1 else [],
        "plotly": "",
    }
    records = [trace.to_json() for trace in traces]
    title = f"{len(traces)} runs" if len(traces) > 1 else _escape(_first_line(traces[0])) or "a run"
    return _PAGE.format(title=title, head=head(boot, address, records), plotly=_packed(PLOTLY))


def _listed(number: int, trace: Trace) -> dict[str, Any]:
    """A run among others, as the page lists its examples; `recorded` is the element that holds it (see `boot.head`)."""
    words = _first_line(trace)
    name = f"{number + 1}. {words if len(words) <= NAME else words[:NAME] + '…'}"
    return {
        "name": name,
        "pair": None,
        "style": trace.style,
        "text": trace.prompt,
        "why": "",
        "recorded": run_id(number),
    }


def _first_line(trace: Trace) -> str:
    return next(iter(trace.prompt.strip().splitlines()), "")[:80]


def _pairs(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """What is known of the pairs that made the runs, of those that come with the project."""
    names: dict[str, None] = {}
    for trace in traces:
        ids = [trace.models[role].id if role in trace.models else None for role in ("draft", "verifier")]
        names[str(backends.pair_of(ids).get("pair"))] = None  # in their order, each once
    known = backends.pairs()
    return [pair_words(known[name]) for name in names if name in known]


@cache
def _packed(path: Path) -> str:
    return base64.b64encode(gzip.compress(path.read_bytes(), 6, mtime=0)).decode("ascii")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
