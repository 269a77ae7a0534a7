"""What is installed is known: pinned, with hashes and licences; what is started tells nobody; the Dockerfile keeps its word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import specviz
from specviz import cli
from specviz.hosting import prepare
from tests import licences

ROOT = Path(__file__).parents[1]


def locked() -> list[tuple[Requirement, list[str]]]:
    """Each requirement of requirements.lock with its hashes."""
    entries = re.findall(
        r"(?m)^(\S.*?) \\\n((?:    --hash=.*\n?)+)", (ROOT / "requirements.lock").read_text(encoding="utf-8")
    )
    return [(Requirement(text), re.findall(r"sha256:([0-9a-f]{64})", hashes)) for text, hashes in entries]


def test_the_lock_holds_the_pins():
    """requirements.lock has every pin of requirements.txt, under the same versions of Python, and a hash for all it has."""
    entries = locked()
    assert len(entries) > 50 and all(hashes for _, hashes in entries)
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        wanted = Requirement(line)
        for python in ("3.10", "3.11", "3.12"):
            here = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
            if wanted.marker and not wanted.marker.evaluate(here):
                continue
            found = [one for one, _ in entries if canonicalize_name(one.name) == canonicalize_name(wanted.name) and (one.marker is None or one.marker.evaluate(here))]  # fmt: skip
            assert [one.specifier for one in found] == [wanted.specifier], f"{line} on Python {python}"


def test_zerogpu_has_what_the_package_allows():
    """Each torch that ZeroGPU offers lies within the declared range."""
    declared = re.search(r'"torch(>=[^"]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert all(Requirement(f"torch{declared}").specifier.contains(version) for version in prepare.ZERO_TORCH)


def test_every_licence_is_known():
    """Of all that requirements.txt installs here; one that is not known is named, and fails."""
    rows = licences.table().splitlines()
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    assert "| gradio | Apache-2.0 |" in rows and "| gradio | Apache-2.0 |" in listed

    class Unknown:
        metadata = {"Name": "x", "License": "Nobody may"}

    Unknown.metadata = type("M", (dict,), {"get_all": lambda self, name: []})(Unknown.metadata)
    with pytest.raises(ValueError, match="x: 'Nobody may'"):
        licences.licence(Unknown)


def test_nobody_is_told():
    """Telemetry of the libraries is off before any of them is imported."""
    code = (
        "import os, sys; from specviz import cli\n"
        "try: cli.main(['--version'])\nexcept SystemExit: pass\n"
        "assert not {'gradio', 'huggingface_hub', 'transformers'} & set(sys.modules)\n"
        "from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY, os.environ['GRADIO_ANALYTICS_ENABLED'])"
    )
    bare = {name: value for name, value in os.environ.items() if name not in cli.ENVIRONMENT}
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=bare, capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[-1] == "True False"


def test_it_can_be_cited():
    """CITATION.cff names this version."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {specviz.__version__}\n" in text and "license: Apache-2.0" in text


def test_the_dockerfile():
    """As far as it can be read: no root, hashes, only files that are there and that .dockerignore lets through."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    let = re.findall(r"(?m)^!(\S+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"))
    copied = [name for line in re.findall(r"(?m)^COPY (.+) \S+$", text) for name in line.split()]
    assert copied and {*copied} == {*let} and all((ROOT / name).exists() for name in copied)
    assert text.index("USER specviz") > text.rindex("RUN ") and "--require-hashes" in text and "HEALTHCHECK" in text
