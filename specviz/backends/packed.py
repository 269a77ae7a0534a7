"""Matrices that multiply a few rows fast on a CPU: what verifying a draft asks for, and BLAS does badly.

A library made for large matrices takes about as long for each of five rows as for one. oneDNN, which comes with torch,
multiplies a matrix that it has packed once by five rows in a quarter to a half of that time (`python -m specviz bench`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAYS = 400_000  # multiplications from which a packed matrix is faster; a call costs some ten microseconds more


def pack(weight: Tensor, rows: int = 8) -> Tensor | None:
    """A float32 or bfloat16 weight [out, in] as oneDNN wants it for about so many rows; None where there is no oneDNN."""
    known = weight.dtype in (torch.float32, torch.bfloat16) and weight.device.type == "cpu"
    if not known or not torch.backends.mkldnn.is_available():
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
    return packed


def enough(weight: Tensor) -> int:
    """From how many rows on a packed `weight` is faster."""
    return max(2, PAYS // weight.numel())


class Matrix:
    """A weight [out, in], packed; and with `twice`, for its memory once more, also as a single row is multiplied fastest by:
    in three quarters of the packed one's time, on one thread as on two. `rows`: how many it will mostly multiply at once."""

    def __init__(self, weight: Tensor, twice: bool = True, rows: int = 8):
        self._packed = pack(weight, rows)
        self._enough: float = 0
        if self._packed is None or twice:
            self._single = weight.t().contiguous()  # up to twice as fast as [out, in]
            self._enough = math.inf if self._packed is None else enough(weight)

    def __call__(self, x: Tensor, to: Tensor | None = None) -> Tensor:
        """x [n, in] through the weight, [n, out]; added to `to` [n, out] if that is given, which may be written over."""
        if len(x) < self._enough:
            return torch.mm(x, self._single) if to is None else to.addmm_(x, self._single)
        if to is None:
            return _through(x, self._packed, None)
        added: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, to, self._packed, None, "add")
        return added


class PackedLinear(nn.Module):
    """In the place of an nn.Linear, for inference."""

    def __init__(self, linear: nn.Linear, packed: Tensor):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self._packed, self._enough = packed, enough(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32 or x.numel() < self._enough * self.in_features:
            return F.linear(x, self.weight, self.bias)
        return _through(x, self._packed, self.bias)


def pack_linears(model: nn.Module) -> None:
    """Puts a PackedLinear in the place of every plain nn.Linear of a model, which takes that memory once more."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child.weight.dtype == torch.float32:
                if (packed := pack(child.weight)) is not None:
                    setattr(parent, name, PackedLinear(child, packed))


def _through(x: Tensor, packed: Tensor | None, bias: Tensor | None) -> Tensor:
    """x [n, in] through a packed weight [out, in]: [n, out]."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, packed, bias, "none", [], "")
    return product
