"""A tab that goes away, or presses Stop, gives the models back: what it had asked for ends there, long before its own end."""

from __future__ import annotations

import threading
import time

import pytest

from specviz.stopping import Stopped, checkpoint
from specviz.ui import advice, runs, sweeping
from tests.page.test_page import never_ending, pytestmark  # noqa: F401  (where there is no pair)
from tests.page.test_page_bad_input import READY, page_of
from tests.support.browser import PATIENCE, until
from tests.support.desks import idle


def sweep(page) -> None:
    """A sweep of 3,600 texts that has begun."""
    page.click(".sections button:has-text('Sweep')")
    until(page, "document.querySelector('.sweeptable tbody tr')")
    page.evaluate("specviz.form.fill({ rules: ['sps', 'cactus:delta=0.1,1'], questions: 900 })")
    page.click("text=Run sweep")
    until(page, "document.querySelector('.sweep[aria-busy=true] .badge.measured')")


@pytest.mark.parametrize(("room", "start"), [(runs, never_ending), (sweeping, sweep)])
def test_closing_the_tab_ends_what_it_runs(chromium, pair, monkeypatch, room, start):
    """The compute is closed before it has ended, and the turn at the models is free. It is held up after each message,
    so that its own end is minutes away."""
    closed = threading.Event()
    compute = room.compute

    def watched(*given, **named):
        try:
            for message in compute(*given, **named):
                yield message
                time.sleep(0.3)
                checkpoint()
        except Stopped:
            closed.set()
            raise

    monkeypatch.setattr(room, "compute", watched)
    with page_of(lambda: pair) as (url, desk):
        desk.line.deadline = 1e6
        tab = chromium.new_page()
        tab.goto(url)
        until(tab, READY)
        start(tab)
        assert not desk.line.idle and not closed.is_set()
        tab.close()
        assert closed.wait(PATIENCE / 1000), "it went on to its end"
        assert idle(desk)


def test_verification_and_advice_have_a_stop(chromium, pair, monkeypatch):
    """The button that asked, or the one in the notice, ends the job; the page says so, and blames nothing."""
    begun = threading.Event()

    def endless(*_: object) -> None:
        begun.set()
        while True:
            checkpoint()
            time.sleep(0.01)

    monkeypatch.setattr(runs, "verify", endless)
    for kind in ("advise", "buys"):
        monkeypatch.setitem(advice.QUESTIONS, kind, endless)
    with page_of(lambda: pair) as (url, desk):
        desk.line.deadline = 1e6
        tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
        tab.goto(url)
        until(tab, READY)
        for place, starts in (
            (
                ".promptnotice",
                lambda: (tab.click(".menu:has-text('Open') > button"), tab.click("text=Re-run and verify")),
            ),
            (".advisor", lambda: tab.click("text=Find settings")),
            (".askserver", lambda: tab.click("text=Compute for this text")),
        ):
            starts()
            assert begun.wait(PATIENCE / 1000)
            begun.clear()
            tab.locator(f"{place} button", has_text="Stop").click()
            until(tab, "place => document.querySelector(place).innerText.includes('Stopped.')", arg=place)
            assert idle(desk) and not tab.locator(f"{place} button", has_text="Stop").count()
        assert not tab.locator(".sv .error", has_text="Stopped").count()
        tab.close()
