"""Finds the variants in a folder, and describes their knobs.

A variant is a class in its own file that names itself (`name = "cactus"`). Dropping the file into the
folder is all it takes: the class is found, built from a spec such as ``cactus:delta=0.5``, listed in the
command line and the page, and covered by the contract tests. Nothing else names it.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import reprlib
import sys
from collections.abc import Sequence
from functools import cache
from typing import Protocol, TypedDict, TypeVar

Value = float | int | str
LONGEST_TEXT = 400  # characters of a knob's text
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
Default = TypeVar("Default", bound=Value)


class Variant(Protocol):
    """What is found in a folder: it names itself."""

    @property
    def name(self) -> str: ...


class Knob(TypedDict):
    """A knob as plain data; see `knob`."""

    name: str
    default: Value
    type: str  # of the default
    help: str
    low: float | None
    high: float | None
    open_low: bool
    choices: Sequence[str] | None
    form: str | None
    unit: str
    scale: str


def knob(
    default: Default,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    choices: Sequence[str] | None = None,
    form: str | None = None,
    unit: str = "",
    scale: str = "linear",
) -> Default:
    """A dataclass field that carries its own range, unit and one line of help.

    `low` and `high` bound the value (``open_low``: `low` itself is not allowed). `choices` lists the words
    allowed for a text knob; `form` says instead, in words, what its text looks like. `scale` ("linear" or "log") says how a slider should move through the range.
    """
    info = Knob(
        name="", default=default, type=type(default).__name__, help=help, low=low, high=high, open_low=open_low,
        choices=choices, form=form, unit=unit, scale=scale,
    )  # fmt: skip
    return dataclasses.field(default=default, metadata={"knob": info})


def knobs(cls: type) -> list[Knob]:
    """The knobs of a dataclass as plain data: name, default, type and what `knob` was given."""
    return [
        field.metadata["knob"] | {"name": field.name} for field in dataclasses.fields(cls) if "knob" in field.metadata
    ]


def check_knobs(instance: object) -> None:
    """Raises ValueError, in a sentence that says what is allowed, if a knob is out of its range. A whole number given as 5.0
    becomes 5; of a text with a form of its own only the length is checked here."""
    for info in knobs(type(instance)):
        name, value = info["name"], getattr(instance, info["name"])
        if info["choices"] is not None:
            if value not in info["choices"]:
                raise ValueError(f"{name} must be one of {', '.join(info['choices'])}; got {shown(value)}.")
            continue
        if info["form"] is not None:
            if isinstance(value, bool) or not isinstance(value, (int, str)) or len(str(value)) > LONGEST_TEXT:
                raise ValueError(f"{name} must be {allowed(info)}; got {shown(value)}.")
            object.__setattr__(instance, name, str(value))
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} must be a number; got {shown(value)}.")
        low, high = info["low"], info["high"]
        below = low is not None and (value < low or (info["open_low"] and value == low))
        above = value > (sys.float_info.max if high is None else high)
        if below or above or value != value:
            raise ValueError(f"{name} must be {allowed(info)}; got {shown(value)}.")
        if info["type"] == "int":
            if int(value) != value:
                raise ValueError(f"{name} must be a whole number; got {shown(value)}.")
            object.__setattr__(instance, name, int(value))


def shown(value: object) -> str:
    """A value as a sentence quotes it: in one line of bounded length, whatever it is."""
    return _SHORT.repr(value)


def allowed(info: Knob) -> str:
    """The range of a knob in words: "from 0 to 10 nats", "above 0 and at most 1"."""
    if info["form"] is not None:
        return info["form"]
    unit = f" {info['unit']}" if info["unit"] else ""
    low, high = info["low"], info["high"]
    if info["open_low"]:
        return f"above {low:g} and at most {high:g}{unit}" if high is not None else f"above {low:g}{unit}"
    return f"from {low:g} to {high:g}{unit}" if high is not None else f"at least {low:g}{unit}"


@cache
def variants(package: str) -> dict[str, type]:
    """All named classes in the modules of `package` (a dotted name), by name, in alphabetical order."""
    found: dict[str, type] = {}
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


def make(package: str, kind: str, name: str, **params: object) -> object:
    """Builds the variant `name`. ValueError says what is allowed if the name or a parameter is unknown."""
    found = variants(package)
    if name not in found:
        raise ValueError(f"There is no {kind} called {shown(name)}. There are: {', '.join(found)}.")
    cls = found[name]
    known = [info["name"] for info in knobs(cls)]
    for given in params:
        if given not in known:
            takes = f"It takes: {', '.join(known)}." if known else "It takes no parameters."
            raise ValueError(f"The {kind} {name} has no parameter {shown(given)}. {takes}")
    try:
        return cls(**params)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse(package: str, kind: str, spec: str) -> object:
    """Builds a variant from text such as ``cactus:delta=0.5,solver=exact``."""
    name, _, rest = spec.strip().partition(":")
    params = {}
    for part in filter(None, re.split(r"\s*,\s*", rest.strip())):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"In {shown(spec)}, {shown(part)} is not of the form name=value.")
        params[key.strip()] = read_value(value.strip())
    return make(package, kind, name.strip(), **params)


def read_value(text: str) -> Value:
    """A knob's value from text: a whole number, a number, or the word itself."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def values(instance: object) -> dict[str, Value]:
    """The values of all knobs of a dataclass instance, by name."""
    return {info["name"]: getattr(instance, info["name"]) for info in knobs(type(instance))}


def spec(instance: Variant) -> str:
    """The text that `parse` turns back into `instance`, every knob spelled out."""
    given = [f"{name}={value}" for name, value in values(instance).items()]
    return instance.name + (":" + ",".join(given) if given else "")
