"""Any causal language model of transformers, by Hub id or local folder, on CPU or CUDA."""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from specviz.backends import Batch, Session, memory
from specviz.backends.graphed import SHORT, GraphedSession, Room
from specviz.backends.packed import pack_linears
from specviz.backends.ragged import Places, RaggedBatch
from specviz.backends.static_llama import weights_hash
from specviz.backends.tokenizer import why_not
from specviz.types import ModelError


class Transformers:
    """A model that transformers can load and whose cache can be rolled back."""

    name = "transformers"
    speed = 1
    can = frozenset()

    @classmethod
    def can_run(cls, model: str, device: str, dtype: str | None) -> bool:
        return True

    def __init__(self, model: str, *, device: str = "cpu", dtype: str | None = None):
        from transformers import AutoModelForCausalLM, DynamicCache

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError("There is no CUDA device here. Use the device 'cpu'.")
        wanted = (
            getattr(torch, dtype, None)
            if dtype
            else (
                "auto"
                if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
                else torch.float32
            )
        )
        if dtype and not isinstance(wanted, torch.dtype):
            raise ModelError(f"There is no dtype {dtype!r}. Use float32, bfloat16 or float16.")
        placing = {"device_map": "auto"} if device == "auto" else {}
        try:
            self._model = AutoModelForCausalLM.from_pretrained(model, dtype=wanted, **placing).eval()
            if not placing:
                self._model.to(device)
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{model!r} does not fit into the memory of {device}.") from error
        except Exception as error:
            raise ModelError(why_not(model, error)) from error
        config = self._model.config.get_text_config()
        self._cache_class = lambda: DynamicCache(config=config)
        if not getattr(self._cache_class(), "is_croppable", True):
            raise ModelError(
                f"{model!r} keeps a state that cannot be rolled back, so drafts cannot be refused. Choose a model with plain attention."
            )
        self.id = model
        folder = Path(model)
        self.revision = (
            weights_hash(sorted(folder.glob("*.safetensors")))
            if folder.is_dir()
            else getattr(self._model.config, "_commit_hash", None) or "unknown"
        )
        self.parameters = self._model.num_parameters()
        self.dtype = str(self._model.dtype).removeprefix("torch.")
        self.vocabulary = self._model.get_output_embeddings().weight.shape[0]
        self.max_positions = getattr(config, "max_position_embeddings", None) or 1_000_000
        free = memory.free_bytes("cpu")
        if (
            device == "cpu"
            and self._model.dtype == torch.float32
            and (free is None or free > 2 * self._model.get_memory_footprint())
        ):
            pack_linears(self._model)
        self._keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters

        self.rooms: list[Room] = []  # on a GPU, of texts that are gone

    def session(self) -> Session:
        if self._model.device.type == "cuda" and not hasattr(self._model, "hf_device_map") and self._masked:
            return GraphedSession(self)
        return TransformersSession(self)

    def room(self, positions: int = SHORT) -> Room:
        """Where one text can live, with recorded forwards if that is on a GPU."""
        layers = len(self._cache_class().layers)
        return Room(self._model, lambda size: ragged_cache(layers, 1, size), positions, self._keeps)

    def batch(self, rows: int, positions: int) -> Batch:
        """One forward for all where every layer looks at the whole text; otherwise the texts pass one after the other."""
        return TransformersBatch(self, rows, positions) if self._masked else Batch(self)

    @cached_property
    def _masked(self) -> bool:
        """Whether the model can be told by a mask what each token may look at: every layer looks at the whole text."""
        from transformers import cache_utils

        whole = all(type(layer) is cache_utils.DynamicLayer for layer in self._cache_class().layers)
        plain = self._model.config._attn_implementation in ("sdpa", "eager")
        takes = {"position_ids", "attention_mask"} <= inspect.signature(self._model.forward).parameters.keys()
        return whole and plain and takes


class TransformersSession(Session):
    def __init__(self, model: Transformers):
        super().__init__(model)
        self._model = model
        self._cache = model._cache_class()
        self._cache.activate_past_recording()  # a sliding window forgets nothing that a rollback may bring back

    @torch.inference_mode()
    def _forward(self, tokens: list[int], keep: int) -> Tensor:
        model = self._model._model
        inputs = torch.tensor([tokens], device=model.device)
        extra = {"logits_to_keep": keep} if self._model._keeps else {}
        try:
            logits = model(input_ids=inputs, past_key_values=self._cache, use_cache=True, **extra).logits[0]
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self._model.id!r} ran out of memory after {self.length} tokens.") from error
        if logits.is_cuda:
            torch.cuda.synchronize(logits.device)  # so that the seconds counted are the model's own
        return logits[-keep:]

    def _rollback(self, length: int) -> None:
        self._cache.crop(length - self.length)  # a negative count: how many to remove


class TransformersBatch(RaggedBatch):
    """The library's forward over padded rows, with a cache, positions and a mask that know how long each text is."""

    def __init__(self, model: Transformers, rows: int, positions: int):
        super().__init__(model)
        self._cache = ragged_cache(len(model._cache_class().layers), rows, positions)

    @torch.inference_mode()
    def _forward(self, tokens: Tensor, places: Places) -> Tensor:
        model, cache = self._model._model, self._cache
        device, positions = model.device, places.spread(places.position)
        real = places.spread(torch.ones_like(tokens)).bool()
        cache.rows, cache.end = places.rows, places.end
        cache.slots = positions.where(real, cache.positions).to(device)  # what pads a row is written where nobody looks
        kept = places.columns - int(places.column[places.wanted].min())
        extra = {"logits_to_keep": kept} if self._model._keeps else {}
        mask = places.mask().to(device, model.dtype)
        try:
            logits = model(
                input_ids=places.spread(tokens).to(device), position_ids=positions.to(device), attention_mask=mask,
                past_key_values=cache, use_cache=True, **extra,
            ).logits[:, -kept:]  # fmt: skip
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{self._model.id!r} ran out of memory with {len(self._sessions)} texts at once."
            ) from error
        row, column = places.row[places.wanted], places.column[places.wanted] - (places.columns - kept)
        logits = logits[row, column]
        if logits.is_cuda:
            torch.cuda.synchronize(logits.device)  # so that the seconds counted are the model's own
        return logits

    def _move(self, source: int, target: int, length: int) -> None:
        for layer in self._cache.layers:
            if layer.is_initialized:
                for states in (layer.keys, layer.values):
                    states[target, :, :length] = states[source, :, :length]


def ragged_cache(layers: int, rows: int, positions: int):
    """A cache of the library with a row for each text, and one slot more than `positions` for padding. Before a forward
    it is told the `rows` (a slice) that take part, the `slots` [k, n] of their new tokens and the `end` of what is seen."""
    from transformers.cache_utils import Cache, CacheLayerMixin

    class Layer(CacheLayerMixin):
        is_sliding = False

        def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
            self.keys, self.values = (
                s.new_zeros(rows, s.shape[1], positions + 1, s.shape[3]) for s in (key_states, value_states)
            )
            self.is_initialized = True

        def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            slots = cache.slots.to(key_states.device)
            row = torch.arange(len(slots), device=slots.device)[:, None]
            keys, values = self.keys[cache.rows], self.values[cache.rows]
            keys[row, :, slots], values[row, :, slots] = key_states.transpose(1, 2), value_states.transpose(1, 2)
            return keys[:, :, : cache.end], values[:, :, : cache.end]

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return cache.end, 0

        def get_seq_length(self) -> int:
            return cache.end - cache.slots.shape[1]

        def get_max_length(self) -> int:
            return positions

    cache = Cache(layers=[Layer() for _ in range(layers)])
    cache.positions = positions
    return cache
