"""Many visitors at once: `python -m tests.load [--visitors 20] [--lanes 3] [--seconds 60] [--rounds 2]`.

Starts the page with the small pair in a process of its own, and lets visitors run again and again, each as soon as its last
run has ended. Every final trace is held against what was asked for and against the deltas that came before it. Prints, and
ends with 1 unless all of it holds: no errors, nothing lost, nothing mixed, nobody overtaken by who came into the line LATER
seconds after him, the worst wait within 1.5 times the fair one, and memory after the last round within 5 % of that after the first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from tests.support.browser import app
from tests.support.visitors import Page, run

LATER = 0.25  # seconds: what is told of at the same moment may be read in either order
RULES = ("sps", "cactus", "tas", "lenience", None)
PROMPTS = ("One day a dog", "The king had three sons", "Once upon a time", "In the garden")


@dataclass
class Visit:
    """One run: seconds since the start at which it was asked for, was told its first place in the line (or began, if it never
    stood there), began and ended; `wrong`: what was wrong with it."""

    asked: float
    entered: float | None = None
    began: float = 0.0
    ended: float = 0.0
    wrong: str = ""


@dataclass
class Outcome:
    """What became of all runs. Waits are seconds from asking to the first message of the run itself."""

    visits: list[Visit] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB after each round

    @property
    def complete(self) -> list[Visit]:
        return [visit for visit in self.visits if not visit.wrong]

    def overtaken(self) -> int:
        """Runs that began after one that came into the line later."""
        visits = [(visit.entered or visit.began, visit.began) for visit in self.complete]
        return sum(any(later > entered + LATER and one < began for later, one in visits) for entered, began in visits)

    def fair(self, visitors: int) -> float:
        """The wait of one behind all others, each of whom takes as long as a run took on average."""
        ends = sorted(visit.ended for visit in self.complete)
        return visitors * mean(after - before for before, after in zip(ends, ends[1:]))


def odd(asked: dict, messages: list[dict]) -> str:
    """What is wrong with the messages of a run; "" if nothing is."""
    *_, last = messages or [{"kind": "nothing"}]
    if last["kind"] != "end":
        return "lost" if last["kind"] in ("nothing", "delta", "start", "wait") else f"error: {last['message']}"
    final, settings = json.loads(last["final"]), json.loads(asked["settings"])
    deltas = {delta["seq"]: delta for message in messages for delta in message.get("deltas", [])}
    told: list[list] = [[] for _ in final["lanes"]]
    for _, delta in sorted(deltas.items()):
        for lane, round_ in delta["rounds"]:
            told[lane].append(round_)
    wanted = [lane["rule"] for lane in settings["lanes"]]
    got = [lane["rule"] and lane["rule"].partition(":")[0] for lane in final["lanes"]]
    same = all(final[name] == settings[name] for name in ("prompt", "seed", "max_new_tokens")) and wanted == got
    return "" if same and told == [lane["rounds"] for lane in final["lanes"]] else "mixed"


async def visitor(home: str, number: int, lanes: int, seconds: float, began: float, visits: list[Visit]) -> None:
    """Runs again and again for so many seconds, and once at least."""
    chance, visit = random.Random(number), None
    async with Page(home) as page:
        while visit is None or time.monotonic() - began < seconds:
            rules = [{"rule": chance.choice(RULES)} for _ in range(lanes)]
            length, seed = chance.randint(20, 60), chance.randint(0, 10**6)
            asked = run(prompt=chance.choice(PROMPTS), seed=seed, max_new_tokens=length, lanes=rules)
            visit, messages = Visit(time.monotonic() - began), []
            visits.append(visit)
            try:
                async for message in page.ask("run", asked):
                    messages.append(message)
                    if visit.entered is None and "place" in message:
                        visit.entered = time.monotonic() - began
                    if message["kind"] == "start":
                        visit.began = time.monotonic() - began
                visit.wrong = odd(asked, messages)
            except Exception as error:
                visit.wrong = f"error: {type(error).__name__} {error}"
            visit.ended = time.monotonic() - began
            if visit.wrong:
                await asyncio.sleep(0.2)


async def rounds(home: str, visitors: int, lanes: int, seconds: float, count: int, process: int) -> Outcome:
    """So many rounds of load, and the memory that the process holds after each."""
    outcome, began = Outcome(), time.monotonic()
    for _ in range(count):
        until = time.monotonic() - began + seconds
        await asyncio.gather(*(visitor(home, i, lanes, until, began, outcome.visits) for i in range(visitors)))
        await asyncio.sleep(2.0)
        outcome.memory.append(resident(process))
    return outcome


def resident(process: int) -> float:
    """Memory of a process, MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def child() -> int:
    """The one process that this one has started."""
    found = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid()
    ]
    (only,) = found
    return only


def report(outcome: Outcome, visitors: int) -> bool:
    """Prints the outcome; whether all is as it has to be."""
    complete, waits = outcome.complete, [visit.began - visit.asked for visit in outcome.complete]
    wrong = Counter(visit.wrong for visit in outcome.visits if visit.wrong)
    fair, overtaken, (first, *_, last) = outcome.fair(visitors), outcome.overtaken(), outcome.memory
    print(f"{len(outcome.visits)} runs, {len(complete)} complete, {overtaken} overtaken; wrong: {dict(wrong)}")
    print(f"wait: median {median(waits):.1f} s, worst {max(waits):.1f} s, fair {fair:.1f} s: {max(waits) / fair:.2f}x")
    print(f"memory: {', '.join(f'{size:.0f}' for size in outcome.memory)} MB: {last / first - 1:+.1%}")
    return not wrong and not overtaken and max(waits) <= 1.5 * fair and last <= 1.05 * first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("visitors", 20), ("lanes", 3), ("seconds", 60.0), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, app(Path(folder) / "log.txt", SPECVIZ_PAIR="small") as home:
        sizes = (options.visitors, options.lanes, options.seconds, options.rounds)
        outcome = asyncio.run(rounds(home, *sizes, child()))
        tracebacks = (Path(folder) / "log.txt").read_text().count("Traceback")
    print(f"tracebacks in the log: {tracebacks}")
    return 0 if report(outcome, options.visitors) and not tracebacks else 1


if __name__ == "__main__":
    sys.exit(main())
