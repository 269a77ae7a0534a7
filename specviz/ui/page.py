"""Builds the page: one gr.HTML that holds everything, the scripts and styles it needs, and the events behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import orjson
from starlette.middleware import Middleware

from specviz import backends, exports, registry, tasks
from specviz.assets import ASSETS
from specviz.backends import PairFacts
from specviz.engine.settings import Settings
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.types import Sampling
from specviz.ui import advice, runs, sweeping, visitors
from specviz.ui.desk import Desk
from specviz.ui.exporting import exported
from specviz.ui.head import Head
from specviz.ui.line import ALL, Message, Work
from specviz.ui.models import Models
from specviz.ui.requests import pair_of
from specviz.view.boot import PLOTLY, drafter_words, head, inside, pair_words, rule_words

# Constant: model text never enters a template. `stop` and those that begin JOBS are the events that the view triggers.
JOBS = ("run", "verify", "sweep", "ask")
TEMPLATE = '<div class="sv-host"></div>'
ON_LOAD = (
    """import("specviz/shell/app.js").then((app) => app.attach(element, { trigger, watch, props, server, events: %s }));"""
    % ["stop", *JOBS]
)


class View(gr.HTML):
    """The whole page as one component. Its value is the newest message of a run, a JSON text that no template reads."""

    def postprocess(self, value: str | None) -> str | None:
        return value


def words(models: Models) -> dict[str, Any]:
    """What the page must know before any run: rules, drafters and their knobs, definitions of figures, the pairs on offer,
    the examples for them with their recorded runs, and the recorded sweep."""
    swept = models.known.get(sweeping.pair(models) or "")
    return {
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "settings": registry.knobs(Sampling) + registry.knobs(Settings),
        "pairs": [pair_words(facts) for facts in models.known.values()],
        "exports": exports.words(),
        "prompts": examples(models.known),
        "plotly": _url(PLOTLY),
        "sweep": {
            "asked": sweeping.usual(),
            "definitions": metrics.SWEEP,
            "families": {name: tasks.family(name).about for name in tasks.names()},
            "pair": swept and swept.title,
            "recorded": _url(sweeping.RECORDED) if swept and sweeping.RECORDED.exists() else None,
        },
    }


def build(desk: Desk) -> gr.Blocks:
    """The page over a desk that runs things. Launch it with `launch_options(desk.models)`."""

    def ordered(job: str, data: Mapping[str, Any]) -> tuple[str, Work, str | None]:
        """What an event asks for: the kind of job, its work, and the name of the pair that it is for."""
        if job == "verify":
            return job, partial(runs.verified, text=str(data.get("trace"))), pair_of(data)
        if job == "ask":
            kind = str(data.get("kind"))
            return kind, partial(advice.answered, kind=kind, text=str(data.get("question"))), pair_of(data)
        asked = _settings(data)
        if job == "sweep":
            return job, partial(sweeping.compute, asked=asked), sweeping.pair(desk.models)
        return job, partial(runs.compute, asked=asked), pair_of(asked)

    def told(job: str) -> Callable[..., AsyncIterator[str]]:
        """The listener of an event that begins a job: its messages, as JSON texts."""

        async def listener(event: gr.EventData, request: gr.Request) -> AsyncIterator[str]:
            data = event._data
            visitor, (kind, work, name) = visitors.of(blocks, request), ordered(job, data)
            async with aclosing(desk.messages(visitor, kind, work, str(data.get("id")), name)) as messages:
                async for message in messages:
                    yield orjson.dumps(message).decode()

        return listener

    async def stop(event: gr.EventData, request: gr.Request) -> None:
        desk.line.stop(str(request.session_hash), str(event._data.get("id")))

    async def check(text: str) -> Message:
        """Whether a text is a trace, without running anything."""
        return await desk.aside(partial(checked, text))

    async def export(text: str) -> Message:
        """The file that an export makes of a trace: see `exporting.exported`."""
        return await desk.aside(partial(exported, text))

    async def load(name: str | None) -> Message:
        """Begins to load a pair, or says how far it is: see `Loading.state`."""
        return await desk.state(None if name is None else str(name))

    gr.set_static_paths([ASSETS / "recorded", PLOTLY, sweeping.RECORDED])
    with gr.Blocks(title="specviz: acceptance rules, seen", analytics_enabled=False, fill_width=True) as blocks:
        view = View(
            value="",
            html_template=TEMPLATE,
            js_on_load=ON_LOAD,
            apply_default_css=False,
            server_functions=[load, check, export],
        )
        listening = dict(show_progress="hidden", api_visibility="private")
        in_order = dict(
            concurrency_limit=None, concurrency_id="line", trigger_mode="multiple"
        )  # the line has the bounds
        for job in JOBS:
            getattr(view, job)(told(job), None, view, **in_order, **listening)
        view.stop(stop, None, None, queue=False, **listening)
    blocks.space_id = None  # with it Gradio's own page asks the Hub, and another host for fonts
    blocks.queue(api_open=False, max_size=2 * ALL)
    return blocks


def launch_options(models: Models) -> dict[str, Any]:
    """What `launch` needs for the page to look like itself, to know `models`, and to ask no other host for anything."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_background_fill="#f6f6f3", body_background_fill_dark="#0f1012"
    )
    page = head(words(models), inside)
    first = [Middleware(Head, text=page)]  # Gradio adds a head of its own too late for an import map
    return dict(
        app_kwargs={"middleware": first}, theme=theme, ssr_mode=False, footer_links=[], run_history=False, quiet=True
    )


def checked(text: str) -> Message:
    """{"error": why a text is no trace, or ""}."""
    try:
        Trace.from_json(text)
    except ValueError as error:
        return {"error": str(error)}
    return {"error": ""}


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the view sent along with an event; nothing, if they are no JSON object."""
    try:
        asked = json.loads(data.get("settings", ""))
    except (ValueError, TypeError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _url(path: Path) -> str:
    return f"gradio_api/file={path.as_posix()}"


def examples(known: Mapping[str, PairFacts]) -> list[dict[str, Any]]:
    """The examples of assets/prompts.json for the pairs on offer, those of the first pair before the others, each with the
    address of its recorded run; for models that bring no pair, the texts of the usual examples and nothing recorded."""
    path = ASSETS / "prompts.json"
    all_ = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if not known:
        usual = next(iter(backends.pairs()), None)
        return [one | {"pair": None, "style": None, "recorded": None} for one in all_ if one["pair"] == usual]
    recorded = _recorded()
    found = [
        one | {"recorded": recorded.get((one["pair"], one["text"]))}
        for name in known
        for one in all_
        if one["pair"] == name
    ]
    return [{name: value for name, value in one.items() if name != "lanes"} for one in found]


def _recorded() -> dict[tuple[str, str], str]:
    """The addresses of the recorded runs, by the pair that made each and its prompt."""
    urls = {}
    for path in sorted((ASSETS / "recorded").glob("*.json")):
        trace = json.loads(path.read_text(encoding="utf-8"))
        urls[trace["models"]["verifier"]["id"].rpartition("/")[0], trace["prompt"]] = _url(path)
    return urls
