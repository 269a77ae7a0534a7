"""What the page shows before anyone presses Run. A file of it that is damaged is named in the log and left out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from specviz import backends
from specviz.assets import ASSETS
from specviz.backends import PairFacts
from specviz.record.trace import Trace
from specviz.ui import files
from specviz.ui.regimes import REGIMES

EXAMPLE = {"name", "pair", "style", "text", "why"}  # what every example says


def _listed() -> list[dict[str, Any]]:
    """The examples that are whole."""
    listed = _read(ASSETS / "prompts.json", [])
    return (
        [one for one in listed if isinstance(one, dict) and one.keys() >= EXAMPLE] if isinstance(listed, list) else []
    )


def examples(known: Mapping[str, PairFacts]) -> list[dict[str, Any]]:
    """The examples of assets/prompts.json for the pairs on offer, those of the first pair before the others, each with the
    address of its recorded run; for models that bring no pair, the texts of the usual examples and nothing recorded."""
    all_ = _listed()
    if not known:
        usual = next(iter(backends.pairs()), None)
        return [one | {"pair": None, "style": None, "recorded": None} for one in all_ if one["pair"] == usual]
    recorded = _recorded()
    found = [
        one | {"recorded": recorded.get((one["pair"], one["text"]))}
        for name in known
        for one in all_
        if one["pair"] == name
    ]
    return [{name: value for name, value in one.items() if name != "lanes"} for one in found]


def _recorded() -> dict[tuple[str, str], str]:
    """The addresses of the recorded runs, by the pair that made each and its prompt. One that is damaged is left out."""
    urls = {}
    for path in sorted((ASSETS / "recorded").glob("*.json")):
        try:
            trace = Trace.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            _left_out(path, error)
        else:
            urls[trace.models["verifier"].id.rpartition("/")[0], trace.prompt] = files.url(path)
    return urls


def swept_before() -> list[dict[str, Any]]:
    """The recorded sweeps: what each asks, what to make of it, and its address. One that is missing or damaged is left out."""
    return [
        {"title": regime.title, "about": regime.about, "asked": regime.asked, "recorded": files.url(regime.path)}
        for regime in REGIMES
        if isinstance(_read(regime.path, None), dict)
    ]


def _read(path: Path, otherwise: Any) -> Any:
    """What a JSON file that comes with the project holds; `otherwise` if it is missing or damaged."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return otherwise
    except (OSError, ValueError) as error:
        _left_out(path, error)
        return otherwise


def _left_out(path: Path, error: Exception) -> None:
    print(f"specviz: {str(path)!r} is damaged and left out: {error}", file=sys.stderr, flush=True)
