"""What whoever runs the page can see of it: how jobs end, and whether it is well."""

from __future__ import annotations

import io
import json
import threading
from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from specviz import backends
from specviz.stopping import Stopped
from specviz.types import ModelError
from specviz.ui import line, runs, watch
from specviz.ui.desk import Desk
from specviz.ui.models import Models
from tests.support.desks import desk_of, endless, idle, told
from tests.support.pairs import table_pair

ASKED = {"prompt": "abc", "lanes": [{"rule": "sps"}], "max_new_tokens": 6}


@pytest.fixture
def log():
    """The lines logged meanwhile."""
    stream = io.StringIO()
    watch.log_to(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    watch.LOG.handlers.clear()


def work(**changes):
    return partial(runs.compute, asked=ASKED | changes)


def raising(error):
    def computed(turn):
        yield {"kind": "delta"}
        raise error

    return computed


def test_how_jobs_end(log, monkeypatch):
    """Each in one line: to its end, stopped, left, refused for what, broken off."""
    desk, long = desk_of(table_pair), work(max_new_tokens=50_000)
    list(told(desk, work()))
    stopping = told(desk, long, "stopping")
    next(stopping)
    desk.line.stop("stopping", "stopping")
    list(stopping)
    leaving = told(desk, long)
    next(leaving)
    leaving.close()
    assert idle(desk)
    list(told(desk, work(temperature=9)))
    list(told(desk, work(), name="magic"))
    for error in (ModelError("The model is odd."), KeyError("abc"), Stopped("It is late."), ValueError("It is odd.")):
        list(told(desk, raising(error), kind="magic"))
    monkeypatch.setattr(line, "ALL", 0)
    list(told(desk, work()))
    ends = [(entry["outcome"], entry["cause"]) for entry in log()]
    assert ends == [
        ("done", ""), ("stopped", ""), ("left", ""), ("refused", "temperature"), ("refused", "pair"), ("failed", "model"),
        ("failed", "KeyError"), ("stopped", ""), ("refused", "prompt"), ("refused", "line"),
    ]  # fmt: skip
    assert log()[0]["tokens"] == 6
    assert {entry["kind"] for entry in log()} == {"run", "other"}, "a name that a visitor may choose is not repeated"


def test_whoever_waits_is_seen_to_wait(log):
    """The seconds in the line and those at the models are told apart; who is stopped in the line was not refused."""
    desk = desk_of(table_pair)
    first, second, third = told(desk, endless), told(desk, work(), "second"), told(desk, work(), "third")
    next(first)
    assert next(second)["place"] == 1 and next(third)["place"] == 2 and desk.line.waiting == 2
    desk.line.stop("third", "third")
    list(third)
    first.close()
    list(second)
    stopped, left, done = log()
    assert (stopped["outcome"], left["outcome"], done["outcome"]) == ("stopped", "left", "done")
    assert stopped["computed"] == 0 < stopped["waited"] < done["waited"] and done["computed"] > 0
    assert desk.line.waiting == 0


def test_health_says_how_far_the_models_are():
    """Well while they load, which asking does not begin; not well once they could not be loaded; asking loads nothing anew."""
    begun, go = threading.Event(), threading.Event()

    def load(name, progress):
        begun.set()
        assert go.wait(60)
        raise ModelError("There are no models.")

    desk = Desk(Models(load, {"small": backends.pairs()["small"]}))
    client = TestClient(Starlette(routes=watch.routes(desk)))
    assert client.get("/health").json()["pair"] == {"state": "none"} and not begun.is_set()
    desk.open()
    assert begun.wait(60)
    health = client.get("/health")
    assert (health.status_code, health.json()["ok"], health.json()["pair"]["state"]) == (200, True, "loading")
    go.set()
    assert desk.models.get().wait(60)
    health = client.get("/health")
    assert health.status_code == 503 and health.json()["ok"] is False
    assert health.json()["pair"] == {"state": "failed", "message": "There are no models."}
    assert client.get("/metrics").headers["content-type"] == watch.PROMETHEUS
