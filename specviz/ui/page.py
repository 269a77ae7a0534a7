"""Builds the page: one gr.HTML that holds everything, the scripts and styles it needs, and the events behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial, wraps
from typing import Any

import gradio as gr
import orjson
from starlette.middleware import Middleware

from specviz import __version__, exports, tasks
from specviz.engine import lengths
from specviz.engine.settings import Settings
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.types import Sampling
from specviz.ui import advice, door, endpoints, files, requests, runs, sweeping, visitors, watch
from specviz.ui.desk import Desk
from specviz.ui.examples import examples, swept_before
from specviz.ui.exporting import exported
from specviz.ui.head import Head
from specviz.ui.line import ALL, Message, Work
from specviz.ui.models import Models
from specviz.ui.requests import Refused, pair_of
from specviz.view.boot import PLOTLY, drafter_words, head, inside, knob_words, pair_words, rule_words

# Constant: model text never enters a template. `stop` and those that begin JOBS are the events that the view triggers.
JOBS = ("run", "verify", "sweep", "ask")
TEMPLATE = '<div class="sv-host"></div>'
ON_LOAD = f"""const events = {["stop", *JOBS]};
import("specviz/shell/app.js").then((app) => app.attach(element, {{ trigger, watch, props, server, events }}));"""


class View(gr.HTML):
    """The whole page as one component. Its value is the newest message of a run, a JSON text that no template reads."""

    def postprocess(self, value: str | None) -> str | None:
        return value


def words(models: Models) -> dict[str, Any]:
    """What the page must know before any run: rules, drafters and their knobs, definitions of figures, the pairs on offer,
    the examples for them with their recorded runs, and the recorded sweep."""
    swept = models.known.get(sweeping.pair(models) or "")
    return {
        "version": __version__,
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "settings": knob_words(Sampling) + knob_words(Settings),
        "lengths": lengths.WAYS,
        "pairs": [pair_words(facts) for facts in models.known.values()],
        "exports": exports.words(),
        "prompts": examples(models.known),
        "plotly": files.url(PLOTLY),
        "sweep": {
            "asked": sweeping.usual(),
            "definitions": metrics.SWEEP,
            "families": {name: tasks.family(name).about for name in tasks.names()},
            "name": swept and swept.name,
            "pair": swept and swept.title,
            "regimes": swept_before() if swept else [],
        },
    }


def build(desk: Desk) -> gr.Blocks:
    """The page over a desk that runs things. Launch it with `launch_options(desk)`."""

    def ordered(job: str, data: Mapping[str, Any]) -> tuple[str, Work, str | None]:
        """What an event asks for: the kind of job, its work, and the name of the pair that it is for."""
        if job == "verify":
            return job, partial(runs.verified, text=str(data.get("trace"))), pair_of(data)
        if job == "ask":
            kind = str(data.get("kind"))
            work = partial(advice.answered, kind=kind, text=str(data.get("question")))
            return kind if kind in advice.QUESTIONS else job, work, pair_of(data)
        asked = requests.parsed(data.get("settings"))
        if job == "sweep":
            return job, partial(sweeping.compute, asked=asked), sweeping.pair(desk.models)
        return job, partial(runs.compute, asked=asked), pair_of(asked)

    def told(job: str) -> Callable[..., AsyncIterator[str]]:
        """The listener of an event that begins a job: its messages, as JSON texts. An error is a message too: the page always
        gets a sentence."""

        async def listener(event: gr.EventData, request: gr.Request) -> AsyncIterator[str]:
            data = _data(event)
            try:
                visitor, (kind, work, name) = visitors.of(blocks, request), ordered(job, data)
                run = requests.name_of(data.get("id"))
                async with aclosing(desk.messages(visitor, kind, work, run, name)) as messages:
                    async for message in messages:
                        yield orjson.dumps(message).decode()
            except Exception as error:
                field = error.field if isinstance(error, Refused) else "prompt"
                said = {"kind": "error", "run": data.get("id"), "field": field, "message": requests.sentence_of(error)}
                yield _dumps(said)

        return listener

    async def stop(event: gr.EventData, request: gr.Request) -> None:
        desk.line.stop(str(request.session_hash), str(_data(event).get("id")))

    @_told
    async def check(text: str) -> Message:
        """{"error": why a text is no trace, or ""}. Nothing is run."""
        return await desk.aside(partial(_checked, text))

    @_told
    async def export(text: str) -> Message:
        """The file that an export makes of a trace: see `exporting.exported`."""
        return await desk.aside(partial(exported, text))

    @_told
    async def load(name: str | None) -> Message:
        """Begins to load a pair, or says how far it is: see `Loading.state`."""
        return await desk.state(name)

    with gr.Blocks(title="specviz: acceptance rules, seen", analytics_enabled=False, fill_width=True) as blocks:
        view = View(
            value="",
            html_template=TEMPLATE,
            js_on_load=ON_LOAD,
            apply_default_css=False,
            server_functions=[load, check, export],
        )
        endpoints.add(desk, blocks)
        listening = dict(show_progress="hidden", api_visibility="private")
        in_order = dict(
            concurrency_limit=None, concurrency_id="line", trigger_mode="multiple"
        )  # bounds: those of the line
        for job in JOBS:
            getattr(view, job)(told(job), None, view, **in_order, **listening)
        view.stop(stop, None, None, queue=False, **listening)
    blocks.queue(api_open=False, max_size=2 * ALL)
    return blocks


def launch_options(desk: Desk) -> dict[str, Any]:
    """What `launch` needs for the page to look like itself, to know the desk's models, to be watched, and to ask no other host for anything."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_background_fill="#f6f6f3", body_background_fill_dark="#0f1012"
    )
    page = head(words(desk.models), inside)
    first = [Middleware(Head, text=page)]  # Gradio adds a head of its own too late for an import map
    app = {
        "middleware": first,
        "routes": [files.mount(), *watch.routes(desk)],
        "lifespan": door.lifespan,
        "openapi_url": None,
    }
    return dict(
        app_kwargs=app, theme=theme, ssr_mode=False, footer_links=[], run_history=False, quiet=True,
        enable_monitoring=False, max_file_size=0, mcp_server=endpoints.mcp(),
    )  # fmt: skip


def _checked(text: str) -> Message:
    Trace.from_json(text)
    return {"error": ""}


def _data(event: gr.EventData) -> Mapping[str, Any]:
    """What the view sent along with an event; nothing, if it is no object."""
    return event._data if isinstance(event._data, Mapping) else {}


def _told(answer: Callable[[Any], Awaitable[Message]]) -> Callable[[Any], Awaitable[Message]]:
    """A function of the view that answers {"error": a sentence} where it cannot."""

    @wraps(answer)
    async def told(asked: Any) -> Message:
        try:
            return await answer(asked)
        except ValueError as error:
            return {"error": str(error), "field": getattr(error, "field", "")}
        except Exception as error:
            return {"error": requests.sentence_of(error)}

    return told


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
