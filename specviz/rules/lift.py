"""Rules whose target lifts the drafted token and scales all others: the lift, and the law that comes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.rules import TokenRule
from specviz.rules.inputs import by_row, ratio
from specviz.sums.lifts import Lifts, lifted_law
from specviz.sums.sorted_rows import SortedRows
from specviz.types import Verdict


class LiftedRule(TokenRule):
    """Once n was drafted the target gives it g >= verifier[n] and scales every other token by (1 - g)/(1 - verifier[n]).

    A subclass says how many nats that may cost (`allowance`) and how g is found from it (`solver`).
    """

    solver: str = "taylor"

    def allowance(self, verifier_probs: Tensor, draft_probs: Tensor) -> float | Tensor:
        """Nats that each drafted token may cost: a number, or float64 [..., 1]."""
        raise NotImplementedError

    def lift_tokens(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        """g for drafted tokens [...]: the probability that their own target gives them."""
        allowance = self.allowance(verifier_probs, draft_probs)
        return lift(
            dists.at(verifier_probs, token),
            allowance[..., 0] if isinstance(allowance, Tensor) else allowance,
            self.solver,
        )

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return ratio(
            capped(verifier_probs, draft_probs, self.allowance(verifier_probs, draft_probs), self.solver), draft_probs
        )

    def target_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return lifted_target(verifier_probs, token, self.lift_tokens(verifier_probs, draft_probs, token))

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return dists.residual(self.target_of(verifier_probs, draft_probs, token), draft_probs)

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        lifted = self.lift_tokens(verifier_probs, draft_probs, token)
        target = lifted_target(verifier_probs, token, lifted)
        return Verdict(ratio(lifted, dists.at(draft_probs, token)), dists.residual(target, draft_probs))

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """O(V log S) for the S tokens whose draft probability exceeds their lift."""
        allowance = self.allowance(verifier_probs, draft_probs)
        capped_probs = capped(verifier_probs.double(), draft_probs.double(), allowance, self.solver)
        return by_row(lifted_law, verifier_probs, draft_probs, capped_probs)


def lift(prob: Tensor, delta: float | Tensor, solver: str) -> Tensor:
    """g [...] for verifier probabilities `prob` [...] and a budget `delta` in nats (a number or a tensor [...])."""
    if solver == "exact":
        return lift_exactly(prob, delta)
    rise = (2 * delta * prob * (1 - prob)).sqrt()
    return (prob + rise).clamp_max(1).to(prob.dtype)


def lift_cost(prob: Tensor, rise: Tensor, solver: str) -> Tensor:
    """The budget [...], nats, at which `lift` raises verifier probabilities `prob` [...] by `rise` [...]; 0 where there is none."""
    if solver == "exact":
        return binary_kl(prob, rise)
    return torch.where(rise > 0, rise**2 / (2 * prob * (1 - prob)), 0.0)


def lifts(rows: SortedRows, solver: str) -> Lifts:
    """What the lifts of a solver do at the positions of `rows`."""
    return Lifts(
        rows,
        lambda prob, delta: lift(torch.from_numpy(prob), torch.from_numpy(delta), solver).numpy(),
        lambda prob, lifted: lift_cost(torch.from_numpy(prob), torch.from_numpy(lifted - prob), solver).numpy(),
    )


def lifted_set(verifier_probs: Tensor, inside: Tensor, delta: float, solver: str) -> Tensor:
    """The verifier [..., V] with all tokens of a set, `inside` [..., V] bool, raised together to what `lift` makes of their
    mass, and all others scaled to fit: of all laws that give the set so much, the closest to the verifier."""
    prob = verifier_probs.where(inside, 0.0).sum(-1, keepdim=True).clamp_max(1)
    mass = lift(prob, delta, solver)
    scale = torch.where(inside, mass / prob, (1 - mass) / (1 - prob))
    return torch.where((prob > 0) & (prob < 1), verifier_probs * scale, verifier_probs)


def lift_exactly(prob: Tensor, delta: float | Tensor) -> Tensor:
    """The largest g in [prob, 1] with binary_kl(prob, g - prob) <= delta, to float64 precision (Cactus, Thm 2)."""
    exact = prob.double()
    delta = torch.as_tensor(delta, dtype=torch.float64, device=prob.device).expand(prob.shape)
    lifted = torch.where(-exact.log() <= delta, 1.0, exact)
    between = (lifted < 1) & (exact > 0) & (delta > 0)
    if bool(between.any()):
        lifted[between] += _rise(exact[between], delta[between])
    return lifted.to(prob.dtype)


def _rise(prob: Tensor, delta: Tensor) -> Tensor:
    """The root x > 0 of binary_kl(prob, x) = delta, [n]. Newton's method, halving where it would leave the bracket."""
    low = torch.zeros_like(prob)
    high = torch.minimum(
        1 - prob, delta + (delta * (delta + 2 * prob)).sqrt()
    )  # since binary_kl >= x^2 / (2 (prob + x))
    rise = torch.minimum((2 * delta * prob * (1 - prob)).sqrt(), high / 2)
    for _ in range(200):
        excess = binary_kl(prob, rise) - delta
        low, high = torch.where(excess < 0, rise, low), torch.where(excess < 0, high, rise)
        slope = torch.log1p(rise / prob) - torch.log1p(-rise / (1 - prob))
        newton = rise - excess / slope
        usable = ((newton > low) & (newton < high)) | (newton == rise)
        after = torch.where(usable, newton, (low + high) / 2)
        settled = bool(((after - rise).abs() <= 2e-16 * (prob + after)).all())
        rise = after
        if settled:
            break
    return rise


def binary_kl(prob: Tensor, rise: Tensor) -> Tensor:
    """Nats it costs to lift one probability by `rise` and scale all others: g ln(g/prob) + (1-g) ln((1-g)/(1-prob))."""
    lifted, rest = prob + rise, 1 - prob - rise
    up = torch.where(rise > prob, (lifted / prob).log(), torch.log1p(rise / prob))
    down = torch.where(rest > 0, rest * torch.log1p(-rise / (1 - prob)), 0.0)
    return torch.where(rise > 0, lifted * up + down, 0.0)


def capped(verifier_probs: Tensor, draft_probs: Tensor, delta: float | Tensor, solver: str) -> Tensor:
    """min(draft, g) for every token, [..., V]: the mass with which it is drafted and kept. delta: a number or [..., 1]."""
    if solver == "taylor":
        return torch.minimum(draft_probs, lift(verifier_probs, delta, solver))
    draft, verifier = draft_probs.double(), verifier_probs.double()
    delta = torch.as_tensor(delta, dtype=torch.float64, device=draft.device).expand(draft.shape[:-1] + (1,))
    cut = (draft > verifier) & ((binary_kl(verifier, (draft - verifier).clamp_min(0)) > delta) | (delta == 0))
    kept = draft.clone()
    kept[cut] = lift_exactly(verifier[cut], delta.expand(draft.shape)[cut])
    return torch.minimum(kept, draft).to(draft_probs.dtype)


def lifted_target(verifier_probs: Tensor, token: Tensor, lifted: Tensor) -> Tensor:
    """The verifier [..., V] with `token` [...] raised to `lifted` [...] and all others scaled to fit."""
    prob = dists.at(verifier_probs, token)
    scale = torch.where(prob < 1, (1 - lifted) / (1 - prob), 1.0)
    return (verifier_probs * scale.unsqueeze(-1)).scatter(
        -1, token.expand(scale.shape).unsqueeze(-1), lifted.unsqueeze(-1)
    )
