"""Builds the page: one gr.HTML that holds everything, the scripts and styles it needs, and the events behind it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
import orjson

from specviz import backends, exports, registry, tasks
from specviz.assets import ASSETS
from specviz.engine.settings import Settings
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.types import Sampling
from specviz.ui import advice, runs, sweeping
from specviz.ui.desk import WAITING, Desk, Message
from specviz.ui.exporting import exported
from specviz.view.boot import PLOTLY, drafter_words, inline, rule_words, scripts, styles

# Constant: model text never enters a template. `run`, `stop`, `cancel`, `verify` and `sweep` are the events the view triggers.
TEMPLATE = '<div class="sv-host"></div>'
ON_LOAD = "window.specviz.app.attach(element, { trigger, watch, props, server, events: ['run', 'stop', 'cancel', 'verify', 'sweep'] });"


class View(gr.HTML):
    """The whole page as one component. Its value is the newest message of a run, a JSON text that no template reads."""

    def postprocess(self, value: str | None) -> str | None:
        return value


def words(shipped: bool = True) -> dict[str, Any]:
    """What the page must know before any run: rules, drafters and their knobs, definitions of figures, examples.
    `shipped`: it runs the shipped pair, whose styles are known and whose sweep is recorded."""
    return {
        "rules": rule_words(),
        "drafters": drafter_words(),
        "definitions": metrics.DEFINITIONS,
        "settings": registry.knobs(Sampling) + registry.knobs(Settings),
        "styles": _styles() if shipped else {},  # another pair has its own way, and is not asked
        "exports": exports.words(),
        "prompts": _prompts(),
        "recorded": {trace["prompt"]: trace["url"] for trace in _recorded()},
        "plotly": _url(PLOTLY),
        "sweep": {
            "asked": sweeping.usual(),
            "definitions": metrics.SWEEP,
            "families": {name: tasks.family(name).about for name in tasks.names()},
            "recorded": _url(sweeping.RECORDED) if shipped and sweeping.RECORDED.exists() else None,
        },
    }


def build(desk: Desk) -> gr.Blocks:
    """The page over a desk that runs things. Launch it with `launch_options()`."""

    def run(event: gr.EventData) -> Iterator[str]:
        asked = _settings(event)
        yield from _texts(desk.messages(str(event._data.get("id")), lambda turn: runs.compute(turn, asked)))

    def sweep(event: gr.EventData) -> Iterator[str]:
        asked = _settings(event)
        yield from _texts(desk.messages(str(event._data.get("id")), lambda turn: sweeping.compute(turn, asked)))

    def stop(event: gr.EventData) -> None:
        desk.stop(str(event._data.get("id")))

    def verify(event: gr.EventData) -> Iterator[str]:
        yield from _texts(runs.verified(desk, str(event._data.get("trace"))))

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

    def buys(text: str) -> Message:
        """What knobs buy on one lane's text: see `advice.bought`."""
        return desk.borrow(lambda pair: advice.bought(text, pair))

    def advise(text: str) -> Message:
        """Which knob value meets a goal: see `advice.answer`."""
        return desk.borrow(lambda pair: advice.answer(text, pair))

    def tryout(text: str) -> Message:
        """Whether a real run does what the advice says: see `advice.tried`."""
        return desk.borrow(lambda pair: advice.tried(text, pair, desk.deadline))

    gr.set_static_paths([ASSETS / "recorded", PLOTLY, sweeping.RECORDED])
    with gr.Blocks(title="specviz: acceptance rules, seen", analytics_enabled=False, fill_width=True) as blocks:
        view = View(
            value="",
            html_template=TEMPLATE,
            js_on_load=ON_LOAD,
            apply_default_css=False,
            server_functions=[check, export, buys, advise, tryout],
        )
        streaming = dict(show_progress="hidden", api_visibility="private", concurrency_limit=WAITING + 4)
        running = view.run(run, None, view, **streaming)
        view.stop(stop, None, None, show_progress="hidden", api_visibility="private", queue=False)
        view.cancel(None, None, None, cancels=[running])
        view.verify(verify, None, view, **streaming)
        view.sweep(sweep, None, view, **streaming)
    blocks.queue(api_open=False, max_size=32, default_concurrency_limit=4)
    return blocks


def launch_options(shipped: bool = True) -> dict[str, Any]:
    """What `launch` needs for the page to look like itself and to ask no other host for anything; `shipped` as in
    `words`."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_background_fill="#f6f6f3", body_background_fill_dark="#0f1012"
    )
    boot = f"window.specviz = window.specviz || {{}}; window.specviz.boot = {inline(_dumps(words(shipped)))};"
    head = "".join(f"<style>{text}</style>" for text in styles())
    head += "".join(f"<script>{text}</script>" for text in (boot, *scripts(), "window.specviz.app.early();"))
    return dict(head=head, theme=theme, ssr_mode=False, footer_links=[], run_history=False, quiet=True)


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


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _url(path: Path) -> str:
    return f"gradio_api/file={path.as_posix()}"


def _styles() -> dict[str, str]:
    """The styles one can ask the shipped pair for."""
    shipped = next(iter(backends.pairs().values()), None)
    return {} if shipped is None else shipped.styles


def _recorded() -> list[dict[str, str]]:
    """The recorded runs: prompt and address of each."""
    paths = sorted((ASSETS / "recorded").glob("*.json"))
    return [{"prompt": json.loads(path.read_text(encoding="utf-8"))["prompt"], "url": _url(path)} for path in paths]


def _prompts() -> list[dict[str, Any]]:
    """The examples; the first with a recorded run is what a visitor sees first."""
    path = ASSETS / "prompts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
