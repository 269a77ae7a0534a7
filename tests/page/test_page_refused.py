"""A server that takes nothing more, or fails: the page says so at once, and goes on."""

from __future__ import annotations

from contextlib import contextmanager

from tests.page.test_page import pytestmark  # noqa: F401  (where nothing is recorded)
from tests.page.test_page_bad_input import READY
from tests.support.browser import until
from tests.support.traces import recorded


@contextmanager
def failing(chromium, home: str, address: str, status: int):
    """An open page for which requests to an address have this status."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(home)
    until(page, READY)
    page.route(address, lambda route: route.fulfill(status=status, json={"detail": "no"}))
    yield page
    context.close()


def test_a_refused_job_is_a_sentence_and_the_next_one_runs(chromium, home):
    """Gradio's own queue takes nothing: a run, a sweep and a question say so, their buttons come back, and what was on
    display stays. Once it takes jobs again, the same button runs."""
    with failing(chromium, home, "**/queue/join*", 503) as page:
        before = page.evaluate("specviz.state.run.trace.prompt")
        page.fill("[data-field=max_new_tokens]", "4")
        page.click(".run")
        until(page, "document.querySelector('[data-error=prompt]').innerText.startsWith('The house is full')")
        assert (
            page.inner_text(".ask .run").startswith("Run") and page.evaluate("specviz.state.run.trace.prompt") == before
        )
        page.click("text=Find settings")
        until(page, "document.querySelector('[data-advice=error]').innerText.startsWith('The house is full')")
        page.click(".sections button:has-text('Sweep')")
        page.click("text=Run sweep")
        until(page, "document.querySelector('.sweepsaid .error').innerText.startsWith('The house is full')")
        assert page.get_by_text("Run sweep").is_visible()
        page.click(".sections button:has-text('Compare')")
        page.unroute("**/queue/join*")
        page.click(".run")
        until(page, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")
        assert page.inner_text("[data-error=prompt]") == ""


def test_a_function_that_fails_on_the_server_is_a_sentence(chromium, home):
    """Opening a trace and exporting one say that it could not be done; nothing is downloaded, and no script fails."""
    with failing(chromium, home, "**/component_server**", 500) as page:
        wrong, downloads = [], []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("download", lambda download: downloads.append(download))
        page.set_input_files("#sv-file", recorded("small")[0])
        until(page, "document.querySelector('[data-error=prompt]').innerText.startsWith('The server ')")
        page.click("text=Export")
        page.click("[role=menuitem]:has-text('Replay')")
        until(page, "document.querySelector('.promptnotice').innerText.startsWith('The server ')")
        assert (wrong, downloads) == ([], [])
