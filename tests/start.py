"""How soon the page is there, and what it holds before a model is loaded: `python -m tests.start [--times 3]`.

Prints the seconds from the start of the process to the line that says it is ready, and to the first moving token of a recorded
run in Chromium, which is open already; and the memory of a page whose models cannot be had. Ends with 1 unless each time that
was under SECONDS, and under MEMORY. Measure on two idle cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.load import resident
from tests.page_performance import FIRST
from tests.support.browser import browser, process, until

SECONDS = 6.0
MEMORY = 500.0  # MB


def started(chromium, folder: Path, **environment: str) -> tuple[float, float, float]:
    """Seconds to the ready line, and to the first moving token; MB then, once all models are there or cannot be had."""
    began = time.monotonic()
    with process(folder / "log.txt", **environment) as (app, url):
        ready = time.monotonic() - began
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url, wait_until="commit")
        page.evaluate(FIRST)
        moving = time.monotonic() - began
        until(page, "fetch('health').then((answer) => answer.json()).then(({ pair }) => pair.state !== 'loading')")
        held = resident(app.pid)
        page.close()
    return ready, moving, held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, browser() as chromium:
        times = [started(chromium, Path(scratch)) for _ in range(options.times)]
        *_, alone = started(chromium, Path(scratch), SPECVIZ_VERIFIER=f"{scratch}/none")
    for ready, moving, held in times:
        print(f"ready after {ready:.1f} s, a recorded run moves after {moving:.1f} s; {held:.0f} MB with its models")
    print(f"without models: {alone:.0f} MB")
    return 0 if max(moving for _, moving, _ in times) < SECONDS and alone < MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
