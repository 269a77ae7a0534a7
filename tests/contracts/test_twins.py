"""Twins: what a rule's JavaScript says (x.js) is what its Python says (x.py), for every registered rule without naming it.

The arithmetic runs in node: what the page computes needs no page.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from specviz import registry, rules
from specviz.prob import dists
from specviz.view import boot
from tests.support.node import arithmetic
from tests.support.rule_cases import hard_pairs, judge_every_token, random_pairs, settings

CLOSE = 1e-9
TIE = 2e-5  # the page takes recorded figures, which are rounded, for equal up to this
SAYS = {
    "law",
    "accept",
    "flip",
    "again",
    "each",
    "whole",
    "pairwise",
    "contour",
    "because",
    "costs",
    "symbols",
    "stroke",
    "note",
}
every_rule = pytest.mark.parametrize("name", rules.names())
with_main_knob = pytest.mark.parametrize("name", [name for name in rules.names() if rules.get(name).flips])


@pytest.fixture(scope="module")
def bare():
    """The page's arithmetic, without a page."""
    with arithmetic() as made:
        yield made


def knobs(rule) -> dict:
    return {info["name"]: getattr(rule, info["name"]) for info in registry.knobs(type(rule))}


def plain(value):
    """Numbers for JSON; infinity as a word, as in a trace."""
    return "Infinity" if value == np.inf else value


def test_every_twin_stands_beside_its_rule(bare):
    """Each rule's file has a twin of its name and each twin a rule, and the scripts that all rules share name none of them."""
    beside = {name: Path(inspect.getfile(rules.get(name))).with_suffix(".js") for name in rules.names()}
    assert set(boot.TWINS) == set(beside.values())
    assert set(bare.evaluate("Object.keys(specviz.twins)")) == set(rules.names())
    scopes = {rules.get(name).scope for name in rules.names()}  # a rule may be called as its scope is
    for shared in ("laws/laws.js", "laws/rules.js", "laws/twins.js", "compare/inspector.js", "parts/about.js"):
        text = (boot.JS / shared).read_text(encoding="utf-8")
        assert not [name for name in set(rules.names()) - scopes if re.search(rf"\b{name}\b", text)], shared


@every_rule
def test_a_twin_says_what_a_twin_may_say(bare, name):
    """Its law and how it is drawn, a symbol for each knob of numbers, and nothing that the page does not know of."""
    cls = rules.get(name)
    says = set(bare.evaluate("(name) => Object.keys(specviz.twins[name])", name))
    symbols = bare.evaluate("(name) => specviz.twins[name].symbols || {}", name)
    assert {"law", "stroke"} <= says <= SAYS
    assert set(symbols) == {info["name"] for info in registry.knobs(cls) if not info["choices"]}
    whole = bare.evaluate("(name) => Boolean(specviz.twins[name].whole)", name)
    assert cls.scope == "block" or whole or "accept" in says
    assert cls.flips is None or whole or "flip" in says
    assert "costs" not in says or cls.spends


FACTS = {"draft": 0.5, "verifier": 0.2, "uniform": 0.6, "strict": 0.4, "entropy": 1.0, "rank": 2}
FACTS |= {"tv": 0.4, "js": 0.05, "draftMax": 0.6, "verifierMax": 0.6}


@every_rule
def test_a_lossy_twin_says_why_it_kept_a_token(bare, name):
    """In a sentence; a budget is spoken of only by a rule whose knob is one."""
    cls = rules.get(name)
    knobs = {info["name"]: info["default"] for info in registry.knobs(cls)}
    lane = {"rule": name, "knobs": knobs}
    words = bare.evaluate("([lane, facts]) => specviz.rules.because(lane, facts)", [lane, FACTS])
    assert bool(words) != cls.lossless or cls.scope == "block"
    assert not words or (words[0].isupper() and words.endswith(".") and "NaN" not in words and "undefined" not in words)
    assert ("budget" in words) == (cls.spends is not None) and (cls.spends is None or cls.spends in knobs)
    assert bare.evaluate("(name) => specviz.rules.budget(name)?.name ?? null", name) == cls.spends


def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(verifier, draft) batches: random ones over 2, 6 and 12 tokens; equal, disjoint, one-hot, zero-padded, nearly impossible ones."""
    verifier, draft = hard_pairs()
    some = torch.arange(0, len(verifier), 5)
    both = [random_pairs(10, 2, 5), random_pairs(16, 6, 6), random_pairs(8, 12, 7), (verifier[some], draft[some])]
    equal = random_pairs(2, 6, 8)[0]
    return [*both, (equal, equal.clone())]


def tied(rule, verifier, draft, within) -> torch.Tensor:
    """Positions where the rule compares two numbers that are equal but for rounding: either answer is right."""
    if rule.name == "cascade_opt":
        return (draft.amax(-1) - verifier.amax(-1) + rule.alpha * dists.tv(draft, verifier)).abs() < within
    if rule.name == "fuzzy":
        return (dists.js(draft, verifier) - rule.threshold).abs() < within
    if rule.name == "tas":
        bar = rule.bar(dists.entropy(verifier)).unsqueeze(-1)
        return ((verifier - bar).abs() < within * verifier).any(-1)
    if rule.name == "exact_match" and within == TIE:  # of equal favourites a trace does not say which is the first
        return (verifier == verifier.amax(-1, keepdim=True)).sum(-1) > 1
    return torch.zeros(len(verifier), dtype=torch.bool)


def in_node(page, name: str, asked: list[dict], verifier, draft) -> list:
    """What laws.js says: per knobs and pair [accept, law, acceptance, kl, best at that kl, targets or null, residuals]."""
    text = page.evaluate(
        """({ name, asked, verifier, draft }) => JSON.stringify(asked.map((knobs) => verifier.map((row, i) => {
             const one = specviz.laws.judge(name, row, draft[i], knobs);
             const best = specviz.laws.frontier(row, draft[i]).best(one.kl);
             return [one.accept, one.law, one.acceptance, one.kl, best, one.target && row.map((_, n) => one.target(n)), row.map((_, n) => one.residual(n))];
           })), (_, value) => (value === Infinity ? 'Infinity' : value))""",
        {"name": name, "asked": asked, "verifier": verifier.tolist(), "draft": draft.tolist()},
    )
    return json.loads(text)


@pytest.mark.parametrize("name", rules.names())
def test_every_rule_is_the_python_rule(bare, name):
    """Acceptance, phi, target, residual, output law and divergence equal `specviz.rules`, and no rule is above the frontier."""
    variants = settings(name)
    asked = [{info["name"]: getattr(rule, info["name"]) for info in registry.knobs(type(rule))} for rule in variants]
    for verifier, draft in pairs():
        answers = in_node(bare, name, asked, verifier, draft)
        for rule, rows in zip(variants, answers, strict=True):
            law, acceptance = rule.output_law(verifier, draft), rule.acceptance(verifier, draft)
            accept, residual = judge_every_token(rule, verifier, draft)
            kl = dists.kl(law, verifier)
            size = verifier.shape[-1]
            target = (
                rule.target_probs(verifier.unsqueeze(-2), draft.unsqueeze(-2), torch.arange(size))
                if rows[0][5]
                else None
            )
            skip = tied(rule, verifier, draft, 1e-12)
            for i in torch.nonzero(~skip).flatten().tolist():
                where = f"{rule.spec} on verifier {verifier[i].tolist()}, draft {draft[i].tolist()}"
                got = [
                    torch.tensor(part, dtype=torch.float64) if part is not None else None
                    for part in (rows[i][0], rows[i][1], rows[i][5], rows[i][6])
                ]
                drafted = draft[i] > 0
                assert (got[0] - accept[i])[drafted].abs().max() < CLOSE, f"phi: {where}"
                assert (got[1] - law[i]).abs().max() < CLOSE, f"law: {where}"
                assert abs(rows[i][2] - acceptance[i].item()) < CLOSE, f"acceptance: {where}"
                found, exact = float(rows[i][3]), kl[i].item()
                assert found == exact or abs(found - exact) < CLOSE, f"KL {found} against {exact}: {where}"
                assert rows[i][4] > rows[i][2] - 1e-7, f"above the frontier: {where}"
                if target is not None:
                    assert (got[2] - target[i].expand(size, size)).abs().max() < CLOSE, f"target: {where}"
                used = (
                    draft[i] * (1 - accept[i]) > 1e-4
                )  # of what is hardly ever drawn from, rounding decides the shape
                if used.any():
                    assert (got[3] - residual[i])[used].abs().max() < CLOSE, f"residual: {where}"


def test_frontier_is_the_optimum(bare):
    """The curve's points are what `mentored` reaches with their divergence as its budget, and it ends where the draft
    leaves the verifier's support."""
    verifier, draft = random_pairs(6, 6, 11)
    draft[3:, 0] += verifier[3:, 0]
    verifier[3:, 0] = 0  # the verifier rules a token out that the draft says
    verifier, draft = dists.normalise(verifier), dists.normalise(draft)
    for row_, other in zip(verifier, draft, strict=True):
        curve, end, outside = bare.evaluate(
            "([v, d]) => { const f = specviz.laws.frontier(v, d); return [f.curve(20), f.end, f.outside]; }",
            [row_.tolist(), other.tolist()],
        )
        for point in curve[::4]:
            budget = min(point["kl"], 10.0)
            assert (
                abs(rules.make("mentored", budget=budget).acceptance(row_, other).item() - point["acceptance"]) < 1e-7
            )
        assert abs(outside - other[row_ == 0].sum().item()) < CLOSE
        assert abs(end["acceptance"] - (1 - outside)) < CLOSE and math.isfinite(end["kl"])


def judged(count: int, size: int, seed: int):
    """(verifier, draft, tokens, uniforms) of judged tokens, some of which the verifier rules out, and hard pairs."""
    verifier, draft = random_pairs(count, size, seed)
    verifier[::7, 2] = 0.0
    hard = [part[::5] for part in hard_pairs()] if size == 6 else [verifier[:0], draft[:0]]
    verifier, draft = torch.cat([dists.normalise(verifier), hard[0]]), torch.cat([draft, hard[1]])
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.multinomial(draft, 1, generator=generator).squeeze(-1)
    return verifier, draft, tokens, torch.rand(len(tokens), generator=generator, dtype=torch.float64)


def facts(verifier, draft, tokens, uniforms, flips=None) -> list[dict]:
    """What a trace holds of judged tokens, unrounded; see store.js."""
    of_token = dists.at(verifier, tokens)
    columns = {
        "draft": dists.at(draft, tokens),
        "verifier": of_token,
        "uniform": uniforms,
        "entropy": dists.entropy(verifier),
        "rank": (verifier > of_token.unsqueeze(-1)).sum(-1) + 1,
        "tv": dists.tv(draft, verifier),
        "js": dists.js(draft, verifier),
        "draftMax": draft.amax(-1),
        "verifierMax": verifier.amax(-1),
    }
    if flips is not None:
        columns["flip"] = flips
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [{name: plain(value) for name, value in zip(columns, row)} for row in rows]


@every_rule
def test_accept_is_the_python_rule(bare, name):
    """From the few numbers of a trace: the probability of keeping equals accept_prob at every setting. Only a twin that says
    it needs whole distributions may leave it undecided, and what it does decide is right."""
    if rules.get(name).scope == "block":
        assert bare.evaluate("(name) => specviz.rules.accept(name, { draft: 1, verifier: 1 }, {})", name) is None
        return
    decided = 0
    for size, seed in ((6, 21), (40, 22)):
        verifier, draft, tokens, uniforms = judged(60, size, seed)
        chosen = settings(name)
        answers = bare.evaluate(
            "({ name, asked, facts }) => asked.map((knobs) => facts.map((f) => specviz.rules.accept(name, f, knobs)))",
            {
                "name": name,
                "asked": [knobs(rule) for rule in chosen],
                "facts": facts(verifier, draft, tokens, uniforms),
            },
        )
        whole = bare.evaluate("(name) => Boolean(specviz.twins[name].whole)", name)
        for rule, row in zip(chosen, answers, strict=True):
            wanted = rule.judge(verifier, draft, tokens).accept_prob.tolist()
            ties = tied(rule, verifier, draft, TIE).tolist()
            for got, want, tie in zip(row, wanted, ties, strict=True):
                assert (got is None and whole) or tie or abs(got - want) < CLOSE, (rule, got, want)
                decided += got is not None and not tie
    assert decided > 100 or whole


@with_main_knob
def test_flip_is_the_python_rule(bare, name):
    """A twin's own flip point, for traces without recorded ones, is that of flip_point, at every setting of the other knobs."""
    cls = rules.get(name)
    if bare.evaluate("(name) => !specviz.twins[name].flip", name):
        assert bare.evaluate("(name) => specviz.twins[name].whole", name), (
            "only what needs whole distributions has none"
        )
        return
    others = {
        tuple(sorted((knob, value) for knob, value in knobs(rule).items() if knob != cls.flips))
        for rule in settings(name)
    }
    for fixed in map(dict, others):
        for size, seed in ((6, 23), (40, 24)):
            tokens_judged = judged(60, size, seed)
            wanted = rules.make(name, **fixed).flip_point(*tokens_judged)
            answers = bare.evaluate(
                """({ name, knobs, facts }) => facts.map((f) => { const flip = specviz.twins[name].flip(f, knobs);
                     return flip === Infinity ? 'Infinity' : flip; })""",
                {"name": name, "knobs": knobs(rules.make(name, **fixed)), "facts": facts(*tokens_judged)},
            )
            assert [float(flip) for flip in answers] == pytest.approx(wanted.tolist(), rel=1e-9, abs=1e-9), fixed


@with_main_knob
def test_what_keeps_a_token_is_what_the_rule_keeps(bare, name):
    """Judged again at values all over the range of its main knob, a token is kept just where the page says: with the flip
    point as Python records it, and by the twin's own where it has one."""
    cls = rules.get(name)
    info = next(info for info in registry.knobs(cls) if info["name"] == cls.flips)
    low, high = info["low"] + (1e-6 if info["open_low"] else 0), info["high"]
    if info["type"] == "int":
        grid = [1, 2, 3, 5, 6, 40]
    else:
        grid = [float(f"{v:.6g}") for v in (*np.linspace(low, high, 13), *np.geomspace(max(low, 1e-4), high, 8))]
    verifier, draft, tokens, uniforms = judged(60, 6, 25)
    rule = rules.make(name)
    whole = bare.evaluate("(name) => Boolean(specviz.twins[name].whole)", name)
    checked = {True: 0, False: 0}
    for flips in (rule.flip_point(verifier, draft, tokens, uniforms), *([] if whole else [None])):
        answers = bare.evaluate(
            """({ name, knobs, facts }) => facts.map((f) => { const flip = f.flip === 'Infinity' ? Infinity : f.flip;
                 const { below, from } = specviz.rules.keptAt({ rule: name, knobs }, { ...f, flip });
                 return [below, from].map((end) => (Math.abs(end) === Infinity ? String(end) : end)); })""",
            {"name": name, "knobs": knobs(rule), "facts": facts(verifier, draft, tokens, uniforms, flips)},
        )
        for value in grid:
            kept = uniforms < rules.make(name, **{cls.flips: value}).judge(verifier, draft, tokens).accept_prob
            for (below, start), keeps in zip(answers, kept.tolist(), strict=True):
                if any(abs(value - float(end)) < 1e-9 for end in (below, start)) and info["type"] != "int":
                    continue
                said = value < float(below) or value >= float(start)
                assert said == keeps, (name, value, below, start)
                checked[keeps] += 1
    assert min(checked.values()) > 50
