"""Jobs of the page on ZeroGPU, with a stand-in for the package `spaces` that keeps its rules: another process, forked after
the models were loaded; only what can be pickled goes in or out."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from specviz.engine import workers
from specviz.record.trace import Trace
from specviz.ui import advice, desk, requests, runs, zerogpu
from specviz.ui.desk import Desk
from specviz.ui.line import Turn
from specviz.ui.models import Models
from tests.support.desks import endless, idle, told

ASKED = {"prompt": "Once upon a time", "style": "tiny", "lanes": [{"rule": "sps"}, {"rule": "cactus", "knobs": {"delta": 1.0}}], "max_new_tokens": 24, "seed": 3}  # fmt: skip
FOLDER = Path(__file__).parent / "support" / "zerogpu"


@pytest.fixture(scope="module")
def lent(pair):
    """`zerogpu` as it is on such a Space, with the pair on its GPU; and the stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("specviz.ui.zerogpu", zerogpu.__file__)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "specviz.ui.zerogpu", module)
        spec.loader.exec_module(module)
        patch.setattr(desk, "zerogpu", module)
        module.place(pair)
        yield module
        module.spaces.end()
        sys.modules.pop("spaces", None)


@pytest.fixture
def served(lent, pair):
    """A desk whose only pair was loaded in its own thread, as on ZeroGPU."""
    models = Models(lambda name, progress: pair)
    assert models.load_here() is pair
    return Desk(models)


def where(turn: Turn):
    yield {"kind": "where", "process": os.getpid(), "cores": workers.cores(turn.pair)}


def test_elsewhere_nothing_changes(pair):
    """Without the package, a job's messages are made here."""
    assert not zerogpu.HERE
    assert [message["process"] for message in zerogpu.messages(where, Turn(pair))] == [os.getpid()]


def test_a_job_computes_in_the_process_that_has_the_gpu(lent, pair):
    """Another process than this one, the same for each job, which may have no children of its own; and a pair whose models
    are not on the GPU computes here."""
    (one,), (other,) = ([*lent.messages(where, Turn(pair))] for _ in range(2))
    assert lent.HERE and one == other and one["process"] != os.getpid() and one["cores"] == 1
    other_pair = dataclasses.replace(pair)
    (here,) = lent.messages(where, Turn(other_pair))
    assert here["process"] == os.getpid()


def test_a_run_is_the_same_run(served, pair):
    """The page's run comes over in its messages, and its trace is token for token what is written here; it verifies there."""
    *deltas, end = told(served, partial(runs.compute, asked=ASKED))
    *_, own = runs.compute(Turn(pair), asked=ASKED)
    there, here = (Trace.from_json(message["final"]) for message in (end, own))
    assert [lane.tokens for lane in there.lanes] == [lane.tokens for lane in here.lanes]
    assert deltas and all(message["run"] == "a" for message in [*deltas, end])
    *_, answer = told(served, partial(runs.verified, text=end["final"]))
    assert answer["kind"] == "verified" and answer["same"], answer


def test_the_answers_of_the_advisor(served):
    """What the page's other questions ask of the models crosses as well, and so do their refusals."""
    *_, end = told(served, partial(runs.compute, asked=ASKED))
    text = json.dumps({"trace": end["final"], "lane": 1, "rules": [["cactus", {"delta": 0.5}]]})
    *_, bought = told(served, partial(advice.answered, kind="buys", text=text))
    assert bought["kind"] == "answer" and bought["answer"]
    *_, refused = told(served, partial(advice.answered, kind="buys", text="[]"))
    assert refused["kind"] == "error" and refused["message"] == "A request is a JSON object."


def test_stop_keeps_what_is_there(served):
    """A run that is stopped ends in the other process, with its trace so far."""
    asked = ASKED | {"max_new_tokens": 900, "prompt": "One day"}
    seen = []
    for message in told(served, partial(runs.compute, asked=asked), "7"):
        seen.append(message)
        if message["kind"] == "delta":
            served.line.stop("7", "7")
    assert seen[-1]["message"] == "Stopped."
    assert 0 < len(Trace.from_json(seen[-1]["final"]).lanes[0].tokens) < 900


def test_a_visitor_who_leaves_ends_the_compute(served, lent):
    """Closing the messages ends the task in the other process, also one that says nothing by itself, and the next job finds
    that process free."""
    for work in (partial(runs.compute, asked=ASKED | {"max_new_tokens": 900}), endless):
        made = told(served, work, "8")
        next(message for message in made if message["kind"] == "delta")
        made.close()
        assert idle(served)
    *_, end = told(served, partial(runs.compute, asked=ASKED), "9")
    assert end["kind"] == "end" and len(lent.spaces.workers) == 1


def test_what_cannot_cross_is_said(lent, pair):
    """A closure and a lock are refused as there, in a sentence; every job of the page is checked by the tests above."""
    for job in (lambda turn: [], partial(where, lock=threading.Lock())):
        (message,) = lent.messages(job, Turn(pair))
        assert message["kind"] == "error" and message["message"].startswith("The GPU was not lent: ")


def test_a_refused_gpu_is_said_without_markup(served, lent, monkeypatch):
    """The quota of a visitor is used up: the page reads why, and nothing of it as markup."""
    monkeypatch.setattr(lent.spaces, "refusal", 'Your quota is used up. <a href="https://example.org">Log in</a>.')
    *_, message = told(served, partial(runs.compute, asked=ASKED), "1")
    assert message == {"run": "1", "kind": "error", "field": "prompt", "message": "The GPU was not lent: Your quota is used up. Log in."}  # fmt: skip


def test_no_longer_than_it_takes(lent, pair):
    """A GPU is asked for by how much is to be written, and never for longer than a job may last."""
    one, four = ({"asked": ASKED | {"lanes": [{}] * lanes, "max_new_tokens": 100}} for lanes in (1, 4))
    times = [zerogpu.seconds(partial(runs.compute, **asked), 120.0) for asked in (one, four)]
    assert zerogpu.LEAST < times[0] < times[1] < zerogpu.MOST
    assert zerogpu.seconds(where, 120.0) == zerogpu.MOST and zerogpu.seconds(where, 10.0) == 10.0
    assert list(lent.messages(where, Turn(pair, deadline=20.0))) and lent.spaces.asked[-1] == 20.0
    huge = {"asked": ASKED | {"lanes": [{}] * requests.MAX_LANES, "max_new_tokens": 10**400}}
    assert zerogpu.seconds(partial(runs.compute, **huge), 120.0) == zerogpu.MOST
