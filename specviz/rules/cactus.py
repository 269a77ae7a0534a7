from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from specviz.prob import dists
from specviz.registry import knob
from specviz.rules import Rule
from specviz.rules.base import SiblingVerdict
from specviz.rules.inputs import knob_values, knob_words
from specviz.rules.lift import LiftedRule, lift, lift_cost, lifted_set, lifts
from specviz.rules.sps import Sps
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome


@dataclass(frozen=True)
class Cactus(LiftedRule):
    """Each drafted token n has a target of its own that gives it g >= verifier[n] and scales all others to fit.

    solver exact: the largest g whose target has KL(target || verifier) <= delta (Thm 2). solver taylor: its expansion
    g = min(1, verifier[n] + sqrt(2 delta verifier[n] (1 - verifier[n]))) (Cor. 5), which may exceed delta where
    g > 0.5. delta = 0 is `sps`. KL(output law || verifier) is *not* bounded by delta: the lifts of the tokens add up.
    """

    name = "cactus"
    summary = "Strict plus a budget: each token may be lifted by up to delta nats."
    source = "Hao & Mou, ICLR 2026 (arXiv 2604.04987), Thm 2 and Cor. 5"
    formula = "g(n) = min(1, q(n) + √(2δ q(n) (1 − q(n))))\nkeep n with chance min(1, g(n) / p(n)); else draw from norm(max(h − p, 0)), h being q with n lifted to g(n)\nsolver exact: g(n) is the largest with KL(h ‖ q) ≤ δ"
    helps = "When a little drift is fine. Tokens the verifier finds plausible but the draft model overrates are kept, more of them as delta grows."
    hurts = "delta bounds the target of one token, not what is written: the lifts add up, so the true divergence may exceed it. At delta 1 a token the verifier gives 1 % may be written 15 % of the time."
    flips = spends = "delta"

    delta: float = knob(
        1.0, "How far the target of one drafted token may stray from the verifier: 0 is strict.",
        low=0.0, high=10.0, unit="nats", scale="log",
    )  # fmt: skip
    solver: str = knob(
        "taylor", "The paper's approximation of the lift, or the exact one.", choices=("taylor", "exact")
    )

    def judge_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> SiblingVerdict:
        """Chosen candidates are lifted together, to one target for all (see `specviz.sets.cactus_set`): loosened once, the
        eldest is judged against that, the younger strictly against what it leaves. Where one was drawn, the eldest alone is
        lifted."""
        together, each = _picked(draft_probs, token), super().judge_siblings(verifier_probs, draft_probs, token)
        if not together.any():
            return each
        strict = Sps().judge_siblings(self._lifted_set(verifier_probs, token), draft_probs, token)
        judged = strict.verifier_probs.clone()
        judged[..., 0, :] = verifier_probs
        return SiblingVerdict(
            torch.where(together[..., None], strict.accept_prob, each.accept_prob),
            torch.where(together[..., None, None], judged, each.verifier_probs),
            torch.where(together[..., None, None], strict.residual_probs, each.residual_probs),
            each.judges,
        )

    def law_of_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor | None:
        return self._lifted_set(verifier_probs, token) if _picked(draft_probs, token) else None

    def _lifted_set(self, verifier_probs: Tensor, token: Tensor) -> Tensor:
        inside = torch.zeros_like(verifier_probs, dtype=torch.bool).scatter(-1, token, True)
        return lifted_set(verifier_probs, inside, self.delta, self.solver)

    def allowance(self, verifier_probs: Tensor, draft_probs: Tensor) -> float:
        return self.delta

    def lifted(self, prob: Tensor) -> Tensor:
        """g [...] for tokens of verifier probability `prob` [...], whatever else is in the two distributions."""
        return lift(prob, self.delta, self.solver)

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """uniform draft < g, solved for delta: what it costs to lift the verifier's probability to uniform draft."""
        prob = dists.at(verifier_probs, token).double()
        return lift_cost(prob, uniform * dists.at(draft_probs, token) - prob, self.solver)

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        outcomes = np.zeros((len(Outcome._fields), len(rows.ratio), len(settings)))
        delta, solvers = knob_values(settings, "delta"), knob_words(settings, "solver")
        for solver in np.unique(solvers):
            outcomes[..., solvers == solver] = lifts(rows, solver).outcome(delta[solvers == solver])
        return Outcome(*outcomes)


def _picked(draft_probs: Tensor, token: Tensor) -> Tensor:
    """Whether all candidates of a place were chosen, bool [...], given their laws [..., k, V]."""
    return (dists.at(draft_probs, token) == 1).all(-1)
