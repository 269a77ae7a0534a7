"""Malformed links and files, opened in a real browser: the part of `tests.fuzz` that needs one."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

from tests.support.browser import browser, until, watched
from tests.support.mutants import VALUES, mutant, mutate

HOSTILE = '<img src=x onerror="window.broken=1"></script><script>window.broken=1</script>\u202e\x00'
LINK: dict[str, Any] = {
    "v": 1, "pair": "small", "prompt": "One day", "style": "tiny", "system": None, "temperature": 1, "top_k": 0, "top_p": 1,
    "draft_length": 4, "max_new_tokens": 4, "seed": 0, "drafter": {"name": "model", "knobs": {}},
    "lanes": [{"rule": "cactus", "knobs": {"delta": 0.5}}], "pick": [0, 1], "at": 0.5,
}  # fmt: skip
SWEEP: dict[str, Any] = {
    "rules": ["sps"],
    "questions": 2,
    "families": ["sort"],
    "temperature": 1,
    "draft_length": 4,
    "seed": 0,
}
READY = "window.specviz?.live?.wire() && document.querySelector('.sv .lane')"
SETTLED = "!specviz.state.live"


def spoilt(rng: random.Random, data: dict[str, Any]) -> str:
    """Data with something changed, as a part of an address."""
    tree = json.loads(json.dumps(data))
    for _ in range(rng.choice((1, 2, 3))):
        mutate(rng, tree)
    if isinstance(tree, dict) and rng.random() < 0.3:
        tree[rng.choice([*data, HOSTILE])] = rng.choice([HOSTILE, *VALUES])
    text = base64.urlsafe_b64encode(json.dumps(tree).encode("utf-8", "surrogatepass")).decode().rstrip("=")
    return text[: rng.randrange(len(text))] if rng.random() < 0.1 else text


def fuzz(url: str, trace: dict[str, Any], seed: int, links: int, files: int, folder: Path) -> list[str]:
    """Opens so many links and files; returns what went wrong: errors of the page, failed requests, scripts that ran, a page that
    stays as it was without a word."""
    rng, wrong = random.Random(seed), []
    with browser() as chromium:
        context = chromium.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
        tab, found = watched(context, url)
        for _ in range(links):
            part = f"#run={spoilt(rng, LINK)}" if rng.random() < 0.7 else f"#sweep={spoilt(rng, SWEEP)}"
            tab.goto("about:blank")
            found.clear()  # what leaving a page cut off is no fault of the next
            tab.goto(url + part)
            until(tab, READY)
            until(tab, SETTLED)
            wrong += noted(tab, found, part)
        for number in range(files):
            path = folder / f"{number}.json"
            text = HOSTILE if rng.random() < 0.1 else mutant(rng, trace)
            path.write_text(text if rng.random() < 0.8 else text[: rng.randrange(len(text))], encoding="utf-8")
            tab.evaluate(
                "document.querySelectorAll('.sv .error, .sv .promptnotice').forEach(node => { node.textContent = '' })"
            )
            tab.set_input_files("#sv-file", path)
            until(tab, "[...document.querySelectorAll('.sv .error, .sv .promptnotice')].some(node => node.textContent)")
            wrong += noted(tab, found, f"file {text[:300]}")
        context.close()
    return wrong


def noted(tab: Any, found: list[str], what: str) -> list[str]:
    """What has gone wrong since the last time."""
    wrong = [f"{what[:500]}: {one}" for one in found]
    found.clear()
    return [*wrong, f"{what[:500]}: a script ran"] if tab.evaluate("window.broken !== undefined") else wrong
