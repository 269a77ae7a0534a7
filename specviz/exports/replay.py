"""One HTML file that replays a trace without a server: styles, scripts, trace and plots inside, no request to anywhere."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specviz import backends
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.view.boot import PLOTLY, drafter_words, inline, pair_words, rule_words, scripts, styles

_UNPACK = """
window.specviz.plotly = async () => {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
  return window.Plotly;
};
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>specviz: {title}</title>
<style>body {{ margin: 0; }}</style>
{styles}</head>
<body>
<div id="host"></div>
<script>window.specviz = {{ boot: {boot}, offline: {record} }};</script>
<script type="text/plain" id="plotly">{plotly}</script>
<script>{unpack}</script>
{scripts}<script>window.specviz.app.start(document.getElementById("host"));</script>
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


def replay(trace: Trace) -> str:
    """The HTML of a trace."""
    boot = {
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "pairs": _pairs(trace),
        "prompts": [],
        "plotly": "",
    }
    title = _escape(trace.prompt.strip().splitlines()[0][:80]) if trace.prompt.strip() else "a run"
    return _PAGE.format(
        title=title,
        styles="".join(f"<style>{text}</style>\n" for text in styles()),
        boot=inline(json.dumps(boot)),
        record=inline(json.dumps(trace.to_json())),
        plotly=_packed(PLOTLY),
        unpack=_UNPACK,
        scripts="".join(f"<script>{text}</script>\n" for text in scripts()),
    )


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
