"""The training-side Llama: the forward of `transformers.LlamaForCausalLM` in one page.

Parameter names are those of the Hugging Face checkpoint, so exporting is a copy
(`export.py`) and a test can hold this forward against the library's.

Sources: Touvron et al. 2023 (Llama), Su et al. 2021 (RoPE), Shazeer 2020 (SwiGLU),
Zhang & Sennrich 2019 (RMSNorm), Press & Wolf 2017 (tied embeddings).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """Shape of one model. All lengths are counts; widths are in scalars per token."""

    layers: int = 8
    width: int = 256
    head: int = 64
    hidden: int = 0  # 0: about 8/3 of the width, a multiple of 32 (Shazeer 2020)
    vocabulary: int = 4096
    positions: int = 1024  # longest context the exported config promises
    theta: float = 10000.0  # RoPE base (Su et al. 2021)
    epsilon: float = 1e-6
    groups: int = 0  # key and value heads (Ainslie et al. 2023); 0: as many as heads

    @property
    def heads(self) -> int:
        return self.width // self.head

    @property
    def key_heads(self) -> int:
        return self.groups or self.heads

    @property
    def inner(self) -> int:
        return self.hidden or -(-8 * self.width // 3 // 32) * 32

    @classmethod
    def parse(cls, text: str, **rest) -> Size:
        """`8x256` -> 8 layers of width 256."""
        try:
            layers, width = (int(part) for part in text.lower().split("x"))
        except ValueError:
            raise ValueError(f"a size reads LAYERSxWIDTH, such as 8x256, not {text!r}") from None
        head = 64 if width % 64 == 0 else 32
        if layers < 1 or width < 32 or width % head:
            raise ValueError(f"layers must be >= 1 and the width a multiple of 32, not {text!r}")
        return cls(layers=layers, width=width, head=head, **rest)


def rope(length: int, head: int, theta: float) -> tuple[Tensor, Tensor]:
    """cos, sin, each [length, head]: the rotate-half layout that transformers uses."""
    inverse = theta ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), inverse)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [B, heads, T, head] turned by its position."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class Norm(nn.Module):
    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        x32 = x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return (self.weight * x32).to(x.dtype)


Cache = tuple[Tensor, Tensor]  # of a layer, where its keys and values go: [B, groups, T, head]


class Attention(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.head, self.heads, self.groups = size.head, size.heads, size.key_heads
        self.q_proj = nn.Linear(size.width, size.width, bias=False)
        self.k_proj = nn.Linear(size.width, size.key_heads * size.head, bias=False)
        self.v_proj = nn.Linear(size.width, size.key_heads * size.head, bias=False)
        self.o_proj = nn.Linear(size.width, size.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None = None) -> Tensor:
        batch, length, width = x.shape
        # one matrix product for the three projections: a third of the call overhead
        weight = torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight])
        parts = F.linear(x, weight).view(batch, length, -1, self.head).transpose(1, 2)
        q, k, v = parts.split([self.heads, self.groups, self.groups], dim=1)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None:
            cache[0].copy_(k)
            cache[1].copy_(v)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.groups < self.heads)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.gate_proj = nn.Linear(size.width, size.inner, bias=False)
        self.up_proj = nn.Linear(size.width, size.inner, bias=False)
        self.down_proj = nn.Linear(size.inner, size.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = F.linear(x, torch.cat([self.gate_proj.weight, self.up_proj.weight])).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.input_layernorm = Norm(size.width, size.epsilon)
        self.self_attn = Attention(size)
        self.post_attention_layernorm = Norm(size.width, size.epsilon)
        self.mlp = Mlp(size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None = None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """What the checkpoint calls `model`: embeddings, layers, the last norm."""

    def __init__(self, size: Size):
        super().__init__()
        self.embed_tokens = nn.Embedding(size.vocabulary, size.width)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = Norm(size.width, size.epsilon)
        cos, sin = rope(size.positions, size.head, size.theta)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.through(self.embed_tokens(tokens))

    def through(self, x: Tensor) -> Tensor:
        """The layers and the last norm over embedded tokens x [B, T, width]."""
        cos, sin = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


def normal(model: nn.Module) -> None:
    """Normal(0, 0.02); the two matrices that write to the residual are scaled by depth (GPT-2)."""
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        last = name.endswith(("o_proj.weight", "down_proj.weight"))
        nn.init.normal_(weight, std=0.02 / (2 * model.size.layers) ** 0.5 if last else 0.02)


@torch.no_grad()
def inherit(mine: Tensor, theirs: Tensor) -> None:
    """Rows `mine` [n, width] become the nearest picture of rows `theirs` [n, other width] that their width can hold.

    The principal directions (Eckart & Young 1936), turned at random so that no scalar carries most of it.
    """
    theirs = theirs.cpu()
    width = min(theirs.shape[1], mine.shape[1])
    directions = torch.linalg.svd(theirs, full_matrices=False).Vh[:width].T
    turn = torch.linalg.qr(torch.randn(width, width)).Q
    mine[:, :width] = theirs @ directions @ turn


class Llama(nn.Module):
    """tokens [B, T] int64 -> logits [B, T, V] (in the autocast type, or float32)."""

    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        self.model = Body(size)
        normal(self)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.model(tokens), self.model.embed_tokens.weight)

    def parameters_outside_embedding(self) -> int:
        return sum(p.numel() for p in self.parameters()) - self.model.embed_tokens.weight.numel()
