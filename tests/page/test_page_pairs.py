"""Several pairs in one page: each is loaded once, when it is asked for, and visitors with different ones share the machine."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from specviz import backends
from specviz.assets import ASSETS
from specviz.record.trace import Trace
from specviz.types import ModelError
from specviz.ui import runs
from specviz.ui.desk import Desk
from specviz.ui.models import Models
from specviz.view.boot import pair_words
from tests.page.test_page_bad_input import page_of, visit
from tests.support.browser import until, watched
from tests.support.desks import told
from tests.support.pairs import chat_pair

ASKED = {"prompt": "One day a dog", "max_new_tokens": 8, "seed": 2, "lanes": [{"rule": "sps", "knobs": {}}]}
BROKEN = "There is no file 'weights.gguf'. Put it there."


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    return chat_pair(tmp_path_factory.mktemp("pairs") / "chatty")


class Shelf:
    """Loads the pairs by name, counts how often, and waits where it is told to."""

    def __init__(self, **pairs):
        self.pairs, self.loaded, self.gate = pairs, [], threading.Event()
        self.gate.set()

    def __call__(self, name, progress):
        self.loaded.append(name)
        progress(0.4, "Reading the weights")
        self.gate.wait()
        found = self.pairs["own" if name is None else name]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def shelf(pair, chatty):
    return Shelf(own=pair, chatty=chatty, broken=ModelError(BROKEN))


def known(pair, chatty):
    return {"small": pair.facts, "chatty": chatty.facts, "broken": replace(chatty.facts, name="broken", title="Broken")}


@pytest.fixture
def models(shelf, pair, chatty):
    return Models(shelf, known(pair, chatty))


def over(models: Models, name: str | None) -> dict:
    """What is said of a pair once its loading is over."""
    loading = models.get(name)
    assert loading.wait(60)
    return loading.state()


def test_a_pair_is_loaded_once_and_tried_again_where_it_failed(models, shelf, pair):
    """Its own name and None are the same pair; a name that is not on offer is refused with those that are."""
    assert models.get() is models.get("small") and models.get("small").wait(60) and models.get().pair is pair
    assert [over(models, "chatty")["pair"]["name"] for _ in range(2)] == ["chatty", "chatty"]
    for _ in range(2):
        assert over(models, "broken") == {"state": "failed", "message": BROKEN}
    assert shelf.loaded == [None, "chatty", "broken", "broken"]
    assert "There are: small, chatty, broken." in asyncio.run(Desk(models).state("giant"))["message"]


def test_how_far_a_pair_is(models, shelf):
    shelf.gate.clear()
    loading = models.get("chatty")
    while (state := loading.state())["message"] == "The models are loading.":
        loading.wait(0.01)
    assert state == {"state": "loading", "share": 0.4, "message": "Reading the weights, 40%."}
    shelf.gate.set()
    assert over(models, "chatty")["state"] == "ready"


def test_where_another_pair_stands_in_the_first_can_still_be_asked_for(pair, chatty):
    """The page began with the small pair instead of the one that comes first: asking for that one by name loads it."""
    stand_in = replace(pair, notice="The weights are not here, so the small pair runs.")
    shelf = Shelf(own=stand_in, chatty=chatty, small=pair)
    models = Models(shelf, {"chatty": chatty.facts, "small": pair.facts})
    assert over(models, None)["pair"]["notice"] == stand_in.notice
    assert models.get("small") is models.get() and models.get("chatty").wait(60)
    assert models.get("chatty").pair is chatty and shelf.loaded == [None, "chatty"]


def test_runs_of_different_pairs_at_once_do_not_disturb_one_another(models, pair, chatty):
    """Each run is by its own pair, though both ask at the same time."""
    desk, ends = Desk(models), {}

    def run(name, style):
        job = lambda turn: runs.compute(turn, ASKED | {"style": style, "seed": 3})  # noqa: E731
        *_, ends[name] = told(desk, job, name, name=name)

    threads = [threading.Thread(target=run, args=one) for one in (("small", "tiny"), ("chatty", "chat"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {name: Trace.from_json(end["final"]) for name, end in ends.items()}
    assert made["small"].models["verifier"].id == pair.verifier.id
    assert made["chatty"].models["verifier"].id == "chatty/verifier"


def test_a_pair_that_cannot_be_had_refuses_a_run_beside_its_control(models):
    *_, last = told(Desk(models), lambda turn: runs.compute(turn, ASKED), name="broken")
    assert (last["kind"], last["field"], last["message"]) == ("error", "pair", BROKEN)


def test_a_system_message_reaches_the_models(models, chatty):
    """None is what the template says, another is in the prompt in its place; where there is no chat it is left out."""
    texts = {}
    for system in (None, "Be brief."):
        asked = ASKED | {"style": "chat", "system": system}
        *_, end = told(Desk(models), lambda turn, asked=asked: runs.compute(turn, asked), name="chatty")
        trace = Trace.from_json(end["final"])
        assert trace.system == system
        texts[system] = "".join(trace.pieces[str(token)] for token in trace.prompt_tokens)
    assert "Be kind." in texts[None] and "Be brief." in texts["Be brief."] and "Be kind." not in texts["Be brief."]
    asked = ASKED | {"style": "chat", "system": 7}
    *_, end = told(Desk(models), lambda turn: runs.compute(turn, asked), name="chatty")
    assert (end["field"], end["message"]) == ("system", "The system message must be text.")


def test_choosing_a_pair_in_the_page(chromium, models, shelf, pair):
    """It loads with progress while the page stays usable; its styles, its system message, its name on the run; one that
    cannot be had says why and the pair before stays."""
    with page_of(None, Desk(models)) as (url, _), visit(chromium, url) as tab:
        until(tab, "document.querySelector('.models').innerText.includes('Draft')")
        assert tab.eval_on_selector_all("[data-field=pair] option", "nodes => nodes.map(node => node.value)") == [
            "small", "chatty", "broken",
        ]  # fmt: skip
        assert pair_words(pair.facts)["knows"] in tab.inner_text(".models") and "Apache-2.0" in tab.inner_text(
            ".models"
        )
        assert not tab.is_visible(".systembox")

        shelf.gate.clear()
        tab.select_option("[data-field=pair]", "chatty")
        until(tab, "document.querySelector('.models .notice').textContent === 'Reading the weights, 40%.'")
        tab.locator(".lane .t").first.click()
        assert tab.evaluate("specviz.state.picked") is not None, "the page is usable meanwhile"
        shelf.gate.set()
        until(tab, "!document.querySelector('.models .notice').textContent")
        assert tab.eval_on_selector_all("[aria-label=Style] option", "nodes => nodes.map(node => node.value)") == [
            "chat", "text",
        ]  # fmt: skip
        assert tab.get_attribute(".systembox", "open") is None
        tab.click(".systembox summary")
        assert tab.get_attribute("[aria-label='System message']", "placeholder") == "Be kind."
        tab.fill("[aria-label='System message']", "Be brief.")
        tab.fill("#sv-prompt", "One day")
        tab.fill("[data-field=max_new_tokens]", "8")
        tab.click(".run")
        until(tab, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")
        trace = json.loads(tab.evaluate("specviz.state.raw"))
        assert (trace["system"], trace["style"], trace["models"]["verifier"]["id"]) == (
            "Be brief.", "chat", "chatty/verifier",
        )  # fmt: skip
        assert "A pair that chats" in tab.inner_text(".colophon >> nth=0")
        assert "#run=" in (link := tab.evaluate("specviz.share.link()"))
        assert tab.evaluate("link => specviz.share.read(new URL(link).hash).form.system", link) == "Be brief."

        before = tab.evaluate("specviz.state.raw")
        tab.select_option("[data-field=pair]", "broken")
        until(tab, "document.querySelector('[data-error=pair]').textContent")
        assert tab.inner_text("[data-error=pair]") == BROKEN and tab.input_value("[data-field=pair]") == "chatty"
        assert tab.evaluate("specviz.state.raw") == before


def test_a_stand_in_says_so_in_one_line(chromium, pair, chatty):
    """The notice is on the page, the form is that of the pair that runs, and Run runs it."""
    stand_in = replace(pair, notice="The weights are not here, so the small pair runs.")
    desk = Desk(Models(Shelf(own=stand_in), {"chatty": chatty.facts, "small": pair.facts}))
    with page_of(None, desk) as (url, _), visit(chromium, url) as tab:
        until(tab, "document.querySelector('.models .notice').textContent")
        assert tab.inner_text(".models .notice") == stand_in.notice
        assert tab.input_value("[data-field=pair]") == "small"
        tab.fill("[data-field=max_new_tokens]", "4")
        tab.click(".run")
        until(tab, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")


def test_models_of_ones_own_show_no_run_of_others(chromium, pair):
    """No recorded run and no recorded sweep; the name of the models; the examples as texts to run."""
    own = replace(pair, facts=None)
    with page_of(None, Desk(Models(Shelf(own=own)))) as (url, _):
        context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
        tab, wrong = watched(context, url)
        tab.goto(url)
        until(tab, "specviz.models.style() && document.querySelector('.models').innerText.includes('Draft')")
        assert tab.evaluate("[specviz.state.run, specviz.boot.sweep.recorded]") == [None, None]
        assert pair.verifier.id in tab.inner_text(".models") and not tab.is_visible("[data-field=pair]")
        tab.locator(".examples button").first.click()
        tab.fill("[data-field=max_new_tokens]", "4")
        tab.click(".run")
        until(tab, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")
        context.close()
        assert wrong == []


def test_the_examples_are_complete():
    """Each names a pair, how it is put, lanes, length, sampling and seed, and what to look for; texts are told apart."""
    from specviz.ui import page, recorded

    examples = json.loads((ASSETS / "prompts.json").read_text(encoding="utf-8"))
    assert len({one["text"] for one in examples}) == len(examples) == 10
    assert [one["pair"] for one in examples] == ["smollm2"] * 8 + ["small"] * 2
    for one in examples:
        assert {
            "name",
            "style",
            "system",
            "why",
            "lanes",
            "sampling",
            "draft_length",
            "max_new_tokens",
            "seed",
        } <= one.keys()
        assert recorded.settings(SimpleNamespace(drafter="model"), one, one["seed"])
    for name, facts in backends.pairs().items():
        for one in page.examples({name: facts}):
            assert one["style"] in facts.styles and one["recorded"], one["name"]
    assert all(path.stat().st_size <= recorded.LIMIT for path in (ASSETS / "recorded").glob("*.json"))
