"""Builds the page: one gr.HTML that holds everything, the scripts and styles it needs, and the events behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import orjson

from specviz import exports, registry, tasks
from specviz.assets import ASSETS
from specviz.record import metrics
from specviz.types import Sampling, Settings
from specviz.ui import advice, sweeping
from specviz.ui.exporting import exported
from specviz.ui.stream import MAX_LANES, WAITING, Desk
from specviz.view.boot import PLOTLY, inline, rule_words, scripts, styles

STYLES_OF_TEXT = {"tiny": "a story for small children", "tale": "a fairy tale", "task": "a question with one answer"}

# Constant: model text never enters a template. `run`, `stop`, `cancel`, `verify` and `sweep` are the events the view triggers.
TEMPLATE = '<div class="sv-host"></div>'
ON_LOAD = "window.specviz.app.attach(element, { trigger, watch, props, server, events: ['run', 'stop', 'cancel', 'verify', 'sweep'] });"


class View(gr.HTML):
    """The whole page as one component. Its value is the newest message of a run, a JSON text that no template reads."""

    def postprocess(self, value: str | None) -> str | None:
        return value


def words(shipped: bool = True) -> dict:
    """What the page must know before any run: rules and their knobs, definitions of figures, examples. `shipped`: it
    runs the shipped pair, whose styles are known and whose sweep is recorded."""
    return {
        "rules": rule_words(),
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

    def streamed(event: gr.EventData, work=None) -> Iterator[str]:
        try:
            settings = json.loads(event._data.get("settings"))
        except (ValueError, TypeError):
            settings = None
        for message in desk.messages(str(event._data.get("id")), settings if isinstance(settings, dict) else {}, work):
            yield orjson.dumps(message).decode()

    def run(event: gr.EventData) -> Iterator[str]:
        yield from streamed(event)

    def sweep(event: gr.EventData) -> Iterator[str]:
        yield from streamed(event, sweeping.compute)

    def stop(event: gr.EventData) -> None:
        desk.stop(str(event._data.get("id")))

    def verify(event: gr.EventData) -> Iterator[str]:
        for message in desk.verified(str(event._data.get("trace"))):
            yield orjson.dumps(message).decode()

    def check(text: str) -> dict:
        """Whether a text is a trace, without running anything."""
        from specviz.record import trace

        try:
            trace.Trace.from_json(text)
        except ValueError as error:
            return {"error": str(error)}
        return {"error": ""}

    def export(text: str) -> dict:
        """The file that an export makes of a trace: see `exporting.exported`."""
        return exported(text)

    def buys(text: str) -> dict:
        """What knobs buy on one lane's text: a request {trace, lane, rules: [[name, knobs], ...]} as JSON."""

        def work(pair) -> dict:
            from specviz import rules
            from specviz.record import trace
            from specviz.study import knob_curves as knobs

            try:
                asked = json.loads(text)
            except ValueError:
                asked = None
            if (
                not isinstance(asked, dict)
                or not isinstance(asked.get("lane"), int)
                or not isinstance(asked.get("rules"), list)
            ):
                raise ValueError("This is not a question about a lane.")
            chosen = [rules.make(str(name), **given) for name, given in asked["rules"][:MAX_LANES]]
            return knobs.bought(trace.Trace.from_json(str(asked.get("trace"))), asked["lane"], chosen, pair)

        return desk.borrow(work)

    def advise(text: str) -> dict:
        """Which knob value meets a goal: see `advice.answer`."""
        return desk.borrow(lambda pair: advice.answer(text, pair))

    def tryout(text: str) -> dict:
        """Whether a real run does what the advice says: see `advice.tried`."""
        return desk.borrow(lambda pair: advice.tried(text, pair))

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


def launch_options(shipped: bool = True) -> dict:
    """What `launch` needs for the page to look like itself and to ask no other host for anything; `shipped` as in
    `words`."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_background_fill="#f6f6f3", body_background_fill_dark="#0f1012"
    )
    boot = f"window.specviz = window.specviz || {{}}; window.specviz.boot = {inline(_dumps(words(shipped)))};"
    head = "".join(f"<style>{text}</style>" for text in styles())
    head += "".join(f"<script>{text}</script>" for text in (boot, *scripts(), "window.specviz.app.early();"))
    return dict(head=head, theme=theme, ssr_mode=False, footer_links=[], run_history=False, quiet=True)


def _dumps(value) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _url(path: Path) -> str:
    return f"gradio_api/file={path.as_posix()}"


def _styles() -> dict[str, str]:
    """The styles one can ask the shipped pair for."""
    facts = ASSETS / "pairs" / "small" / "pair.json"
    return (
        json.loads(facts.read_text(encoding="utf-8")).get("styles", STYLES_OF_TEXT)
        if facts.exists()
        else STYLES_OF_TEXT
    )


def _recorded() -> list[dict]:
    """The recorded runs: prompt and address of each."""
    found = []
    for path in sorted((ASSETS / "recorded").glob("*.json")):
        found.append({"prompt": json.loads(path.read_text(encoding="utf-8"))["prompt"], "url": _url(path)})
    return found


def _prompts() -> list[dict]:
    """The examples; the first with a recorded run is what a visitor sees first."""
    path = ASSETS / "prompts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
