"""Rules over the k siblings of one place, as exact mathematics: what is written, how often it is one of them, and how often
it could be.

    rule = sets.make("k_seq")
    rule.acceptance(verifier_probs, draft_probs, 3)          # [...], exact
    rule.law(verifier_probs, draft_probs, 3)                 # [..., V], exact
    sets.optimum(verifier_probs, draft_probs, 3, "iid")      # [...]: no rule accepts more
    sets.gap(rule, verifier_probs, draft_probs, 3)           # what the rule falls short of it

The verifier's and the draft model's distributions are [..., V], as in `specviz.rules`; leading dimensions broadcast, and
results are float64 arrays. A rule is a file here, a frozen dataclass whose fields are `knob`s.

Words
    siblings    the k candidates for one place, the eldest first; the same token may come twice if they are independent
    drawing     how they came, see `specviz.types.DRAWINGS`
    acceptance  the chance that the token written is one of the siblings, those that a residual hits by luck included.
                (Papers differ: some count only what an acceptance test keeps.)
    given       what is written once the siblings are known
"""

from __future__ import annotations

from typing import cast

from specviz import registry
from specviz.rules.inputs import Numbers
from specviz.sets.base import SetRule, by_few, checked
from specviz.sets.best import least
from specviz.sums.rows import Floats
from specviz.types import Drawing

__all__ = ["SetRule", "gap", "make", "names", "optimum", "parse"]
PACKAGE, KIND = __name__, "rule over siblings"


def names() -> list[str]:
    """The keys of all registered rules."""
    return list(registry.variants(PACKAGE))


def make(name: str, **params: object) -> SetRule:
    """Builds a rule. ValueError says what is allowed if the name, a parameter or a value is not."""
    return cast(SetRule, registry.make(PACKAGE, KIND, name, **params))


def parse(spec: str) -> SetRule:
    """Builds a rule from text: ``k_seq``, ``cactus_set:delta=0.5``."""
    return cast(SetRule, registry.parse(PACKAGE, KIND, spec))


def optimum(verifier_probs: Numbers, draft_probs: Numbers, k: int, drawing: Drawing) -> Floats:
    """The largest acceptance, [...], of any rule that writes the verifier's distribution, given k siblings that came so.

    min over sets H of tokens of 1 + verifier(H) - P(all siblings in H), which the beginnings of the tokens in rising order
    of verifier/draft attain (arXiv 2502.18779): O(V log V). ValueError for an unknown drawing or k below 1.
    """
    shape, verifier, draft = checked(verifier_probs, draft_probs, k, drawing)
    return by_few(lambda q, p: least(q, p, k, drawing), verifier, draft).reshape(shape)


def gap(rule: SetRule, verifier_probs: Numbers, draft_probs: Numbers, k: int, drawing: Drawing | None = None) -> Floats:
    """What the acceptance of a lossless rule falls short of the optimum for the same drawing (default: the rule's first),
    [...], never below 0. ValueError for a lossy rule, whose acceptance is bought."""
    if not rule.lossless:
        raise ValueError(f"{rule.name} is not lossless, so the optimum of lossless rules is no bound for it.")
    drawing = drawing or rule.drawings[0]
    short = optimum(verifier_probs, draft_probs, k, drawing) - rule.acceptance(verifier_probs, draft_probs, k, drawing)
    clipped: Floats = short.clip(min=0)
    return clipped
