"""A client that asks and never listens: `python -m tests.flood [--each 60]`.

It posts so many jobs of every kind, each as a page of its own, and reads nothing. Meanwhile another visitor asks for a run, as
often as a person would until it is taken. Prints the wait, and ends with 1 unless that is under LIMIT seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

from tests.drops import jobs, written
from tests.support.browser import app
from tests.support.visitors import Full, Page, run

LIMIT = 15.0  # seconds
AGAIN = 0.5  # seconds after which a person presses Run once more


async def poured(page: Page, each: int, trace: str) -> Counter[str]:
    """Posts `each` jobs of every kind without listening; how many were taken, and how many not."""
    taken: Counter[str] = Counter()

    async def one(event: str, data: dict) -> None:
        try:
            await page.post(event, {**data, "id": "flood"}, uuid4().hex)
            taken["taken"] += 1
        except Full:
            taken["full"] += 1

    await asyncio.gather(*(one(*job) for _ in range(each) for job in jobs(trace).values()))
    return taken


async def waited(home: str, address: str) -> float:
    """Seconds until a visitor's run begins, who tries again while the house is full."""
    began = time.monotonic()
    async with Page(home, address) as page:
        while True:
            try:
                async for message in page.ask("run", run(max_new_tokens=8)):
                    if message["kind"] == "start":
                        return time.monotonic() - began
            except Full:
                pass
            await asyncio.sleep(AGAIN)


async def flood(home: str, each: int) -> list[float]:
    """The waits of a visitor from elsewhere, and of one from the same address, while the flood comes and behind it."""
    trace, waits = await written(home), []
    async with Page(home, "192.0.2.1") as page:
        flooding = asyncio.create_task(poured(page, each, trace))
        while not flooding.done() or len(waits) < 4:
            waits += await asyncio.gather(waited(home, "192.0.2.2"), waited(home, "192.0.2.1"))
    print(f"{each} jobs of each kind: {dict(flooding.result())}")
    return waits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, app(Path(folder) / "log.txt", SPECVIZ_PAIR="small") as home:
        waits = asyncio.run(flood(home, options.each))
    print(f"{len(waits)} runs of others, the longest wait {max(waits):.1f} s")
    return 0 if max(waits) < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
