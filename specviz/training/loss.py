"""The loss of a draft, a head and an exit: how far their laws are from the verifier's, on the tokens that they know.

    soft * KL(verifier || draft) + TV(verifier, draft) + COOL_SHARE * TV(both at COOL's temperature)

KL within the kept tokens, times the verifier's mass there; TV over the whole vocabulary, of which the verifier's mass outside
is a half: it is what strict speculative sampling refuses (Leviathan et al. 2023; as a loss: Zhou et al. 2024, DistillSpec).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from specviz.training.writing import COOL

COOL_SHARE = 0.5  # of the total variation at the temperature of COOL in the loss; that at 1 has 1
ROWS = 64  # laws that are computed together, so that they stay in a core's cache
OUTSIDE = 50.0  # log_sum of a row that only fills up: its laws are nearly 0, and weigh nothing

Compute = Callable[..., tuple[Tensor, Tensor]]  # `losses`, or what torch.compile made of it


def losses(truth: Tensor, log_sums: Tensor, drafts: Tensor, weights: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits `truth` [n, K] of the verifier, with the log_sums [n] over its whole vocabulary, and `drafts` [S, n, K]: the sum
    with `weights` [S, n], and its gradient by the drafts' logits [S, n, K] in their dtype."""
    theirs, logits = truth.float() - log_sums[:, None], drafts.float()
    probs, cool = theirs.exp(), torch.softmax(theirs / COOL.temperature, -1)
    mass = probs.sum(-1, keepdim=True)
    entropy = (probs * theirs).sum(-1) - mass[:, 0] * mass[:, 0].clamp_min(1e-6).log()
    log_mine = torch.log_softmax(logits, -1)
    mine = log_mine.exp()
    apart, slope = _variation(mine, probs)
    cool_apart, cool_slope = _variation(torch.softmax(logits / COOL.temperature, -1), cool)
    kl = entropy - (probs * log_mine).sum(-1)
    total = soft * kl + apart + (1 - mass[:, 0]) / 2 + COOL_SHARE * cool_apart
    slope = soft * (mass * mine - probs) + slope + cool_slope * (COOL_SHARE / COOL.temperature)
    return (total * weights).sum(), (slope * weights[..., None]).to(drafts.dtype)


def _variation(mine: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """sum |mine - theirs| / 2 of laws [..., K], and its gradient by the logits of `mine`."""
    apart = mine - theirs
    side = apart.sign() * 0.5
    return (apart * side).sum(-1), mine * (side - (mine * side).sum(-1, keepdim=True))


class Disagreement(torch.autograd.Function):
    """The loss of several states against one law, with its gradient made on the way: no law outlives the few ROWS that it is
    computed with, which is what makes it fast.

    states [S, M, width] and their output rows `mine` [K, width], weights [S, M]; truth [M, other width] and log_sums [M]: the
    verifier's states behind its last norm, with its output rows `output` [K, other width]. Computes in the dtype of `states`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        mine: Tensor,
        weights: Tensor,
        truth: Tensor,
        log_sums: Tensor,
        output: Tensor,
        soft: float,
        compute: Compute = losses,
    ) -> Tensor:
        count, kind = len(truth), states.dtype
        more = -count % ROWS
        states, truth = (F.pad(x.detach().to(kind), (0, 0, 0, more)) for x in (states, truth))
        weights, log_sums = F.pad(weights.float(), (0, more)), F.pad(log_sums.float(), (0, more), value=OUTSIDE)
        mine, output = mine.detach().to(kind), output.to(kind)
        back, softness = mine.t().contiguous(), torch.tensor(soft, device=states.device)
        total = torch.zeros((), device=states.device)
        by_states, by_mine = torch.empty_like(states), torch.zeros_like(mine, dtype=torch.float32)
        with torch.autocast(states.device.type, enabled=False):
            for first in range(0, len(truth), ROWS):
                part = slice(first, first + ROWS)
                few = states[:, part].flatten(0, 1)
                drafts = F.linear(few, mine).unflatten(0, (len(states), ROWS))
                loss, slope = compute(
                    F.linear(truth[part], output), log_sums[part].clone(), drafts, weights[:, part].clone(), softness
                )
                total += loss
                slope = slope.flatten(0, 1)
                by_states[:, part] = F.linear(slope, back).unflatten(0, drafts.shape[:2])
                if ctx.needs_input_grad[1]:
                    by_mine += slope.t() @ few
        ctx.save_for_backward(by_states[:, :count], by_mine if ctx.needs_input_grad[1] else None)
        return total

    @staticmethod
    def backward(ctx: Any, *up: Tensor) -> tuple[Tensor | None, ...]:
        by_states, by_mine = ctx.saved_tensors
        return by_states * up[0], by_mine if by_mine is None else by_mine * up[0], *[None] * 6


def disagreement(*of: Any) -> Tensor:
    """What `Disagreement` says of its tensors."""
    total: Tensor = Disagreement.apply(*of)  # type: ignore[no-untyped-call]
    return total
