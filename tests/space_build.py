"""Builds the Space as the Hub does, and uses it: `python -m tests.space_build [cpu-basic|zero-a10g]`, some minutes.

What `specviz space` would push is laid into an empty folder; a fresh environment gets its requirements.txt in one command with
what the Hub adds to it; the model's file lies where preload_from_hub puts it (taken from the package that carries it, if that is
installed here). The page then runs as a user without rights, where nothing but a home folder can be written, and Chromium makes a run.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from specviz.backends import PairFacts
from specviz.hosting import check, prepare
from tests.support.browser import app, browser, until, watched

NOBODY = 65534
ADDED = ("uvicorn>=0.14.0", "websockets>=10.4", "spaces")  # by the Hub, with gradio[oauth,mcp] of the sdk_version
PROMPT = "What is the capital of France?"


def main(hardware: str = prepare.CPU) -> None:
    with tempfile.TemporaryDirectory(prefix="specviz-space-") as scratch:
        top = Path(scratch)
        top.chmod(0o755)
        folder, home = top / "app", top / "home"
        names = prepare.prepared(folder, "someone/specviz", hardware)
        wrong = [found for found in check.checks(folder, hardware) if not found.good]
        assert not wrong, wrong
        print(f"{len(names)} files in {folder}", flush=True)
        python = _environment(top / "venv", folder)
        home.mkdir()
        print(
            f"preloaded: {', '.join(_preloaded(folder, home)) or 'nothing: the package that carries the file is not installed here'}",
            flush=True,
        )
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = prepare.files(folder)
        _use(python, folder, home)
        assert prepare.files(folder) == before
        print("The Space works.", flush=True)


def _environment(where: Path, folder: Path) -> Path:
    """The Python of a new environment with what the Hub installs."""
    venv.create(where, with_pip=True)
    began = time.monotonic()
    gradio = f"gradio[oauth,mcp]=={prepare.pins(folder)['gradio']}"
    subprocess.run(
        [where / "bin" / "pip", "install", "-q", "-r", folder / "requirements.txt", gradio, *ADDED], check=True
    )
    print(f"installed in {time.monotonic() - began:.0f} s", flush=True)
    return where / "bin" / "python"


def _preloaded(folder: Path, home: Path) -> list[str]:
    """Lays the files of preload_from_hub into the Hub's cache under `home`, where those are to be had; their names."""
    laid = []
    for path in folder.glob("assets/pairs/*/pair.json"):
        for weights in PairFacts.read(path.parent).weights.values():
            spec = importlib.util.find_spec(weights.module)
            source = Path(spec.submodule_search_locations[0]) / weights.file if spec else None
            if source is not None and source.is_file():
                repository = home / ".cache/huggingface/hub" / f"models--{weights.repository.replace('/', '--')}"
                target = repository / "snapshots" / weights.revision / weights.file
                target.parent.mkdir(parents=True)
                shutil.copyfile(source, target)
                laid.append(weights.file)
    return laid


def _use(python: Path, folder: Path, home: Path) -> None:
    command = (str(python), "app.py")
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        command = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command)
    own = {"HOME": str(home), "SPACE_ID": "someone/specviz", "SPACE_HOST": "someone-specviz.hf.space", "SYSTEM": "spaces", "PYTHONPATH": "", "TMPDIR": str(home)}  # fmt: skip
    log = folder.parent / "log.txt"
    began = time.monotonic()
    with app(log, command, folder, **own) as url, browser() as chromium:
        print(f"ready in {time.monotonic() - began:.0f} s", flush=True)
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page, wrong = watched(context, url)
        page.goto(url)
        until(page, "window.specviz?.live?.wire() && window.specviz.state.run")
        page.locator(".promptbox textarea").fill(PROMPT)
        page.locator(".promptbox button").click()
        until(
            page,
            "prompt => specviz.state.run.trace.prompt === prompt && !specviz.state.live",
            arg=PROMPT,
            timeout=600_000,
        )
        written = page.evaluate(
            "specviz.state.run.trace.lanes.map((lane) => lane.rounds.flatMap((round) => round.emitted).length)"
        )
        models = page.evaluate("Object.values(specviz.state.run.trace.models).map((model) => model.id)")
        print(f"{models} wrote {written} tokens")
        context.close()
        assert wrong == [] and min(written) > 0, wrong
    assert f'File "{folder}' not in log.read_text(), log.read_text()  # a traceback through this code


if __name__ == "__main__":
    main(*sys.argv[1:])
