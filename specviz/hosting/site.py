"""A static site: a gallery of the recorded runs, each a replay, and the playground. It opens from a file and from any host
of files, needs no server, and asks no other host for anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from specviz import __version__, backends
from specviz.assets import ASSETS
from specviz.exports.replay import replay
from specviz.hosting.prepare import empty
from specviz.record import metrics, pieces
from specviz.record.lane import Lane
from specviz.record.trace import Trace, load
from specviz.ui.recorded import path_of
from specviz.view.boot import styles

TOKENS = 34  # of a run's text that its card shows
HERE = Path(__file__).resolve().parent
README = """---
title: specviz, recorded
emoji: 🔎
colorFrom: yellow
colorTo: gray
sdk: static
app_file: index.html
short_description: Acceptance rules in speculative decoding, replayed
license: apache-2.0
tags:
  - speculative-decoding
  - visualization
---

Recorded runs of acceptance rules in speculative decoding, and a playground of two distributions. Made by
`specviz site`; it needs no server, and can be served as it is by any host of files.
"""
BAR = """<style>body {{ display: flex; flex-direction: column; }} .sitebar {{ order: -1; display: flex; flex-wrap: wrap; gap: 2px 20px; padding: 8px 32px; font: 400 13px/1.9 var(--sans); background: var(--sunk); color: var(--ink2); border-bottom: 1px solid var(--line); }}
.sitebar a {{ color: var(--ink2); text-underline-offset: 3px; }} .sitebar a:hover {{ color: var(--ink); }} .sitebar span {{ margin-left: auto; display: flex; flex-wrap: wrap; gap: 2px 20px; }}
@media (max-width: 860px) {{ .sitebar {{ padding: 8px 16px; }} .sitebar span {{ margin-left: 0; }} }}</style>
<nav class="sitebar" aria-label="Recorded runs"><a href="../index.html">All recorded runs</a><span><a href="{before}" rel="prev">← {before_name}</a><a href="{after}" rel="next">{after_name} →</a></span></nav>
"""


def made(folder: Path) -> list[Path]:
    """Writes the site into an empty folder; returns its pages, index.html first. ValueError if the folder is not empty."""
    examples = [(path_of(number, example), example) for number, example in enumerate(_examples())]
    runs = [(f"{path.stem}.html", example, load(path)) for path, example in examples if path.is_file()]
    if not runs:
        raise ValueError(f"There is no recorded run in {str(ASSETS / 'recorded')!r}.")
    empty(folder)
    (folder / "runs").mkdir()
    for i, (name, _, trace) in enumerate(runs):
        (before, earlier, _), (after, later, _) = runs[i - 1], runs[(i + 1) % len(runs)]
        bar = BAR.format(
            before=before, before_name=escape(earlier["name"]), after=after, after_name=escape(later["name"])
        )
        page = replay(trace).replace("<body>\n", f"<body>\n{bar}", 1)
        (folder / "runs" / name).write_text(page, encoding="utf-8")
    (folder / "index.html").write_text(_index(runs), encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    shutil.copyfile(HERE / "page.css", folder / "page.css")
    (folder / "site.css").write_text("\n".join(styles()), encoding="utf-8")
    return [folder / "index.html", *(folder / "runs" / name for name, _, _ in runs)]


def _examples() -> list[dict[str, Any]]:
    examples: list[dict[str, Any]] = json.loads((ASSETS / "prompts.json").read_text(encoding="utf-8"))
    return examples


def _index(runs: list[tuple[str, dict[str, Any], Trace]]) -> str:
    cards = "\n".join(_card(f"runs/{name}", example, trace) for name, example, trace in runs)
    template = (HERE / "index.html").read_text(encoding="utf-8")
    for mark, text in (("{cards}", cards), ("{first}", f"runs/{runs[0][0]}"), ("{version}", escape(__version__))):
        template = template.replace(mark, text)
    return template


def _card(address: str, example: dict[str, Any], trace: Trace) -> str:
    """A card: what was asked, how the loosest lane wrote its answer, what to look for, and how much each rule kept."""
    drafting = [(number, lane) for number, lane in enumerate(trace.lanes) if lane.rule is not None]
    number, shown = next(((n, lane) for n, lane in reversed(drafting) if not lane.lossless), drafting[-1])
    figures = "".join(_figure(lane) for _, lane in drafting)
    return f"""<li class="card"><a href="{escape(address)}"><h2>{escape(example["name"])}</h2></a>
<p class="asked">{escape(trace.prompt)}</p>
<p class="written" aria-label="How {escape(shown.name)} wrote it"><span class="key">{escape(shown.name)}</span> {_written(trace, number)}</p>
<p class="why">{escape(example["why"])}</p>
<p class="label">Drafted tokens kept per round</p>
<dl>{figures}</dl>
<p class="made">{escape(_pair(trace))}, {escape(_sampled(trace))}</p></li>"""


def _figure(lane: Lane) -> str:
    kept = metrics.figures(lane)["accepted_per_round"]
    name = lane.name if lane.drafter.name == "model" else f"{lane.name}, {lane.drafter.name}"
    return f"<div><dt>{escape(name)}</dt><dd>{'–' if kept is None else f'{kept:.2f}'}</dd></div>"


def _pair(trace: Trace) -> str:
    ids = [trace.models[role].id if role in trace.models else None for role in ("draft", "verifier")]
    facts = backends.pairs().get(str(backends.pair_of(ids).get("pair")))
    return str(ids[1]) if facts is None else facts.title


def _sampled(trace: Trace) -> str:
    return f"temperature {trace.sampling.temperature:g}, seed {trace.seed}"


def _written(trace: Trace, number: int) -> str:
    """The beginning of a lane's text, every token wearing its fate, as the page shows it."""
    spans = []
    whole_text = list(_fated(trace.lanes[number]))
    tokens = whole_text[:TOKENS]
    texts = [trace.pieces[str(token)] for token, _ in tokens]
    whole = iter(
        pieces.joined([text for text, (_, fate) in zip(texts, tokens) if fate not in ("rejected", "discarded")])
    )
    for text, (token, fate) in zip(texts, tokens):
        text = text if fate in ("rejected", "discarded") else next(whole)
        word = text.strip()
        if not word or token in trace.special:
            spans.append(" " if text.strip(" ") == "" else "\n" if "\n" in text else "")
            continue
        lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        cut = " cut" if fate in ("rejected", "discarded") else ""
        spans.append(f'{lead}<span class="t {fate}{cut}"><bdi>{escape(word)}</bdi></span>{trail}')
    more = " …" if len(whole_text) > TOKENS else ""
    return "".join(spans).strip().replace("\n\n", "\n") + more


def _fated(lane: Lane) -> Iterator[tuple[int, str]]:
    """Every token of a lane with its fate, in the order in which the page shows them."""
    for round_ in lane.rounds:
        fates = round_.fates(lane.lossless)
        yield from ((round_.drafted[node], fates[node]) for node in round_.path)
        yield from ((token, fate) for token, fate in zip(round_.drafted, fates) if fate in ("rejected", "discarded"))
        if round_.origin:
            yield round_.emitted[-1], round_.origin
