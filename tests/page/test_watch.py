"""What whoever runs the page can see of it: how jobs end, and whether it is well."""

from __future__ import annotations

import io
import json
import threading

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from specviz import backends
from specviz.types import ModelError
from specviz.ui import runs, watch
from specviz.ui.desk import WAITING, Desk
from specviz.ui.models import Models
from tests.support.desks import desk_of
from tests.support.pairs import table_pair

ASKED = {"prompt": "abc", "lanes": [{"rule": "sps"}], "max_new_tokens": 6}


@pytest.fixture
def log():
    """The lines logged meanwhile."""
    stream = io.StringIO()
    watch.log_to(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    watch.LOG.handlers.clear()


def job(asked=ASKED):
    return lambda turn: runs.compute(turn, asked)


def raising(error):
    def run(turn):
        yield {"kind": "wait", "message": ""}
        raise error

    return run


def test_how_jobs_end(log):
    """Each in one line: to its end, stopped, left, refused for what, broken off."""
    desk = desk_of(table_pair)
    counted = desk.counted("run")
    list(counted.in_turn(job()))
    stopping = counted.messages("1", job(ASKED | {"max_new_tokens": 50_000}))
    next(stopping)
    desk.stop("1")
    list(stopping)
    leaving = counted.in_turn(job(ASKED | {"max_new_tokens": 50_000}))
    next(leaving)
    leaving.close()
    list(counted.in_turn(job(ASKED | {"temperature": 9})))
    list(counted.in_turn(job(), "magic"))
    desk._waiting = WAITING
    list(counted.in_turn(job()))
    assert counted.borrow(lambda pair: {"same": True})["error"]
    desk._waiting = 0
    assert counted.borrow(lambda pair: {"same": True}) == {"same": True}
    for error in (ModelError("The model is odd."), KeyError("abc")):
        with pytest.raises(type(error)):
            list(counted.in_turn(raising(error)))
    assert [(line["outcome"], line["cause"]) for line in log()] == [
        ("done", ""), ("stopped", ""), ("left", ""), ("refused", "temperature"), ("refused", "pair"), ("refused", "line"),
        ("refused", "line"), ("done", ""), ("failed", "model"), ("failed", "KeyError"),
    ]  # fmt: skip
    assert log()[0]["tokens"] == 6 and log()[1]["tokens"] > 0


def test_whoever_waits_is_seen_to_wait(log):
    """The seconds in the line and those at the models are told apart."""
    desk = desk_of(table_pair)
    first = desk.in_turn(job())
    next(first)
    second = desk.counted("run").in_turn(job())
    assert next(second)["kind"] == "wait" and desk.waiting == 1
    list(first)
    list(second)
    (line,) = log()
    assert line["waited"] >= 0.5 > line["computed"] > 0 and desk.waiting == 0


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
