"""Helpers for tests that look at the page: the real app in a process of its own, and a browser that forgives nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120_000  # ms, for whatever is waited for: the machine may be busy
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


# The page has no global of its own. Tests see its modules by their names as `specviz.store`, `specviz.controls`, ..., and
# what core/state.js and core/events.js export also directly: `specviz.state`, `specviz.pick(...)`.
EXPOSE = r"""async () => {
  const map = document.querySelector('script[type=importmap]');
  if (!map) return;
  const names = Object.keys(JSON.parse(map.textContent).imports).filter((name) => !/specviz\/(rules|sets)\/|plots\//.test(name));
  const found = await Promise.all(names.map((name) => import(name)));
  const modules = Object.fromEntries(names.map((name, i) => [/(\w+)\.js$/.exec(name)[1], found[i]]));
  const { state, events, boot, twins, share, links, codes } = modules;
  window.specviz = { ...modules, ...state, ...events, ...boot, twins: twins.twins, share: { ...share, ...links, ...codes } };
}"""


@contextmanager
def app(log: Path, command: tuple[str, ...] = (sys.executable, "app.py"), cwd: Path = ROOT, **environment: str):
    """The real app in its own process; gives its address once it says that it is ready."""
    with process(log, command, cwd, **environment) as (_, url):
        yield url


def _hears() -> None:
    """Has Ctrl-C end this process as it would in a terminal: a shell's background jobs, and what they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def process(log: Path, command: tuple[str, ...] = (sys.executable, "app.py"), cwd: Path = ROOT, **environment: str):
    """The same, with the process itself, which leads a group of its own."""
    port = free_port()
    env = (
        os.environ
        | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        | environment
    )
    with log.open("w") as out:
        started = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_hears
        )
    try:
        began = time.monotonic()
        while "ready" not in log.read_text():
            if started.poll() is not None:
                raise RuntimeError(f"The app ended before it was ready:\n{log.read_text()}")
            if time.monotonic() - began > PATIENCE / 1000:
                raise RuntimeError(f"The app was not ready in time:\n{log.read_text()}")
            time.sleep(0.02)
        yield started, f"http://127.0.0.1:{port}/"
    finally:
        started.terminate()
        try:
            started.wait(timeout=10)
        except subprocess.TimeoutExpired:
            started.kill()


@contextmanager
def browser():
    """Chromium, or a skip that says why. All that its pages wait for by themselves (a click, a download) has PATIENCE."""
    if CHROMIUM is None:
        pytest.skip("There is no chromium on this machine.")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        for name in ("new_context", "new_page"):
            setattr(made, name, _patient(getattr(made, name)))
        yield made
        made.close()


def _patient(make):
    """`make` for a browser's contexts or pages, so that these wait for PATIENCE instead of playwright's 30 seconds, and
    have their modules at hand."""

    def made(**options):
        new = make(**options)
        new.set_default_timeout(PATIENCE)
        new.add_init_script(f"document.addEventListener('DOMContentLoaded', {EXPOSE})")
        return new

    return made


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


# Every plot of the run has been drawn at least once.
DRAWN = "document.querySelectorAll('.plots .js-plotly-plot').length === specviz.plots.cards.filter(card => !card.served).length"
SAFE = """given => { try { const value = (%s); return typeof value === 'function' ? value(given) : value } catch { return false } }"""


def until(page, condition: str, arg=None, timeout: float = PATIENCE) -> None:
    """Waits for a condition, an expression or a function of `arg`, in a page that may not have come so far yet: what
    cannot be looked up is not true yet. Raises playwright's TimeoutError after `timeout` ms."""
    page.wait_for_function(SAFE % condition, arg=arg, timeout=timeout)


WIDTHS = (360, 390, 820, 1001, 1181, 1280, 1440, 2560)  # px, at both ends of what the style sheets tell apart
# What reaches beyond the right edge, though no scroll bar says so: the body hides it.
BEYOND = """[...document.querySelectorAll('.sv *')].filter(node => node.checkVisibility({ visibilityProperty: true }) && node.getBoundingClientRect().right > innerWidth + 1
  && node.getBoundingClientRect().width > 1 && !node.closest('.sr, .scroller, .examples, .text, .js-plotly-plot')).map(node => `${node.tagName}.${node.classList}: ${node.textContent.slice(0, 40)}`)"""


def beyond(page, width: int) -> list[str]:
    """What of the page is out of sight to the right in a window `width` px wide."""
    page.set_viewport_size({"width": width, "height": 900})
    until(page, "width => innerWidth === width", arg=width)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(BEYOND)


def serious(page) -> list[tuple]:
    """What axe holds against the page, of serious or critical impact: the rule, where, and how often."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    violations = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (violation["id"], [node["target"] for node in violation["nodes"]][:5], len(violation["nodes"]))
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]
