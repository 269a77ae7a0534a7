"""What-if in the browser against the rules themselves: ten runs, every rule, twenty values of every knob, every judged token.

The page knows only the few numbers that a trace holds, most of them with five digits. The rules judge again from the very
distributions [V] that the engine had in its hands during the run. A fate may differ only where the knob's value lies within
CLOSE of one at which the rule itself changes its mind; how many do is counted, and may be one in a thousand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from specviz import registry, rules
from specviz.engine import race
from specviz.engine.settings import Settings
from specviz.prob import dists
from specviz.record import metrics, trace
from specviz.types import Sampling
from tests.support.node import arithmetic
from tests.support.traces import recorded

ROOT = Path(__file__).resolve().parents[2]
RECORDED = recorded("small")
VALUES = 20
CLOSE = 1e-4  # of the knob's value
TRUNCATED, USUAL = Sampling(temperature=0.6, top_p=0.95, top_k=20), ("sps", "tas", "cactus")
OTHERS = [  # further runs: prompt, style, seed, sampling, lanes
    ("Once upon a time there was a little boat named Pip. Pip wanted to", "tiny", 1, TRUNCATED, USUAL),
    (
        "Sue starts with 22 shells. Sue gets 4 jars with 9 shells in each. How many shells does Sue have now?",
        "task",
        2,
        TRUNCATED,
        USUAL,
    ),
    ("Multiply 66 by 26.", "task", 3, TRUNCATED, USUAL),
    ("Lily had a red ball and a blue ball. Lily took the", "tiny", 4, TRUNCATED, USUAL),
    ("Say these digits backwards: 6 4 8 8.", "task", 5, Sampling(), USUAL),
    (
        "The committee approved the quarterly budget after a short debate about",
        "tale",
        6,
        Sampling(temperature=0.8, top_p=0.95),
        USUAL,
    ),
    (
        "Tim had a red ball. He wanted to",
        "tiny",
        11,
        Sampling(temperature=1.2),
        ("cactus:delta=0.3,solver=exact", "lenience:factor=0.3", "interpolation:alpha=0.6"),
    ),
    (
        "The king of the north had three sons, and",
        "tale",
        12,
        Sampling(temperature=0.7),
        ("fuzzy:threshold=0.1", "cascade_opt:alpha=0.2", "cascade_token:alpha=0.4"),
    ),
    (
        "Once there was a girl who could",
        "tiny",
        13,
        Sampling(temperature=1.0, top_k=50),
        ("mentored:budget=0.1", "cactus_law:budget=0.1", "top_k:k=3"),
    ),
    (
        "One day a cat met a",
        "tiny",
        14,
        Sampling(),
        ("tas:epsilon=0.2,alpha=0.6,fallback=sample", "mentored:budget=0.5", "cactus_law:budget=0.3"),
    ),
    ("The old man said to his", "tale", 15, Sampling(), ("alignment", "contrastive")),
]


class Again:
    """A run of several lanes, and per lane the distributions [N, V] and tokens [N] at the N positions it judged."""

    def __init__(self, pair, prompt, style, lanes):
        made = trace.begin(pair, prompt, style, lanes)
        rounds: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in lanes]
        for step in race.race(pair, made.prompt_tokens, lanes):
            made.add(step, pair.tokenizer)
            if judgement := step.result.judgement:
                nodes = list(step.result.walk.judged)
                parts = (judgement.verifier_probs, judgement.draft_probs, judgement.tokens)
                rounds[step.lane].append(tuple(part[nodes] for part in parts))
        self.record = trace.Trace.from_json(made.to_json())
        self.judged = [[torch.cat(column) for column in zip(*parts)] for parts in rounds]

    def column(self, lane: int, name: str) -> torch.Tensor:
        """A recorded column over all judged tokens of a lane, float64 [N]."""
        return torch.tensor(self.record.lanes[lane].column(name), dtype=torch.float64)


@pytest.fixture(scope="module")
def runs(pair):
    """The recorded runs, run again as they were, and others."""
    made = []
    for path in RECORDED:
        record = trace.load(path)
        lanes = [lane for lane in record.settings() if lane.rule is not None]
        made.append(Again(pair, record.prompt, record.style, lanes))
    for prompt, style, seed, sampling, specs in OTHERS:
        made.append(
            Again(
                pair,
                prompt,
                style,
                [Settings(rule=rules.parse(spec), sampling=sampling, max_new_tokens=40, seed=seed) for spec in specs],
            )
        )
    assert len(made) >= 10
    return made


@pytest.fixture(scope="module")
def page():
    """The page's own arithmetic, without a page."""
    with arithmetic() as made:
        yield made


def variants(name: str, knobs: dict) -> list[tuple[str, dict]]:
    """(knob, all knobs) with VALUES values of every numeric knob, the others as given, and every choice of words."""
    found = []
    described = registry.knobs(rules.get(name))
    for info in described:
        if info["choices"]:
            found += [(info["name"], {**knobs, info["name"]: word}) for word in info["choices"]]
            continue
        low, high = info["low"], info["high"]
        first = max(low, high * 1e-4) if info["scale"] == "log" or info["open_low"] else low
        values = (
            np.geomspace(first, high, VALUES - 1) if info["scale"] == "log" else np.linspace(first, high, VALUES - 1)
        )
        values = [first if info["open_low"] else low, *values.tolist()]
        found += [
            (info["name"], {**knobs, info["name"]: int(v) if info["type"] == "int" else float(f"{v:.6g}")})
            for v in values
        ]
    return found


def kept(name: str, knobs: dict, judged: list[torch.Tensor], uniform: torch.Tensor) -> torch.Tensor:
    """Whether the rule keeps each judged token, from the distributions, [N]."""
    return uniform < rules.make(name, **knobs).judge(*judged).accept_prob.double()


def undecided(name: str, knob: str, knobs: dict, judged: list[torch.Tensor], uniform: torch.Tensor) -> torch.Tensor:
    """Whether the rule's own answer changes within CLOSE of this value of the knob, [N]."""
    info = next(info for info in registry.knobs(rules.get(name)) if info["name"] == knob)
    if info["choices"]:
        return torch.zeros(len(uniform), dtype=torch.bool)
    value = knobs[knob]
    near = [min(max(value + sign * CLOSE * max(abs(value), 1e-3), info["low"]), info["high"]) for sign in (-1, 1)]
    if info["type"] == "int":
        near = [value]
    answers = [
        kept(name, {**knobs, knob: other}, judged, uniform)
        for other in near
        if other > info["low"] or not info["open_low"]
    ]
    return torch.stack(answers).any(0) & ~torch.stack(answers).all(0)


def compare(name, asked, answers, judged, uniform, strict, where) -> tuple[int, int]:
    """(tokens compared, tokens that differ because they are undecided). Fails on any other difference."""
    count = differ = 0
    for (knob, knobs), fates in zip(asked, answers, strict=True):
        again = kept(name, knobs, judged, uniform)
        wanted = [
            "rejected" if not keeps else "relaxed" if u >= s else "accepted"
            for keeps, u, s in zip(again.tolist(), uniform.tolist(), strict.tolist())
        ]
        off = torch.tensor([one != other for one, other in zip(fates, wanted, strict=True)])
        if off.any():
            wrong = off & ~undecided(name, knob, knobs, judged, uniform)
            assert not wrong.any(), (
                f"{where}, {name} {knobs}: token {int(wrong.nonzero()[0])} is {fates[int(wrong.nonzero()[0])]} in the page"
            )
        count, differ = count + len(fates), differ + int(off.sum())
    return count, differ


WHATIF = """([text, lanes]) => { const run = specviz.store.open(JSON.parse(text));
  return lanes.map(([index, asked]) => { const lane = run.lanes[index];
    const tokens = lane.tokens.filter((token) => token.judged >= 0);
    return asked.map((knobs) => { const { changed, first } = specviz.rules.whatIf(run, lane, knobs);
      const flipped = tokens.find((token) => changed.has(token.key) && (changed.get(token.key).fate === 'rejected') !== (token.fate === 'rejected'));
      if ((flipped ? flipped.key : null) !== first) throw new Error('the first changed fate is not where it is said to be');
      return tokens.map((token) => changed.get(token.key)?.fate ?? null); }); }); }"""


def whole(page, name: str) -> bool:
    """Whether the page needs whole distributions to say what a rule does."""
    return page.evaluate("(name) => Boolean(specviz.twins[name].whole)", name)


def test_recolouring_equals_judging_again(page, runs):
    """Every lane of every run under every setting of its own rule: the fate of each judged token is that of the rule."""
    count = differ = 0
    seen = set()
    for made in runs:
        lanes = made.record.lanes
        asked = [(i, variants(lane.name, lane.knobs)) for i, lane in enumerate(lanes) if lane.knobs]
        answers = page.evaluate(
            WHATIF, [made.record.to_json(), [[i, [knobs for _, knobs in some]] for i, some in asked]]
        )
        for (i, some), fates in zip(asked, answers, strict=True):
            seen.add(lanes[i].name)
            if whole(page, lanes[i].name) and rules.get(lanes[i].name).flips is None:
                other = {
                    fate
                    for (_, knobs), each in zip(some, fates, strict=True)
                    for fate in each
                    if knobs != lanes[i].knobs
                }
                assert other == {None}, "what needs whole distributions is not guessed"
                continue
            columns = made.column(i, "uniform"), made.column(i, "strict_accept_prob")
            found = compare(lanes[i].name, some, fates, made.judged[i], *columns, made.record.prompt)
            count, differ = count + found[0], differ + found[1]
    print(f"{count:,} fates compared, {differ} undecided")
    assert seen == {name for name in rules.names() if registry.knobs(rules.get(name))}, "every rule with a knob ran"
    assert count > 20_000 and differ <= count / 1000


EVERY = """([text, rule, asked]) => { const run = specviz.store.open(JSON.parse(text));
  return run.lanes.map((lane) => asked.map((knobs) => lane.tokens.filter((token) => token.judged >= 0).map((token) => {
    const { facts } = specviz.store.detail(run, token), phi = specviz.rules.accept(rule, facts, knobs);
    return phi === null ? null : facts.uniform < phi ? (facts.uniform >= facts.strict ? 'relaxed' : 'accepted') : 'rejected'; }))); }"""


@pytest.mark.parametrize("name", [name for name in rules.names() if rules.get(name).scope == "token"])
def test_every_rule_judges_every_lane(page, runs, name):
    """The same over all judged tokens of all lanes, whichever rule ran there: where the page answers, it answers as the rule does."""
    asked = variants(name, {info["name"]: info["default"] for info in registry.knobs(rules.get(name))}) or [("", {})]
    count = differ = 0
    for made in runs:
        answers = page.evaluate(EVERY, [made.record.to_json(), name, [knobs for _, knobs in asked]])
        for i, fates in enumerate(answers):
            if any(fate is None for some in fates for fate in some):
                assert whole(page, name), "only a rule that says so depends on more than a trace holds"
                continue
            found = compare(
                name,
                asked,
                fates,
                made.judged[i],
                made.column(i, "uniform"),
                made.column(i, "strict_accept_prob"),
                made.record.prompt,
            )
            count, differ = count + found[0], differ + found[1]
    print(f"{name}: {count:,} fates compared, {differ} undecided")
    assert differ <= count / 1000


SAYS = """(text) => { const run = specviz.store.open(JSON.parse(text));
  return run.lanes.map((lane) => lane.tokens.filter((token) => token.judged >= 0).map((token) =>
    specviz.rules.keptWords(lane, specviz.store.detail(run, token).facts)?.join("") ?? null)); }"""
SAID = re.compile(r"(?:below . = ([\d.e-]+))?(?:, and again from |from . = )?([-\d.e]+)?$")


def claimed(words: str, info: dict) -> tuple[float, float]:
    """(below, start): the words say that a token is kept at values of the knob less than `below`, and of at least `start`."""
    if words.startswith("at any "):
        return np.inf, np.inf
    below, start = SAID.match(words).groups()
    return float(below or -np.inf), float(start or np.inf)


def unit(number: float) -> float:
    """One in the second digit of a number, which is what rounding may add to it."""
    return 10.0 ** (np.floor(np.log10(abs(number))) - 1) if number and np.isfinite(number) else 0.0


@pytest.mark.parametrize("recorded", [True, False], ids=["as recorded", "without flip points"])
def test_what_is_said_to_keep_a_token_keeps_it(page, runs, recorded):
    """The inspector's words ("from δ = 0.13", "below α = 0.39, and again from 0.6"), held against the rule at values all over
    the range of its main knob, the very numbers named among them: where they say kept it is kept, and elsewhere it is refused,
    but for the room that rounding to two digits takes. The same for a run from before flip points were recorded, where
    the words must do without, or are not said."""
    seen, kinds = set(), set()
    for made in runs:
        data = json.loads(made.record.to_json())
        if not recorded:
            for lane in data["lanes"]:
                for round_ in lane["rounds"]:
                    round_["judged"].pop("flip", None)
        for i, (lane, each) in enumerate(zip(data["lanes"], page.evaluate(SAYS, json.dumps(data)), strict=True)):
            cls = rules.get(lane["name"])
            if cls.flips is None:
                assert set(each) <= {None}
                continue
            if whole(page, lane["name"]) and not recorded:
                assert set(each) == {None}, "what needs whole distributions is not guessed"
                continue
            seen.add(lane["name"])
            info = next(info for info in registry.knobs(cls) if info["name"] == cls.flips)
            ends = np.array([claimed(words, info) for words in each])  # [N, 2]
            kinds |= {(lane["name"], bool(b > -np.inf), bool(s < np.inf)) for b, s in ends}
            named = sorted({float(v) for v in (*ends[:, 0] * (1 - 1e-9), *ends[:, 1]) if np.isfinite(v)})
            grid = [knobs[cls.flips] for knob, knobs in variants(lane["name"], lane["knobs"]) if knob == cls.flips]
            for value in (*grid, *named):
                if not info["low"] <= value <= info["high"] or (info["open_low"] and value == info["low"]):
                    continue
                value = int(value) if info["type"] == "int" else value
                uniform = made.column(i, "uniform")
                keeps = kept(lane["name"], {**lane["knobs"], cls.flips: value}, made.judged[i], uniform).tolist()
                for (below, start), words, keep in zip(ends.tolist(), each, keeps, strict=True):
                    where = f"{lane['rule']} at {value}: {words!r}, and it is {'kept' if keep else 'refused'}"
                    if value < below or value >= start:
                        assert keep, where
                    elif not below <= value <= below + 1.01 * unit(below) and not start - 1.01 * unit(start) <= value:
                        assert not keep, where
    told = {name for name in rules.names() if rules.get(name).flips and (recorded or not whole(page, name))}
    assert seen == told
    assert not recorded or any(below and start for _, below, start in kinds), "a token kept on both sides is among them"


SPENT = """(text) => { const run = specviz.store.open(JSON.parse(text)), { spending, spent } = specviz.rules;
  return run.lanes.map((lane) => { const tokens = lane.tokens.filter((token) => token.judged >= 0);
    return [spent(run, lane, tokens), tokens.map((token) => spending(lane, specviz.store.detail(run, token).facts))]; }); }"""


def test_the_budget_is_held_against_what_was_spent(page, runs):
    """Per token of every cactus lane, from the distributions: the divergence of the target of either solver, and of the output
    law. Counts and means of a lane are those of `metrics`, and a lane without such a budget has none."""
    seen = over = 0
    for made in runs:
        answers = page.evaluate(SPENT, made.record.to_json())
        for i, (lane, (sums, each)) in enumerate(zip(made.record.lanes, answers, strict=True)):
            figures = metrics.figures(lane)
            if lane.name != "cactus":
                assert sums is None and figures["over_budget"] is None and set(each) <= {None}
                continue
            verifier, draft = (dists.normalise(part.double()) for part in made.judged[i][:2])
            tokens = made.judged[i][2]
            for solver in ("taylor", "exact"):
                rule = rules.make("cactus", delta=lane.knobs["delta"], solver=solver)
                cost = dists.kl(rule.target_probs(verifier, draft, tokens), verifier)
                assert torch.allclose(
                    torch.tensor([one[solver] for one in each], dtype=torch.float64), cost, rtol=1e-3, atol=2e-5
                )
                assert solver == "taylor" or float(cost.max()) <= rule.delta + 1e-9
            law = dists.kl(lane.rule.output_law(verifier, draft), verifier)
            assert torch.allclose(
                torch.tensor([one["law"] for one in each], dtype=torch.float64), law, rtol=1e-3, atol=2e-5
            )
            delta = lane.knobs["delta"]
            wanted = {
                "judged": len(each),
                "lawOver": figures["over_budget"],
                "targetOver": figures["target_over_budget"],
            }
            assert {name: sums[name] for name in wanted} == wanted
            assert figures["over_budget"] == int((law > delta * 1.0001 + 1e-6).sum())
            assert [sums["worst"], sums["target"], sums["law"]] == pytest.approx(
                [figures["most_over_budget"], figures["mean_target_kl"], figures["mean_kl"]]
            )
            assert figures["most_over_budget"] == pytest.approx(float(law.max()) / delta, rel=1e-3)
            seen, over = seen + len(each), over + figures["over_budget"]
    print(f"{over} of {seen} tokens judged by cactus cost more than the budget")
    assert seen > 100
