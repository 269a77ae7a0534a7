from __future__ import annotations

from dataclasses import dataclass

from specviz.sets.base import SetRule
from specviz.sets.best import least
from specviz.sets.recursive import Recursive
from specviz.sums.rows import Floats, Indices
from specviz.types import Drawing


@dataclass(frozen=True)
class GreedyMulti(SetRule):
    """All siblings but one are the likeliest tokens T of the draft, chosen; one is drawn from p' = norm(p without T).

    The drawn one is judged first, against the verifier; what it leaves over counts as accepted where it is in T. No rule
    does better with siblings that come so. It is `recursive` with the drawn sibling as the eldest.
    """

    name = "greedy_multi"
    drawings = ("greedy",)
    summary = "The likeliest tokens are always offered, and one more is drawn: the best that can be done with those."
    formula = "T the k − 1 likeliest of p, p′ = norm(p without T), X drawn from p′\nkeep X with chance min(1, q(X) / p′(X)), else draw y from norm(max(q − p′, 0)), which is accepted where y is in T\nacceptance: q(T) + Σ outside T of min(q, p′)"
    helps = "With a sure draft model: its likeliest tokens are offered for certain, and one more is drawn so that nothing is lost. No rule keeps more of siblings that come so."
    hurts = "With a draft that spreads its mass: likely tokens of the draft that the verifier does not want take the places of others."
    source = "Hu et al. 2025 (arXiv 2502.18779), greedy draft sampling"

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        return least(verifier, draft, k, drawing)

    def emits(self, verifier: Floats, draft: Floats, tokens: Indices, drawing: Drawing) -> Floats:
        return Recursive().emits(verifier, draft, tokens, drawing)
