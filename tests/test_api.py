"""`import specviz`: one call for people, whose result shows itself; and nothing heavy before it is asked for."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest
import torch

import specviz
from specviz.engine.settings import parse_lane
from specviz.record.trace import load
from specviz.types import ModelError
from tests.support.browser import until, watched

SMALL = functools.partial(specviz.compare, pair="small")
PROMPT = "Once upon a time there was a <b>cat</b>."


@pytest.fixture(scope="module")
def made():
    return SMALL(PROMPT, rules=["plain", "sps", "cactus:delta=1"], max_new_tokens=24, seed=3)


def test_importing_brings_nothing_heavy():
    """`import specviz` and its version need neither torch nor gradio; an unknown name is an AttributeError."""
    code = "import sys, specviz; print(specviz.__version__, {'torch', 'gradio', 'transformers'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == f"{specviz.__version__} set()"
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        specviz.magic  # noqa: B018


def test_figures_text_and_files(made, tmp_path):
    """Figures by lane, the speed-up against the plain lane among them; a table for a prompt; a trace and a replay to keep."""
    figures = made.figures()
    assert list(figures) == ["plain", "sps", "cactus:delta=1,solver=taylor"]
    assert figures["sps"]["mean_kl"] == 0 < figures["cactus:delta=1,solver=taylor"]["mean_kl"]
    assert figures["plain"]["speedup"] == 1 and figures["plain"]["emitted"] == 24
    assert made.text(1) and all(name in repr(made) for name in (*figures, "kept per round"))
    made.save(tmp_path / "run.json")
    made.save(tmp_path / "run.html")
    assert load(tmp_path / "run.json") == made.trace
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_same_call_gives_the_same_text(made):
    """The seed decides, and two lanes of one spec are told apart; torch's threads are as they were."""
    threads = torch.get_num_threads()
    again = SMALL(PROMPT, ["sps", "sps"], max_new_tokens=24, seed=3)
    assert again.text(0) == again.text(1) == made.text(1) and list(again.figures()) == ["sps", "sps (2)"]
    assert torch.get_num_threads() == threads


def test_a_drafter_without_a_model():
    """The drafter is chosen by its spec."""
    run = SMALL("one two one two one two", ["sps"], drafter="ngram:longest=2", max_new_tokens=12)
    assert run.trace.lanes[0].drafter.spec == "ngram:longest=2,shortest=1"


def test_a_lane_names_its_own_drafter():
    """Where lanes have several, their figures are found by both; a trace opened again says the same."""
    run = SMALL("one two one two", ["sps", "sps@ngram:longest=2", "plain"], drafter="model", max_new_tokens=8)
    drafters = [lane.drafter.name for lane in run.trace.lanes]
    assert drafters == ["model", "ngram", "nothing"]
    specs = run.trace.specs()
    assert list(run.figures()) == specs and specs[2] == "plain"
    assert [parse_lane(spec)[1] for spec in specs[:2]] == [lane.drafter for lane in run.trace.lanes[:2]]


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: SMALL("A", []), "at least one rule"),
        (lambda: SMALL("A", "sps"), "a list of at least one rule"),
        (lambda: SMALL("A", ["magic"]), "no acceptance rule called 'magic'"),
        (lambda: SMALL("A", ["sps"], drafter="magic"), "no drafter called 'magic'"),
        (lambda: SMALL("A", ["sps@magic"]), "no drafter called 'magic'"),
        (lambda: SMALL("A", ["sps@nothing"]), "drafts nothing. Choose the rule plain"),
        (lambda: SMALL("A", ["plain@ngram"]), "Plain decoding has no drafter"),
        (lambda: SMALL(" ", ["sps"]), "prompt is empty"),
        (lambda: SMALL("A", ["sps"], temperature=-1), "temperature must be from 0 to 5"),
        (lambda: SMALL("A", ["sps"], style="verse"), "no style 'verse'"),
        (lambda: SMALL("A", ["sps"], pair="magic"), "magic"),
    ],
)
def test_mistakes_are_sentences(call, says):
    with pytest.raises((ValueError, ModelError), match=says):
        call()


def test_it_shows_itself_in_a_notebook(made, chromium, tmp_path):
    """What a notebook shows is the replay, in a frame from which nothing reaches the notebook, with every lane's text; markup
    in the prompt stays text, and nothing is asked of any host."""
    page_file = tmp_path / "notebook.html"
    head = "<!doctype html><meta charset='utf-8'><title>notebook</title>"
    page_file.write_text(f"{head}<p id='cell'>before</p>{made._repr_html_()}", encoding="utf-8")
    page, wrong = watched(chromium.new_context(), "")
    page.goto(page_file.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator(".sv .lane").first.wait_for()
    assert frame.locator(".sv .lane").count() >= 2
    until(page, "document.querySelector('#cell').textContent === 'before' && window.specviz === undefined")
    assert frame.locator("b", has_text="cat").count() == 0
    page.close()
    assert wrong == []
