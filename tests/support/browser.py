"""Helpers for tests that look at the page: the real app in a process of its own, and a browser that forgives nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from specviz.view import boot

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60_000  # ms; the machine may be busy
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@contextmanager
def app(log: Path, program: tuple[str, ...] = ("app.py",), **environment: str):
    """The real app in its own process; gives its address once it says that it is ready."""
    port = free_port()
    env = (
        os.environ
        | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        | environment
    )
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(1800):
            if "ready" in log.read_text():
                break
            if process.poll() is not None:
                raise RuntimeError(f"The app ended before it was ready:\n{log.read_text()}")
            time.sleep(0.1)
        else:
            raise RuntimeError(f"The app was not ready within three minutes:\n{log.read_text()}")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def browser():
    """Chromium, or a skip that says why."""
    if CHROMIUM is None:
        pytest.skip("There is no chromium on this machine.")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@contextmanager
def arithmetic(chromium):
    """A page of nothing but the page's own arithmetic: store.js, laws.js, rules.js and the twins. Fails on a script error."""
    page = chromium.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.evaluate("(rules) => { window.specviz = { boot: { rules } }; }", boot.rule_words())
    for path in boot.ARITHMETIC:
        page.add_script_tag(content=path.read_text(encoding="utf-8"))
    yield page
    page.close()
    assert wrong == []


def watched(context, home: str):
    """A new tab and the list of everything that went wrong in it: console errors, page errors, failed requests,
    and requests to any host but `home`."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: message.type == "error" and wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
    page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"))

    def asked(request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "file") and parts.netloc != urlsplit(home).netloc:
            wrong.append(f"another host: {request.url}")

    page.on("request", asked)
    return page, wrong


SAFE = """given => { try { const value = (%s); return typeof value === 'function' ? value(given) : value } catch { return false } }"""


def until(page, condition: str, arg=None, timeout: float = PATIENCE) -> None:
    """Waits for a condition, an expression or a function of `arg`, in a page that may not have come so far yet: what
    cannot be looked up is not true yet. Raises playwright's TimeoutError after `timeout` ms."""
    page.wait_for_function(SAFE % condition, arg=arg, timeout=timeout)
