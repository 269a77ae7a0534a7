"""Probability distributions over a vocabulary: made here from logits, drawn from, and compared.

All tensors are float, [..., V], on any device; leading dimensions broadcast. Results keep the input's dtype.
Divergences and entropies are in nats.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from specviz.types import ModelError, Sampling

LONG, FEW = 1024, 10  # a vocabulary worth narrowing, and to which part of it at most
COOL, LIKELIEST = 0.3, 64  # temperature up to which so many tokens of a long vocabulary mostly have nearly all the mass
BLOCK = 64  # entries of a long row that are first compared by their largest
MANY = 256  # tokens that top-k may keep from which on a whole row is worth no more than they are


def to_probs(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits [..., V] to probabilities [..., V] in float32 or better: temperature, then top-k, then top-p.

    Temperature 0 is one-hot at the largest logit. Raises ModelError on NaN, +inf, or a row without any finite logit.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if (count := _few(logits.shape[-1], sampling)) and (probs := _few_probs(logits, sampling, count)) is not None:
        return probs
    if sampling.temperature == 1:
        probs = torch.softmax(logits, -1)
        _check_finite(probs)
    else:
        top = logits.amax(-1, keepdim=True)
        _check_finite(top)
        if sampling.temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        probs = torch.softmax((logits - top).div_(sampling.temperature), -1)
    if 0 < sampling.top_k < probs.shape[-1] or sampling.top_p < 1:
        probs.masked_fill_(probs < _least_kept(probs, sampling), 0.0)
        probs.div_(probs.sum(-1, keepdim=True))
    return probs


def _few(size: int, sampling: Sampling) -> int:
    """How many of `size` tokens may well be all that top-k or top-p keep; 0: not known to be few."""
    if sampling.temperature > 0 and 0 < sampling.top_k < min(MANY, size):
        return sampling.top_k
    cool = 0 < sampling.temperature <= COOL and sampling.top_p < 1 and not sampling.top_k
    return LIKELIEST if cool and size > LONG else 0


def _few_probs(logits: Tensor, sampling: Sampling, count: int) -> Tensor | None:
    """`to_probs` by way of the `count` likeliest tokens; None if more may be kept: because some are tied, or because it matters to
    top-p how much mass the others have, which is not computed."""
    values, tokens = likeliest(logits, count + 1)
    _check_finite(values[..., 0])
    others, values, tokens = values[..., -1:], values[..., :-1], tokens[..., :-1]
    few = torch.softmax((values - values[..., :1]) / sampling.temperature, -1)
    if sampling.top_k and not bool((values[..., -1:] > others).all()):
        return None
    if sampling.top_p < 1:
        before = few.cumsum(-1) - few
        inside = (before < sampling.top_p).sum(-1, keepdim=True)
        if not sampling.top_k:
            each = few[..., :1] * torch.exp((others - values[..., :1]) / sampling.temperature)
            most = each * (logits.shape[-1] - count)  # mass of the others, where these have 1
            if bool(
                (before < sampling.top_p * (1 + most)).sum(-1, keepdim=True).ne(inside).any() or (inside == count).any()
            ):
                return None
        few = normalise(few.where(few >= few.gather(-1, inside - 1), 0.0))
    return torch.zeros_like(logits).scatter_(-1, tokens, few)


def likeliest(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest entries of rows [..., V] and where they are, the largest first: `Tensor.topk`, three times as fast on a
    CPU. They all are in the `count` blocks whose largest entries are the largest, or tied with some that are."""
    size = rows.shape[-1]
    if rows.device.type != "cpu" or size < LONG or size % BLOCK or 4 * count > size // BLOCK:
        values, places = rows.topk(count, -1)
        return values, places
    blocks = rows.unflatten(-1, (-1, BLOCK))
    some = blocks.amax(-1).topk(count, -1).indices
    part = blocks.gather(-2, some.unsqueeze(-1).expand(*some.shape, BLOCK)).flatten(-2)
    values, places = part.topk(count, -1)
    return values, some.gather(-1, places // BLOCK) * BLOCK + places % BLOCK


def _check_finite(values: Tensor) -> None:
    """Of a row with NaN, +inf or nothing but -inf, neither the largest logit nor the softmax is finite."""
    if not math.isfinite(values.sum().item()):
        raise ModelError(
            "The model returned numbers that are not finite (NaN or infinity), so nothing can be sampled from it."
        )


def _least_kept(probs: Tensor, sampling: Sampling) -> Tensor:
    """[..., 1]: the smallest probability that top-k, and then top-p within what is left, keep."""
    size = probs.shape[-1]
    mass: Tensor | float
    if 0 < sampling.top_k < size:
        ordered = likeliest(probs, sampling.top_k)[0]
        least = ordered[..., -1:]
        if sampling.top_p == 1:
            return least
        mass = probs.where(probs >= least, 0.0).sum(-1, keepdim=True)  # more than k tokens, if some are tied
    else:
        ordered, mass = likeliest(probs, min(256, size))[0], 1.0
        if not bool((ordered.sum(-1) >= sampling.top_p).all()):
            ordered = _falling(probs)
    inside = ordered.cumsum(-1) - ordered < sampling.top_p * mass  # the mass before a token is still short of top_p
    return ordered.gather(-1, inside.sum(-1, keepdim=True) - 1)


def _falling(probs: Tensor) -> Tensor:
    """Rows [..., V], the largest first."""
    if probs.device.type == "cpu":  # NumPy sorts a row ten times faster than torch does
        return torch.from_numpy(np.sort(probs.numpy(), -1)).flip(-1)
    return probs.sort(-1, descending=True).values


def normalise(weights: Tensor) -> Tensor:
    """Non-negative weights [..., V] scaled to sum to 1."""
    return weights / weights.sum(-1, keepdim=True)


def pad(probs: Tensor, size: int) -> Tensor:
    """Widens the vocabulary to `size` with probability 0."""
    return probs if probs.shape[-1] == size else F.pad(probs, (0, size - probs.shape[-1]))


def narrowed(*probs: Tensor) -> tuple[Tensor, list[Tensor]] | None:
    """The tokens [n] that have mass in any row of `probs` (each [..., V]), rising, and `probs` over those alone, each
    [..., n]. None where that saves little: they are many, the vocabulary is short, or it is no CPU that computes."""
    size = probs[0].shape[-1]
    if size < LONG or probs[0].device.type != "cpu":
        return None
    rows = [part.reshape(-1, size).numpy() for part in probs]
    if not len(rows[0]) or np.count_nonzero(rows[0][0]) * FEW > size:
        return None
    some = np.flatnonzero(np.logical_or.reduce([(part != 0).any(0) for part in rows]))
    if len(some) * FEW > size:
        return None
    tokens = torch.from_numpy(some)
    return tokens, [part.index_select(-1, tokens) for part in probs]


def check(probs: Tensor, name: str) -> None:
    """Raises ValueError unless every row of `probs` [..., V] is a probability distribution (logits are not)."""
    if not probs.is_floating_point():
        raise ValueError(f"{name} must be a float tensor of probabilities; got {probs.dtype}.")
    if probs.numel() and not (
        probs.min().item() >= 0 and all(abs(mass - 1) <= 1e-3 for mass in probs.sum(-1).flatten().tolist())
    ):
        raise ValueError(
            f"{name} must hold probabilities: no entry below 0, and each row sums to 1. Were these logits?"
        )


def draw(probs: Tensor, exponentials: Tensor) -> Tensor:
    """One token from each row [..., V], given independent standard exponential noise `exponentials` [..., V].

    The exponential race (equal in law to the Gumbel-max trick): token v arrives at time exponentials_v / probs_v and the
    first to arrive wins. Two rows with the same noise and similar probabilities mostly draw the same token.
    """
    return torch.as_tensor(_first(probs, exponentials))


def draw_token(probs: Tensor, exponentials: Tensor) -> int:
    """`draw` for a single row [V]."""
    return int(_first(probs, exponentials))


def draw_tokens(probs: Tensor, exponentials: Tensor, count: int) -> list[int]:
    """The first `count` tokens to arrive in the race of `draw_token`, in that order: draws without replacement, each from
    `probs` [V] without the elder ones. Fewer where fewer tokens have mass."""
    speeds = probs / exponentials
    tokens = []
    for _ in range(count):
        token = int(speeds.argmax())
        if not speeds[token] > 0:
            break
        tokens.append(token)
        speeds[token] = 0.0
    return tokens


def without(probs: Tensor, tokens: list[int]) -> Tensor:
    """`probs` [V] without some tokens, normalised: what a token drawn after them, without replacement, is drawn from."""
    left = probs.clone()
    left[tokens] = 0.0
    return normalise(left)


def _first(probs: Tensor, exponentials: Tensor) -> Tensor | NDArray[np.intp]:
    if probs.device.type == "cpu":  # NumPy finds the largest of a row ten times faster than torch does
        first: NDArray[np.intp] = (probs.numpy() / exponentials.numpy()).argmax(-1)
        return first
    return (probs / exponentials).argmax(-1)


def residual(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """norm(max(target - draft, 0)); falls back to the target where that has no mass. Leviathan 2023, Alg. 1."""
    surplus = (target_probs - draft_probs).clamp_min_(0)
    mass = surplus.sum(-1, keepdim=True)
    if mass.numel() and mass.min().item() > 0:
        return surplus.div_(mass)
    return torch.where(mass > 0, surplus / mass.where(mass > 0, 1.0), target_probs)


def common(*shapes: torch.Size) -> torch.Size:
    """The shape that all of `shapes` broadcast to. ValueError if there is none."""
    try:
        return torch.Size(np.broadcast_shapes(*shapes))
    except ValueError:
        sizes = " and ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"The leading dimensions do not fit each other: {sizes}.") from None


def at(probs: Tensor, token: Tensor) -> Tensor:
    """probs[..., token]: one probability per row; `token` int64 [...] broadcasts against the leading dimensions."""
    if probs.shape[:-1] != token.shape:
        shape = common(probs.shape[:-1], token.shape)
        probs, token = probs.expand(*shape, probs.shape[-1]), token.expand(shape)
    return probs.gather(-1, token.unsqueeze(-1)).squeeze(-1)


def log(probs: Tensor) -> Tensor:
    """ln of `probs`, finite where they are 0, so that 0 ln 0 comes out as 0."""
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()


def entropy(probs: Tensor) -> Tensor:
    """Shannon entropy, [...], nats."""
    return -(probs * log(probs)).sum(-1)


def kl(first: Tensor, second: Tensor, log_first: Tensor | None = None, log_second: Tensor | None = None) -> Tensor:
    """KL(first || second), [...], nats; infinite where `first` has mass and `second` none. The `log`s may be given."""
    log_first = log(first) if log_first is None else log_first
    log_second = log(second) if log_second is None else log_second
    nats = (first * (log_first - log_second)).sum(-1).clamp_min(0)
    if not second.numel() or second.min().item() > 0:
        return nats
    return nats.masked_fill((first * (second == 0)).amax(-1) > 0, math.inf)


def tv(first: Tensor, second: Tensor) -> Tensor:
    """Total variation distance, [...], in [0, 1]."""
    return (first - second).abs().sum(-1) / 2


def js(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon divergence, [...], in [0, ln 2] nats."""
    middle = ((first + second) / 2).clamp_min(torch.finfo(first.dtype).tiny)  # half of the least number would be 0
    return (kl(first, middle) + kl(second, middle)) / 2
