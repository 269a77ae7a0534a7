"""How soon the page is there, and what it holds before a model is loaded: `python -m tests.start [--times 3]`.

Prints the seconds from the start of the process to the line that says it is ready, and to the first moving token of a recorded
run in Chromium, which is open already; and the memory of a page whose models cannot be had. Ends with 1 unless each time that
was under SECONDS, and under MEMORY. Measure on two idle cores; on
a busy machine read the CPU time, which has no waiting in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.load import resident
from tests.page_performance import FIRST
from tests.support.browser import browser, process
from tests.support.client import Client

SECONDS = 6.0
MEMORY = 500.0  # MB


def seconds(chromium, log: Path) -> tuple[float, float, float]:
    """From the start of the process to its ready line, those of CPU until then, and to the first moving token."""
    began = time.monotonic()
    with process(log) as (app, url):
        ready, ticks = (
            time.monotonic() - began,
            Path(f"/proc/{app.pid}/stat").read_text().rpartition(")")[2].split()[11:13],
        )
        computed = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url, wait_until="commit")
        page.evaluate(FIRST)
        moving = time.monotonic() - began
        page.close()
    return ready, computed, moving


def memory(log: Path) -> float:
    """MB of a page that has been read once, and whose models cannot be had."""
    with process(log, SPECVIZ_VERIFIER=str(log.parent / "none")) as (app, url):
        client = Client(url)
        while client.send("GET", "/health").status != 503:
            time.sleep(0.1)
        return resident(app.pid)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, browser() as chromium:
        log = Path(scratch) / "log.txt"
        times = [seconds(chromium, log) for _ in range(options.times)]
        held = memory(log)
    for ready, computed, moving in times:
        print(f"ready after {ready:.1f} s ({computed:.1f} s of CPU), a recorded run moves after {moving:.1f} s")
    print(f"without models: {held:.0f} MB")
    return 0 if max(moving for *_, moving in times) < SECONDS and held < MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
