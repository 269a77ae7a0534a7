"""What rules are given: made into tensors, checked, broadcast, and taken row by row where NumPy does the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from specviz.prob import dists
from specviz.sums.rows import Floats, few

if TYPE_CHECKING:
    from specviz.rules.base import Rule

Numbers: TypeAlias = Tensor | ArrayLike


def checked(verifier_probs: Numbers, draft_probs: Numbers) -> tuple[Tensor, Tensor]:
    """Two distributions [..., V] as float tensors, broadcast against each other. ValueError if they are no distributions
    over one vocabulary, of one dtype."""
    verifier_probs, draft_probs = _probs(verifier_probs, "verifier_probs"), _probs(draft_probs, "draft_probs")
    if verifier_probs.ndim == 0 or draft_probs.ndim == 0 or verifier_probs.shape[-1] != draft_probs.shape[-1]:
        sizes = f"{tuple(verifier_probs.shape)} and {tuple(draft_probs.shape)}"
        raise ValueError(
            f"The two distributions must cover one vocabulary; their shapes are {sizes}. Pad with dists.pad."
        )
    dists.check(verifier_probs, "verifier_probs")
    dists.check(draft_probs, "draft_probs")
    if verifier_probs.dtype != draft_probs.dtype:
        raise ValueError(f"Both distributions must have one dtype; got {verifier_probs.dtype} and {draft_probs.dtype}.")
    shape, size = dists.common(verifier_probs.shape[:-1], draft_probs.shape[:-1]), verifier_probs.shape[-1]
    return verifier_probs.expand(*shape, size), draft_probs.expand(*shape, size)


def checked_tokens(verifier_probs: Numbers, draft_probs: Numbers, token: Numbers) -> tuple[Tensor, Tensor, Tensor]:
    """The same with drafted tokens, int64 [...]. ValueError also if they are no tokens of the vocabulary."""
    verifier_probs, draft_probs = checked(verifier_probs, draft_probs)
    size = verifier_probs.shape[-1]
    token = tensor_of(token, "token", "whole numbers")
    whole = not (token.is_floating_point() or token.is_complex() or token.dtype == torch.bool)
    if token.numel() and not (whole and bool(((token >= 0) & (token < size)).all())):
        raise ValueError(f"Every token must be a whole number from 0 to {size - 1}.")
    token = token.to(verifier_probs.device, torch.int64)
    shape = dists.common(verifier_probs.shape[:-1], token.shape)
    return verifier_probs.expand(*shape, size), draft_probs.expand(*shape, size), token.expand(shape)


def _probs(values: Numbers, name: str) -> Tensor:
    dtype = None if isinstance(values, Tensor | np.ndarray) else torch.float64
    return tensor_of(values, name, "probabilities", dtype)


def tensor_of(values: Numbers, name: str, kind: str, dtype: torch.dtype | None = None) -> Tensor:
    """`values` as a tensor. ValueError that calls them `name`, and says that they must be `kind`, if they are no numbers."""
    try:
        return torch.as_tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(
            f"{name} must be {kind}: a tensor, an array, or a list of numbers whose rows are equally long."
        ) from None


def knob_values(settings: Sequence[Rule], name: str) -> Floats:
    """The value of a numeric knob in each of `settings` [K]."""
    return np.array([getattr(rule, name) for rule in settings], dtype=np.float64)


def knob_words(settings: Sequence[Rule], name: str) -> NDArray[np.str_]:
    """The value of a knob of words in each of `settings` [K]."""
    return np.array([getattr(rule, name) for rule in settings], dtype=np.str_)


def ratio(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """min(1, target/draft), and 1 where the draft has no mass."""
    return torch.fmin(target_probs / draft_probs, _ONE)  # of 1 and NaN (0/0) fmin takes the 1


_ONE = torch.ones(())


def by_row(function: Callable[..., Floats], *tensors: Tensor) -> Tensor:
    """`by_rows` for a function of single rows [V], which gives [n]."""
    return by_rows(lambda *parts: np.stack([function(*row) for row in zip(*parts, strict=True)]), *tensors)


def by_rows(function: Callable[..., Floats], *tensors: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Applies `function` to a few rows of each tensor [..., V] at a time, as float64 arrays [b, V] on the CPU.

    Returns the arrays [b, n] it gives as [..., n], on the device and in the dtype of the first tensor, or in `dtype`.
    NumPy sorts and selects single rows many times faster than torch does on a CPU.
    """
    first, shape = tensors[0], tensors[0].shape
    for dim, size in enumerate(shape[:-1]):
        if size > 1 and all(tensor.stride(dim) == 0 for tensor in tensors):  # broadcast: every row is the same
            tensors = tuple(tensor.narrow(dim, 0, 1) for tensor in tensors)
    distinct = tensors[0].shape
    arrays = [_array(tensor) for tensor in tensors]
    step = few(shape[-1])
    parts = [function(*(array[start : start + step] for array in arrays)) for start in range(0, len(arrays[0]), step)]
    rows = np.concatenate(parts) if parts else arrays[0]
    size = rows.shape[-1]
    made = torch.from_numpy(rows).reshape(*distinct[:-1], size).to(first.device, dtype or first.dtype)
    return made.expand(*shape[:-1], size)


def by_token(
    function: Callable[[Floats, Floats, int, float], float],
    verifier_probs: Tensor,
    draft_probs: Tensor,
    token: Tensor,
    uniform: Tensor,
) -> Tensor:
    """`function`(verifier row [V], draft row [V], token, uniform) for each judged token, float64 [...]."""
    rows = zip(
        _array(verifier_probs),
        _array(draft_probs),
        token.reshape(-1).tolist(),
        uniform.reshape(-1).tolist(),
        strict=True,
    )
    return torch.tensor([function(*row) for row in rows], dtype=torch.float64).reshape(token.shape)


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().to("cpu", torch.float64).reshape(-1, tensor.shape[-1]).numpy()
    return array
