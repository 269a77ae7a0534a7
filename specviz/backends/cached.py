"""Folders that are made once and kept: of a GGUF file, what transformers reads, in the user's cache folder.

A folder is named by the SHA-256 of the file it was made of, and holds the hashes of its own files in `made.json`, against
which it is held whenever it is asked for. It appears whole or not at all, whoever else makes the same one meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from specviz.types import ModelError

MADE = "made.json"
MAKER = 1  # counts the ways in which folders have been made; a folder of an earlier one is made anew
Make = Callable[[Path], None]  # fills a folder


def homes() -> list[Path]:
    """Where folders are kept: the user's cache folder, and a temporary one where that cannot be written."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    user = given if os.path.isabs(given) else os.path.expanduser("~/.cache")
    places = [Path(user) / "specviz"] if os.path.isabs(user) else []  # a user without a home has none
    return [*places, Path(tempfile.gettempdir()) / f"specviz-{_user()}"]


def write_json(path: Path, data: object) -> None:
    """Writes plain data as JSON that is read well."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def kept(sha256: str) -> Path | None:
    """The folder made of the file with this hash, if there is a whole one."""
    return next((folder for home in homes() if _whole(folder := home / _name(sha256), sha256)), None)


def make(sha256: str, size: int, fill: Make) -> Path:
    """Makes the folder of the file with this hash, of about `size` bytes, by `fill`. ModelError if no place can take it."""
    reasons = []
    for home in homes():
        try:
            return _make(home, sha256, size, fill)
        except OSError as error:
            reasons.append(f"{str(home)!r} ({error.strerror or error})")
    raise ModelError(
        f"The model takes {size / 1e9:.2g} GB of disk once, and nowhere could it be written: {'; '.join(reasons)}. Make "
        "room there, or set XDG_CACHE_HOME to a folder with room."
    )


def notice(folder: Path) -> str:
    """A sentence if a folder is not where it should be; "" if it is."""
    first, *_ = homes()
    if folder.parent == first:
        return ""
    return f"{str(first)!r} could not be written, so the model is kept in {str(folder)!r}, which may be cleared."


def revision(folder: Path) -> str | None:
    """The first 12 hex digits of the hash of the file that a folder was made of; None if it was not made here."""
    try:
        return str(json.loads((folder / MADE).read_text(encoding="utf-8"))["sha256"])[:12]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sha256_of(*paths: Path) -> str:
    """The SHA-256 of a file, or of several one after the other, in hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 22):
                digest.update(part)
    return digest.hexdigest()


def _make(home: Path, sha256: str, size: int, fill: Make) -> Path:
    _own(home)
    if shutil.disk_usage(home).free < size:
        raise OSError(f"{shutil.disk_usage(home).free / 1e9:.2g} GB free")
    with _aside(home) as new:
        fill(new)
        hashes = {path.name: sha256_of(path) for path in sorted(new.iterdir())}
        (new / MADE).write_text(json.dumps({"sha256": sha256, "maker": MAKER, "files": hashes}, indent=1))
        folder = home / _name(sha256)
        if folder.exists() and not _whole(folder, sha256):
            with _aside(home) as old:
                folder.rename(old / "damaged")
        try:
            new.rename(folder)
        except OSError:
            if not _whole(folder, sha256):  # otherwise another process was first, and made the same
                raise
    return folder


@contextmanager
def _aside(home: Path) -> Iterator[Path]:
    """A new folder beside those that are kept, which is gone afterwards unless it was renamed."""
    path = Path(tempfile.mkdtemp(prefix="making-", dir=home))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _whole(folder: Path, sha256: str) -> bool:
    """Whether a folder is there, nobody else's, and each of its files as it was made."""
    try:
        _own(folder.parent, make=False)
        made = json.loads((folder / MADE).read_text(encoding="utf-8"))
        if (made["sha256"], made["maker"]) != (sha256, MAKER) or not made["files"]:
            return False
        with ThreadPoolExecutor(2) as pool:
            hashes = dict(zip(made["files"], pool.map(lambda name: sha256_of(folder / name), made["files"])))
        return bool(hashes == made["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _own(home: Path, make: bool = True) -> None:
    """Makes a home if it is not there. OSError if somebody else made it where everybody may write."""
    if make:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and home.parent.stat().st_mode & 0o002 and home.stat().st_uid != os.getuid():
        raise OSError("it belongs to another user")


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "cache"


def _name(sha256: str) -> str:
    return f"gguf-{sha256[:16]}-{MAKER}"
