"""Muon for the matrices of the layers, Adam for the embedding, the output layer and the norms.

Muon: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"
(momentum 0.95 with Nesterov, five Newton-Schulz steps, quintic coefficients of that text).
Its steps as large as Adam's: Liu et al. 2025, "Muon is scalable for LLM training".
Adam: Kingma & Ba 2015. `scale` in [0, 1] is the schedule's place, set before every step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from specviz.training.machine import number_type

MUON_RATE = 0.02
ADAM_RATE = 0.003
COPIES_RATE = 0.002
AHEAD_RATE = 0.02
HEAD_RATES = 0.01, 0.0015  # of Muon and Adam
BEGUN_RATE = 0.001  # of both
LIKE_ADAM = 0.2  # root mean square of what Adam's steps mostly are, over its rate (Liu et al. 2025)


def orthogonal(update: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrices to update [..., m, n], roughly; in bfloat16 where that is fast, as in the source."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = update.shape[-2] > update.shape[-1]
    x = (update.mT if tall else update).to(number_type(update.device))
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(update.dtype)


class Muon(torch.optim.Optimizer):
    """`like_adam`: steps as large as Adam's would be at that rate, so that both can have one."""

    def __init__(self, matrices, rate: float = MUON_RATE, momentum: float = 0.95, like_adam: bool = False):
        super().__init__(list(matrices), dict(lr=rate, momentum=momentum))
        self._like_adam = like_adam

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            by_shape: dict = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in by_shape.items():
                gradients = []
                for matrix in matrices:
                    state = self.state[matrix]
                    if not state:
                        state["momentum"] = torch.zeros_like(matrix)
                    state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
                    gradients.append(matrix.grad.lerp(state["momentum"], group["momentum"]))
                updates = orthogonal(torch.stack(gradients))
                size = LIKE_ADAM * max(shape) ** 0.5 if self._like_adam else max(1.0, shape[0] / shape[1]) ** 0.5
                for matrix, update in zip(matrices, updates):
                    matrix.add_(update, alpha=-group["lr"] * size)


class Scaled:
    """Optimizers as one, each with a rate that is scaled before every step."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts
        self.rates = [part.param_groups[0]["lr"] for part in parts]

    def step(self, scale: float) -> None:
        for part, rate in zip(self.parts, self.rates):
            for group in part.param_groups:
                group["lr"] = rate * scale
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list) -> None:
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)


class ForCopies(Scaled):
    """AdamW (Loshchilov & Hutter 2019), for a model that begins with layers which know something already."""

    def __init__(self, model: nn.Module):
        super().__init__(torch.optim.AdamW(model.parameters(), lr=COPIES_RATE, betas=(0.9, 0.95), weight_decay=0.01))


class Both(Scaled):
    """Muon and Adam, for a model that begins at random."""

    def __init__(self, model: nn.Module, muon: float = MUON_RATE, adam: float = ADAM_RATE, like_adam: bool = False):
        words = ("embed_tokens.weight", "lm_head.weight")
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and not name.endswith(words)]
        others = [p for name, p in model.named_parameters() if p.ndim != 2 or name.endswith(words)]
        super().__init__(
            Muon(matrices, muon, like_adam=like_adam), torch.optim.Adam(others, lr=adam, betas=(0.9, 0.95), eps=1e-10)
        )


class ForHead(Both):
    """The same, slower, for a model of which a part begins as a copy. On 20,000 tokens it came as far as AdamW on 30,000."""

    def __init__(self, model: nn.Module):
        super().__init__(model, *HEAD_RATES)


class ForAhead(Scaled):
    """Adam alone, for a few embeddings."""

    def __init__(self, model: nn.Module):
        super().__init__(torch.optim.Adam(model.parameters(), lr=AHEAD_RATE, betas=(0.9, 0.95)))


class ForBegun(Both):
    """The same at one small rate for all, for a model that was trained before."""

    def __init__(self, model: nn.Module):
        super().__init__(model, BEGUN_RATE, BEGUN_RATE, like_adam=True)
