"""The files of a Gradio Space, as they are pushed: a part of this checkout, and a README.md and a requirements.txt that
suit the Space's hardware. They are laid into a folder, which can be looked at, built and run before anything is pushed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from specviz.assets import ASSETS

ROOT = ASSETS.parent  # of a checkout: an installed specviz has no app.py beside its assets
PUSHED = (
    "app.py", "requirements.txt", "README.md", "LICENSE", "THIRD_PARTY.md", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md",
    "pyproject.toml", "specviz", "assets",
)  # fmt: skip
NEVER = shutil.ignore_patterns("__pycache__", "*.py[cod]", "*.pyi", ".*")
THUMBNAIL = "assets/screenshots/desktop-light.png"

CPU, ZERO = "cpu-basic", "zero-a10g"  # the Hub's names; the second is ZeroGPU
HARDWARE = (CPU, ZERO)
ZERO_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0")  # what ZeroGPU offers
ZERO_PYTHON = ("3.10.13", "3.12.12")


def prepared(folder: Path, to: str, hardware: str = CPU, root: Path = ROOT) -> list[str]:
    """Lays the Space `to` (OWNER/NAME) into an empty folder; returns what is in it, as paths from there. ValueError if there
    is no checkout to take it from, or if the folder is not empty."""
    if missing := [name for name in PUSHED if not (root / name).exists()]:
        raise ValueError(
            f"A Space is made of a clone of specviz, and {str(root)!r} lacks {missing[0]}. Run this in a clone: python -m specviz space"
        )
    empty(folder)
    for name in PUSHED:
        source, target = root / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=NEVER)
        else:
            shutil.copyfile(source, target)
    from huggingface_hub import metadata_load, metadata_save

    head = metadata_load(folder / "README.md") or {}
    head["thumbnail"] = f"https://huggingface.co/spaces/{to}/resolve/main/{THUMBNAIL}"
    if hardware == ZERO:
        head["python_version"] = ZERO_PYTHON[-1]
        _pin(folder / "requirements.txt", "torch", ZERO_TORCH[-1])
    metadata_save(folder / "README.md", head)
    return files(folder)


def empty(folder: Path) -> None:
    """Makes a folder. ValueError if it holds something."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"The folder {str(folder)!r} is not empty. Name one that is, or is not there yet.")


def files(folder: Path) -> list[str]:
    """The files in a folder, as paths from there, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def left_out(root: Path = ROOT) -> list[str]:
    """What lies in the checkout and is not pushed."""
    return sorted(path.name for path in root.iterdir() if path.name not in PUSHED)


def pins(folder: Path) -> dict[str, str]:
    """What requirements.txt asks for: distribution -> version; "" for one without an exact version. One that depends on the
    version of Python stands there more than once; the last counts."""
    found = {}
    for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if requirement := line.partition("#")[0].partition(";")[0].strip():
            name, _, version = requirement.partition("==")
            found[re.split(r"[\[<>=!~ ]", name)[0].lower()] = version.strip()
    return found


def _pin(path: Path, name: str, version: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(rf"(?m)^{name}==\S+$", f"{name}=={version}", text), encoding="utf-8")
