"""Twins of the rules over siblings: what x.js says is what x.py says, for every registered rule without naming it."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from specviz import registry, sets
from specviz.prob import dists
from specviz.types import DRAWINGS
from specviz.view import boot
from tests.support.node import arithmetic
from tests.support.rule_cases import random_pairs

CLOSE = 1e-9
KS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def bare():
    """The page's arithmetic, without a page."""
    with arithmetic() as made:
        yield made


def pairs() -> list[tuple[list[float], list[float]]]:
    """(verifier, draft): random ones over 2, 5 and 8 tokens, equal ones, and some in which tokens are ruled out."""
    both = [random_pairs(count, size, size) for count, size in ((2, 2), (4, 5), (2, 8))]
    verifier, draft = random_pairs(4, 5, 40)
    verifier[0, 0] = draft[1, 1] = draft[1, 2] = verifier[2, 3] = draft[2, 4] = 0.0
    both += [(dists.normalise(verifier), dists.normalise(draft)), (verifier[3:], verifier[3:])]
    return [(q.tolist(), p.tolist()) for some in both for q, p in zip(*some, strict=True)]


def test_every_twin_stands_beside_its_rule(bare):
    """Each rule's file has a twin of its name and each twin a rule; the page's other scripts name none of them."""
    beside = {Path(inspect.getfile(type(sets.make(name)))).with_suffix(".js") for name in sets.names()}
    assert set(boot.SETS) == beside
    assert set(bare.evaluate("Object.keys(specviz.sets.sets)")) == set(sets.names()) == set(boot.set_words())
    assert set(bare.evaluate("Object.keys(specviz.sets.DRAWINGS)")) == set(DRAWINGS)
    for name in sets.names():
        symbols = bare.evaluate("(name) => Object.keys(specviz.sets.sets[name].symbols ?? {})", name)
        assert set(symbols) == {info["name"] for info in registry.knobs(type(sets.make(name))) if not info["choices"]}
    texts = [path.read_text(encoding="utf-8") for path in boot.MODULES]
    assert not [name for name in sets.names() if any(f'"{name}"' in text for text in texts)]


@pytest.mark.parametrize("name", sets.names())
def test_every_rule_is_the_python_rule(bare, name):
    """Law and acceptance for every number of candidates and every drawing that the rule judges, at several settings."""
    knobs = {"delta": (0.0, 0.05, 1.0), "solver": ("taylor", "exact")} if name == "cactus_set" else {}
    settings = [{}] + [{knob: value} for knob, values in knobs.items() for value in values]
    for given in settings:
        rule = sets.make(name, **given)
        for verifier, draft in pairs():
            for k in KS:
                for drawing in rule.drawings:
                    said = bare.evaluate(
                        "(all) => { const one = specviz.sets.judge(...all); return [one.law, one.acceptance]; }",
                        [name, verifier, draft, k, drawing, given],
                    )
                    where = f"{rule.spec}, {k} {drawing}, verifier {verifier}, draft {draft}"
                    law = rule.law(verifier, draft, k, drawing)
                    assert np.abs(np.array(said[0]) - law).max() < CLOSE, where
                    assert abs(said[1] - rule.acceptance(verifier, draft, k, drawing)) < CLOSE, where


def test_the_optimum_is_pythons(bare):
    """For every drawing, and what the table says a rule is short of it."""
    for verifier, draft in pairs()[::4]:
        for drawing in DRAWINGS:
            table = bare.evaluate("(all) => specviz.sets.table(...all)", [verifier, draft, drawing])
            for k, row in zip(KS, table, strict=True):
                most = sets.optimum(verifier, draft, k, drawing)
                assert row["k"] == k and abs(row["optimum"] - most) < CLOSE, (verifier, draft, k, drawing)
                for name, one in row["rules"].items():
                    rule = sets.make(name)
                    assert (one is not None) == (drawing in rule.drawings)
                    if one and rule.lossless:
                        assert abs(one["short"] - sets.gap(rule, verifier, draft, k, drawing)) < CLOSE
