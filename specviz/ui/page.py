"""Builds the page: one gr.HTML that holds everything, the scripts and styles it needs, and the events behind it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import orjson
from starlette.middleware import Middleware

from specviz import __version__, backends, exports, tasks
from specviz.assets import ASSETS
from specviz.backends import PairFacts
from specviz.engine.settings import Settings
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.types import Sampling
from specviz.ui import advice, runs, sweeping
from specviz.ui.desk import WAITING, Desk, Message
from specviz.ui.exporting import exported
from specviz.ui.head import Head
from specviz.ui.models import Models
from specviz.ui.regimes import FOLDER, REGIMES
from specviz.ui.requests import pair_of
from specviz.view.boot import PLOTLY, drafter_words, head, inside, knob_words, pair_words, rule_words

# Constant: model text never enters a template. `run`, `stop`, `cancel`, `verify` and `sweep` are the events the view triggers.
TEMPLATE = '<div class="sv-host"></div>'
ON_LOAD = """const events = ['run', 'stop', 'cancel', 'verify', 'sweep'];
import("specviz/shell/app.js").then((app) => app.attach(element, { trigger, watch, props, server, events }));"""


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
        "pairs": [pair_words(facts) for facts in models.known.values()],
        "exports": exports.words(),
        "prompts": examples(models.known),
        "plotly": _url(PLOTLY),
        "sweep": {
            "asked": sweeping.usual(),
            "definitions": metrics.SWEEP,
            "families": {name: tasks.family(name).about for name in tasks.names()},
            "name": swept and swept.name,
            "pair": swept and swept.title,
            "regimes": [
                {"title": one.title, "about": one.about, "asked": one.asked, "recorded": _url(one.path)}
                for one in REGIMES
                if swept and one.path.exists()
            ],
        },
    }


def build(desk: Desk) -> gr.Blocks:
    """The page over a desk that runs things. Launch it with `launch_options(desk.models)`."""

    def run(event: gr.EventData) -> Iterator[str]:
        asked = _settings(event)
        job = partial(runs.compute, asked=asked)
        yield from _texts(desk.messages(str(event._data.get("id")), job, pair_of(asked)))

    def sweep(event: gr.EventData) -> Iterator[str]:
        asked = _settings(event)
        job, name = partial(sweeping.compute, asked=asked), sweeping.pair(desk.models)
        yield from _texts(desk.messages(str(event._data.get("id")), job, name))

    def stop(event: gr.EventData) -> None:
        desk.stop(str(event._data.get("id")))

    def verify(event: gr.EventData) -> Iterator[str]:
        yield from _texts(runs.verified(desk, str(event._data.get("trace")), pair_of(event._data)))

    def check(text: str) -> dict[str, str]:
        """Whether a text is a trace, without running anything."""
        try:
            Trace.from_json(text)
        except ValueError as error:
            return {"error": str(error)}
        return {"error": ""}

    def export(text: str) -> dict[str, str]:
        """The file that an export makes of a trace: see `exporting.exported`."""
        return exported(text)

    def load(name: str | None) -> Message:
        """Begins to load a pair, or says how far it is: see `Models.state`."""
        return desk.models.state(None if name is None else str(name))

    def buys(text: str) -> Message:
        """What knobs buy on one lane's text: see `advice.bought`."""
        return desk.borrow(lambda pair: advice.bought(text, pair), advice.pair_of(text))

    def advise(text: str) -> Message:
        """Which knob value meets a goal: see `advice.answer`."""
        return desk.borrow(lambda pair: advice.answer(text, pair), advice.pair_of(text))

    def tryout(text: str) -> Message:
        """Whether a real run does what the advice says: see `advice.tried`."""
        return desk.borrow(lambda pair: advice.tried(text, pair, desk.deadline), advice.pair_of(text))

    gr.set_static_paths([ASSETS / "recorded", PLOTLY, FOLDER])
    with gr.Blocks(title="specviz: acceptance rules, seen", analytics_enabled=False, fill_width=True) as blocks:
        view = View(
            value="",
            html_template=TEMPLATE,
            js_on_load=ON_LOAD,
            apply_default_css=False,
            server_functions=[load, check, export, buys, advise, tryout],
        )
        streaming = dict(show_progress="hidden", api_visibility="private", concurrency_limit=WAITING + 4)
        running = view.run(run, None, view, **streaming)
        view.stop(stop, None, None, show_progress="hidden", api_visibility="private", queue=False)
        view.cancel(None, None, None, cancels=[running])
        view.verify(verify, None, view, **streaming)
        view.sweep(sweep, None, view, **streaming)
    blocks.queue(api_open=False, max_size=32, default_concurrency_limit=4)
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


def _settings(event: gr.EventData) -> dict[str, Any]:
    """What the view sent along with an event; nothing, if it is no JSON object."""
    try:
        asked = json.loads(event._data.get("settings"))
    except (ValueError, TypeError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _texts(messages: Generator[Message, None, None]) -> Iterator[str]:
    """Messages as JSON texts. Closing this closes them."""
    with closing(messages):
        for message in messages:
            yield orjson.dumps(message).decode()


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
