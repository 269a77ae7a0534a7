"""Visitors who go away: `python -m tests.drops [--count 200] [--seed 0]`.

Jobs of every kind are dropped at random moments, by a closed connection or by Stop, while they wait, load and compute. Prints
how long the models went on computing for nobody, of each kind, and ends with 1 unless that was under IDLE seconds each
time, and threads, open files, files in the temporary folder and child processes are as before.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path

from specviz import backends
from specviz.study import sweep as sweeps
from specviz.ui.desk import Desk
from tests.page.test_page_bad_input import page_of
from tests.support.visitors import SWEEP, Page, question, run, sweep

IDLE = 1.0  # seconds
LONG = 3.0  # seconds after which a job is dropped at the latest
WORKERS = SWEEP | {"rules": ["sps", "cactus:delta=0.1,1"], "questions": 900}  # so many texts that processes start


def jobs(trace: str) -> dict[str, tuple[str, dict]]:
    """Of each kind a job that takes some seconds: the event, and what the page sends with it."""
    row = {"rule": "sps", "drafter": "model", "draft_length": 4, "interval": [0, 4], "attempt": 1}
    return {
        "run": ("run", run(max_new_tokens=900, temperature=1.9)),
        "verify": ("verify", {"trace": trace}),
        "sweep": ("sweep", sweep(questions=190)),
        "workers": ("sweep", sweep(**WORKERS)),
        "advise": ("ask", question("advise", trace, goal="spend", value=0.1, draft_length=None)),
        "buys": ("ask", question("buys", trace, lane=1, rules=[["cactus_law", {}]])),
        "tryout": ("ask", question("tryout", trace, **row)),
    }


async def dropped(home: str, desk: Desk, kind: str, data: dict, after: float, way: str) -> float:
    """Asks for a job and drops it after so many seconds; the seconds until nothing is computed any more."""
    async with Page(home) as page:
        messages = page.ask(kind, {**data, "id": "job"})

        async def listen() -> None:
            async with aclosing(messages):
                async for _ in messages:
                    pass

        listening = asyncio.create_task(listen())
        await asyncio.sleep(after)
        began = time.monotonic()
        if way == "stop":
            await page.stop("job")
        else:
            listening.cancel()
        while not desk.line.idle or multiprocessing.active_children():
            await asyncio.sleep(0.005)
        seconds = time.monotonic() - began
        await asyncio.gather(listening, return_exceptions=True)
    return seconds


async def written(home: str) -> str:
    """The trace of a run of three lanes of 300 tokens."""
    async with Page(home) as page:
        *_, end = [message async for message in page.ask("run", run(max_new_tokens=300, temperature=1.9))]
    return end["final"]


async def drops(
    home: str, desk: Desk, count: int, chance: random.Random, longest: float = LONG
) -> dict[str, list[float]]:
    """How long each of `count` dropped jobs went on, by kind and way; each is dropped within `longest` seconds."""
    kinds, seconds = jobs(await written(home)), defaultdict(list)
    for number in range(count):
        name = list(kinds)[number % len(kinds)]
        way = chance.choice(("close", "stop"))
        went_on = await dropped(home, desk, *kinds[name], chance.uniform(0, longest), way)
        seconds[f"{name}, {way}"].append(went_on)
    return seconds


def held() -> dict[str, int]:
    """What this process holds."""
    return {
        "threads": sum(thread.name != "AnyIO worker thread" for thread in threading.enumerate()),
        "files": len(os.listdir("/proc/self/fd")),
        "temporary files": sum(1 for _ in Path(tempfile.gettempdir()).rglob("*")),
        "children": len(multiprocessing.active_children()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pair = backends.load_pair("small")
    backends.dedicate_process(pair)
    sweeps.cores = lambda pair: 2  # type: ignore[assignment]  # also where there is one
    with tempfile.TemporaryDirectory() as folder, page_of(lambda: pair) as (home, desk):
        tempfile.tempdir = folder
        asyncio.run(drops(home, desk, 7, random.Random(1)))  # what is opened once stays open
        before = held()
        seconds = asyncio.run(drops(home, desk, options.count, random.Random(options.seed)))
        after = held()
        tempfile.tempdir = None
        desk.close()
    for name, values in sorted(seconds.items()):
        print(f"{name:16} {len(values):3} times, idle after {max(values):.2f} s at most")
    print(f"held before: {before}\nheld after:  {after}")
    worst = max(max(values) for values in seconds.values())
    return 0 if worst < IDLE and all(after[name] <= before[name] for name in before) else 1


if __name__ == "__main__":
    sys.exit(main())
