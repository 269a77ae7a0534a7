"""The tensors of a model folder, and drafts that do without some: `config.json` says {"specviz": {"borrows": [names]}}.

A draft of its verifier's width can take the embedding and the output layer from it, and an output layer can be cut to
the tokens that are said most (FR-Spec, Zhao et al. 2025, arXiv 2502.14856): `kept_tokens`, int32 [K] and ascending, are
then the ids that its K rows stand for. Every other token has the logit -inf.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from specviz.types import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from specviz.backends.session import Model

EMBEDDING, HEAD, KEPT = "model.embed_tokens.weight", "lm_head.weight", "kept_tokens"


class Weights:
    """The tensors of a folder with config.json and safetensors, float32, each read when it is asked for by its name.

    folder      where they are
    config      what config.json holds
    kept        [K], int64, ascending: the tokens that the output layer is cut to; None: it is whole
    parameters  how many numbers the folder holds

    ModelError if the files cannot be read, or if a model borrows without a `lender`, or what does not fit it.
    KeyError if a tensor is neither there nor borrowed.
    """

    def __init__(self, folder: Path, lender: Model | None = None):
        from safetensors import safe_open

        self.folder, self._lender = folder, lender
        try:
            self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self._borrows = frozenset((self.config.get("specviz") or {}).get("borrows", ()))
            files: list[Any] = [safe_open(file, "pt") for file in sorted(folder.glob("*.safetensors"))]
            self._places = {name: file for file in files for name in file.keys()}
            shapes = {name: file.get_slice(name).get_shape() for name, file in self._places.items()}
        except Exception as error:  # damaged in any of many ways
            raise self._unreadable(error) from error
        if self._borrows - {EMBEDDING, HEAD}:
            raise ModelError(f"{folder.name!r} borrows {sorted(self._borrows)}; only {EMBEDDING} and {HEAD} are lent.")
        if self._borrows and lender is None:
            raise ModelError(
                f"{str(folder)!r} is a draft that takes its embedding or output layer from its verifier, and cannot be "
                "loaded without one."
            )
        self.parameters = sum(torch.Size(shape).numel() for name, shape in shapes.items() if name != KEPT)
        self.kept = self._read(KEPT).long() if KEPT in self._places else None
        if self.kept is not None:
            self._check_kept(self.kept)

    def __getitem__(self, name: str) -> Tensor:
        tied = name == HEAD and bool(self.config.get("tie_word_embeddings"))
        source = EMBEDDING if tied else name
        tensor = self._borrowed(source) if source in self._borrows else self._read(source)
        if name == HEAD and self.kept is not None:
            if tied or source in self._borrows:
                tensor = tensor[self.kept.to(tensor.device)]
            if len(tensor) != len(self.kept):
                raise ModelError(
                    f"The output layer of {self.folder.name!r} has {len(tensor):,} rows for {len(self.kept):,} kept tokens."
                )
        return tensor.float().cpu()

    def whole(self, name: str) -> Tensor:
        """The same, and it needs the file no longer; what is borrowed stays the lender's."""
        tensor = self[name]
        return tensor if name in self._borrows else tensor.clone()

    def lend(self, name: str) -> Tensor:
        """What `Model.lend` gives of the model in this folder. KeyError if it has none, or one that is cut."""
        if name not in (EMBEDDING, HEAD) or self.kept is not None:
            raise KeyError(name)
        return self[name]

    def _read(self, name: str) -> Tensor:
        try:
            tensor: Tensor = self._places[name].get_tensor(name)
        except KeyError:
            raise
        except Exception as error:
            raise self._unreadable(error) from error
        return tensor

    def _borrowed(self, name: str) -> Tensor:
        assert self._lender is not None
        tensor = self._lender.lend(name)
        size = self.config["vocab_size"], self.config["hidden_size"]
        if tensor.shape[0] < size[0] or tensor.shape[1] != size[1]:
            raise ModelError(
                f"{self.folder.name!r} borrows {name} of the verifier, which has the shape {tuple(tensor.shape)} and not "
                f"{size}: it is the draft of another model."
            )
        return tensor

    def _unreadable(self, error: Exception) -> ModelError:
        return ModelError(f"The weights in {self.folder.name!r} could not be read: {error}")

    def _check_kept(self, kept: Tensor) -> None:
        rising = kept.ndim == 1 and len(kept) > 0 and bool((kept[1:] > kept[:-1]).all())
        if not rising or kept[0] < 0 or kept[-1] >= self.config["vocab_size"]:
            raise ModelError(
                f"The kept tokens of {self.folder.name!r} must be different ids from 0 to {self.config['vocab_size'] - 1:,}, "
                "rising."
            )


class CutHead(nn.Module):
    """An output layer [K, width] whose logits are those of the `kept` [K] tokens; all others of V get -inf."""

    kept: Tensor

    def __init__(self, rows: Tensor, kept: Tensor, vocabulary: int):
        super().__init__()
        self.weight, self._vocabulary = nn.Parameter(rows, requires_grad=False), vocabulary
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return widen(x @ self.weight.t(), self.kept, self._vocabulary)


def widen(logits: Tensor, kept: Tensor, vocabulary: int) -> Tensor:
    """Logits [..., K] of the `kept` [K] tokens as logits [..., V] of all."""
    return logits.new_full((*logits.shape[:-1], vocabulary), -torch.inf).index_copy_(-1, kept, logits)


def borrows(folder: Path) -> bool:
    """Whether the model in a folder lacks tensors that it takes from its verifier."""
    return bool(_own_part(folder).get("borrows"))


def _own_part(folder: Path) -> dict[str, Any]:
    """What config.json says to this project alone; nothing where there is no such folder, or it is damaged: loading says so."""
    try:
        own = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("specviz")
    except (OSError, ValueError, AttributeError):
        return {}
    return own if isinstance(own, dict) else {}


def is_partial(folder: Path) -> bool:
    """Whether the model in a folder borrows or is cut, so that transformers alone cannot load it."""
    from safetensors import safe_open

    if _own_part(folder):
        return True
    try:
        files: list[Any] = [safe_open(file, "pt") for file in folder.glob("*.safetensors")]
        return any(KEPT in file.keys() for file in files)
    except Exception:  # damaged in any of many ways: loading it says so
        return False


def partial_model(weights: Weights, dtype: torch.dtype | str) -> PreTrainedModel:
    """Weights that borrow or are cut as transformers' own kind of model, on the CPU; "auto" is the dtype that their
    config.json names. ModelError as `Weights`; KeyError if a tensor is missing."""
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    folder = weights.folder
    config = AutoConfig.from_pretrained(folder)
    if not isinstance(dtype, torch.dtype):
        dtype = config.dtype or torch.float32
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    head = weights[HEAD].to("cpu", dtype)
    kept, rows = weights.kept, len(head)
    if kept is not None:
        model.set_output_embeddings(CutHead(torch.empty(rows, head.shape[1], dtype=dtype), kept, config.vocab_size))
    state = {name: head if name == HEAD else weights[name].to("cpu", dtype) for name in model.state_dict()}
    model.load_state_dict(state)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    model.eval()
    return model
