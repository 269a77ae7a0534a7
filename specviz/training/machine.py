"""What a machine computes fast with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

import torch


def number_type(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU, and on a processor with matrix units for it (AMX); float32 elsewhere, where that is faster."""
    asked = getattr(torch.cpu, "get_capabilities", dict)
    return torch.bfloat16 if device.type == "cuda" or asked().get("amx_bf16") else torch.float32


def precision(device: torch.device) -> torch.autocast:
    """Computes in `number_type` inside."""
    return torch.autocast(device.type, torch.bfloat16, enabled=number_type(device) == torch.bfloat16)


def compiled(function: Callable[..., Any], device: torch.device, wanted: bool = True) -> Callable[..., Any]:
    """What torch.compile makes of a function, if that is wanted and a processor's code has a C++ compiler; else the function."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if not wanted or (device.type == "cpu" and shutil.which(compiler) is None):
        return function
    return torch.compile(function, dynamic=False)
