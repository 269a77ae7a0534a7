"""Traces that were changed on purpose, with a digest that fits; and replays of such texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from specviz.assets import ASSETS
from specviz.exports import replay as replays
from specviz.record.trace import Trace, digest


def recorded(pair: str | None = None) -> list[Path]:
    """The recorded runs that come with the project, or those of one pair."""
    paths = sorted((ASSETS / "recorded").glob("*.json"))
    ids = {path: json.loads(path.read_text(encoding="utf-8"))["models"]["verifier"]["id"] for path in paths}
    return [path for path in paths if pair is None or ids[path] == f"{pair}/verifier"]


def signed(data: dict[str, Any]) -> str:
    """The JSON text of a trace's data, whatever stands in it."""
    return json.dumps(data | {"digest": digest(data)})


def of_version_1(trace: Trace) -> str:
    """The same run as specviz wrote it before lanes had drafters."""
    data = json.loads(trace.to_json()) | {"version": 1}
    for lane in data["lanes"]:
        assert lane.pop("drafter") in ("model:tokens=drawn", "nothing") and all(
            "parents" not in round_ for round_ in lane["rounds"]
        )
    return signed(data)


def replay(text: str) -> str:
    """The HTML that replays a trace given as JSON text."""
    return replays.replay(Trace.from_json(text))
