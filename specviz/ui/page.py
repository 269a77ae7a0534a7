"""Builds the page: one gr.HTML that holds everything, the scripts and styles it needs, and the events behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from functools import partial, wraps
from typing import Any

import gradio as gr
import orjson
from starlette.middleware import Middleware

from specviz import exports, tasks
from specviz.engine.settings import Settings
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.types import Sampling
from specviz.ui import advice, door, files, requests, runs, sweeping
from specviz.ui.desk import WAITING, Desk, Message
from specviz.ui.examples import examples, swept_before
from specviz.ui.exporting import exported
from specviz.ui.head import Head
from specviz.ui.models import Models
from specviz.ui.requests import Refused, pair_of
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
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "settings": knob_words(Sampling) + knob_words(Settings),
        "pairs": [pair_words(facts) for facts in models.known.values()],
        "exports": exports.words(),
        "prompts": examples(models.known),
        "plotly": files.url(PLOTLY),
        "sweep": {
            "asked": sweeping.usual(),
            "definitions": metrics.SWEEP,
            "families": {name: tasks.family(name).about for name in tasks.names()},
            "pair": swept and swept.title,
            "recorded": swept_before() if swept else None,
        },
    }


def build(desk: Desk) -> gr.Blocks:
    """The page over a desk that runs things. Launch it with `launch_options(desk.models)`."""

    @_answering
    def run(data: Mapping[str, Any]) -> Generator[Message, None, None]:
        asked = requests.parsed(data.get("settings"))
        job = partial(runs.compute, asked=asked)
        return desk.messages(requests.name_of(data.get("id")), job, pair_of(asked))

    @_answering
    def sweep(data: Mapping[str, Any]) -> Generator[Message, None, None]:
        asked = requests.parsed(data.get("settings"))
        job, name = partial(sweeping.compute, asked=asked), sweeping.pair(desk.models)
        return desk.messages(requests.name_of(data.get("id")), job, name)

    def stop(event: gr.EventData) -> None:
        desk.stop(str(_data(event).get("id")))

    @_answering
    def verify(data: Mapping[str, Any]) -> Generator[Message, None, None]:
        return runs.verified(desk, str(data.get("trace")), pair_of(data))

    @_told
    def check(text: str) -> Message:
        """Whether a text is a trace, without running anything."""
        Trace.from_json(text)
        return {"error": ""}

    @_told
    def export(text: str) -> Message:
        """The file that an export makes of a trace: see `exporting.exported`."""
        return exported(text)

    @_told
    def load(name: str | None) -> Message:
        """Begins to load a pair, or says how far it is: see `Models.state`."""
        return desk.models.state(name)

    @_told
    def buys(text: str) -> Message:
        """What knobs buy on one lane's text: see `advice.bought`."""
        return desk.borrow(lambda pair: advice.bought(text, pair), advice.pair_of(text))

    @_told
    def advise(text: str) -> Message:
        """Which knob value meets a goal: see `advice.answer`."""
        return desk.borrow(lambda pair: advice.answer(text, pair), advice.pair_of(text))

    @_told
    def tryout(text: str) -> Message:
        """Whether a real run does what the advice says: see `advice.tried`."""
        return desk.borrow(lambda pair: advice.tried(text, pair, desk.deadline), advice.pair_of(text))

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
    app = {"middleware": first, "routes": [files.mount()], "lifespan": door.lifespan, "openapi_url": None}
    return dict(
        app_kwargs=app, theme=theme, ssr_mode=False, footer_links=[], run_history=False, quiet=True,
        enable_monitoring=False, max_file_size=0,
    )  # fmt: skip


def _data(event: gr.EventData) -> Mapping[str, Any]:
    """What the view sent along with an event; nothing, if it is no object."""
    return event._data if isinstance(event._data, Mapping) else {}


def _answering(begin: Callable[[Mapping[str, Any]], Generator[Message, None, None]]) -> Callable[..., Iterator[str]]:
    """The event whose messages `begin` makes of what the view sent, as JSON texts. An error is a message too: the page always
    gets a sentence. Closing the event closes the messages."""

    def answer(event: gr.EventData) -> Iterator[str]:
        data = _data(event)
        try:
            with closing(begin(data)) as messages:
                for message in messages:
                    yield orjson.dumps(message).decode()
        except Exception as error:
            field = error.field if isinstance(error, Refused) else "prompt"
            said = {"kind": "error", "run": data.get("id"), "field": field, "message": requests.sentence_of(error)}
            if begin.__name__ == "verify":
                said = {"kind": "verified", "same": False, "message": said["message"]}
            yield _dumps(said)

    answer.__name__ = begin.__name__
    return answer


def _told(answer: Callable[[Any], Message]) -> Callable[[Any], Message]:
    """A function of the view that answers {"error": a sentence} where it cannot."""

    @wraps(answer)
    def told(asked: Any) -> Message:
        try:
            return answer(asked)
        except ValueError as error:
            return {"error": str(error), "field": getattr(error, "field", "")}
        except Exception as error:
            return {"error": requests.sentence_of(error)}

    return told


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
