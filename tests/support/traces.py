"""Traces that were changed on purpose, with a digest that fits; and replays of such texts."""

from __future__ import annotations

import json
from typing import Any

from specviz.exports import replay as replays
from specviz.record.trace import Trace, digest


def signed(data: dict[str, Any]) -> str:
    """The JSON text of a trace's data, whatever stands in it."""
    return json.dumps(data | {"digest": digest(data)})


def of_version_1(trace: Trace) -> str:
    """The same run as specviz wrote it before lanes had drafters."""
    data = json.loads(trace.to_json()) | {"version": 1}
    for lane in data["lanes"]:
        assert lane.pop("drafter") in ("model", "nothing") and all("parents" not in round_ for round_ in lane["rounds"])
    return signed(data)


def replay(text: str) -> str:
    """The HTML that replays a trace given as JSON text."""
    return replays.replay(Trace.from_json(text))
