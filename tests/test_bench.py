"""The benchmark measures what it says: the same forwards, every second counted once, and a full report."""

from __future__ import annotations

import json

import pytest

from specviz import backends, cli, rules
from specviz.bench import generated, parts, report, ways
from specviz.engine import race
from specviz.engine.settings import Settings
from specviz.prob import dists, noise
from specviz.record import trace
from specviz.types import Sampling

SETTINGS = dict(sampling=Sampling(), max_new_tokens=12, draft_length=3)


@pytest.fixture
def small(monkeypatch):
    """A generated pair that takes no time."""
    monkeypatch.setattr(generated, "SHAPES", {"draft": (16, 24, 1, 2), "verifier": (32, 48, 2, 2)})
    monkeypatch.setattr(generated, "POSITIONS", 200)
    monkeypatch.setattr(generated, "CONTEXTS", (20, 100, 400))


def test_each_second_is_counted_once(monkeypatch):
    """A part's time is without what it calls of other parts; parts add up to the whole, and an error does not lose any."""
    now = [0.0]
    monkeypatch.setattr(parts, "perf_counter", lambda: now[0])
    timers = parts.Timers()

    def work(seconds, *calls):
        now[0] += seconds
        for call in calls:
            call()

    inner = timers.timed(lambda: work(2.0), "inner")
    outer = timers.timed(lambda: work(1.0, inner, inner), "outer")
    outer()
    assert dict(timers.seconds) == {"inner": 4.0, "outer": 1.0}

    def steps():
        for _ in range(3):
            work(0.5, inner)
            yield now[0]

    found = []
    for step in timers.timed_steps(steps, "steps")():
        now[0] += 10.0  # what the consumer does in between is not the steps'
        found.append(step)
    assert len(found) == 3 and timers.seconds["steps"] == 1.5 and timers.seconds["inner"] == 10.0
    with pytest.raises(ZeroDivisionError):
        timers.timed(lambda: (work(1.0), 1 / 0), "broken")()
    assert timers.seconds["broken"] == 1.0 and timers._inner == []


def test_the_rooms_are_timed_and_then_as_they_were(pair):
    """A run under the timers fills every part and writes the same trace; afterwards no function is wrapped any more."""
    pytest.importorskip("specviz.ui.stream")
    before = dists.to_probs, noise.Noise.race, trace.Trace.add, race.race
    asked = [("One day a dog", next(iter(pair.styles)))]
    with parts.rooms_timed(pair) as timers:
        parts._page(pair, *asked[0], [{"rule": "sps"}], SETTINGS, 1)
        assert dists.to_probs is not before[0] and set(timers.seconds) == set(parts.PARTS) - {"stream"}
    assert (dists.to_probs, noise.Noise.race, trace.Trace.add, race.race) == before and "session" not in vars(
        pair.draft
    )
    rows = parts.breakdown(pair, asked, SETTINGS, 1)
    assert sum(row["share"] for row in rows) == pytest.approx(1) and all(row["share"] > 0 for row in rows)


def test_the_limit_is_the_forwards_of_the_same_run(pair, monkeypatch):
    """Sessions are asked for the same tokens in the same order by a run and by its forwards alone."""
    asked: list[tuple] = []
    forward = backends.Session.forward
    monkeypatch.setattr(
        backends.Session,
        "forward",
        lambda self, tokens, keep=None, parents=None, features=(): (
            asked.append((self._model is pair.draft, list(tokens), keep)),
            forward(self, tokens, keep, parents, features),
        )[1],
    )
    prompt = pair.encode("One day a dog", next(iter(pair.styles)))
    way = ways.Specviz(pair, SETTINGS, rules.make("sps"))
    count, _ = way(prompt, 5)
    run, asked[:] = list(asked), []
    alone, seconds = ways.Bare(pair, way)(prompt, 5)
    assert alone == count and seconds > 0
    assert [a for a in asked if a[0]] == [r for r in run if r[0]] and [a for a in asked if not a[0]] == [
        r for r in run if not r[0]
    ]


def test_runs_behind_a_context_write_what_a_whole_run_writes(pair):
    """The context is read once for many runs; what is written behind it is as if each had read it."""
    tokens = pair.encode("One day a dog saw a big red ball in the park and", next(iter(pair.styles)))
    written = []
    measured = generated._once
    rows = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated, "CONTEXTS", (len(tokens),))
        patch.setattr(
            generated,
            "forwards",
            lambda draft, verifier, before, rounds: (
                written.append([t for _, emitted in rounds for t in emitted]) or 1.0
            ),
        )
        rows = generated.by_context(pair, tokens, SETTINGS, 1)
    assert generated._once is measured and [row["context"] for row in rows] == [len(tokens)]
    for seed, text in enumerate(written):
        lane = Settings(
            rule=rules.make("sps"), seed=seed, sampling=Sampling(), draft_length=3, max_new_tokens=generated.WRITTEN
        )
        whole = [token for _, emitted in ways.rounds_of(list(race.race(pair, tokens, [lane]))) for token in emitted]
        assert text[: len(whole)] == whole  # a whole run stops at an end of text, these go on


def test_ratios_are_between_neighbours():
    """A way's ratio is the median over runs of one prompt and seed, not the ratio of two medians."""
    speeds = iter([1, 1, 10, 20, 100, 50, 3, 12])  # the first two warm up
    made = [
        ways.Way(name, lambda prompt, seed: (next(speeds), 1.0), against)
        for name, against in (("slow", None), ("fast", "slow"))
    ]
    slow, fast = ways.measure(made, [[1], [2], [3]], 1)
    assert slow["rate"] == 10 and fast["rate"] == 20 and fast["ratio"] == 2.0 and slow["ratio"] is None
    assert (fast["low"], fast["high"]) == (16, 35)


def test_the_whole_benchmark(small, tmp_path, capsys):
    """One command prints every table, saves every measurement, and draws every plot into one file."""
    pytest.importorskip("specviz.ui.stream")
    file, page = tmp_path / "found.json", tmp_path / "plots.html"
    status = cli.main(
        ["bench", "--quick", "--lengths", "--max-new-tokens", "4", "--json", str(file), "--plot", str(page)]
    )
    said = capsys.readouterr().out
    found = json.loads(file.read_text())
    assert status == 0 and set(found) == {"about", *report.TITLES}
    drawn = page.read_text(encoding="utf-8")
    for title in report.TITLES.values():
        assert title in said and title.split(":")[0] in drawn
    by_name = {row["name"]: row for row in found["pair"]}
    assert len(by_name["specviz sps"]["rates"]) == 3 and by_name["specviz sps"]["against"] == "transformers assisted"
    assert [row["context"] for row in found["context of the generated pair"]] == [20, 100, 200 - generated.WRITTEN]
    assert "<script src" not in drawn
