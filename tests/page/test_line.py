"""The line in front of the models, without a browser: who is next, who is sent away, and that whatever is stopped ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import pytest

from specviz.stopping import Stopped, checkpoint
from specviz.study import sweep as sweeps
from specviz.ui import advice, runs, sweeping
from specviz.ui import desk as desks
from specviz.ui import line as lines
from specviz.ui.desk import Desk, ordinal, spelt
from specviz.ui.line import Message, Turn, Visitor, Work, computed
from tests.support import visitors
from tests.support.desks import desk_of, endless, idle

KINDS = ("run", "verify", "sweep", "advise", "buys", "tryout")


@dataclass(frozen=True)
class Person(Visitor):
    """A visitor whose page listens or not, and who may go."""

    listens: bool = True
    leaves: threading.Event | None = None

    def listening(self) -> bool:
        return self.listens

    def gone(self) -> bool:
        return self.leaves is not None and self.leaves.is_set()


class House:
    """A desk, and the visitors at it, each a task that keeps what it hears."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.heard: dict[str, list[Message]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, work: Work, kind: str = "run", visitor: Visitor | None = None) -> list[Message]:
        """Asks for a job, and comes back once something was heard of it, or everything."""
        heard = self.heard[name] = []
        self.tasks[name] = asyncio.create_task(self._hear(name, work, kind, visitor or Visitor(name), heard))
        while not heard and not self.tasks[name].done():
            await asyncio.sleep(0.005)
        return heard

    async def _hear(self, name: str, work: Work, kind: str, visitor: Visitor, heard: list[Message]) -> None:
        async with aclosing(self.desk.messages(visitor, kind, work, name)) as messages:
            async for message in messages:
                heard.append(message)

    async def ended(self) -> None:
        """Waits until all have heard everything."""
        await asyncio.gather(*self.tasks.values())


@pytest.fixture
def house(pair):
    made = House(desk_of(lambda: pair))
    yield made
    assert idle(made.desk)
    made.desk.close()


def noting(order: list[str], name: str, gate: threading.Event) -> Work:
    """A job that notes its name and its thread when it begins, and ends once the gate is open."""

    def work(turn: Turn) -> Iterator[Message]:
        order.append((name, threading.get_ident()))
        yield {"kind": "start"}
        while not gate.wait(0.01):
            checkpoint()
        yield {"kind": "end"}

    return work


def sentence(messages: list[Message]) -> str:
    assert messages[-1]["kind"] == "error"
    return messages[-1]["message"]


def test_first_come_first_served_by_one_thread(house):
    """Jobs of all kinds, the first of which holds the others up: they begin in the order in which they came, all in one
    thread. Each was told its place, which only ever fell, and the last thing it heard is its own end."""

    async def visit() -> None:
        gate, order = threading.Event(), []
        for number, kind in enumerate(KINDS):
            await house.ask(f"{number}", noting(order, f"{number}", gate), kind)
        assert [house.heard[name][0].get("place") for name in house.heard] == [None, 1, 2, 3, 4, 5]
        assert house.heard["2"][0]["message"].startswith("2nd in the line")
        gate.set()
        await house.ended()
        assert [name for name, _ in order] == [f"{number}" for number in range(len(KINDS))]
        assert len({thread for _, thread in order}) == 1
        for name, heard in house.heard.items():
            places = [message["place"] for message in heard if "place" in message]
            assert places == sorted(places, reverse=True)
            assert heard[-1] == {"run": name, "kind": "end"}

    asyncio.run(visit())


def test_bounds(house, monkeypatch):
    """One of a kind and two in all for a visitor, so many for an address, so many in the house; who leaves makes room."""
    monkeypatch.setattr(lines, "PER_ADDRESS", 3)
    monkeypatch.setattr(lines, "ALL", 4)

    async def visit() -> None:
        anna, bert = Visitor("anna", "school"), Visitor("bert", "school")
        await house.ask("1", endless, "run", anna)
        assert "has not ended yet" in sentence(await house.ask("2", endless, "run", anna))
        await house.ask("3", endless, "sweep", anna)
        assert "have not ended yet" in sentence(await house.ask("4", endless, "verify", anna))
        await house.ask("5", endless, "run", bert)
        assert "from your address are already waiting" in sentence(await house.ask("6", endless, "sweep", bert))
        await house.ask("7", endless, "run", Visitor("carl", "home"))
        assert "4 visitors are already waiting here" in sentence(
            await house.ask("8", endless, "run", Visitor("dora", "inn"))
        )
        house.tasks["5"].cancel()
        await asyncio.gather(house.tasks["5"], return_exceptions=True)
        assert "place" in (await house.ask("9", endless, "sweep", bert))[0]
        for task in house.tasks.values():
            task.cancel()
        await asyncio.gather(*house.tasks.values(), return_exceptions=True)

    asyncio.run(visit())


def test_a_job_for_nobody_takes_no_place(house, monkeypatch):
    """A page that never fetches its messages is given up; whoever comes meanwhile is next."""
    monkeypatch.setattr(desks, "UNHEARD", 0.3)

    async def visit() -> None:
        silent = asyncio.create_task(house.ask("silent", endless, "run", Person("silent", listens=False)))
        assert (await house.ask("other", endless))[0]["kind"] == "delta"
        assert "did not listen" in sentence(await silent)
        house.desk.line.stop("other", "other")
        await house.ended()
        assert sentence(house.heard["other"]) == "Stopped."

    asyncio.run(visit())


@pytest.mark.parametrize("how", ["stop", "leave", "close", "deadline"])
def test_whatever_is_under_way_ends(house, how):
    """A job that would go on for ever, and one behind it in the line: stopped by its visitor, by a connection that is gone,
    by who hears it, or by its deadline. The one behind it gets its turn, and ends too."""
    house.desk.line.deadline = 0.3 if how == "deadline" else 1e6

    async def visit() -> None:
        leaves = threading.Event()
        await house.ask("first", endless, "run", Person("first", leaves=leaves))
        await house.ask("second", endless, "sweep")
        for name in ("first", "second"):
            while not any(message["kind"] == "delta" for message in house.heard[name]):
                await asyncio.sleep(0.01)
            if how == "stop":
                house.desk.line.stop("a stranger", name)
                assert not house.tasks[name].done()
                house.desk.line.stop(name, name)
            elif how == "leave" and name == "first":
                leaves.set()
            elif how in ("close", "leave"):
                house.tasks[name].cancel()
            await asyncio.gather(house.tasks[name], return_exceptions=True)
        if how in ("stop", "deadline"):
            assert "Stopped" in sentence(house.heard["first"]) and "Stopped" in sentence(house.heard["second"])

    asyncio.run(visit())


def test_a_stop_is_heard_in_the_line(house):
    """Who stops a job that waits gets a sentence at once, and the one that computes goes on."""

    async def visit() -> None:
        await house.ask("first", endless)
        await house.ask("second", endless)
        house.desk.line.stop("second", "second")
        await house.tasks["second"]
        assert "before it was this run's turn" in sentence(house.heard["second"])
        assert not house.tasks["first"].done()
        house.desk.line.stop("first", "first")
        await house.ended()

    asyncio.run(visit())


def test_a_job_that_breaks_is_a_sentence_and_the_next_one_comes(house, capsys):
    def broken(turn: Turn) -> Iterator[Message]:
        raise KeyError("lost")

    async def visit() -> None:
        assert "could not be computed: KeyError" in sentence(await house.ask("a", broken))
        assert (await house.ask("b", partial(advice.answered, kind="buys", text="[]")))[-1]["kind"] == "error"
        house.tasks["c"] = asyncio.create_task(asyncio.sleep(0))
        assert (await house.ask("c", lambda turn: [{"kind": "end"}]))[-1]["kind"] == "end"

    asyncio.run(visit())
    assert "KeyError" in capsys.readouterr().err


def test_estimates_are_of_recent_jobs_of_the_same_kinds(house, monkeypatch):
    """The seconds until a turn add up what those ahead are expected to take; without such jobs there is no estimate."""
    line = house.desk.line
    line._lasted["run"].extend([2.0, 4.0])
    line._lasted["sweep"].extend([100.0])

    async def visit() -> None:
        await house.ask("first", endless, "run")
        await house.ask("second", endless, "sweep")
        await house.ask("third", endless, "verify")
        await house.ask("fourth", endless, "run")
        seconds = [house.heard[name][0]["seconds"] for name in ("second", "third", "fourth")]
        assert 0 < seconds[0] <= 3 and 100 < seconds[1] <= 103 and seconds[2] is None
        assert house.heard["third"][0]["message"] == "2nd in the line, about 2 min (estimated)."
        assert house.heard["fourth"][0]["message"] == "3rd in the line."
        for name, task in reversed(house.tasks.items()):
            house.desk.line.stop(name, name)
            await task

    asyncio.run(visit())
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 32)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "32nd",
    ]  # fmt: skip
    assert [spelt(s) for s in (0.2, 6.4, 43, 100)] == ["1 s", "6 s", "45 s", "2 min"]


def works(pair, trace: str) -> dict[str, Work]:
    """A job of every kind, and a sweep for which processes start."""
    ask = {"trace": trace}
    row = {"rule": "sps", "drafter": "model", "draft_length": 4, "interval": [0, 4], "attempt": 1}
    lane = {"lane": 1, "rules": [["cactus_law", {}]]}
    goal = {"goal": "spend", "value": 0.1, "draft_length": None}
    return {
        "run": partial(runs.compute, asked=visitors.RUN),
        "verify": partial(runs.verified, text=trace),
        "sweep": partial(sweeping.compute, asked=visitors.SWEEP),
        "workers": partial(sweeping.compute, asked=visitors.WORKERS),
        "advise": partial(advice.answered, kind="advise", text=json.dumps(ask | goal)),
        "buys": partial(advice.answered, kind="buys", text=json.dumps(ask | lane)),
        "tryout": partial(advice.answered, kind="tryout", text=json.dumps(ask | row)),
    }


@pytest.mark.parametrize("kind", [*KINDS, "workers"])
@pytest.mark.parametrize("after", [1, 40])
def test_every_kind_of_job_can_be_stopped_wherever_it_is(pair, record, kind, after, monkeypatch):
    """It asks again and again whether to go on; told not to at any of those moments it makes nothing more but its end, which
    says so. That of a sweep leaves no process behind."""
    if kind == "workers":
        monkeypatch.setattr(sweeps, "cores", lambda pair: 2)
    asked = 0

    def over() -> str:
        nonlocal asked
        asked += 1
        return "Stopped." if asked >= after else ""

    turn, said = Turn(pair), []
    turn.over = over
    try:
        said = list(computed(works(pair, record.to_json())[kind], turn))
    except Stopped as stop:
        said = [{"message": str(stop)}]
    assert "Stopped." in said[-1]["message"] and asked == after
    import multiprocessing

    assert multiprocessing.active_children() == []
