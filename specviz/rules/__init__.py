"""Acceptance rules: pure functions of two distributions and a drafted token.

    rule = rules.make("cactus", delta=1.0)
    verdict = rule.judge(verifier_probs, draft_probs, token)     # verdict.accept_prob, verdict.residual_probs
    rule.output_law(verifier_probs, draft_probs)                 # what the position really emits, exactly
    rule.acceptance(verifier_probs, draft_probs)                 # how often it keeps the draft, exactly

    walk = rule.walk(parents, accept_prob, uniforms)             # which tokens of a draft stay

A rule is a file here, x.py, and its twin for the browser beside it, x.js. It is a frozen dataclass whose fields are
`knob`s; the class states `name`, `lossless`, and the words of its page: `summary`, `formula`, `helps`, `hurts`, `source`.
No models, no randomness, no text, no logits in here.

Words
    target, residual, output law    see `specviz.types`
    strict     as `sps` judges: the verifier's distribution itself is the target
    knob       a number or word that a rule is set by; its main knob, the first number, is the one that `flips`
    loose      the side of the main knob that keeps more: upwards, or downwards where `loose_below`
    flip point the value of the main knob at which the fate of a judged token changes, its draw being the same
    twin       what the page computes of a rule, x.js beside x.py (see view/js/rules.js)

Probabilities are [..., V] and sum to 1: float tensors, or arrays or lists of numbers; `token` is whole numbers [...];
leading dimensions broadcast; float64 and lists are computed in float64. A rule of scope "token" judges every drafted token
by itself, one of scope "block" a whole drafted block [..., m, V] at once. Inputs that are not distributions over one
vocabulary, or tokens outside it, raise ValueError.
"""

from __future__ import annotations

from typing import cast

from specviz import registry
from specviz.rules.base import BlockRule, Rule, TargetRule, TokenRule
from specviz.rules.inputs import checked

__all__ = ["BlockRule", "Rule", "TargetRule", "TokenRule", "checked", "get", "make", "names", "parse"]
PACKAGE, KIND = __name__, "acceptance rule"


def names() -> list[str]:
    """The keys of all registered rules."""
    return list(registry.variants(PACKAGE))


def get(name: str) -> type[Rule]:
    """The class of a rule, to read its knobs and words. ValueError if there is none of that name."""
    return type(make(name))


def make(name: str, **params: object) -> Rule:
    """Builds a rule. ValueError says what is allowed if the name, a parameter or a value is not."""
    return cast(Rule, registry.make(PACKAGE, KIND, name, **params))


def parse(spec: str) -> Rule:
    """Builds a rule from text: ``cactus``, ``cactus:delta=0.5,solver=exact``."""
    return cast(Rule, registry.parse(PACKAGE, KIND, spec))
