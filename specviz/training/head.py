"""A head on the verifier's own states: one Llama block that guesses what comes after the next token, and goes on from itself.

    place t    reads the token at t + 1 and the verifier's states at t, and gives a law of the token at t + 2
    ahead      where the verifier has not been yet, the head's own state of the place before stands for the verifier's

Embedding and output rows are the verifier's own, borrowed, and the output knows its most frequent tokens alone, as in
`cut`. In training every place is reached in several ways, as it is in drafting: with the verifier's states up to it, and
with the head's own for the last one, two, ... places; what it attends to is as it will be then.

Sources: Li et al. 2024 (EAGLE), Li et al. 2025 (EAGLE-3: states of several layers, training-time test), Zhang et al. 2024
(HASS: the same attention in training as in drafting), Zhao et al. 2025 (FR-Spec, the cut output layer).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specviz.backends.weights import Weights
from specviz.prob import dists
from specviz.training.cut import Lent
from specviz.training.loss import Compute, disagreement, losses
from specviz.training.model import Layer, Norm, Size, normal, rope, rotate
from specviz.types import Sampling

STEPS = (
    2  # ways in which a place is reached in training: with the verifier's states up to it, and one step ahead of them
)
MEASURED = 4  # and in the overlap
FADING = 0.8  # weight of each further one in the loss
RIDGE = 0.04  # of the places' number: what least squares add to the squares, so that few texts do

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""tokens [B, T + 2], padded with 0; weights [B, T] of the token behind each place, two further; and of the verifier the
states [B, T + 1, layers, width] at each place and the one behind, and the log_sums [B, T] at the place behind."""


class Body(nn.Module):
    """What the checkpoint calls `model`: the block and the last norm."""

    def __init__(self, size: Size):
        super().__init__()
        self.layers = nn.ModuleList([Layer(size)])
        self.norm = Norm(size.width, size.epsilon)


class OnStates(nn.Module):
    """A block on the verifier's states: the one that begins as a copy of the verifier's, in `model`, and what it needs to know of
    places and tokens."""

    size: Size
    model: Body

    def copy(self, weights: Weights, layer: int) -> None:
        """Takes this layer of the verifier, and its last norm, for a start."""
        state = {"model.norm.weight": weights["model.norm.weight"]}
        for name in self.model.layers[0].state_dict():
            state[f"model.layers.0.{name}"] = weights[f"model.layers.{layer}.{name}"]
        self.load_state_dict(state, strict=False)

    def _tables(self, kept_tokens: Tensor) -> None:
        self.register_buffer("kept_tokens", kept_tokens)
        cos, sin = rope(self.size.positions, self.size.head, self.size.theta)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)


def least_squares(seen: Tensor, goals: Tensor) -> Tensor:
    """The matrix [out, in] that makes `goals` [N, out] of `seen` [N, in] best, with RIDGE."""
    squares = seen.T @ seen
    squares += RIDGE * len(seen) * torch.eye(len(squares), device=squares.device)
    solution: Tensor = torch.linalg.solve(squares, seen.T @ goals).T
    return solution


class HeadModel(OnStates):
    """`states(tokens, features, steps)`: its states after each number of steps. `embedding` [V, width], `output` [K, width]
    are the verifier's rows; `reads` of its layers are seen."""

    def __init__(self, size: Size, kept_tokens: Tensor, reads: Sequence[int], embedding: Tensor, output: Tensor):
        super().__init__()
        self.size, self.reads = size, tuple(reads)
        self.model = Body(size)
        self.norm_token, self.norm_state = Norm(size.width, size.epsilon), Norm(size.width, size.epsilon)
        self.norm_features = nn.ModuleList(Norm(size.width, size.epsilon) for _ in reads)
        self.fuse = nn.Linear(len(self.reads) * size.width, size.width, bias=False)
        self.mix = nn.Linear(2 * size.width, size.width, bias=False)
        normal(self)
        self.embedding, self.lm_head = Lent(embedding), Lent(output)
        self._tables(kept_tokens)

    @torch.no_grad()
    def fit(self, tokens: Tensor, states: Tensor, goals: Tensor) -> None:
        """Begins where least squares lead: from the tokens [N] behind places and the verifier's last states [N, width] there to
        what its copied layer gets at the place behind, `goals` [N, width]. The other layers' states count for nothing yet."""
        last = slice((len(self.reads) - 1) * self.size.width, None)
        gain = 1 / self.model.norm.weight
        self.fuse.weight.zero_()
        self.fuse.weight[:, last] = torch.diag(gain)  # as its own states are behind a norm
        fused = F.linear(self.norm_features[-1](states), self.fuse.weight[:, last])
        seen = torch.cat([self.norm_token(F.embedding(tokens, self.embedding.weight)), self.norm_state(fused)], -1)
        self.mix.weight.copy_(least_squares(seen, goals))

    def fused(self, features: Tensor) -> Tensor:
        """The verifier's states [..., layers, width] as one [..., width]."""
        parts = [norm(features[..., i, :]) for i, norm in enumerate(self.norm_features)]
        return self.fuse(torch.cat(parts, -1))

    def states(self, tokens: Tensor, features: Tensor, steps: int) -> list[Tensor]:
        """Of every place [B, T, width] the state after 0, 1, ... steps ahead of the verifier. tokens [B, T]: behind each
        place; features [B, T, layers, width]: the verifier's at each. After s steps the first s places mean nothing."""
        token = self.norm_token(F.embedding(tokens, self.embedding.weight))
        state, made = self.fused(features), []
        keys: list[Tensor] = []
        values: list[Tensor] = []
        layer = self.model.layers[0]
        for _ in range(steps):
            x = self.mix(torch.cat([token, self.norm_state(state)], -1))
            x = x + self._attend(layer.input_layernorm(x), keys, values)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            made.append(self.model.norm(x))
            state = F.pad(x[:, :-1], (0, 0, 1, 0))
        return made

    def _attend(self, x: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
        """Attention as it will be when drafting: with s steps behind it, place t sees the places up to t - s as the
        verifier's states made them, and t - s + i as i steps did. Adds this step's `keys` and `values` to those before."""
        attention, (count, length, _) = self.model.layers[0].self_attn, x.shape
        weight = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
        parts = F.linear(x, weight).view(count, length, -1, attention.head).transpose(1, 2)
        q, k, v = parts.split([attention.heads, attention.groups, attention.groups], 1)
        cos, sin = self.cos[:length], self.sin[:length]
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        repeat = attention.heads // attention.groups
        keys.append(k.repeat_interleave(repeat, 1))
        values.append(v.repeat_interleave(repeat, 1))
        steps = len(keys) - 1
        if not steps:
            out = F.scaled_dot_product_attention(q, keys[0], values[0], is_causal=True)
        else:
            unseen = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1 - steps)
            shifted = [(_later(keys[i], steps - i), _later(values[i], steps - i)) for i in range(1, steps + 1)]
            own = torch.stack([(q * key).sum(-1) for key, _ in shifted], -1)
            seen = (q @ keys[0].transpose(2, 3)).masked_fill(unseen, -torch.inf)
            share = torch.softmax(torch.cat([seen, own], -1).float() * attention.head**-0.5, -1).to(v.dtype)
            out = share[..., :length] @ values[0]
            for i, (_, value) in enumerate(shifted):
                out = out + share[..., length + i, None] * value
        return attention.o_proj(out.transpose(1, 2).reshape(count, length, -1))


def _later(x: Tensor, places: int) -> Tensor:
    """x [B, heads, T, size], each place's moved to one so many places later."""
    return F.pad(x[:, :, : x.shape[2] - places], (0, 0, places, 0)) if places else x


def distill_loss(
    model: HeadModel,
    tokens: Tensor,
    weights: Tensor,
    features: Tensor,
    log_sums: Tensor,
    *,
    output: Tensor,
    soft: float,
    compute: Compute = losses,
) -> Tensor:
    """Per token, with weights FADING ** step for the steps."""
    states = torch.stack(model.states(tokens[:, 1:-1], features[:, :-1], STEPS))
    wanted = weights > 0
    fading = FADING ** torch.arange(STEPS, device=weights.device)
    reached = (
        torch.arange(weights.shape[1], device=weights.device) >= torch.arange(STEPS, device=weights.device)[:, None]
    )
    each = (weights * fading[:, None, None] * reached[:, None])[:, wanted]
    truth = features[:, 1:, -1][wanted]
    total = disagreement(states[:, wanted], output, each, truth, log_sums[wanted], output, soft, compute)
    return total / (weights.sum() * fading.sum()).clamp_min(1e-6)


@torch.inference_mode()
def overlap(model: HeadModel, batches: Sequence[Batch], head: Tensor, sampling: Sampling) -> list[float]:
    """The mean of sum(min(verifier, head)) behind all tokens of answers, after 1, 2, ... steps, both sampled alike: what
    strict speculative sampling keeps there. `head` [V, width]: the verifier's whole output layer."""
    device, kept = head.device, model.kept_tokens.long()
    totals, counts = [0.0] * MEASURED, [0] * MEASURED
    for tokens, weights, features, _ in batches:
        answers = (weights == 1).to(device)
        features = features.to(device).float()
        states = model.states(tokens[:, 1:-1].to(device), features[:, :-1], MEASURED)
        law = dists.to_probs(F.linear(features[:, 1:, -1][answers], head), sampling)[:, kept]
        place = answers.nonzero()[:, 1]
        for step, state in enumerate(states):
            draft = dists.to_probs(F.linear(state[answers].float(), model.lm_head.weight), sampling)
            reached = place >= step
            totals[step] += torch.minimum(law, draft).sum(-1)[reached].sum().item()
            counts[step] += int(reached.sum())
    return [total / max(count, 1) for total, count in zip(totals, counts)]
