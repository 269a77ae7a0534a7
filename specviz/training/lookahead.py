"""Look-ahead tokens: embeddings that, put behind a text, have a frozen verifier say what comes further on (PaSS).

    place t    of a text; the look-ahead tokens 1, ..., L hang behind it, one behind the other, at the places t + 1, ..., t + L
    token i    sees the text up to t and those before it, and gives a law of the token at t + i + 1

Nothing but their L embeddings is learned. Keys and values of the text are made once, without a gradient; of every text a few
places are drawn, and what hangs there goes through the frozen layers together, each chain seeing its own part of the text.

Source: Monea et al. 2023 (PaSS); the loss is that of the other drafts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specviz.backends.weights import EMBEDDING, Weights
from specviz.prob import dists
from specviz.training import machine
from specviz.training.head import Batch
from specviz.training.loss import Compute, disagreement, losses
from specviz.training.model import Attention, Body, Cache, Size, rope, rotate
from specviz.types import Sampling

PLACES = 64  # of a text that look-ahead tokens hang at, in a step
MEASURED = 16  # one place in so many, in the overlap
LAWS = 256  # compared at a time

Caches = list[Cache]  # of each layer


class Frozen:
    """A verifier's embedding, layers and last norm, in `machine.number_type`: part of no checkpoint, and never trained."""

    def __init__(self, weights: Weights, size: Size, device: torch.device):
        self.size, self._device, self._kind = size, device, machine.number_type(device)
        with torch.device("meta"):
            self._body = Body(size)
        state = {
            name: weights[f"model.{name}"].to(device, None if "norm" in name else self._kind)
            for name in self._body.state_dict()
        }
        self._body.load_state_dict(state, assign=True)
        self._body.requires_grad_(False)
        self._cos, self._sin = (table.to(device) for table in rope(size.positions, size.head, size.theta))

    @torch.no_grad()
    def read(self, tokens: Tensor) -> Caches:
        """Keys and values of tokens [B, T]."""
        count, length = tokens.shape
        shape = count, self.size.key_heads, length, self.size.head
        caches, x = [], F.embedding(tokens, self._body.embed_tokens.weight).float()
        for layer in self._body.layers:
            keys, values = (torch.empty(shape, dtype=self._kind, device=self._device) for _ in range(2))
            x = layer(x, self._cos[:length], self._sin[:length], (keys, values))
            caches.append((keys, values))
        return caches

    def behind(self, x: Tensor, places: Tensor, caches: Caches) -> Tensor:
        """Chains x [B, P, L, width] that hang at `places` [B, P] of texts: their states behind the last norm, alike."""
        count, chains, ahead, width = x.shape
        position = places[:, :, None] + torch.arange(1, ahead + 1, device=places.device)
        cos, sin = (table[position].flatten(1, 2)[:, None] for table in (self._cos, self._sin))  # [B, 1, P * L, head]
        mask = sees(places, ahead, caches[0][0].shape[2]).repeat(1, 1, self.size.heads // self.size.key_heads, 1)
        x = x.flatten(1, 2)
        for layer, cache in zip(self._body.layers, caches):
            x = x + self._attend(layer.self_attn, layer.input_layernorm(x), cache, cos, sin, mask)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self._body.norm(x).view(count, chains, ahead, width)

    def _attend(self, attention: Attention, x: Tensor, cache: Cache, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """What attention gives rows x [B, N, width]; the heads of a group are several queries of one."""
        count, length, width = x.shape
        queries, keys, values = (
            projection(x).view(count, length, -1, attention.head).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        queries, keys = (rotate(part, cos, sin).to(values.dtype) for part in (queries, keys))
        keys, values = torch.cat([cache[0], keys], 2), torch.cat([cache[1], values], 2)
        queries = queries.reshape(count, attention.groups, -1, attention.head)
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        out: Tensor = attention.o_proj(seen.reshape(count, -1, length, attention.head).transpose(1, 2).reshape(x.shape))
        return out


def sees(places: Tensor, ahead: int, length: int) -> Tensor:
    """[B, 1, P * L, T + P * L] bool: which of a text's T tokens, and of all that hangs in it, each of L look-ahead tokens sees that
    hang at `places` [B, P]."""
    count, chains = places.shape
    text = torch.arange(length, device=places.device) <= places.repeat_interleave(ahead, 1)[..., None]
    one = torch.ones(ahead, ahead, dtype=torch.bool, device=places.device).tril()
    own = torch.block_diag(*[one] * chains).bool().expand(count, -1, -1)
    return torch.cat([text, own], -1)[:, None]


class LookaheadModel(nn.Module):
    """`count` embeddings. `kept_tokens` [K]: of which the loss knows the laws."""

    def __init__(self, frozen: Frozen, embedding: Tensor, kept_tokens: Tensor, count: int):
        super().__init__()
        self.size, self.frozen, self.count = frozen.size, frozen, count
        mean, spread = embedding.mean(0), embedding.std(0)
        self.embeddings = nn.Parameter(mean + 0.1 * spread * torch.randn(count, len(mean)))
        self.register_buffer("kept_tokens", kept_tokens)

    def states(self, tokens: Tensor, places: Tensor) -> Tensor:
        """[B, P, L, width]: behind look-ahead tokens that hang at `places` [B, P] of tokens [B, T]."""
        with machine.precision(tokens.device):
            caches = self.frozen.read(tokens)
            return self.frozen.behind(self.embeddings.expand(*places.shape, -1, -1), places, caches)

    @classmethod
    def start(cls, weights: Weights, size: Size, kept: Tensor, count: int, device: torch.device) -> LookaheadModel:
        """Near the mean of the verifier's embeddings."""
        return cls(Frozen(weights, size, device), weights[EMBEDDING], kept, count)


def truth_at(places: Tensor, count: int, weights: Tensor) -> tuple[Tensor, Tensor]:
    """[B, P, L]: at which place the verifier's law is what each look-ahead token should say, and the weight of what follows there:
    `weights` [B, T] as in a batch, 0 behind its end."""
    at = places[:, :, None] + torch.arange(1, count + 1, device=places.device)
    inside = at <= weights.shape[1]
    at = at.clamp_max(weights.shape[1])
    return at, weights.gather(1, (at - 1).flatten(1)).view(at.shape) * inside


def distill_loss(
    model: LookaheadModel,
    tokens: Tensor,
    weights: Tensor,
    features: Tensor,
    log_sums: Tensor,
    *,
    output: Tensor,
    soft: float,
    compute: Compute = losses,
) -> Tensor:
    """Per look-ahead token, at places drawn among those that an answer's tokens are said behind."""
    score = torch.rand(weights.shape, device=weights.device) + (weights > 0)
    places = score.topk(min(PLACES, weights.shape[1])).indices
    at, each = truth_at(places, model.count, weights)
    states, wanted = model.states(tokens, places), each > 0
    row = torch.arange(len(tokens), device=tokens.device)[:, None, None].expand(at.shape)[wanted]
    at, each = at[wanted], each[wanted]
    of = states[wanted][None], output, each[None], features[row, at, -1], log_sums[row, at - 1], output, soft, compute
    return disagreement(*of) / each.sum().clamp_min(1e-6)


@torch.inference_mode()
def overlap(model: LookaheadModel, batches: Sequence[Batch], head: Tensor, sampling: Sampling) -> list[float]:
    """The mean of sum(min(verifier, look-ahead token)) behind tokens of answers, of the first, second, ... look-ahead token, both
    sampled alike: what strict speculative sampling keeps there. `head` [V, width]: the verifier's whole output layer."""
    device, kept = head.device, model.kept_tokens.long()
    totals, counts = torch.zeros(model.count), torch.zeros(model.count)
    for tokens, weights, features, _ in batches:
        tokens, features = tokens.to(device), features.to(device).float()
        places = torch.arange(0, weights.shape[1], MEASURED, device=device).expand(len(tokens), -1)
        at, each = truth_at(places, model.count, weights.to(device))
        states = model.states(tokens, places).float()
        for i in range(model.count):
            answers = each[:, :, i] == 1
            row = torch.arange(len(tokens), device=device)[:, None].expand(answers.shape)[answers]
            mine, theirs = states[:, :, i][answers], features[row, at[:, :, i][answers], -1]
            for few, their_few in zip(mine.split(LAWS), theirs.split(LAWS)):
                law = dists.to_probs(F.linear(their_few, head), sampling)[:, kept]
                draft = dists.to_probs(F.linear(few, head[kept]), sampling)
                totals[i] += torch.minimum(law, draft).sum().item()
            counts[i] += len(mine)
    return [round(share, 4) for share in (totals / counts.clamp_min(1)).tolist()]
