from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from specviz.registry import knob
from specviz.rules.lift import lift, lifted_set
from specviz.sets.base import SetRule, likeliest
from specviz.sums.rows import Floats, Indices, Mask
from specviz.types import Drawing


@dataclass(frozen=True)
class CactusSet(SetRule):
    """Lifts the siblings together. Of all laws that give a *chosen* set S the mass g, q g/q(S) on S and q (1-g)/(1-q(S)) off
    it is the closest to the verifier, and KL(law || q) is the binary KL(g || q(S)). So it is Cactus's own closed form, with
    q(S) in place of the probability of one token.

    S is chosen, not drawn: there are no lifts of other tokens to add up, and the budget holds for what is really written
    (with solver exact; taylor overshoots a little where g is large). With one sibling it is `cactus` on a chosen token.
    """

    name = "cactus_set"
    lossless = False
    drawings = ("picked",)
    summary = (
        "Cactus on a chosen set: the siblings are lifted together, and the budget holds for what is really written."
    )
    formula = "g = min(1, q(S) + √(2δ q(S) (1 − q(S)))); solver exact: the largest g with KL(g ‖ q(S)) ≤ δ\nwrite q g / q(S) on S, q (1 − g) / (1 − q(S)) off it\nacceptance: g"
    helps = "With chosen siblings and a budget of divergence: what is written costs exactly what was allowed, however many siblings there are."
    hurts = "It is not lossless. Where the siblings have little of the verifier's mass the budget buys little, and taylor overspends where it lifts far."
    source = "specviz, after Hao & Mou, ICLR 2026 (arXiv 2604.04987)"

    delta: float = knob(
        1.0, "How far what is written may stray from the verifier: 0 is strict.",
        low=0.0, high=10.0, unit="nats", scale="log",
    )  # fmt: skip
    solver: str = knob(
        "taylor", "The approximation of Cactus for the lift, or the exact one.", choices=("taylor", "exact")
    )

    def law_of(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        return self._lifted(verifier, likeliest(draft, k))

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        prob = np.where(likeliest(draft, k), verifier, 0.0).sum(-1).clip(0, 1)
        mass: Floats = lift(torch.from_numpy(prob), self.delta, self.solver).numpy()
        return mass

    def emits(self, verifier: Floats, draft: Floats, tokens: Indices, drawing: Drawing) -> Floats:
        inside = np.zeros(verifier.shape, dtype=bool)
        np.put_along_axis(inside, tokens, True, -1)
        return self._lifted(verifier, inside)

    def _lifted(self, verifier: Floats, inside: Mask) -> Floats:
        rows = torch.from_numpy(np.ascontiguousarray(verifier)), torch.from_numpy(inside)
        law: Floats = lifted_set(*rows, self.delta, self.solver).numpy()
        return law
