"""Finds the variants in a folder, and describes their knobs.

A variant is a class in its own file that names itself (`name = "cactus"`). Dropping the file into the
folder is all it takes: the class is found, built from a spec such as ``cactus:delta=0.5``, listed in the
command line and the page, and covered by the contract tests. Nothing else names it.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
import re
from collections.abc import Sequence
from functools import cache
from typing import Any


def knob(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    choices: Sequence[str] | None = None,
    unit: str = "",
    scale: str = "linear",
) -> Any:
    """A dataclass field that carries its own range, unit and one line of help.

    `low` and `high` bound the value (``open_low``: `low` itself is not allowed). `choices` lists the words
    allowed for a text knob. `scale` ("linear" or "log") says how a slider should move through the range.
    """
    info = dict(low=low, high=high, open_low=open_low, choices=choices, unit=unit, help=help, scale=scale)
    return dataclasses.field(default=default, metadata=info)


def knobs(cls: Any) -> list[dict[str, Any]]:
    """The knobs of a dataclass as plain data: name, default, type and what `knob` was given."""
    return [
        dict(name=f.name, default=f.default, type=type(f.default).__name__, **f.metadata)
        for f in dataclasses.fields(cls)
        if "help" in f.metadata
    ]


def check_knobs(instance: object) -> None:
    """Raises ValueError, in a sentence that says what is allowed, if a knob is out of its range."""
    for info in knobs(type(instance)):
        name, value = info["name"], getattr(instance, info["name"])
        if info["choices"] is not None:
            if value not in info["choices"]:
                raise ValueError(f"{name} must be one of {', '.join(info['choices'])}; got {value!r}.")
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} must be a number; got {value!r}.")
        if not math.isfinite(value):
            raise ValueError(f"{name} must be {allowed(info)}; got {value!r}.")
        if info["type"] == "int" and int(value) != value:
            raise ValueError(f"{name} must be a whole number; got {value!r}.")
        low, high = info["low"], info["high"]
        below = low is not None and (value < low or (info["open_low"] and value == low))
        above = high is not None and value > high
        if below or above:
            raise ValueError(f"{name} must be {allowed(info)}; got {value!r}.")


def allowed(info: dict[str, Any]) -> str:
    """The range of a knob in words: "from 0 to 10 nats", "above 0 and at most 1"."""
    unit = f" {info['unit']}" if info["unit"] else ""
    low, high = info["low"], info["high"]
    if info["open_low"]:
        return f"above {low:g} and at most {high:g}{unit}" if high is not None else f"above {low:g}{unit}"
    return f"from {low:g} to {high:g}{unit}" if high is not None else f"at least {low:g}{unit}"


@cache
def variants(package: str) -> dict[str, type[Any]]:
    """All named classes in the modules of `package` (a dotted name), by name, in alphabetical order."""
    found: dict[str, type[Any]] = {}
    folder = importlib.import_module(package)
    for module_info in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{package}.{module_info.name}")
        for value in vars(module).values():
            named = (
                isinstance(value, type)
                and value.__module__ == module.__name__
                and isinstance(getattr(value, "name", None), str)
            )
            if named:
                if value.name in found:
                    raise RuntimeError(f"Two variants in {package} are called {value.name!r}.")
                found[value.name] = value
    return dict(sorted(found.items()))


def make(package: str, kind: str, name: str, **params: object) -> Any:
    """Builds the variant `name`. ValueError says what is allowed if the name or a parameter is unknown."""
    found = variants(package)
    if name not in found:
        raise ValueError(f"There is no {kind} called {name!r}. There are: {', '.join(found)}.")
    cls = found[name]
    known = [info["name"] for info in knobs(cls)]
    for given in params:
        if given not in known:
            takes = f"It takes: {', '.join(known)}." if known else "It takes no parameters."
            raise ValueError(f"The {kind} {name} has no parameter {given!r}. {takes}")
    try:
        return cls(**params)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse(package: str, kind: str, spec: str) -> Any:
    """Builds a variant from text such as ``cactus:delta=0.5,solver=exact``."""
    name, _, rest = spec.strip().partition(":")
    params = {}
    for part in filter(None, re.split(r"\s*,\s*", rest.strip())):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"In {spec!r}, {part!r} is not of the form name=value.")
        params[key.strip()] = read_value(value.strip())
    return make(package, kind, name.strip(), **params)


def read_value(text: str) -> int | float | str:
    """A knob's value from text: a whole number, a number, or the word itself."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def values(instance: Any) -> dict[str, Any]:
    """The values of all knobs of a dataclass instance, by name."""
    return {info["name"]: getattr(instance, info["name"]) for info in knobs(type(instance))}


def spec(instance: Any) -> str:
    """The text that `parse` turns back into `instance`, every knob spelled out."""
    given = [f"{name}={value}" for name, value in values(instance).items()]
    return f"{instance.name}:{','.join(given)}" if given else str(instance.name)
