"""Whether a folder can be a Gradio Space, as far as that can be known without asking the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specviz.backends import PairFacts
from specviz.hosting.prepare import CPU, ZERO, ZERO_PYTHON, ZERO_TORCH, files, pins

COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SHORT = 60  # letters of a short_description
WHOLE = 1_000_000_000  # bytes that a Space's repository may have
GIT = 10_000_000  # bytes of the largest file that git alone may push
TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{30,}")


@dataclass(frozen=True)
class Check:
    """What was looked at; `said` is what was seen, or the problem where it is not `good`."""

    about: str
    good: bool
    said: str


def checks(folder: Path, hardware: str = CPU) -> list[Check]:
    """All that can be checked of a Space that lies in a folder."""
    from huggingface_hub import metadata_load

    head = metadata_load(folder / "README.md") or {}
    pinned = pins(folder)
    return [
        _judged("front matter", _front_problems(head, folder), f"all {len(FIELDS)} fields: {', '.join(FIELDS)}"),
        _judged("versions", _version_problems(head, pinned, hardware), _versions(head, pinned)),
        _judged("models", _model_problems(head, folder), _preloaded(head)),
        _judged("licences", _licence_problems(head, folder), f"LICENSE is that of the front matter ({head.get('license')}), and every pair has its card"),
        _judged("secrets", _secrets(folder), "no access token of the Hub in any text"),
        _judged("size", _size_problems(folder), _size(folder)),
    ]  # fmt: skip


def _judged(about: str, problems: Iterator[str], said: str) -> Check:
    wrong = list(problems)
    return Check(about, not wrong, " ".join(wrong) if wrong else said)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # what the Hub takes, in words, and whether a value is that
    "title": ("a text", _text),
    "emoji": ("one emoji", lambda value: _text(value) and len(value) <= 8 and not value.isascii()),
    "colorFrom": (f"one of {', '.join(COLOURS)}", lambda value: value in COLOURS),
    "colorTo": (f"one of {', '.join(COLOURS)}", lambda value: value in COLOURS),
    "sdk": ("gradio", lambda value: value == "gradio"),
    "sdk_version": ("a version in quotation marks or with two dots", lambda value: _text(value) and re.fullmatch(r"\d+\.\d+\.\d+", value) is not None),
    "python_version": ("a version in quotation marks (without them 3.10 is 3.1)", lambda value: _text(value) and re.fullmatch(r"3\.\d+(\.\d+)?", value) is not None),
    "app_file": ("a file of the Space", _text),
    "short_description": (f"a text of at most {SHORT} letters", lambda value: _text(value) and len(value) <= SHORT),
    "license": ("the name of a licence", _text),
    "thumbnail": ("an address of a picture", lambda value: _text(value) and value.startswith("https://")),
    "tags": ("a list of texts", _texts),
    "models": ("a list of OWNER/NAME", lambda value: _texts(value) and all(name.count("/") == 1 for name in value)),
    "preload_from_hub": ("a list of REPOSITORY FILE REVISION", _texts),
}  # fmt: skip


def _front_problems(head: dict[str, Any], folder: Path) -> Iterator[str]:
    for name, (words, good) in FIELDS.items():
        if name not in head:
            yield f"{name} is missing; it is {words}."
        elif not good(head[name]):
            yield f"{name} must be {words}; it is {head[name]!r}."
    if _text(head.get("app_file")) and not (folder / head["app_file"]).is_file():
        yield f"There is no app_file {head['app_file']!r}."
    _, _, picture = str(head.get("thumbnail", "")).partition("/resolve/main/")
    if picture and not (folder / picture).is_file():
        yield f"The thumbnail is {picture}, which is not among the files."


def _version_problems(head: dict[str, Any], pinned: dict[str, str], hardware: str) -> Iterator[str]:
    for name, version in pinned.items():
        if not version:
            yield f"requirements.txt does not pin {name} to one version (==)."
    if pinned.get("gradio") != head.get("sdk_version"):
        yield f"sdk_version is {head.get('sdk_version')}, and requirements.txt installs gradio {pinned.get('gradio')}."
    if hardware == ZERO:
        offers = {
            "torch": (str(pinned.get("torch")), ZERO_TORCH),
            "Python": (str(head.get("python_version")), ZERO_PYTHON),
        }
        for name, (version, offered) in offers.items():
            if version not in offered:
                yield f"ZeroGPU offers {name} {', '.join(offered)}, not {version}."


def _versions(head: dict[str, Any], pinned: dict[str, str]) -> str:
    exact = ", ".join(f"{name} {version}" for name, version in pinned.items())
    return f"Python {head.get('python_version')}; exactly {exact}; sdk_version is gradio's"


def _published(folder: Path) -> list[str]:
    """The preload_from_hub that the pairs in a folder need: REPOSITORY FILE REVISION of each model that is not in it."""
    pairs = [PairFacts.read(path.parent) for path in sorted(folder.glob("assets/pairs/*/pair.json"))]
    return [f"{weights.repository} {weights.file} {weights.revision}" for pair in pairs for weights in pair.weights.values()]  # fmt: skip


def _model_problems(head: dict[str, Any], folder: Path) -> Iterator[str]:
    listed, wanted = head.get("preload_from_hub") or [], _published(folder)
    for line in wanted:
        if line not in listed:
            yield f"preload_from_hub lacks: {line}"
        if line.split()[0] not in (head.get("models") or []):
            yield f"models lacks {line.split()[0]}."
    for line in listed:
        if line not in wanted:
            yield f"preload_from_hub has what no pair.json asks for: {line}"


def _preloaded(head: dict[str, Any]) -> str:
    lines = head.get("preload_from_hub") or []
    return "fetched while the Space is built, each at its revision: " + "; ".join(map(str, lines))


def _licence_problems(head: dict[str, Any], folder: Path) -> Iterator[str]:
    text = (folder / "LICENSE").read_text(encoding="utf-8") if (folder / "LICENSE").is_file() else ""
    if head.get("license") != "apache-2.0" or "Apache License" not in text[:400]:
        yield f"The front matter says {head.get('license')}, and LICENSE is another text or missing."
    for path in folder.glob("assets/pairs/*/pair.json"):
        if not (path.parent / "README.md").is_file():
            yield f"The pair {path.parent.name} has no card (README.md)."
    if not (folder / "THIRD_PARTY.md").is_file():
        yield "THIRD_PARTY.md, the licences of what is installed, is missing."


def _secrets(folder: Path) -> Iterator[str]:
    for name in files(folder):
        if not binary(folder / name) and TOKEN.search((folder / name).read_bytes()):
            yield f"{name} holds what looks like an access token of the Hub."


def binary(path: Path) -> bool:
    """Whether git would take a file for binary: there is a zero among its first bytes."""
    with path.open("rb") as file:
        return b"\0" in file.read(8000)


def _size_problems(folder: Path) -> Iterator[str]:
    whole = sum((folder / name).stat().st_size for name in files(folder))
    if whole > WHOLE:
        yield f"The files have {whole / 1e6:,.0f} MB; a Space's repository may have {WHOLE / 1e6:,.0f}."


def _size(folder: Path) -> str:
    sizes = {name: (folder / name).stat().st_size for name in files(folder)}
    largest = max(sizes, key=lambda name: sizes[name])
    binaries = sum(binary(folder / name) for name in sizes)
    apart = f" {sum(size > GIT for size in sizes.values())} files are above 10 MB." if sizes[largest] > GIT else ""
    return (
        f"{len(sizes)} files of {sum(sizes.values()) / 1e6:.1f} MB, the largest {largest} ({sizes[largest] / 1e6:.1f} MB).{apart} "
        f"{binaries} are binary: the Hub refuses those in a plain git push and takes them by this command"
    )
