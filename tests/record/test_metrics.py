"""Counts and ratios of recorded lanes, of chains and of trees."""

from __future__ import annotations

import pytest

from specviz.record import metrics, running
from tests.support.drafters import WAYS, Candidates
from tests.support.pairs import table_pair
from tests.support.runs import settings_of


def check(lane, plain):
    """Counts and ratios agree with a recount token by token."""
    figures = metrics.figures(lane, plain)
    fates = [fate for round_ in lane.rounds for fate in round_.fates(lane.lossless)]
    kept = sum(fate in ("accepted", "relaxed") for fate in fates)
    assert figures["accepted"] == kept == sum(round_.kept for round_ in lane.rounds)
    assert figures["emitted"] == len(lane.tokens) == kept + sum(round_.origin is not None for round_ in lane.rounds)
    assert figures["drafted"] == len(fates) == sum(len(round_.drafted) for round_ in lane.rounds)
    if lane.scope == "token":
        assert figures["judged"] == sum(fate != "discarded" for fate in fates)
    assert figures["accepted_per_round"] == kept / len(lane.rounds)
    assert figures["relaxed"] == fates.count("relaxed")
    if lane.lossless:
        assert figures["relaxed"] == 0 and figures["mean_kl"] in (0, None)
    lengths = metrics.accepted_lengths(lane)
    assert sum(n * count for n, count in enumerate(lengths)) == kept
    by_position = metrics.acceptance_by_position(lane)
    assert len(by_position) == max((round_.depth for round_ in lane.rounds), default=0)
    if by_position:
        assert by_position[0]["conditional"] == by_position[0]["unconditional"]
        assert sum(row["kept"] for row in by_position) == kept
    for row in by_position:
        assert row["kept"] <= row["reached"] <= row["drafted"]
    return figures


def test_figures_are_counted_from_the_rounds(record):
    """Every lane of a real run."""
    plain = record.plain()
    for lane in record.lanes:
        check(lane, plain)
    assert metrics.figures(plain, plain)["speedup"] == 1
    for lane in record.lanes:
        figures = metrics.figures(lane, plain)
        assert figures["speedup"] == pytest.approx(
            figures["tokens_per_second"] / metrics.figures(plain)["tokens_per_second"]
        )
        assert 0 <= figures["speedup_low"] <= figures["speedup"] <= figures["speedup_high"]


@pytest.mark.parametrize("way", WAYS)
def test_figures_of_trees(way):
    """Trees, in which more is drafted than can be kept, and of which a branch may end before the others."""
    pair = table_pair(5, stop=frozenset({4}))
    rules, tree = ("plain", "sps", "mentored:budget=0.05"), Candidates(width=2, levels=3, way=way)
    for seed in range(5):
        lanes = [settings_of(rule, max_new_tokens=40, seed=seed, drafter=tree) for rule in rules]
        trace = running.run(pair, "ab", lanes).finish()
        for lane in trace.lanes:
            check(lane, trace.plain())


def test_a_place_counts_as_reached_only_where_there_was_a_candidate():
    """The path ends at a node without children while another branch goes deeper: nothing was refused behind it."""
    trace = running.run(table_pair(3), "ab", [settings_of("sps", max_new_tokens=9)]).finish()
    lane, round_ = trace.lanes[0], trace.lanes[0].rounds[0]
    round_.drafted, round_.parents, round_.path, round_.nodes = [0, 1, 2], [-1, -1, 1], [0], [0]
    lane.rounds = [round_]
    first, second = metrics.acceptance_by_position(lane)
    assert (first["drafted"], first["reached"], first["kept"]) == (1, 1, 1)
    assert (second["drafted"], second["reached"], second["kept"]) == (1, 0, 0) and second["conditional"] is None


def test_every_figure_has_a_definition(record):
    """No number without a word on what it is."""
    assert set(metrics.figures(record.lanes[1])) == set(metrics.DEFINITIONS)
    assert all(
        figure["definition"].endswith(".") and figure["kind"] in ("measured", "exact", "recorded", "estimated")
        for figure in metrics.DEFINITIONS.values()
    )
