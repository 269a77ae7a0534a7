"""Samples of `tests.load`, `tests.drops` and `tests.flood`, on a page in this process: states, and no times."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time

import pytest

from specviz.study import sweep as sweeps
from tests import drops, flood, load
from tests.page.test_page_bad_input import page_of
from tests.support.visitors import Page


@pytest.fixture(scope="module")
def served(pair):
    with page_of(lambda: pair) as (home, desk):
        yield home, desk
        desk.close()


def test_visitors_at_once_get_what_they_asked_for_in_their_order(served):
    """Six visitors with a run of three lanes each: every trace is the one that was asked for, the deltas are its own, and who
    came into the line first began first."""
    home, _ = served

    async def visit() -> list[load.Visit]:
        visits: list[load.Visit] = []
        began = time.monotonic()
        await asyncio.gather(*(load.visitor(home, number, 3, 0.0, began, visits) for number in range(6)))
        return visits

    visits = asyncio.run(visit())
    assert len(visits) == 6 and {visit.wrong for visit in visits} == {""} and load.Outcome(visits).overtaken() == 0


def test_jobs_of_all_kinds_dropped_leave_nothing_behind(served, monkeypatch, tmp_path):
    """One of each kind, at random moments: each time nothing is computed any more, and nothing is held that was not held
    before."""
    home, desk = served
    monkeypatch.setattr(sweeps, "cores", lambda pair: 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = drops.held()
    seconds = asyncio.run(drops.drops(home, desk, len(drops.jobs("")), random.Random(1), longest=0.8))
    assert sum(len(times) for times in seconds.values()) == len(drops.jobs(""))
    after = drops.held()
    assert all(after[name] <= before[name] for name in ("children", "temporary files")), (before, after)


def test_who_never_listens_keeps_nobody_out(served):
    """Jobs for sessions that never fetch their messages: the run of another visitor begins."""
    home, desk = served

    async def visit() -> None:
        async with Page(home, "192.0.2.1") as page:
            trace = await drops.written(home)
            await asyncio.gather(flood.poured(page, 4, trace), flood.waited(home, "192.0.2.2"))

    asyncio.run(visit())
