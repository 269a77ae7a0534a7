"""Shared by all tests: the small pair, loaded once; nothing here ever reaches the network."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported

import pytest
import torch

from specviz import backends, rules
from specviz.engine.settings import Settings
from specviz.record import running
from tests.support.browser import app, browser, until, watched

torch.set_num_threads(1)  # on a busy machine a second one is waited for many times longer than it helps

QUESTION = "Rose has 29 cards. She gets 2 packs of 4 cards each. How many cards does Rose have now?"


@pytest.fixture(scope="session")
def pair():
    """The pair that needs nothing else, in a process set up as its programs set up theirs."""
    made = backends.load_pair("small")
    backends.dedicate_process(made)
    return made


@pytest.fixture(scope="session")
def record(pair):
    """A short real run of five lanes, the plain one and the block rule among them."""
    specs = [None, "sps", "cactus:delta=1", "tas", "block"]
    lanes = [Settings(rule=spec and rules.parse(spec), max_new_tokens=40, seed=6) for spec in specs]
    return run(pair, QUESTION, "task", lanes)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The address of the real app, begun with the pair that needs nothing else; one for the tests of a file."""
    with app(tmp_path_factory.mktemp("app") / "log.txt", SPECVIZ_PAIR="small") as url:
        yield url


@pytest.fixture(scope="module")
def chromium():
    """A real browser, one for the tests of a file."""
    with browser() as made:
        yield made


@pytest.fixture
def tab(chromium, home):
    """An open page. Fails the test if anything went wrong in it, or if it asked another host for anything."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.live?.wire() && window.specviz.state.run")
    yield page
    context.close()
    assert wrong == []


def run(pair, prompt, style, lanes):
    """A finished run of some lanes."""
    return running.run(pair, prompt, lanes, style=style).finish()
