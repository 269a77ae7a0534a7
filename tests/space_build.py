"""Builds the Space as the Hub does, and uses it: `python -m tests.space_build [--hardware zero-a10g] [--python python3.12]`,
some minutes.

What `specviz space` would push is laid into an empty folder; a fresh environment gets its requirements.txt in one command with
what the Hub adds to it; the model's file lies where preload_from_hub puts it (taken from the package that carries it, if that is
installed here). The page then runs as a user without rights, where nothing but a home folder can be written, and Chromium makes a run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from specviz.backends import PairFacts
from specviz.hosting import check, prepare
from tests.support.browser import app, browser, until, watched

NOBODY = 65534
ADDED = ("uvicorn>=0.14.0", "websockets>=10.4", "spaces")  # by the Hub, with gradio[oauth,mcp] of the sdk_version
PROMPT = "What is the capital of France?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hardware", choices=prepare.HARDWARE, default=prepare.CPU)
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter; a Space's is named in the head of its README.md"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="specviz-space-") as scratch:
        top = Path(scratch)
        top.chmod(0o755)
        folder, home = top / "app", top / "home"
        names = prepare.prepared(folder, "someone/specviz", options.hardware)
        wrong = [found for found in check.checks(folder, options.hardware) if not found.good]
        assert not wrong, wrong
        print(f"{len(names)} files in {folder}", flush=True)
        python = _environment(options.python, top / "venv", folder)
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


def _environment(interpreter: str, where: Path, folder: Path) -> Path:
    """The Python of a new environment with what the Hub installs."""
    began, python = time.monotonic(), where / "bin" / "python"
    subprocess.run([interpreter, "-m", "venv", where], check=True)
    gradio = f"gradio[oauth,mcp]=={prepare.pins(folder)['gradio']}"
    wanted = ["-r", folder / "requirements.txt", gradio, *ADDED]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    version = subprocess.run([python, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{version}, installed in {time.monotonic() - began:.0f} s", flush=True)
    return python


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
    command: tuple[str, ...] = (str(python), "app.py")
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if os.geteuid() == 0 and subprocess.run([*drop, python, "--version"], capture_output=True).returncode:
        print("as root: others may not read this Python", flush=True)
    elif os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        command = (*drop, *command)
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
    assert "Traceback" not in log.read_text(), log.read_text()


if __name__ == "__main__":
    main()
