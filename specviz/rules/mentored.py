from dataclasses import dataclass

import numpy as np

from specviz.registry import knob
from specviz.rules import TargetRule, by_rows, by_token
from specviz.sums.rows import find, pick
from specviz.sums.sorted_rows import Pair, Tally


@dataclass(frozen=True)
class Mentored(TargetRule):
    """The target is clip(draft, low verifier, high verifier), low <= 1 <= high, which sums to 1 and has
    KL(target || verifier) = budget; it is the draft itself where KL(draft || verifier) <= budget.

    No single-draft rule accepts more at the same KL(output law || verifier). Where the draft puts mass on tokens
    the verifier rules out, that mass always goes, and the divergence cannot exceed what is left.
    """

    name = "mentored"
    summary = "The best any rule can do: keeps as much as possible for a given true divergence from the verifier."
    source = "Tran-Thien 2023, mentored decoding; optimality: arXiv 2609.30474"
    formula = "target(n) = clip(p(n), low q(n), high q(n)), low ≤ 1 ≤ high such that it sums to 1 and KL(target ‖ q) = b\nkeep n with chance min(1, target(n) / p(n)); else draw from norm(max(target − p, 0))"
    helps = "When the drift you accept can be named: at the same true divergence no rule for a single draft keeps more."
    hurts = "It spends the same budget at every position, also where that buys little, and it must read both whole distributions and search at each one."

    flips = "budget"

    budget: float = knob(
        0.2,
        "How far what is written may stray from the verifier, per token: 0 is strict.",
        low=0.0,
        high=10.0,
        unit="nats",
        scale="log",
    )

    def target(self, verifier_probs, draft_probs):
        return by_rows(self._rows, verifier_probs, draft_probs)

    def _rows(self, verifier: np.ndarray, draft: np.ndarray) -> np.ndarray:
        if self.budget == 0:
            return verifier
        clips = Pair(verifier, draft).clips
        moved = clips.spend(self.budget)
        return np.where(moved == 0, draft, clips.target(moved))

    def flip_within(self, verifier_probs, draft_probs, token, uniform):
        """The token stays while `high` exceeds uniform draft/verifier: the divergence of the clip whose `high` is just that."""
        return by_token(_flip, verifier_probs, draft_probs, token, uniform)

    @classmethod
    def sweep(cls, pair, settings):
        moved = pair.clips.spend([rule.budget for rule in settings])
        below, above, low, high = pair.clips.bounds(moved)
        tally = Tally(pair, len(settings))
        tally.scaled(pick(pair.verifier_below, below), low)
        tally.kept(below, above)
        tally.scaled(pick(pair.verifier_above, above), np.where(above < pair.size, high, 1.0))
        strict = np.array([rule.budget == 0 for rule in settings])
        tally.put(strict, Tally(pair, 1))  # a budget of 0 is the verifier to the last bit
        return tally.outcome(1 - moved)


def _flip(verifier: np.ndarray, draft: np.ndarray, token: int, uniform: float) -> float:
    if uniform * draft[token] <= verifier[token]:
        return 0.0
    if verifier[token] == 0:
        return np.inf
    pair, high = Pair(verifier, draft), uniform * draft[token] / verifier[token]
    above = find(pair.ratio, high)
    return float(
        pair.clips.measure(pick(pair.draft_above, above) - high * pick(pair.verifier_above, above), "kl")[0, 0]
    )
