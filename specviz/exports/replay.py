"""One HTML file that replays a trace without a server: styles, scripts, trace and plots inside, no request to anywhere."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path

from specviz import metrics, registry, rules
from specviz.trace import Trace

VIEW = Path(__file__).resolve().parents[2] / "assets" / "view"
PLOTLY = VIEW.parent / "plotly-basic.min.js"  # plotly.js-basic-dist-min 4.1.1: only what the plots use, a seventh of the whole to start
STYLES = ("base.css", "compare.css", "playground.css", "about.css", "fork.css", "advisor.css", "sweep.css")
PLOTS = tuple(f"plots/{path.name}" for path in sorted((VIEW / "plots").glob("*.js")))  # a plot is a file there, named nowhere else
SCRIPTS = (
    "store.js", "rules.js", "dom.js", "state.js", "pointing.js", "controls.js", "lanes.js", "timeline.js", "fork.js", "inspector.js", "plots.js", *PLOTS, "share.js", "live.js", "sections.js",
    "laws.js", "playground-state.js", "playground-svg.js", "playground-labels.js", "playground-bars.js", "playground-chart.js", "playground-table.js", "playground-check.js", "playground.js",
    "about.js", "advisor.js", "sweep-form.js", "sweep-plots.js", "sweep-table.js", "sweep.js",
    "app.js",
)  # fmt: skip
PLAIN = {
    "summary": "The verifier alone, one token per call. What the others are measured against.", "formula": "draw y from q; write y", "helps": "As the yardstick: its text and its speed are what every rule is held against.",
    "hurts": "The big model is called once for every token, which is slow.", "source": "", "lossless": True, "knobs": [],
}  # fmt: skip

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


class Replay:
    """A self-contained page that plays one run. Opens from a file, and is a whole Static Space."""

    name = "replay"
    suffix = ".html"
    summary = "One HTML file that plays the run without a server."

    def write(self, record: Trace, path: Path) -> None:
        Path(path).write_text(replay(record.to_json()), encoding="utf-8")


def inline(text: str) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or the line."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def rule_words() -> dict:
    """The rules and their knobs, in words, for a page. `plain` is decoding with the verifier alone."""
    known = {"plain": PLAIN}
    for name in rules.names():
        cls = rules.get(name)
        knobs = [info | {"allowed": " or ".join(info["choices"]) if info["choices"] else registry.allowed(info)} for info in registry.knobs(cls)]
        known[name] = {word: getattr(cls, word) for word in ("summary", "formula", "helps", "hurts", "source", "lossless")} | {"knobs": knobs}
    return known


def replay(text: str) -> str:
    """The HTML of a trace given as JSON text. ValueError says what is wrong with the trace."""
    record = Trace.from_json(text).to_json()
    prompt = json.loads(record)["prompt"]
    boot = {"rules": rule_words(), "definitions": metrics.DEFINITIONS, "prompts": [], "styles": {}, "recorded": {}, "plotly": ""}
    styles = "".join(f"<style>{(VIEW / name).read_text(encoding='utf-8')}</style>\n" for name in STYLES)
    scripts = "".join(f"<script>{(VIEW / name).read_text(encoding='utf-8')}</script>\n" for name in SCRIPTS)
    packed = _packed(PLOTLY)
    title = _escape(prompt.strip().splitlines()[0][:80]) if prompt.strip() else "a run"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>specviz: {title}</title>\n<style>body {{ margin: 0; }}</style>\n{styles}</head>\n<body>\n<div id=\"host\"></div>\n"
        f"<script>window.specviz = {{ boot: {inline(json.dumps(boot))}, offline: {inline(json.dumps(record))} }};</script>\n"
        f'<script type="text/plain" id="plotly">{packed}</script>\n<script>{_UNPACK}</script>\n{scripts}'
        '<script>window.specviz.app.start(document.getElementById("host"));</script>\n</body>\n</html>\n'
    )


@cache
def _packed(path: Path) -> str:
    return base64.b64encode(gzip.compress(path.read_bytes(), 6, mtime=0)).decode("ascii")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
