"""The data of a trace as types for the page's scripts, made from the Python types: `python -m specviz.view.types` writes
trace.d.ts, which the checks of the scripts read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from specviz.record.lane import Lane, LaneData
from specviz.record.round import CandidatesData, ProvenanceData, RoundData, SliceData
from specviz.record.trace import Continued, ModelFacts, Trace
from specviz.types import Sampling

PATH = Path(__file__).with_name("trace.d.ts")
PLAIN: dict[Any, str] = {
    int: "number",
    float: "number",
    str: "string",
    bool: "boolean",
    NoneType: "null",
    Any: "unknown",
}
TYPES: tuple[tuple[str, Any], ...] = (
    ("SliceData", SliceData),
    ("ProvenanceData", ProvenanceData),
    ("CandidatesData", CandidatesData),
    ("RoundData", RoundData),
    ("LaneData", LaneData),
    ("Sampling", Sampling),
    ("ModelFacts", ModelFacts),
    ("Continued", Continued),
    ("TraceData", Trace),
)
NAMES: dict[Any, str] = {kind: name for name, kind in TYPES} | {Lane: "LaneData"}


def written(kind: Any) -> str:
    """A Python type in TypeScript. TypeError for one that JSON does not have."""
    if kind in PLAIN or kind in NAMES:
        return PLAIN.get(kind) or NAMES[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in inner)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(written(part) for part in inner))
    if origin in (list, Sequence):
        item = written(inner[0])
        return f"({item})[]" if "|" in item else f"{item}[]"
    if origin in (dict, Mapping):
        return f"Record<{written(inner[0])}, {written(inner[1])}>"
    raise TypeError(f"{kind} has no form in JSON.")


def interface(name: str, kind: Any) -> str:
    """A typed dict or a dataclass as an interface; what has a default may be absent."""
    hints = get_type_hints(kind)
    if is_typeddict(kind):
        optional = set(kind.__optional_keys__)
    else:
        optional = {
            field.name
            for field in dataclasses.fields(kind)
            if kind is Trace and (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        }
    lines = [f"  {key}{'?' if key in optional else ''}: {written(hint)};" for key, hint in hints.items()]
    return "\n".join([f"interface {name} {{", *lines, "}"])


def text() -> str:
    """The whole of trace.d.ts."""
    head = '// Written by `python -m specviz.view.types` from the Python types of a trace. Infinity is the string "Infinity".'
    return "\n\n".join([head, *(interface(name, kind) for name, kind in TYPES)]) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
