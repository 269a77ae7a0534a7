"""The benchmark measures what it says: the same forwards, every second counted once, and a full report."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from math import comb
from typing import ClassVar

import pytest
import torch

from specviz import backends, drafters, rules
from specviz.backends.weights import EMBEDDING, HEAD
from specviz.bench import generated, parts, proposing, report, trees, ways
from specviz.engine import probe as probes
from specviz.engine.probe import Probe
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.record.round import Round
from specviz.record.running import run
from specviz.rules.sps import Sps
from specviz.types import Sampling
from tests.backends.test_backends import give_tokenizer, make_llama
from tests.backends.test_partial import KEPT_IDS, TOKENS, make_partial

SPS = Settings(rules.make("sps"), max_new_tokens=12, draft_length=3)
WORDS = "One day a dog"


@pytest.fixture
def prompt(pair) -> ways.Prompt:
    return WORDS, next(iter(pair.styles))


@pytest.fixture
def small(monkeypatch):
    """A generated pair that takes no time."""
    monkeypatch.setattr(generated, "SHAPES", {"draft": (16, 24, 1, 2), "verifier": (32, 48, 2, 2)})
    monkeypatch.setattr(generated, "POSITIONS", 200)
    monkeypatch.setattr(generated, "CONTEXTS", (20, 100, 400))


def test_each_second_is_counted_once(monkeypatch):
    """A part's time is without what is counted under other parts meanwhile; parts add up to the whole, and an error
    loses none."""
    now = [0.0]
    monkeypatch.setattr(probes, "perf_counter", lambda: now[0])
    probe = Probe()

    def work(seconds, *calls):
        now[0] += seconds
        for part, *call in calls:
            probe.counting(part, work, *call)

    probe.counting("outer", work, 1.0, ("inner", 2.0), ("inner", 2.0, ("innermost", 0.25)))
    probe.counting("outer", work, 0.5)
    assert dict(probe.seconds) == {"innermost": 0.25, "inner": 4.0, "outer": 1.5}
    with pytest.raises(ZeroDivisionError):
        probe.counting("outer", lambda: (work(1.0, ("inner", 1.0)), 1 / 0))
    assert dict(probe.seconds) == {"innermost": 0.25, "inner": 5.0, "outer": 2.5} and now == [7.75]


@dataclass(frozen=True)
class Slow(Sps):
    """sps that thinks for a hundred seconds about every draft, by a clock of its own."""

    name = "slow"
    lossless = True
    thought: ClassVar[float] = 0.0

    def verdict(self, *judged):
        Slow.thought += 100.0
        return super().verdict(*judged)


def watched_run(pair, prompt, rule) -> tuple[list[Round], dict[str, float], float]:
    """The rounds of a run under a probe, its parts, and its seconds."""
    probe = Probe()
    running = run(pair, prompt[0], [Settings(rule, max_new_tokens=12, draft_length=3)], style=prompt[1], probe=probe)
    began = time.perf_counter()
    rounds = running.finish().lanes[0].rounds
    return rounds, probe.seconds, time.perf_counter() - began


def test_parts_add_up_to_the_whole(pair, prompt):
    """A run under a probe writes what it writes without one; every part of it takes some time. The forwards' parts are
    the seconds that the trace has of them (to its five digits), and all parts sum up to the run: never to more, and to
    98 % of it in the best of five runs (what is not counted is a few calls, unless the process was held up in them)."""
    expected = [round_.emitted for round_ in run(pair, prompt[0], [SPS], style=prompt[1]).finish().lanes[0].rounds]
    shares = []
    for _ in range(5):
        rounds, seconds, whole = watched_run(pair, prompt, SPS.rule)
        assert [round_.emitted for round_ in rounds] == expected
        assert set(seconds) == set(parts.PARTS) - {"stream"} and min(seconds.values()) > 0
        assert seconds["draft"] == pytest.approx(sum(round_.draft_seconds for round_ in rounds), rel=1e-4)
        assert seconds["verify"] == pytest.approx(sum(round_.verify_seconds for round_ in rounds), rel=1e-4)
        shares.append(sum(seconds.values()) / whole)
    assert 0.98 < max(shares) <= 1


def test_a_rule_s_time_is_its_own(pair, prompt, monkeypatch):
    """What a rule takes is under "judge", and nowhere else."""
    monkeypatch.setattr(probes, "perf_counter", lambda: time.perf_counter() + Slow.thought)
    rounds, seconds, _ = watched_run(pair, prompt, Slow())
    judged = sum(bool(round_.drafted) for round_ in rounds)
    assert judged > 2 and seconds["judge"] >= 100 * judged
    assert all(spent < 100 for part, spent in seconds.items() if part != "judge")


def test_the_table_of_parts_is_the_page_s_run(pair, prompt):
    """Through the page every part takes some time, and all of them together the whole."""
    rows = parts.breakdown(pair, [prompt], SPS, 1)
    assert [row["part"] for row in rows] == list(parts.PARTS) and all(row["share"] > 0 for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-3)


def test_the_page_runs_what_the_command_line_runs(pair, prompt):
    """Both write as many tokens, so that their rates compare."""
    directly, page = (way.run(prompt, 3) for way in parts.page_and_command_line(pair, SPS))
    assert directly.tokens == page.tokens > 12


def test_the_limit_is_the_forwards_of_the_same_run(pair, prompt, monkeypatch):
    """Sessions are asked for the same tokens in the same order by a run and by its forwards alone."""
    asked: list[tuple] = []
    owners: dict[backends.Session, backends.Model] = {}
    made, forward = backends.Session.__init__, backends.Session.forward

    def init(self, model):
        made(self, model)
        owners[self] = model

    def noted(self, tokens, keep=None, *more, **named):
        asked.append((owners[self] is pair.draft, list(tokens), keep))
        return forward(self, tokens, keep, *more, **named)

    monkeypatch.setattr(backends.Session, "__init__", init)
    monkeypatch.setattr(backends.Session, "forward", noted)
    way = ways.Specviz(pair, SPS)
    timed = way(prompt, 5)
    whole, asked[:] = list(asked), []
    alone = ways.Forwards(pair, way)(prompt, 5)
    assert (alone.tokens, alone.rounds) == (timed.tokens, timed.rounds) and alone.seconds > 0
    for is_draft in (True, False):
        assert [a for a in asked if a[0] is is_draft] == [w for w in whole if w[0] is is_draft] != []


def test_a_way_without_tracing_writes_the_same(pair, prompt):
    """Leaving out measures and record changes no token, with either drafter."""
    for drafter in ("model", "ngram"):
        settings = Settings(SPS.rule, max_new_tokens=40, drafter=drafters.make(drafter))
        traced, bare = ways.Specviz(pair, settings), ways.Specviz(pair, settings, traced=False)
        assert traced(prompt, 2).tokens == bare(prompt, 2).tokens and traced.rounds == bare.rounds
        assert any(drafted for drafted, _ in traced.rounds)


def test_prompt_lookup_copies_what_the_other_copies(pair):
    """At temperature 0 nothing is left to chance: transformers' prompt lookup and the drafter ngram are given the same
    numbers and write the same text, in fewer calls of the model than tokens."""
    folder = backends.pairs()["small"].folder
    settings = Settings(SPS.rule, Sampling(temperature=0.0), 4, 60, drafter=drafters.make("ngram"))
    _, verifier = ways.transformers_models([str(folder / "draft"), str(folder / "verifier")], pair)
    calls = []
    verifier.register_forward_hook(lambda *_: calls.append(1))
    texts = []
    generate = verifier.generate
    verifier.generate = lambda *given, **more: texts.append(generate(*given, **more)) or texts[-1]
    prompt = ("Write backwards: one two three four one two three four", "task")
    theirs = ways.Transformers(pair, verifier, settings, ways.looked_up(settings, settings.drafter))(prompt, 0)
    ours = ways.Specviz(pair, settings)
    assert ours(prompt, 0).tokens == theirs.tokens
    written = [token for _, emitted in ours.rounds for token in emitted]
    assert texts[0][0].tolist() == pair.encode(*prompt) + written and len(calls) < len(written)


def test_runs_behind_a_context_write_what_a_whole_run_writes(pair, monkeypatch):
    """The context is read once for many runs; what is written behind it is as if each had read it."""
    context = pair.encode("One day a dog saw a big red ball in the park and", next(iter(pair.styles)))
    read, written = [], []
    monkeypatch.setattr(generated, "CONTEXTS", (len(context),))

    def forwards(draft, verifier, before, rounds):
        read.append(before)
        written.append([token for _, emitted in rounds for token in emitted])
        return 1.0

    monkeypatch.setattr(generated, "forwards", forwards)
    rows = generated.by_context(pair, context, SPS, 1)
    assert [row["context"] for row in rows] == [len(context)] and len(written) == 3
    for seed, (before, text) in enumerate(zip(read, written)):
        lane = Settings(SPS.rule, draft_length=3, seed=seed, max_new_tokens=generated.WRITTEN)
        whole = [token for step in race(pair, before, [lane]) for token in step.result.emitted]
        assert text[: len(whole)] == whole  # a whole run stops at an end of text, these go on


def test_ratios_are_between_neighbours():
    """A way's ratio is the median over runs of one prompt and seed, not the ratio of two medians."""
    speeds = iter([1, 1, 10, 20, 100, 50, 3, 12])  # the first two warm up
    two = [
        ways.Way(name, lambda prompt, seed: ways.Timed(next(speeds), 1.0, 2), against)
        for name, against in (("slow", None), ("fast", "slow"))
    ]
    slow, fast = ways.time_ways(two, [("a", None), ("b", None), ("c", None)], 1)
    assert slow["rate"] == 10 and fast["rate"] == 20 and fast["ratio"] == 2.0 and slow["ratio"] is None
    assert (fast["low"], fast["high"]) == (16, 35) and slow["written_per_round"] == 5


def test_the_interval_of_a_median():
    """At least 95 of 100 intervals hold the median, by the binomial law itself; and the next narrower ones would not."""
    for count in (6, 9, 30, 41):
        low, high = ways.interval(range(count))
        assert low == count - 1 - high

        def holds(
            k, count=count
        ):  # the chance that the median is neither below the k-th nor above the k-th from the end
            return 1 - 2 * sum(comb(count, i) for i in range(k + 1)) / 2**count

        assert holds(low) >= 0.95 > holds(low + 1)
    assert ways.interval([2.0, 5.0, 1.0]) == (1.0, 5.0)


def test_transformers_runs_the_same_partial_draft(tmp_path):
    """A draft that borrows and is cut assists transformers' generation: it gives the logits of specviz's own, and at
    temperature 0 both write the same text in as many calls of the verifier or fewer than tokens."""
    verifier = give_tokenizer(make_llama(tmp_path / "verifier", layers=3, seed=2))
    whole = give_tokenizer(make_llama(tmp_path / "whole", seed=1))
    draft = make_partial(tmp_path / "draft", whole, [EMBEDDING, HEAD], KEPT_IDS)
    pair = backends.load_pair(draft=draft, verifier=verifier)
    models = ways.transformers_models([draft, verifier], pair)
    ours, theirs = pair.draft.session().forward(TOKENS).logits, models[0](torch.tensor([TOKENS])).logits[0]
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)
    settings = Settings(SPS.rule, Sampling(0.0), 3, 20)
    assisted = ways.Transformers(pair, models[1], settings, ways.assisted_by(models[0], settings))
    timed, own = assisted(("hello", None), 0), ways.Specviz(pair, settings)(("hello", None), 0)
    assert timed.tokens == own.tokens and 0 < timed.rounds <= timed.tokens


def test_first_tokens_are_timed_to_the_first_of_them(pair, prompt, monkeypatch):
    """One lane and three, each on a prompt twice; a run is heard up to its first message with a token, and no further."""
    heard, messages = [], parts.page_messages

    def hearing(*arguments):
        for message in messages(*arguments):
            heard.append(message)
            yield message

    monkeypatch.setattr(parts, "page_messages", hearing)
    rows = parts.first_tokens(pair, [prompt], SPS, 2)
    assert [row["name"] for row in rows] == ["1 lane", "3 lanes"]
    assert all(0 < row["least"] <= row["seconds"] <= row["most"] for row in rows)
    written = [any(delta["rounds"] for delta in message.get("deltas", ())) for message in heard]
    assert sum(written) == 4 and written[-1] and all(message["kind"] != "end" for message in heard)


def test_the_whole_benchmark(small, tmp_path, capsys):
    """One command prints every table, saves every measurement, and draws every plot into one file."""
    from specviz import cli

    file, page = tmp_path / "tables.json", tmp_path / "plots.html"
    status = cli.main(
        [
            "bench",
            "--quick",
            "--pair",
            "small",
            "--lengths",
            "--max-new-tokens",
            "4",
            "--json",
            str(file),
            "--plot",
            str(page),
        ]
    )
    said = capsys.readouterr().out
    tables = json.loads(file.read_text())
    usual = report.TITLES.keys() - {"drafters", "looks", "trees"}  # which are asked for by themselves
    assert status == 0 and set(tables) == {"about", *usual}
    drawn = page.read_text(encoding="utf-8")
    for title in map(report.TITLES.__getitem__, usual):
        assert title in said and title.split(":")[0] in drawn
    by_name = {row["name"]: row for row in tables["pair"]}
    assert len(by_name["specviz sps"]["rates"]) == 3 and by_name["specviz sps"]["against"] == "transformers assisted"
    assert by_name["specviz sps, drafter ngram"]["against"] == "transformers prompt lookup"
    assert [row["context"] for row in tables["context of the generated pair"]] == [20, 100, 200 - generated.WRITTEN]
    assert "<script src" not in drawn


def test_every_drafter_of_a_pair_is_compared(pair, prompt, monkeypatch):
    """A way for each that the pair can run, beside plain decoding and transformers' own; what was drafted, kept and spent is
    that of the runs themselves."""
    folder = backends.pairs()["small"].folder
    models = ways.transformers_models([str(folder / "draft"), str(folder / "verifier")], pair)
    kept = []
    once = ways.Specviz.__call__

    def noted(self, *asked):
        kept.append(once(self, *asked))
        return kept[-1]

    monkeypatch.setattr(ways.Specviz, "__call__", noted)
    rows = proposing.by_drafter(pair, models, Settings(SPS.rule, max_new_tokens=8), [prompt], 1)
    names = [row["name"] for row in rows]
    assert {"plain", "early_exit", "head", "hybrid", "model", "ngram", "stand", "suffix", "tree"} <= {*names}
    assert "lookahead" not in names
    assert names[-3:] == ["transformers plain", "transformers prompt lookup", "transformers assisted"]
    for row, timed in zip(rows, kept[len(rows) - 3 :]):  # behind those that warmed up
        spent = timed.spent
        assert row["kept_share"] == (spent.kept / spent.drafted if spent.drafted else None)
        assert 0 < row["outside"] < 1 and row["written_per_round"] == timed.tokens / timed.rounds
    assert rows[0]["kept_share"] is None and rows[-1]["outside"] is None
    assert rows[names.index("model")]["kept_share"] > 0
    report.show("drafters", rows)


def test_trees_are_held_against_chains_of_as_many_nodes(pair, prompt, tmp_path, monkeypatch, capsys):
    """At each budget a chain, the best shape for the chances measured here, and a dynamic tree, none of more nodes; a look at
    so many, as a chain and as a tree; both tables are printed and plotted."""
    monkeypatch.setattr(trees, "BUDGETS", (2, 5))
    sps = Settings(SPS.rule, max_new_tokens=6)
    looks = trees.looks(pair, prompt, 2)
    ways_ = trees.by_shape(pair, [prompt], sps, looks)
    rows = ways.time_ways(ways_, [prompt], 1)
    names = [row["name"] for row in rows]
    assert names[0] == "chain of 2" and names[1].startswith("tree of 2, ") and names[2] == "dynamic tree of 2"
    assert names[-1].startswith("fastest by these costs, ")
    assert [row["against"] for row in rows] == [
        None,
        "chain of 2",
        "chain of 2",
        None,
        "chain of 5",
        "chain of 5",
        None,
    ]
    for way, row in zip(ways_, rows):
        assert row["written_per_round"] >= 1
        assert max(len(drafted) for drafted, _ in way.run.rounds) <= (2 if "of 2" in way.name else 5)
    assert [row["nodes"] for row in looks] == [1, 2, 5, 10] and all(row["chain"] > 0 < row["tree"] for row in looks)
    report.show("trees", rows)
    report.show("looks", looks)
    said = capsys.readouterr().out
    assert report.TITLES["trees"] in said and "as a tree" in said
    report.plot({"about": "x", "looks": looks, "trees": rows}, str(tmp_path / "page.html"))
    assert report.TITLES["looks"] in (tmp_path / "page.html").read_text(encoding="utf-8")
