"""One HTML file that replays a trace without a server: styles, modules, trace and plots inside, no request to anywhere."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specviz import __version__, backends
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.view.boot import PLOTLY, drafter_words, head, inside, pair_words, rule_words

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
    """A self-contained page that plays one run. Opens from a file, and is a whole Static Space."""

    name = "replay"
    suffix = ".html"
    summary = "One HTML file that plays the run without a server."

    def write(self, record: Trace, path: Path) -> None:
        path.write_text(replay(record), encoding="utf-8")


def replay(trace: Trace, address: Callable[[Path], str] = inside) -> str:
    """The HTML of a trace. `address` says where a module is found, without it inside the page."""
    boot = {
        "version": __version__,
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "pairs": _pairs(trace),
        "prompts": [],
        "plotly": "",
    }
    title = _escape(trace.prompt.strip().splitlines()[0][:80]) if trace.prompt.strip() else "a run"
    return _PAGE.format(title=title, head=head(boot, address, trace.to_json()), plotly=_packed(PLOTLY))


def _pairs(trace: Trace) -> list[dict[str, Any]]:
    """What is known of the pair that made a run, if it is one that comes with the project."""
    ids = [trace.models[role].id if role in trace.models else None for role in ("draft", "verifier")]
    facts = backends.pairs().get(str(backends.pair_of(ids).get("pair")))
    return [] if facts is None else [pair_words(facts)]


@cache
def _packed(path: Path) -> str:
    return base64.b64encode(gzip.compress(path.read_bytes(), 6, mtime=0)).decode("ascii")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
