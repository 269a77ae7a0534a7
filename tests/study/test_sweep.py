"""The sweep: its figures against one text at a time, its intervals against what they promise, stopping, and the command line."""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from specviz import backends, cli, drafters, rules, tasks
from specviz.engine import batch, race
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.record import metrics
from specviz.study import answers, sweep
from specviz.types import ModelError, Sampling
from tests.engine.test_batch import folders  # noqa: F401

RULES = ["sps", "cactus:delta=0.5", "tas", "block"]
SETTINGS = Settings(sampling=Sampling(temperature=1.2), draft_length=3, max_new_tokens=40, seed=5)


def last(steps):
    *_, end = steps
    return end


def alone(pair, rule, questions, style):
    """Each question decoded by itself, summed up: [right, rounds, accepted, emitted, judged], who was right, and mean
    KL(output law || verifier) as a recorded run has it."""
    counts, spent = [], []
    for i, question in enumerate(questions):
        settings = replace(SETTINGS, rule=rule, seed=5 * 1_000_003 + i)
        steps = list(race.race(pair, pair.encode(question.prompt, style), [settings]))
        emitted = [token for step in steps for token in step.result.emitted]
        judged = [measures.columns["kl_output_verifier"] for step in steps for measures in step.measures]
        right = tasks.grade(pair.tokenizer.decode(emitted), question.answer)
        accepted = sum(len(step.result.walk.path) for step in steps)
        counts.append([right, len(steps), accepted, len(emitted), len(judged)])
        spent += judged
    return np.sum(counts, 0).tolist(), [row[0] for row in counts], np.mean(spent) if spent else 0.0


@pytest.fixture(scope="module")
def questions():
    return tasks.items(["chain", "reverse", "word"], 7, 1)


@pytest.fixture(scope="module")
def done(pair, questions):
    """A sweep of the shipped pair, all its steps."""
    return list(sweep.sweep(pair, [rules.parse(spec) for spec in RULES], questions, SETTINGS))


def test_figures_are_those_of_one_text_at_a_time(pair, questions, done):
    """Counts, accuracy and exact divergence of every point, plain first, on the same seeds."""
    points = done[-1].points
    assert [p.rule.name if p.rule else None for p in points] == [None, "sps", "cactus", "tas", "block"]
    _, plain, _ = alone(pair, None, questions, "task")
    for point in points:
        counts, marks, nats = alone(pair, point.rule, questions, "task")
        right, rounds, accepted, emitted, _ = counts
        assert [
            point.right,
            point.rounds,
            point.accepted,
            point.emitted,
            point.judged,
        ] == counts and point.questions == 7
        assert point.accuracy == stats.Estimate(right / 7, *stats.wilson(right, 7))
        assert point.emitted_per_round.value == emitted / rounds
        if point.rule is None:
            assert (
                point.accepted_per_round is point.against_plain is None
                and point.mean_kl.value == 0
                and rounds == emitted
            )
            continue
        assert point.accepted_per_round.value == accepted / rounds and point.against_plain == stats.paired_difference(
            marks, plain
        )
        assert point.mean_kl.value == pytest.approx(nats, rel=1e-4) and (nats > 0) != point.rule.lossless


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
def test_a_pair_without_the_style_is_asked_plainly(folders, backend, monkeypatch):  # noqa: F811
    """Small models of another kind, more texts than rows, points that overlap in time: the same counts."""
    monkeypatch.setattr(sweep, "ROWS", 4)
    monkeypatch.setattr(sweep, "HELD", 3000)
    monkeypatch.setattr(tasks, "grade", lambda text, answer: len(text) % 2 == 0)
    pair = backends.load_pair(draft=folders[0], verifier=folders[1], backend=backend)
    asked = [tasks.Question(word, "", "", "none", 1) for word in ("one", "two words", "three", "four of them", "five")]
    for point in last(sweep.sweep(pair, [rules.parse(spec) for spec in RULES], asked, SETTINGS)).points:
        counts, _, nats = alone(pair, point.rule, asked, None)
        assert [point.right, point.rounds, point.accepted, point.emitted, point.judged] == counts
        assert point.mean_kl.value == pytest.approx(nats, rel=1e-3)


def test_progress_is_told_as_it_goes(done):
    """Texts only grow, points appear once they are complete and stay, and the time left ends at 0."""
    assert [p.done for p in done] == sorted(p.done for p in done) and {p.total for p in done} == {35}
    counts = [len(p.points) for p in done]
    assert counts[0] == 0 and counts[-1] == 5 and counts == sorted(counts) and len(set(counts)) > 2
    assert done[0].left is None and done[-1].left == 0 and done[-1].done == 35
    assert all((p.left is None) == (p.done < sweep.ROWS) for p in done) and done[-1].seconds >= done[0].seconds >= 0
    for progress in done:  # plain is complete before the others begin, so all are compared with it
        assert not progress.points or progress.points[0].rule is None
        assert progress.points or progress.done <= 7
        assert all((point.against_plain is not None) == (point.rule is not None) for point in progress.points)


def test_closing_stops_the_compute(pair, questions, monkeypatch):
    """No model runs after the generator is closed; what was complete had been yielded."""
    steps = sweep.sweep(pair, [rules.make("sps"), rules.make("cactus")], questions, SETTINGS)
    kept = next(p for p in steps if p.points)
    steps.close()
    monkeypatch.setattr(batch, "decode", None)
    assert next(steps, None) is None and 1 <= len(kept.points) < 3


def test_a_sweep_drafts_as_it_is_told(pair, questions):
    """The drafter of the settings drafts at every point, and a refusal is said before anything runs."""
    settings = replace(SETTINGS, drafter=drafters.make("ngram"))
    plain, copied = last(sweep.sweep(pair, [rules.make("sps")], questions, settings)).points
    assert (
        plain.accepted == 0
        and 0 < copied.accepted < copied.emitted
        and copied.row()["drafter"] == "ngram:longest=3,shortest=1"
    )
    with pytest.raises(ValueError, match="needs a draft model"):
        sweep.sweep(SimpleNamespace(**{**vars(pair), "draft": None}), [rules.make("sps")], questions, SETTINGS)


def test_the_same_seed_gives_the_same_points(pair, questions, done):
    """Nothing depends on the clock, and rules asked for twice are one point."""
    again = last(
        sweep.sweep(pair, [None, *(rules.parse(spec) for spec in RULES), rules.make("sps")], questions, SETTINGS)
    )
    assert [p.row() for p in again.points] == [p.row() for p in done[-1].points]


def test_processes_give_the_same_points(pair, questions, done, monkeypatch):
    """Much work is shared out to processes; what they find is what one finds, and none outlives the sweep, closed early or not."""
    before = multiprocessing.active_children()
    monkeypatch.setattr(sweep, "MANY", 1)
    monkeypatch.setattr(sweep, "cores", lambda pair: 2)
    wanted = [rules.parse(spec) for spec in RULES]
    steps = list(sweep.sweep(pair, wanted, questions, SETTINGS))
    assert [step.starting for step in steps[:2]] == [2, 0] and not any(step.starting for step in steps[1:])
    shared = steps[-1]
    assert multiprocessing.active_children() == before
    for one, other in zip(shared.points, done[-1].points, strict=True):
        assert one.mean_kl.value == pytest.approx(other.mean_kl.value, rel=1e-3)
        assert (one.rule, one.right, one.rounds, one.accepted, one.emitted, one.judged, one.answers) == (
            other.rule,
            other.right,
            other.rounds,
            other.accepted,
            other.emitted,
            other.judged,
            other.answers,
        )
    steps = sweep.sweep(pair, wanted, questions, SETTINGS)
    while next(steps).done < 2:
        pass
    steps.close()
    assert multiprocessing.active_children() == before


def test_a_knob_may_have_several_values():
    """The command line's way of saying many points at once."""
    specs = [rule.spec for rule in sweep.expand("cactus:delta=0.1, 0.5,1,solver=exact,taylor")]
    assert specs == [f"cactus:delta={d},solver={s}" for d in (0.1, 0.5, 1) for s in ("exact", "taylor")]
    assert [rule.spec for rule in sweep.expand("sps")] == ["sps"]
    for spec, says in (
        ("cactus:0.1", "not of the form"),
        ("cactus:delta=", "must be a number"),
        ("cactus:delta=9,99", "from 0 to 10"),
        ("sps:delta=1", "no parameter"),
        ("magic", "no acceptance rule"),
    ):
        with pytest.raises(ValueError, match=says):
            sweep.expand(spec)
    many = ",".join(map(str, range(1, 1001)))
    with pytest.raises(ValueError, match="1,000,000 settings; at most 500"):  # said before the first of them is built
        sweep.expand(f"tas:epsilon={many},alpha={many}")


def test_errors_are_sentences(pair, questions):
    """Nothing to ask, a length that follows the clock, a prompt that is too long, a model that breaks."""
    with pytest.raises(ValueError, match="at least one question"):
        sweep.sweep(pair, [], [])
    with pytest.raises(ValueError, match="must be a whole number"):
        sweep.sweep(pair, [], questions, Settings(draft_length="auto"))
    with pytest.raises(ValueError, match="tokens long"):
        sweep.sweep(pair, [], [tasks.Question("word " * 3000, "", "", "none", 1)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair.verifier, "batch", lambda rows, positions: Broken(pair.verifier))
        with pytest.raises(ModelError, match="not finite"):
            list(sweep.sweep(pair, [], questions))


class Broken(backends.Batch):
    def forward(self, asked):
        return [seen._replace(logits=torch.full_like(seen.logits, math.nan)) for seen in super().forward(asked)]


def test_the_rows_are_plain_data_with_definitions(done):
    """Every figure of a row is defined, and the CSV holds every row, its settings too."""
    points = done[-1].points
    row = points[2].row()
    assert set(metrics.SWEEP) == {name[:-4] for name in row if name.endswith("_low")}
    assert all(d["definition"].endswith(".") and d["kind"] in ("measured", "exact") for d in metrics.SWEEP.values())
    read = list(csv.DictReader(io.StringIO(sweep.csv_text(points))))
    assert [one["rule"] for one in read] == [p.row()["rule"] for p in points] and read[2][
        "rule"
    ] == "cactus:delta=0.5,solver=taylor"
    assert read[2]["drafter"] == "model:tokens=drawn" and read[0]["drafter"] == ""
    for name in set(row) - {"knobs", "rule", "name", "drafter"}:
        assert float(read[2][name]) == row[name], name
    assert read[0]["accepted_per_round"] == read[0]["against_plain"] == "" and sweep.csv_text(()).strip() == ""


def test_what_a_rule_changed_adds_up(pair, questions, done):
    """Won less lost is what the counts differ by; every text shown is the one decoded alone with the seed beside it."""
    plain, others = sweep.by_rule(done[-1].points)
    shown = answers.shown(questions, SETTINGS.seed, plain, others)
    assert list(shown["rules"]) == list(others) and shown["questions"]
    points = {point.rule.spec: point for point in done[-1].points[1:]}
    for spec, outcomes in shown["rules"].items():
        assert list(outcomes) == list(answers.OUTCOMES)
        won, lost = outcomes["won"], outcomes["lost"]
        assert won["count"] - lost["count"] == points[spec].right - done[-1].points[0].right
        for name, some in outcomes.items():
            for i, text in some["texts"].items():
                known, question = shown["questions"][i], questions[int(i)]
                assert (
                    known["prompt"] == question.prompt and known["answer"] == question.answer and known["text"] != text
                )
                right = tasks.grade(text, question.answer)
                assert (right, known["right"]) == {"won": (True, False), "lost": (False, True)}.get(
                    name, (right, right)
                )
    spec, (i, text) = next(
        (s, next(iter(o["alike"]["texts"].items()))) for s, o in shown["rules"].items() if o["alike"]["texts"]
    )
    settings = replace(SETTINGS, rule=points[spec].rule, seed=shown["questions"][i]["seed"])
    steps = race.race(pair, pair.encode(questions[int(i)].prompt, "task"), [settings])
    assert pair.tokenizer.decode([token for step in steps for token in step.result.emitted]) == text


def test_what_is_shown_stays_small():
    """Long texts are cut and only some of many are there, counted in full; a text that is the same is not there at all."""
    plain = [answers.Answer("x" * 9000, False)] * 200 + [answers.Answer("same", True)]
    other = (
        [answers.Answer("y" * 9000, True)] * 100 + [answers.Answer("z", False)] * 100 + [answers.Answer("same", True)]
    )
    asked = [tasks.Question(str(i), "", "1", "none", 1) for i in range(201)]
    shown = answers.shown(asked, 3, plain, {"a": other})
    assert {name: one["count"] for name, one in shown["rules"]["a"].items()} == {"won": 100, "lost": 0, "alike": 100}
    assert (
        all(len(one["texts"]) <= answers.MOST for one in shown["rules"]["a"].values())
        and "200" not in shown["questions"]
    )
    assert max(len(text) for text in shown["rules"]["a"]["won"]["texts"].values()) == answers.LONGEST
    lines = list(csv.DictReader(io.StringIO(answers.csv_text(asked, 3, plain, {"a": other}))))
    assert len(lines) == 402 and lines[201]["beside_plain"] == "won" and lines[201]["text"] == "y" * 9000
    assert lines[201]["seed"] == "3000009" and lines[-1]["beside_plain"] == lines[0]["beside_plain"] == ""


def test_sweep_from_the_command_line(capsys, tmp_path):
    """python -m specviz sweep: progress on the error stream, a table, the CSV, and sentences for mistakes."""
    file = tmp_path / "sweep.csv"
    assert (
        cli.main(
            [
                "sweep",
                "--questions",
                "4",
                "--family",
                "reverse",
                "--rule",
                "cactus:delta=0.1,1",
                "--rule",
                "plain",
                "--csv",
                str(file),
                "--answers",
                str(tmp_path / "answers.csv"),
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert "12 of 12 texts" in said.err and "divergence, nats" in said.out and "Wilson" in said.out
    read = list(csv.DictReader(file.open()))
    assert [(one["name"], one["questions"]) for one in read] == [("plain", "4"), ("cactus", "4"), ("cactus", "4")]
    for one in read:
        assert f"{float(one['mean_kl']):.4f}" in next(
            line for line in said.out.splitlines() if line.startswith(one["rule"] + " ")
        )
    every = list(csv.DictReader((tmp_path / "answers.csv").open()))
    assert [one["rule"] for one in every[::4]] == [one["rule"] for one in read] and len(every) == 12
    assert sum(int(one["right"]) for one in every[:4]) == int(read[0]["right"])
    for arguments, says in (
        (["--family", "fish"], "no task family 'fish'"),
        (["--questions", "0"], "at least one question"),
        (["--rule", "cactus:delta=11"], "delta must be from 0 to 10"),
    ):
        assert cli.main(["sweep", *arguments]) == 2
        assert says in capsys.readouterr().err
