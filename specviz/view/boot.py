"""What the browser runs, and what it must know before it starts: scripts and styles in their order, the rules in words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from specviz import drafters, registry, rules
from specviz.assets import ASSETS
from specviz.backends import PairFacts

VIEW = Path(__file__).resolve().parent
PLOTLY = (
    ASSETS / "plotly-basic.min.js"
)  # plotly.js-basic-dist-min 4.1.1: only what the plots use, a seventh of the whole to start
STYLES = ("base.css", "compare.css", "playground.css", "about.css", "fork.css", "advisor.css", "sweep.css")
JS = VIEW / "js"
PLOTS = tuple(sorted((JS / "plots").glob("*.js")))  # a plot is a file there, named nowhere else
TWINS = tuple(sorted(Path(rules.__file__).parent.glob("*.js")))  # of the rules, beside them; see js/rules.js
ARITHMETIC = (JS / "store.js", JS / "laws.js", JS / "rules.js", *TWINS)  # runs without a page


def _named(names: str) -> tuple[Path, ...]:
    return tuple(JS / f"{name}.js" for name in names.split())


SCRIPTS = (
    *ARITHMETIC,
    *_named("dom state pointing knobs drafter models chat controls lanes timeline fork inspector plots"),
    *PLOTS,
    *_named("share live sections"),
    *_named("playground-state playground-svg playground-labels playground-bars playground-chart"),
    *_named("playground-table playground-check playground about"),
    *_named("advisor sweep-form sweep-plots sweep-table sweep app"),
)
WORDS = ("summary", "formula", "helps", "hurts", "source", "lossless", "scope", "flips", "loose_below")
PLAIN = {
    "summary": "The verifier alone, one token per call. What the others are measured against.", "formula": "draw y from q; write y", "helps": "As the yardstick: its text and its speed are what every rule is held against.",
    "hurts": "The big model is called once for every token, which is slow.", "source": "", "lossless": True, "scope": "token", "flips": None, "loose_below": False, "knobs": [],
}  # fmt: skip


def scripts() -> list[str]:
    """The texts of all scripts, in the order in which they must run."""
    return [path.read_text(encoding="utf-8") for path in SCRIPTS]


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


def drafter_words() -> dict[str, dict[str, Any]]:
    """The drafters that draft, and their knobs, in words, for a page."""
    known: dict[str, dict[str, Any]] = {}
    for name in drafters.names():
        drafter = drafters.make(name)
        if drafter.drafts:
            known[name] = {word: getattr(drafter, word) for word in ("summary", "source", "uses_draft_model", "uses_head")}
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
