"""Which shape of draft: what is computed against enumeration and closed forms, what is advised against its costs."""

from __future__ import annotations

import json
import math

import pytest

from specviz import drafters, rules
from specviz.cli import advise as command
from specviz.drafters.tree import widths
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.record.running import run
from specviz.study import advise, shapes
from specviz.study.trees import best_shape, written_by
from specviz.types import Sampling
from specviz.ui import advice
from tests.support.pairs import table_pair

CHANCES = (0.6, 0.25, 0.1)
SIZES = range(1, 41)


def clock(node=0.0, forward=0.1):
    """A look of the verifier takes 1 s and `node` for each node, one of the draft model `forward`."""
    return shapes.Clock({n: 1.0 + node * (n - 1) for n in SIZES}, dict.fromkeys(SIZES, forward), 0.01)


def traces(pair, temperature=1.0):
    lane = Settings(rules.make("sps"), Sampling(temperature), max_new_tokens=30)
    return [run(pair, prompt, [lane]).finish() for prompt in ("aba", "ab")]


@pytest.fixture(scope="module", autouse=True)
def few_runs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "RUNS", 3)
        yield


@pytest.fixture(scope="module")
def pair():
    return table_pair(6)


@pytest.fixture(scope="module")
def answer(pair):
    return shapes.by_shape(traces(pair), pair, clock=clock())


@pytest.mark.parametrize("shape", ["1-1-1", "3-2-1", "2-3.1-1.0.2.1"])
def test_what_a_shape_writes_is_what_its_nodes_keep(shape):
    """One token and the sum over all nodes of the chance to be kept, as the rule's own walk has it; of a best shape it is what
    the dynamic program says."""
    level, parents, accept = [-1], [], []
    for counts in widths(shape):
        before, level = level, []
        for parent, count in zip(before, counts):
            for rank in range(count):
                level.append(len(parents))
                parents.append(parent)
                accept.append(CHANCES[rank] / (1 - sum(CHANCES[:rank])))
    assert written_by(CHANCES, widths(shape)) == pytest.approx(
        1 + sum(rules.make("sps").stays(parents, accept)), abs=1e-12
    )
    best = best_shape(CHANCES, 9, 4)
    assert written_by(CHANCES, widths(best.shape)) == pytest.approx(best.written, abs=1e-12)


def test_the_jackknife_of_a_mean_is_students_interval():
    """Its standard error is that of the mean; one unit says nothing."""
    values = [1.0, 4.0, 2.0, 7.0, 3.5]
    mean = sum(values) / 5
    estimate = stats.jackknife(mean, [(sum(values) - value) / 4 for value in values])
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / 4 / 5)
    assert estimate.high - mean == pytest.approx(stats.student_quantile(0.975, 4) * error)
    assert estimate.value == mean and stats.jackknife(mean, [mean]).low is None


def test_an_answer_has_each_kind_fastest_first(answer):
    """With the chances that all of it comes from; every interval holds its value, and every drafter can be
    made and has as many nodes as it says."""
    assert {row.kind for row in answer.advices} == {"chain", "static", "best", "dynamic"}
    speeds = [row.speedup for row in answer.advices]
    assert speeds == sorted(speeds, reverse=True) and [row.measured for row in answer.advices].count(True) == 1
    assert len(answer.chances) == 4 and all(
        low <= p <= high for p, (low, high) in zip(answer.chances, answer.intervals)
    )
    for row in answer.advices:
        low, high = row.interval
        assert 0 <= low <= row.accepted_per_round <= high <= row.levels
        assert row.speedup_interval[0] <= row.speedup <= row.speedup_interval[1]
        assert drafters.parse(row.drafter).nodes(row.draft_length) >= row.nodes


def test_costs_decide(pair):
    """The best tree has one level where a look of the draft model is dear, and as many nodes as there may be where nodes cost
    nothing; where each costs as much as a whole look, few. A chain never has more nodes than levels."""
    for costs, holds in (
        (clock(forward=100.0), lambda best: best.levels == 1),
        (clock(forward=0.0), lambda best: best.nodes == shapes.NODES[-1]),
        (clock(node=1.0), lambda best: best.nodes <= 4),
    ):
        advices = {row.kind: row for row in shapes.by_shape(traces(pair), pair, clock=costs).advices}
        assert holds(advices["best"]), advices["best"]
        assert advices["chain"].nodes == advices["chain"].levels


def test_where_only_one_candidate_can_come_there_is_no_tree(pair):
    """At temperature 0 the distribution of the draft model holds one token."""
    answer = shapes.by_shape(traces(pair, 0.0), pair, clock=clock())
    assert [row.kind for row in answer.advices if not row.measured] == ["chain"]


def test_the_page_asks_for_it(pair, answer, monkeypatch):
    """As plain data, by the trace alone."""
    monkeypatch.setattr(shapes, "by_shape", lambda traces, models: answer)
    text = json.dumps({"trace": traces(pair)[0].to_json()})
    found = json.loads(json.dumps(advice.shaped(text, pair)))
    assert found["chances"] == answer.chances
    assert [(row["kind"], row["drafter"], row["nodes"], row["kept"]) for row in found["rows"]] == [
        (row.kind, row.drafter, row.nodes, row.accepted_per_round) for row in answer.advices
    ]


def test_what_cannot_be_compared_is_refused_in_words(pair):
    """A lossy rule, one that judges a block, and models without a draft."""
    for rule, models, says in (
        ("tas", pair, "tas is none"),
        ("block", pair, "block is none"),
        ("sps", table_pair(6, drafting=False), "needs a draft model"),
    ):
        with pytest.raises(ValueError, match=says):
            shapes.by_shape(traces(pair), models, rule=rules.make(rule), clock=clock())


def test_the_command_prints_it_and_a_check_runs(pair, answer, monkeypatch, capsys):
    """`specviz advise --shapes --check`: the chances, each kind with its drafter, and what a real run of the first keeps."""
    monkeypatch.setattr(command.trace, "load", lambda path: traces(pair)[0])
    monkeypatch.setattr(command.shared, "load_for", lambda trace, options: pair)
    monkeypatch.setattr(shapes, "by_shape", lambda traces, pair: answer)
    parser = command.argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["a.json", "--shapes", "--check"])) == 0
    printed = capsys.readouterr().out
    assert all(f"{row.kind}: {row.nodes} nodes" in printed for row in answer.advices)
    assert f"with {answer.advices[0].drafter}" in printed and "Rule: sps" in printed
    assert isinstance(answer.advices[0], advise.Advice)
