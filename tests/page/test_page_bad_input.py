"""What bad input gets: a sentence in its place, the earlier run untouched, nothing in the console, no markup."""

from __future__ import annotations

import base64
import http.server
import json
import re
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from specviz import backends
from specviz.backends import Pair
from specviz.record.trace import Trace
from specviz.ui import line
from specviz.ui import page as built
from specviz.ui.desk import Desk
from tests.support.browser import DRAWN, app, free_port, until, watched
from tests.support.desks import desk_of
from tests.support.traces import recorded, signed

ROOT = Path(__file__).resolve().parents[2]
RECORDED = recorded("small")
HOSTILE = '<img src=x onerror="window.broken=1"><b>bold</b>${window.broken=1}{{window.broken=1}}</script><script>window.broken=1</script>\u202eabc\x00'
NAME = "".join(filter(str.isprintable, HOSTILE))  # of a model or a version: one line
READY = "window.specviz?.live?.wire() && window.specviz.state.run"

pytestmark = pytest.mark.skipif(not RECORDED, reason="no recorded runs")


@contextmanager
def page_of(load, desk: Desk | None = None):
    """The page over models that `load` gives, and its desk."""
    desk = desk or desk_of(load, {"small": backends.pairs()["small"]})
    blocks = built.build(desk)
    _, url, _ = blocks.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, **built.launch_options(desk)
    )
    try:
        yield url, desk
    finally:
        blocks.close()


@contextmanager
def visit(chromium, url: str, ready: str = READY):
    """A tab in which nothing may go wrong, once it is `ready`."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    tab, wrong = watched(context, url)
    tab.goto(url)
    until(tab, ready)
    yield tab
    context.close()
    assert wrong == []


def shown(tab) -> list:
    """What must not change: the texts of the lanes with their fates, and the source of the run."""
    return tab.evaluate(
        "[specviz.state.source, ...[...document.querySelectorAll('.sv .lane .t')].map(node => `${node.className} ${node.textContent}`)]"
    )


def sentence(tab, field: str = "prompt") -> str:
    """The sentence beside a control, once it is there."""
    until(tab, "field => document.querySelector(`.sv [data-error=${field}]`).textContent", arg=field)
    return tab.inner_text(f"[data-error={field}]")


def refused(tab, before: list, expected: str, field: str = "prompt") -> None:
    """Pressing Run gets the sentence, keeps what is on display, and leaves the page usable."""
    tab.click(".run")
    found = sentence(tab, field)
    assert expected in found and "Traceback" not in found
    assert shown(tab) == before
    until(tab, "!specviz.state.live")  # the sentence may have stood there before
    assert tab.inner_text(".run span") == "Run"


class Hub(http.server.BaseHTTPRequestHandler):
    """A Hub that has nothing for us: models called gated are gated, all others are unknown."""

    def do_GET(self):
        gated = "gated" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("model", "expected"),
    [("acme/gated", "'acme/gated' is gated. Accept its terms"), ("acme/nothing", "'acme/nothing' was not found")],
)
def test_an_unknown_or_gated_model_has_its_sentence(chromium, tmp_path, model, expected):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        endpoint = {
            "HF_HUB_OFFLINE": "0",
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HOME": str(tmp_path / "hub"),
            "HF_TOKEN": "",
        }
        log = tmp_path / "log.txt"
        with app(log, SPECVIZ_DRAFT=model, SPECVIZ_VERIFIER=model, **endpoint) as url:
            context = chromium.new_context(viewport={"width": 1440, "height": 1000})
            tab, wrong = watched(context, url)
            tab.goto(url)
            assert expected in sentence(tab, "pair"), "without anyone pressing Run"
            assert tab.evaluate("specviz.state.run") is None, "no run of other models is shown"
            assert expected in log.read_text() and "Traceback" not in log.read_text()
            tab.fill("#sv-prompt", "Once")
            tab.click(".run")
            until(tab, "!specviz.state.live")
            assert expected in sentence(tab, "pair")
            context.close()
            assert wrong == []
        hub.shutdown()


def test_two_tokenizers_that_differ_say_how(chromium, tmp_path):
    folder = tmp_path / "draft"
    shutil.copytree(backends.pairs()["small"].folder / "draft", folder)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    (one, at), (other, there) = list(vocabulary.items())[2000:2002]
    vocabulary |= {one: there, other: at}
    path.write_text(json.dumps(data), encoding="utf-8")
    verifier = str(backends.pairs()["small"].folder / "verifier")
    with (
        page_of(lambda: backends.load_pair(draft=str(folder), verifier=verifier)) as (url, _),
        visit(chromium, url) as tab,
    ):
        refused(tab, shown(tab), "their tokenizers differ: ", "pair")


class Broken:
    """A verifier whose numbers stop being numbers after some calls."""

    def __init__(self, model, good: int):
        self._model, self._good = model, good

    def __getattr__(self, name):
        return getattr(self._model, name)

    def session(self):
        session, left = self._model.session(), iter(range(self._good))
        forward = session.forward

        def spoilt(*given, **more):
            seen = forward(*given, **more)
            return seen._replace(logits=seen.logits * (1.0 if next(left, None) is not None else float("nan")))

        session.forward = spoilt
        return session


@pytest.mark.parametrize("good", [0, 3])
def test_a_model_that_yields_nan_has_its_sentence(chromium, pair, good):
    """From the start the earlier run stays; later on, what was written before stays."""
    with (
        page_of(lambda: Pair(pair.draft, Broken(pair.verifier, good), pair.tokenizer, pair.styles)) as (url, _),
        visit(chromium, url) as tab,
    ):
        before = shown(tab)
        if not good:
            return refused(tab, before, "not finite (NaN or infinity)")
        tab.click(".run")
        assert "not finite (NaN or infinity)" in sentence(tab)
        record = Trace.from_json(tab.evaluate("specviz.state.raw"))
        assert {lane.finished for lane in record.lanes} == {"stopped"}
        assert any(lane.rounds for lane in record.lanes) and tab.locator(".lane .t").count() > 0


def test_a_full_house_has_its_sentence(chromium, pair, monkeypatch):
    with page_of(lambda: pair) as (url, desk), visit(chromium, url) as tab:
        before = shown(tab)
        monkeypatch.setattr(line, "ALL", 0)
        refused(tab, before, "already waiting here. Try again in a minute")
        monkeypatch.undo()
        tab.fill("[data-field=max_new_tokens]", "4")
        tab.click(".run")
        until(tab, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")
        assert tab.inner_text("[data-error=prompt]") == ""


def test_files_that_are_no_traces_have_their_sentences(tab, tmp_path):
    good = RECORDED[0].read_text(encoding="utf-8")
    older = json.loads(good) | {"version": 0}
    lacking = {name: value for name, value in json.loads(good).items() if name != "lanes"}
    cases = [
        (b"", "This is not JSON"), (b"\xff\xfe\x00\x01binary", "This is not JSON"), (b"[" * 100_000, "This is not JSON: depth limit exceeded"), (b'{"format": NaN}', "This is not JSON: unexpected character"),
        (b'"specviz-trace"', "not a specviz trace"), (json.dumps(older).encode(), "version 0"), (json.dumps(lacking).encode(), "lacks 'lanes'"),
        (re.sub(r'"kept":\d+', '"kept":-1', good, count=1).encode(), "damaged"), (good.replace('"rule":"cactus', '"rule":"magic', 1).encode(), "no acceptance rule called"),
        (good[:-2].encode(), "cut off"),
    ]  # fmt: skip
    before, path = shown(tab), tmp_path / "trace.json"
    for content, expected in cases:
        path.write_bytes(content)
        tab.evaluate("specviz.notices.clearErrors()")
        tab.set_input_files("#sv-file", path)
        found = sentence(tab)
        assert expected in found and "Traceback" not in found, content[:40]
        assert shown(tab) == before


def test_a_huge_file_has_its_sentence(tab, tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as out:
        out.truncate(100_000_001)
    before = shown(tab)
    tab.set_input_files("#sv-file", path)
    assert "too large" in sentence(tab)
    assert shown(tab) == before


def test_hostile_words_in_every_text_of_a_trace_stay_text(tab, tmp_path):
    data = json.loads(RECORDED[0].read_text(encoding="utf-8"))
    data |= {
        "prompt": HOSTILE,
        "style": HOSTILE,
        "pieces": dict.fromkeys(data["pieces"], HOSTILE),
        "versions": {"specviz": NAME, NAME: NAME},
    }
    data["models"] = {
        role: about | {name: NAME for name in ("id", "revision", "dtype", "backend")}
        for role, about in data["models"].items()
    }
    path = tmp_path / "trace.json"
    path.write_text(signed(data), encoding="utf-8")
    tab.set_input_files("#sv-file", path)
    until(tab, "specviz.state.source === 'imported'")
    tab.locator(".sv .lane .t").first.click()
    tab.locator(".plots").first.scroll_into_view_if_needed()
    until(tab, DRAWN)
    token = tab.locator(".sv .lane .t").first
    token.scroll_into_view_if_needed()
    tab.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )  # a scroll hides the card
    token.hover(position={"x": 6, "y": 6})  # it has more lines than its lane shows
    tab.locator(".sv-card:visible").wait_for()
    assert tab.evaluate("window.broken") is None
    assert (
        tab.locator(
            ".sv img, .sv-card img, .sv-card b, .sv .text b, .sv .inspector .token b, .sv .colophon b, .sv script"
        ).count()
        == 0
    )
    assert "<img src=x" in tab.inner_text(".sv .inspector .token") and "\u202e" not in tab.inner_text(
        ".sv .inspector .token"
    )


def test_a_trace_of_other_models_is_not_verified(tab, tmp_path):
    data = json.loads(RECORDED[0].read_text(encoding="utf-8"))
    data["models"]["verifier"]["revision"] = "another"
    path = tmp_path / "trace.json"
    path.write_text(signed(data), encoding="utf-8")
    tab.set_input_files("#sv-file", path)
    until(tab, "specviz.state.source === 'imported'")
    before = shown(tab)
    tab.click("text=Open")
    tab.click("text=Re-run and verify")
    assert "Not checked: the trace was made with the verifier" in sentence(tab)
    assert shown(tab) == before


def encoded(value) -> str:
    return "#run=" + base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


GOOD = {"v": 1, "prompt": "One day", "lanes": [{"rule": "sps", "knobs": {}}]}
LINKS = [
    ("#run=", "damaged"), ("#run=%00%ff<script>", "damaged"), ("#run=" + "A" * 200_000, "damaged"),
    (encoded(None), "another version"), (encoded([1]), "another version"), (encoded(GOOD | {"v": 9}), "another version"), (encoded(GOOD | {"prompt": 7}), "another version"),
    (encoded(GOOD | {"lanes": []}), "another version"), (encoded(GOOD | {"lanes": GOOD["lanes"] * 9}), "another version"),
    (encoded(GOOD | {"lanes": [None]}), "does not exist here"), (encoded(GOOD | {"lanes": [{"rule": "__proto__"}]}), "does not exist here"), (encoded(GOOD | {"lanes": [{"rule": HOSTILE}]}), "does not exist here"),
]  # fmt: skip


def test_garbage_in_a_link_is_ignored_with_a_sentence(chromium, home):
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    tab, wrong = watched(context, home)
    for link, expected in LINKS:
        tab.goto("about:blank")
        tab.goto(home + link)
        until(tab, READY)
        found = sentence(tab)
        assert expected in found and "ignored" in found, link[:60]
        assert tab.evaluate("specviz.state.source") == "recorded" and tab.evaluate("window.broken") is None
    context.close()
    assert wrong == []


def test_what_is_not_understood_of_a_link_is_named_and_the_rest_runs(chromium, home):
    """Unknown fields and knobs, values of another type, a style that the pair does not have and a selection out of range."""
    odd = {
        "colour<b>": "red", "seed": [1], "draft_length": True, "style": "opera", "pick": [9, 9], "max_new_tokens": 6, "pair": "small",
        "lanes": [{"rule": "cactus", "knobs": {"delta": 0.5, "size": 1, "solver": None}}],
    }  # fmt: skip
    with visit(chromium, home + encoded(GOOD | odd), "specviz.state.source === 'live' && specviz.state.raw") as tab:
        until(tab, "document.querySelector('.sv .promptnotice').textContent.includes('left out')")
        said = tab.inner_text(".sv .promptnotice")
        for name in ("size of cactus", "solver of cactus", "colour<b>", "seed", "draft_length", "style", "selection"):
            assert name in said, name
        assert tab.evaluate("[specviz.state.run.trace.max_new_tokens, specviz.state.run.lanes[0].knobs.delta]") == [
            6,
            0.5,
        ]


def test_a_link_with_settings_out_of_range_says_so_beside_the_field(chromium, home):
    cases = [
        (GOOD | {"temperature": 99}, "temperature", "from 0 to 5"),
        (GOOD | {"lanes": [{"rule": "cactus", "knobs": {"delta": "<b>"}}]}, "lane0", "must be a number"),
        (GOOD | {"prompt": "", "pick": [99, -1], "time": 1e99}, "prompt", "The prompt is empty"),
    ]  # fmt: skip
    for value, field, expected in cases:
        context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
        tab, wrong = watched(context, home)
        tab.goto(home + encoded(value))
        until(
            tab,
            "specviz => [...document.querySelectorAll('.sv .error')].some(node => node.textContent)",
        )
        assert expected in " ".join(
            tab.eval_on_selector_all(".sv .error", "nodes => nodes.map(node => node.textContent)")
        ), field
        assert tab.evaluate("window.broken") is None
        context.close()
        assert wrong == []
