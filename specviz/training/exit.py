"""An exit behind one of a verifier's layers: a linear map of its state there, one Llama block, the verifier's last norm and its
most frequent output rows.

It begins as what least squares make of the map, from the state to what a later layer of the verifier gets (Din et al. 2023,
"Jump to Conclusions"), with a copy of that layer behind it. Embedding and output rows are the verifier's own, borrowed.

Sources: Liu et al. 2024 (Kangaroo, an adapter behind early layers), Elhoushi et al. 2024 (LayerSkip).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specviz.prob import dists
from specviz.training.cut import Lent
from specviz.training.head import Batch, Body, OnStates, least_squares
from specviz.training.loss import Compute, disagreement, losses
from specviz.training.model import Norm, Size, normal
from specviz.types import Sampling


class ExitModel(OnStates):
    """`states(features)`: what stands before its output layer. `output` [K, width]: the verifier's rows; `layer`: of the verifier,
    behind which it is; `at`: the number of that among the layers that a batch has."""

    def __init__(self, size: Size, kept_tokens: Tensor, layer: int, at: int, output: Tensor):
        super().__init__()
        self.size, self.layer, self.at = size, layer, at
        self.model = Body(size)
        self.norm_state = Norm(size.width, size.epsilon)
        self.bridge = nn.Linear(size.width, size.width, bias=False)
        normal(self)
        self.lm_head = Lent(output)
        self._tables(kept_tokens)

    @torch.no_grad()
    def fit(self, states: Tensor, goals: Tensor) -> None:
        """The map by least squares: from the verifier's states [N, width] to what its copied layer gets, `goals` [N, width]."""
        self.bridge.weight.copy_(least_squares(self.norm_state(states), goals))

    def states(self, features: Tensor) -> Tensor:
        """Of the verifier's states [B, T, width] behind its layer: [B, T, width]."""
        x = self.bridge(self.norm_state(features))
        length = features.shape[1]
        x = self.model.layers[0](x, self.cos[:length], self.sin[:length])
        return self.model.norm(x)


def distill_loss(
    model: ExitModel,
    tokens: Tensor,
    weights: Tensor,
    features: Tensor,
    log_sums: Tensor,
    *,
    output: Tensor,
    soft: float,
    compute: Compute = losses,
) -> Tensor:
    """Per token, see `training.loss`."""
    wanted = weights > 0
    states, each = model.states(features[:, :, model.at])[:, 1:][wanted], weights[wanted]
    truth = features[:, 1:, -1][wanted]
    total = disagreement(states[None], output, each[None], truth, log_sums[wanted], output, soft, compute)
    return total / each.sum().clamp_min(1e-6)


@torch.inference_mode()
def overlap(model: ExitModel, batches: Sequence[Batch], head: Tensor, sampling: Sampling) -> float:
    """The mean of sum(min(verifier, exit)) behind all tokens of answers, both sampled alike: what strict speculative sampling
    keeps there. `head` [V, width]: the verifier's whole output layer."""
    device, kept = head.device, model.kept_tokens.long()
    total, count = 0.0, 0
    for _, weights, features, _ in batches:
        answers = (weights == 1).to(device)
        features = features.to(device).float()
        state = model.states(features[:, :, model.at])[:, 1:][answers]
        law = dists.to_probs(F.linear(features[:, 1:, -1][answers], head), sampling)[:, kept]
        draft = dists.to_probs(F.linear(state.float(), model.lm_head.weight), sampling)
        total += torch.minimum(law, draft).sum().item()
        count += len(draft)
    return total / max(count, 1)
