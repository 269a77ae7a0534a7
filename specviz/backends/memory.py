"""How much memory a model takes, from its headers alone, and what is free: asked before anything is loaded."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from specviz.backends import reach
from specviz.types import ModelError

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}  # per number, by torch's name of its type
STORED = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}  # by the file format's; others 1


@dataclass(frozen=True)
class Estimate:
    """Bytes: of the weights as loaded, of the keys and values of one text of `positions` tokens (0 if its shape is
    not known), and free on the device (None if that is not known)."""

    model: str
    device: str
    weights: int
    cache: int
    positions: int
    free: int | None

    @property
    def sentence(self) -> str:
        """The same for people."""
        text = f"{self.model!r} takes {_size(self.weights)} of weights"
        text += f" and up to {_size(self.cache)} for a text of {self.positions:,} tokens" if self.cache else ""
        return text + (f"; {_size(self.free)} is free on {self.device}." if self.free is not None else ".")


def estimate(model: str, device: str = "cpu", dtype: str | None = None, name: str | None = None) -> Estimate | None:
    """What loading `model` (a folder, a GGUF file or a Hub id) would take; None where its headers cannot be had. `name`:
    what it is called where that is something else."""
    try:
        config, tensors = _headers(model)
    except Exception:  # not there, gated, damaged, no safetensors: loading it says so better
        return None
    config = config.get("text_config") or config
    own = None if device == "cpu" else config.get("dtype") or config.get("torch_dtype")
    width = BYTES.get(dtype or ("float32" if device == "cpu" else own or ""))
    weights = sum(count * (width or STORED.get(kind, 1)) for kind, count in tensors)
    heads = config.get("num_attention_heads") or config.get("n_head") or 0
    layers = config.get("num_hidden_layers") or config.get("n_layer") or 0
    size = config.get("head_dim") or (config.get("hidden_size") or config.get("n_embd") or 0) // max(heads, 1)
    positions = config.get("max_position_embeddings") or config.get("n_positions") or 0
    cache = 2 * layers * (config.get("num_key_value_heads") or heads) * size * positions * (width or 2)
    return Estimate(name or model, device, weights, cache, positions, free_bytes(device))


def placed(model: str, device: str, dtype: str | None, name: str | None = None) -> str:
    """The device to load `model` on: as asked, or "auto" if one GPU cannot hold it and several can.

    Raises ModelError if the weights alone are more than is free.
    """
    found = estimate(model, device, dtype, name)
    if found is None or found.free is None or found.weights <= found.free:
        return device
    spread = device == "cuda" and _gpus() > 1
    if spread and found.weights <= sum(free_bytes(f"cuda:{i}") or 0 for i in range(_gpus())):
        return "auto"
    raise ModelError(
        f"{found.sentence} It does not fit. Choose a smaller model, a smaller dtype (bfloat16), or another device."
    )


@contextmanager
def explained(sentence: str) -> Iterator[None]:
    """Running out of memory inside, on whatever device, becomes a ModelError that says `sentence`."""
    try:
        yield
    except (
        MemoryError,
        RuntimeError,
    ) as error:  # torch's own for a GPU is a RuntimeError, and so is that of its CPU allocator
        if isinstance(error, MemoryError) or "out of memory" in str(error) or "DefaultCPUAllocator" in str(error):
            raise ModelError(sentence) from error
        raise


def free_bytes(device: str) -> int | None:
    """What is free on a device, in bytes; on "auto" all GPUs and the CPU together; None if it does not say."""
    if device == "auto":
        return sum(free_bytes(f"cuda:{i}") or 0 for i in range(_gpus())) + (free_bytes("cpu") or 0)
    if device.startswith("cuda"):
        import torch

        try:
            return torch.cuda.mem_get_info(device)[0]
        except (RuntimeError, AssertionError, ValueError):  # there is no such device: loading says so
            return None
    return _free_in_main_memory() if device == "cpu" else None


def _free_in_main_memory() -> int | None:
    """What Linux says is available, or what is left of the limit of the container this runs in if that is less."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
        files = next(
            int(line.split()[1])
            for line in (group / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file")
        )
        return free if limit == "max" else min(free, int(limit) - used + files)
    except (OSError, StopIteration, ValueError):
        return free


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _headers(model: str) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """The configuration, and (type, numbers) of every tensor: from the files' headers, on the Hub if they are there."""
    folder = Path(model)
    if model.lower().endswith(".gguf"):
        from specviz.backends.gguf_file import GGUFFile
        from specviz.backends.gguf_llama import Shape

        file = GGUFFile(folder)
        return Shape(file).config(), [("F32", prod(tensor.shape)) for tensor in file.tensors.values()]
    if folder.is_dir():
        return json.loads((folder / "config.json").read_text(encoding="utf-8")), _tensors(folder)
    import huggingface_hub

    reach.check(model)
    path = Path(huggingface_hub.hf_hub_download(model, "config.json"))
    try:
        tensors = _tensors(path.parent)
    except OSError:  # the weights are not on this machine yet
        files = huggingface_hub.get_safetensors_metadata(model).files_metadata.values()
        tensors = [(tensor.dtype, tensor.parameter_count) for file in files for tensor in file.tensors.values()]
    return json.loads(path.read_text(encoding="utf-8")), tensors


def _tensors(folder: Path) -> list[tuple[str, int]]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise OSError("There are no safetensors.")
    found = []
    for path in files:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 100_000_000)))
        found += [(tensor["dtype"], prod(tensor["shape"])) for name, tensor in header.items() if name != "__metadata__"]
    return found


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
