"""Pushes a folder to the Hub as a Space, and says in a sentence why the Hub did not take it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

from specviz.hosting.prepare import files


class Hub(Protocol):
    """What is used of huggingface_hub.HfApi."""

    def whoami(self) -> dict[str, Any]: ...

    def create_repo(
        self, repo_id: str, *, repo_type: str, space_sdk: str, space_hardware: Any, exist_ok: bool
    ) -> Any: ...

    def upload_folder(
        self, *, repo_id: str, repo_type: str, folder_path: Path, allow_patterns: list[str], delete_patterns: str,
        commit_message: str,
    ) -> Any: ...  # fmt: skip


def parsed(to: str) -> str:
    """The name of a Space, OWNER/NAME; ValueError if it is none."""
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", to):
        raise ValueError(f"A Space is named OWNER/NAME, with letters, digits, '-', '_' and '.'; got {to!r}.")
    return to


def pushed(folder: Path, to: str, *, sdk: str, hardware: str | None = None, hub: Hub | None = None) -> str:
    """Creates the Space `to` unless it is there, makes its files those of a folder, and returns its address. The token is
    looked for where huggingface_hub looks (`hf auth login`, HF_TOKEN). ValueError, a sentence, if the Hub does not take it.
    """
    import huggingface_hub

    api: Hub = huggingface_hub.HfApi() if hub is None else hub
    try:
        api.whoami()
        api.create_repo(to, repo_type="space", space_sdk=sdk, space_hardware=hardware, exist_ok=True)
        api.upload_folder(
            repo_id=to, repo_type="space", folder_path=folder, allow_patterns=files(folder), delete_patterns="*",
            commit_message="specviz",
        )  # fmt: skip
    except Exception as error:  # the Hub and the network fail in many ways
        if (sentence := refusal(error, to)) is None:
            raise
        raise ValueError(sentence) from error
    return f"https://huggingface.co/spaces/{to}"


def refusal(error: Exception, to: str) -> str | None:
    """Why the Hub did not take a Space, in a sentence; None for an error that is neither the Hub's nor the network's."""
    from huggingface_hub import errors

    said = (getattr(error, "server_message", None) or str(error)).strip().splitlines()
    words = said[0].rstrip(".")[:300] if said else type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "You are not logged in to the Hub. Run: hf auth login (or set HF_TOKEN to a token that may write)."
    if status == 401:
        return "The Hub does not know your token. Run: hf auth login (or set HF_TOKEN to a token that may write)."
    if status == 402 or (status == 403 and re.search(r"\b(PRO|paid|plan|subscri\w+|upgrade|billing|payment)\b", words)):
        return (
            f"The Hub wants a paid plan for this Space: {words}. A static site needs none: specviz site DIR --to {to}"
        )
    if status == 403:
        return (
            f"Your token may not write to {to!r}: {words}. Use a token with the right to write, and a name of your own."
        )
    if status is not None:
        return f"The Hub refused ({status}): {words}."
    if isinstance(error, errors.HFValidationError):
        return f"{words}."
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing can be pushed."
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "requests",
    ):
        return f"The Hub could not be reached: {words}. Nothing is half done that a second try would not end."
    return None
