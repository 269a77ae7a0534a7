"""What the browser runs, and what it must know before it starts: modules and styles, the rules in words."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from specviz import drafters, registry, rules, sets
from specviz.assets import ASSETS
from specviz.backends import PairFacts

VIEW = Path(__file__).resolve().parent
PLOTLY = (
    ASSETS / "plotly-basic.min.js"
)  # plotly.js-basic-dist-min 4.1.1: only what the plots use, a seventh of the whole to start
STYLES = (
    "base.css", "top.css", "prompt.css", "parts.css", "lanes.css", "text.css", "timeline.css", "inspector.css", "below.css",
    "screen.css", "narrow.css", "tour.css", "numbers.css", "playground.css", "playtable.css", "candidates.css", "about.css",
    "fork.css", "advisor.css", "sweep.css", "questions.css", "rounds.css", "plots.css", "code.css", "drafters.css", "tree.css",
)  # fmt: skip
OPENINGS = VIEW / "openings.json"  # rules and distributions that the page opens with or offers first
JS = VIEW / "js"
MODULES = tuple(sorted(JS.rglob("*.js")))
PLOTS = tuple(path for path in MODULES if path.parent.name == "plots")  # a plot is a file there, named nowhere else
TWINS = tuple(sorted(Path(rules.__file__).parent.glob("*.js")))  # of the rules, beside them; see js/laws/twins.js
SETS = tuple(sorted(Path(sets.__file__).parent.glob("*.js")))  # of the rules over siblings; see js/laws/sets.js
FACES = {"Inter": VIEW / "fonts" / "inter.woff2", "JetBrains Mono": VIEW / "fonts" / "jetbrains-mono.woff2"}
ENTRY = 'import { open } from "specviz/shell/app.js"; open();'
WORDS = (
    "summary",
    "formula",
    "helps",
    "hurts",
    "source",
    "lossless",
    "scope",
    "flips",
    "loose_below",
    "spends",
    "servers",
)
SET_WORDS = ("summary", "formula", "helps", "hurts", "source", "lossless", "drawings")
PLAIN = {
    "summary": "The verifier alone, one token per call. What the others are measured against.", "formula": "draw y from q; write y", "helps": "As the yardstick: its text and its speed are what every rule is held against.",
    "hurts": "The big model is called once for every token, which is slow.", "source": "", "lossless": True, "scope": "token", "flips": None, "loose_below": False, "spends": None, "servers": {}, "knobs": [],
}  # fmt: skip


def imports(address: Callable[[Path], str]) -> dict[str, str]:
    """What each module is called in an import, and its address: an import map."""
    return {f"specviz/{path.relative_to(JS).as_posix()}": address(path) for path in MODULES} | {
        f"specviz/{path.parent.name}/{path.name}": address(path) for path in (*TWINS, *SETS)
    }


def faces(address: Callable[[Path], str]) -> str:
    """The style sheet that brings the faces, so that a line breaks in the same place on every machine."""
    return "".join(
        f'@font-face {{ font-family: "{name}"; src: url("{address(path)}") format("woff2"); '
        "font-weight: 400 700; font-display: swap; }\n"
        for name, path in FACES.items()
    )


def inside(path: Path) -> str:
    """A file as an address that holds all of it, for a page that asks nobody for anything."""
    if path.suffix == ".woff2":
        return "data:font/woff2;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    name = path.relative_to(VIEW.parent).as_posix()
    text = f"{path.read_text(encoding='utf-8')}//# sourceURL=specviz/{name}\n"
    return "data:text/javascript;charset=utf-8," + quote(text, safe=" !$&'()*+,-./:;<=>?@[]^_`{|}~\"")


def head(words: dict[str, Any], address: Callable[[Path], str], records: Sequence[str] = ()) -> str:
    """The elements that make a page this one: styles, modules at their addresses, `words` (see `ui.page.words`) and, in a
    replay, the traces as JSON texts. They must come before any other script, since an import map must."""
    found = {"twins": TWINS, "plots": PLOTS}
    known = (
        words
        | {kind: [path.stem for path in paths] for kind, paths in found.items()}
        | {"sets": set_words(), "openings": json.loads(OPENINGS.read_text(encoding="utf-8"))}
    )
    modules = imports(address)
    parts = [f'<script type="importmap">{inline(_dumps({"imports": modules}))}</script>']
    parts += [f'<link rel="modulepreload" href="{at}">' for at in modules.values() if not at.startswith("data:")]
    parts += [f"<style>{text}</style>" for text in (faces(address), *styles())]
    parts.append(f'<script type="application/json" id="specviz-boot">{inline(_dumps(known))}</script>')
    for number, record in enumerate(records):
        parts.append(f'<script type="application/json" id="{run_id(number)}">{inline(record)}</script>')
    parts.append(f'<script type="module" async>{ENTRY}</script>')
    return "\n".join(parts)


def run_id(number: int) -> str:
    """The element of a replay that holds a run; the first is the one it opens with."""
    return f"specviz-run-{number + 1}" if number else "specviz-run"


def styles() -> list[str]:
    """The texts of all style sheets, in their order."""
    return [(VIEW / "css" / name).read_text(encoding="utf-8") for name in STYLES]


def inline(text: str) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or the line."""
    return (
        text.replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def rule_words() -> dict[str, dict[str, Any]]:
    """The rules and their knobs, in words, for a page. `plain` is decoding with the verifier alone."""
    known: dict[str, dict[str, Any]] = {"plain": PLAIN}
    for name in rules.names():
        cls = rules.get(name)
        known[name] = {word: getattr(cls, word) for word in WORDS} | {"knobs": knob_words(cls)}
    return known


def set_words() -> dict[str, dict[str, Any]]:
    """The rules over siblings that have a twin, and their knobs, in words, for a page."""
    known: dict[str, dict[str, Any]] = {}
    for path in SETS:
        cls = type(sets.make(path.stem))
        known[path.stem] = {word: getattr(cls, word) for word in SET_WORDS} | {"knobs": knob_words(cls)}
    return known


def drafter_words() -> dict[str, dict[str, Any]]:
    """The drafters that draft, and their knobs, in words, for a page."""
    known: dict[str, dict[str, Any]] = {}
    for name in drafters.names():
        drafter = drafters.make(name)
        if drafter.drafts:
            known[name] = {
                word: getattr(drafter, word)
                for word in (
                    "summary",
                    "source",
                    "uses_draft_model",
                    "uses_head",
                    "uses_exit",
                    "uses_lookahead",
                    "branches",
                    "servers",
                )
            }
            known[name]["knobs"] = knob_words(type(drafter))
    return known


def drafter_facts(spec: str) -> dict[str, Any]:
    """A drafter as the page holds it, {name, knobs}."""
    drafter = drafters.parse(spec)
    return {"name": drafter.name, "knobs": registry.values(drafter)}


def pair_words(facts: PairFacts) -> dict[str, Any]:
    """A pair of models that comes with a pair.json, in words, for a page."""
    return {"sampling": asdict(facts.sampling), "drafter": drafter_facts(facts.drafter)} | {
        word: getattr(facts, word) for word in ("name", "title", "knows", "licence", "parameters", "styles")
    }


def knob_words(cls: type) -> list[dict[str, Any]]:
    """The knobs of a rule or a drafter, each with what is allowed in words."""
    return [
        info | {"allowed": " or ".join(info["choices"]) if info["choices"] else registry.allowed(info)}
        for info in registry.knobs(cls)
    ]


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
