"""A draft for a verifier: a small Llama whose output layer knows the verifier's most frequent tokens alone.

    borrowing   as wide as the verifier: its embedding and the kept rows of its output layer are the verifier's own, so
                they are neither trained nor shipped, and its layers may start as copies of the verifier's
    its own     narrower: embedding and output rows are its own, and start as the nearest picture of the verifier's

Sources: Zhao et al. 2025 (FR-Spec, the cut output layer), Zhou et al. 2024 (DistillSpec, total variation as a loss).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specviz.backends.weights import Weights
from specviz.prob import dists
from specviz.training.loss import Compute, disagreement, losses
from specviz.training.model import Body, Size, normal
from specviz.training.shards import Batch
from specviz.types import Sampling


def size_of(config: dict[str, Any], layers: int) -> Size:
    """Of a Llama with so many layers like those of a model with this config.json. ValueError if it is no plain Llama."""
    heads, width = config.get("num_attention_heads", 1), config["hidden_size"]
    head = config.get("head_dim") or width // heads
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    plain = (
        config.get("model_type") == "llama"
        and head * heads == width
        and not (config.get("attention_bias") or config.get("mlp_bias"))
        and config.get("hidden_act", "silu") == "silu"
        and rope.get("rope_type", "default") == "default"
    )
    if not plain:
        raise ValueError("Only the layers of a plain Llama can be copied: give the draft a --draft-size of its own.")
    return Size(
        layers=layers,
        width=width,
        head=head,
        hidden=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        theta=rope.get("rope_theta") or config.get("rope_theta", 10000.0),
        epsilon=config["rms_norm_eps"],
        groups=config.get("num_key_value_heads") or heads,
    )


class Lent(nn.Module):
    """Rows [n, width] of another model: neither trained nor saved."""

    def __init__(self, rows: Tensor):
        super().__init__()
        self.register_buffer("weight", rows, persistent=False)


class CutLlama(nn.Module):
    """tokens [B, T] and which of them are `wanted` [B, T] bool, M of them -> logits [M, K] of the kept tokens.

    embedding, output  [V, width] and [K, width] that it borrows; None: its own
    """

    def __init__(self, size: Size, kept_tokens: Tensor, embedding: Tensor | None = None, output: Tensor | None = None):
        super().__init__()
        self.size, self.borrows = size, embedding is not None
        self.model = Body(size)
        self.lm_head: nn.Module = nn.Linear(size.width, len(kept_tokens), bias=False)
        normal(self)
        if embedding is not None and output is not None:
            self.model.embed_tokens, self.lm_head = Lent(embedding), Lent(output)
        self.register_buffer("kept_tokens", kept_tokens)

    def states(self, tokens: Tensor) -> Tensor:
        """What stands before the output layer, [B, T, width]."""
        return self.model.through(F.embedding(tokens, self.model.embed_tokens.weight))

    def forward(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        return F.linear(self.states(tokens)[wanted], self.lm_head.weight)

    def copy(self, weights: Weights, layers: Sequence[int]) -> None:
        """Takes these layers of the verifier, and its last norm, for a start."""
        state = {"model.norm.weight": weights["model.norm.weight"]}
        for mine, theirs in enumerate(layers):
            for name in self.model.layers[mine].state_dict():
                state[f"model.layers.{mine}.{name}"] = weights[f"model.layers.{theirs}.{name}"]
        self.load_state_dict(state, strict=False)


def distill_loss(
    model: CutLlama,
    tokens: Tensor,
    weights: Tensor,
    states: Tensor,
    log_sums: Tensor,
    *,
    output: Tensor,
    soft: float,
    compute: Compute = losses,
) -> Tensor:
    """Per token, see `training.loss`. `output` [K, width]: the verifier's rows."""
    wanted = weights > 0
    each, mine = weights[wanted], model.states(tokens)[wanted]
    total = disagreement(mine[None], model.lm_head.weight, each[None], states, log_sums, output, soft, compute)
    return total / each.sum().clamp_min(1e-6)


@torch.inference_mode()
def overlap(model: CutLlama, batches: Sequence[Batch], head: Tensor, sampling: Sampling) -> float:
    """The mean of sum(min(verifier, draft)) behind all tokens of answers, both sampled alike: what strict speculative
    sampling keeps there. `head` [V, width]: the verifier's whole output layer."""
    device, kept = head.device, model.kept_tokens.long()
    total, count = 0.0, 0
    for tokens, weights, states, _ in batches:
        answers = (weights == 1).to(device)
        law = dists.to_probs(F.linear(states.to(device).float()[weights[weights > 0] == 1], head), sampling)
        draft = dists.to_probs(model(tokens.to(device), answers).float(), sampling)
        total += torch.minimum(law[:, kept], draft).sum().item()
        count += len(draft)
    return total / max(count, 1)
