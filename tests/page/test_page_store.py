"""The page's own reading of a round against the record's: chains and trees, the same fates, places and counts."""

from __future__ import annotations

import random

import pytest

from specviz import drafters, rules
from specviz.record import metrics
from specviz.record.lane import Lane
from specviz.record.round import Round
from tests.support.node import arithmetic

READ = """lane => { const run = specviz.store.open({ lanes: [lane], pieces: {} }), view = run.lanes[0], sum = view.sums.at(-1);
  const drafted = view.rounds.map(round => round.tokens.slice(0, round.given.drafted.length));
  return {
    fates: drafted.map(tokens => tokens.map(token => token.fate)),
    places: drafted.map(tokens => tokens.filter(token => token.judged >= 0).sort((a, b) => a.judged - b.judged).map(token => token.position)),
    uniforms: drafted.map(tokens => tokens.map(token => token.uniform ?? null)),
    added: view.rounds.map(round => round.tokens.slice(round.given.drafted.length).map(token => token.position)),
    counts: { rounds: sum.rounds, drafted: sum.drafted, judged: sum.judged, accepted: sum.kept, emitted: sum.emitted, relaxed: sum.relaxed },
    slots: specviz.measures.bySlot(view, Infinity).map(slot => [slot.drafted, slot.judged, slot.conditional, slot.unconditional]),
    lengths: specviz.measures.lengths(view, Infinity),
  }; }"""


def a_round(rule: rules.Rule, start: int, chance: random.Random, branching: bool) -> Round:
    """A round over a random draft, walked by the rule from random chances and draws."""
    count = chance.randrange(0, 7)
    parents = [chance.randrange(-1, i) if branching else i - 1 for i in range(count)]
    drafted = [chance.randrange(50) for _ in parents]
    accept, uniform, strict = ([chance.random() for _ in parents] for _ in range(3))
    walk = rule.walk(parents, accept, uniform)
    nodes = list(walk.judged)
    columns = {
        "uniform": uniform,
        "accept_prob": accept,
        "strict_accept_prob": strict,
        "draft_prob": strict,
        "verifier_prob": strict,
    }
    judged = {name: [column[node] for node in nodes] for name, column in columns.items()} if nodes else {}
    return Round(
        start, drafted, parents, list(walk.path), nodes, [*(drafted[node] for node in walk.path), chance.randrange(50)],
        "bonus" if walk.refused is None else "resampled", 0.1, 0.1, 0.3, 0.3, judged,
    )  # fmt: skip


@pytest.mark.parametrize("branching", [False, True])
@pytest.mark.parametrize("rule", ["sps", "cactus"])
def test_the_page_reads_a_round_as_the_record_does(rule, branching):
    """Fates, places, draws, where the added token stands, and every count and ratio of a lane of 60 rounds."""
    chance, made = random.Random(7), rules.make(rule)
    lane = Lane(made, drafters.make("model"), 6, [], "length")
    start = 5
    for _ in range(60):
        lane.rounds.append(a_round(made, start, chance, branching))
        start += len(lane.rounds[-1].emitted)
    assert any(not round_.is_chain for round_ in lane.rounds) == branching
    with arithmetic() as page:
        seen = page.evaluate(READ, lane.to_json())
    assert seen["fates"] == [round_.fates(made.lossless) for round_ in lane.rounds]
    assert seen["places"] == [round_.places() for round_ in lane.rounds]
    rows = [dict(zip(round_.nodes, round_.column("uniform"))) for round_ in lane.rounds]
    assert seen["uniforms"] == [[row.get(node) for node in range(len(r.drafted))] for row, r in zip(rows, lane.rounds)]
    assert seen["added"] == [[round_.start + round_.kept] for round_ in lane.rounds]
    assert seen["counts"] == metrics.counts(lane) and seen["lengths"] == metrics.accepted_lengths(lane)
    slots = [
        [s["drafted"], s["reached"], s["conditional"], s["unconditional"]] for s in metrics.acceptance_by_position(lane)
    ]
    assert seen["slots"] == slots
