"""Any causal language model of transformers, by Hub id or local folder, on CPU or CUDA."""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from specviz.backends import memory
from specviz.backends.cache import RowCache, row_cache, states_of
from specviz.backends.graphed import Arena, GraphedSession
from specviz.backends.packed import pack_linears
from specviz.backends.ragged import Places, RaggedBatch
from specviz.backends.session import Batch, Begun, Model, Seen, Session, Shown
from specviz.backends.static_llama import weights_hash
from specviz.backends.tokenizer import why_not
from specviz.backends.weights import EMBEDDING, HEAD, Weights, is_partial, partial_model
from specviz.types import ModelError

if TYPE_CHECKING:
    from transformers import Cache, DynamicCache, PreTrainedModel


BY_SLOT = ("alibi", "window_size")  # settings of attention that measures distances between slots of the cache


def _version() -> tuple[int, ...]:
    """Of transformers: major and minor."""
    from transformers import __version__

    return tuple(int(part) for part in __version__.split(".")[:2])


class Lengthened(nn.Module):
    """An embedding layer and, for the tokens -1, -2, ..., `rows` [n, width] behind it."""

    rows: Tensor

    def __init__(self, embedding: nn.Module, rows: Tensor):
        super().__init__()
        self.embedding = embedding
        self.register_buffer("rows", rows.to(self.weight), persistent=False)

    @property
    def weight(self) -> Tensor:
        return self.embedding.get_parameter("weight")

    def forward(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens.clamp_min(0))
        return torch.where(tokens[..., None] < 0, self.rows[(-1 - tokens).clamp_min(0)], x)


class Network:
    """A model of the library, behind one call."""

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.config = model.config.get_text_config()
        self.layers = len(self.empty_cache().layers)
        self.device, self.dtype = model.device, model.dtype
        takes = inspect.signature(model.forward).parameters.keys()
        self.keeps = "logits_to_keep" in takes
        self.takes_mask = {"position_ids", "attention_mask"} <= takes
        self.selects = _version() >= (
            5,
            23,
        )  # of hidden states those with certain numbers; before that it is all or none

    def empty_cache(self) -> DynamicCache:
        from transformers import DynamicCache

        return DynamicCache(config=self.config)

    def __call__(
        self,
        tokens: Tensor,
        keep: int,
        layers: tuple[int, ...],
        cache: Cache | RowCache,
        position: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Sees tokens [k, n] behind what `cache` holds. Returns the logits [k, keep, V] after the last `keep`, and the
        hidden states [k, n, width] of `layers`. `position` [k, n] and `mask` [k, 1, n, end] (0 where a token looks, -inf
        elsewhere) are by default those of tokens that follow each other."""
        more: dict[str, object] = {"logits_to_keep": keep} if self.keeps else {}
        if layers:
            more["output_hidden_states"] = list(layers) if self.selects else True
        if position is not None and mask is not None:
            more |= {"position_ids": position.to(self.device), "attention_mask": mask.to(self.device, self.dtype)}
        out = self.model(input_ids=tokens.to(self.device), past_key_values=cache, use_cache=True, **more)
        return out.logits[:, -keep:], {layer: out.hidden_states[layer] for layer in layers}

    @cached_property
    def blocks(self) -> nn.ModuleList | None:
        """The layers one after the other; None if they are not kept in one list."""
        lists = (part for part in self.model.modules() if isinstance(part, nn.ModuleList))
        return next((part for part in lists if len(part) == self.config.num_hidden_layers), None)

    def first(
        self,
        tokens: Tensor,
        layer: int,
        cache: Cache | RowCache,
        position: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The same for the first `layer` layers alone, which hold the tokens then: their states [k, n, width]."""

        def stop(block: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _Stopped(arguments[0] if arguments else named["hidden_states"])

        assert self.blocks is not None
        hook = self.blocks[layer].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self(tokens, 1, (), cache, position, mask)
        except _Stopped as stopped:
            return stopped.states
        finally:
            hook.remove()
        raise ModelError("This model has its layers in another order, and cannot stop behind some of them.")


class _Stopped(Exception):
    """A forward has come to the layer that it was to stop in front of, with these states."""

    def __init__(self, states: Tensor):
        super().__init__()
        self.states = states


class Transformers:
    """A model that transformers can load and whose cache can be rolled back."""

    name = "transformers"
    speed = 1
    threads = None

    @classmethod
    def can_run(cls, model: str, device: str, dtype: str | None) -> bool:
        return True

    def __init__(self, model: str, *, device: str = "cpu", dtype: str | None = None, lender: Model | None = None):
        from transformers import AutoModelForCausalLM

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError("There is no CUDA device here. Use the device 'cpu'.")
        wanted: Any = (
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
        folder, weights = Path(model), None
        placing = {"device_map": "auto"} if device == "auto" else {}
        try:
            if is_partial(folder):
                weights = Weights(folder, lender)
                loaded: Any = partial_model(weights, wanted)
            else:
                loaded = AutoModelForCausalLM.from_pretrained(model, dtype=wanted, **placing).eval()
            if not placing:
                loaded.to(device)
            elif weights is not None:
                loaded.to("cuda" if torch.cuda.is_available() else "cpu")
        except ModelError:
            raise
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{model!r} does not fit into the memory of {device}.") from error
        except Exception as error:
            raise ModelError(why_not(model, error)) from error
        self.network = network = Network(loaded)
        if not getattr(network.empty_cache(), "is_croppable", True):
            raise ModelError(
                f"{model!r} keeps a state that cannot be rolled back, so drafts cannot be refused. Choose a model with plain attention."
            )
        self.id = model
        self.revision = (
            weights_hash(sorted(folder.glob("*.safetensors")))
            if folder.is_dir()
            else getattr(loaded.config, "_commit_hash", None) or "unknown"
        )
        self.parameters = loaded.num_parameters() if weights is None else weights.parameters
        self.dtype = str(loaded.dtype).removeprefix("torch.")
        rows = loaded.get_output_embeddings().weight.shape[0]
        self.vocabulary = rows if weights is None else network.config.vocab_size
        self.max_positions = getattr(network.config, "max_position_embeddings", None) or 1_000_000
        self.layers, self.ahead = network.config.num_hidden_layers, 0
        free = memory.free_bytes("cpu")
        if (
            device == "cpu"
            and loaded.dtype == torch.float32
            and (free is None or free > 2 * loaded.get_memory_footprint())
        ):
            pack_linears(loaded)
        self.arenas: list[Arena] = []  # on a GPU, of texts that are gone

    @cached_property
    def can(self) -> frozenset[str]:
        able = {"features"} if self.network.blocks is None else {"features", "begin"}
        return frozenset(able | {"tree", "ahead"} if self._masked else able)

    def lend(self, name: str) -> Tensor:
        """See `Model.lend`."""
        model = self.network.model
        layers: dict[str, Any] = {EMBEDDING: model.get_input_embeddings(), HEAD: model.get_output_embeddings()}
        weight: Tensor = layers[name].weight.detach()
        return weight

    def look_ahead(self, rows: Tensor) -> None:
        """See `Model.look_ahead`."""
        model = self.network.model
        model.set_input_embeddings(Lengthened(model.get_input_embeddings(), rows))
        self.ahead = len(rows)

    def session(self) -> Session:
        model = self.network.model
        if model.device.type == "cuda" and not hasattr(model, "hf_device_map") and self._masked:
            return GraphedSession(self)
        return TransformersSession(self)

    def batch(self, rows: int, positions: int) -> Batch:
        """One forward for all where every layer looks at the whole text; otherwise the texts pass one after the other."""
        return TransformersBatch(self, rows, positions) if self._masked else Batch(self)

    @cached_property
    def _masked(self) -> bool:
        """Whether the model can be told by a mask what each token may look at, and by its position where it is: every
        layer looks at the whole text, and none goes by where a token is in the cache."""
        from transformers import cache_utils

        network = self.network
        whole = all(type(layer) is cache_utils.DynamicLayer for layer in network.empty_cache().layers)
        plain = network.model.config._attn_implementation in ("sdpa", "eager")
        by_slot = any(getattr(network.config, name, False) for name in BY_SLOT)
        return whole and plain and network.takes_mask and not by_slot


class TransformersSession(Session):
    """A text in a cache of the library, which grows with it."""

    _model: Transformers

    def __init__(self, model: Transformers):
        super().__init__(model)
        self._cache = model.network.empty_cache()
        self._cache.activate_past_recording()  # a sliding window forgets nothing that a rollback may bring back

    @torch.inference_mode()
    def _forward(self, shown: Shown) -> Seen:
        tokens, keep, tree, layers = shown
        position = mask = None
        if tree is not None:
            position, mask = torch.tensor([tree.depths]) + self.length, tree.mask(self.length)[None, None]
        try:
            logits, features = self._model.network(torch.tensor([tokens]), keep, layers, self._cache, position, mask)
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self._model.id!r} ran out of memory after {self.length} tokens.") from error
        if logits.is_cuda:
            torch.cuda.synchronize(logits.device)  # so that the seconds counted are the model's own
        return Seen(logits[0], {layer: states[0] for layer, states in features.items()})

    @torch.inference_mode()
    def _begin(self, tokens: list[int], layer: int, known: Begun | None) -> Tensor:
        # The library cannot go on from a layer: its caches are left as they were, and a forward does these tokens again.
        states = self._model.network.first(torch.tensor([tokens]), layer, self._cache)
        for held in self._cache.layers[:layer]:
            held.crop(-len(tokens))  # type: ignore[union-attr]  # a model with a layer that cannot was refused
        return states[0]

    def _rollback(self, length: int) -> None:
        self._cache.crop(length - self.length)  # a negative count: how many to remove

    @torch.inference_mode()
    def _move(self, target: int, slots: list[int]) -> None:
        for states in states_of(self._cache.layers):
            states[:, :, target : target + len(slots)] = states[:, :, slots]


class TransformersBatch(RaggedBatch):
    """The library's forward over padded rows, with a cache, positions and a mask that know how long each text is."""

    _model: Transformers

    def __init__(self, model: Transformers, rows: int, positions: int):
        super().__init__(model, positions)
        self._cache = row_cache(model.network.layers, rows, positions)

    def _point(self, tokens: Tensor, places: Places) -> None:
        """Tells the cache where tokens [N] belong."""
        where, slots = self._cache.where, places.spread(places.slot)
        real = places.spread(torch.ones_like(tokens)).bool()
        where.rows, where.end = places.rows, places.end
        slots = slots.where(real, where.positions)  # what pads a row is written where nobody looks
        where.slots = slots.to(self._model.network.device)

    @torch.inference_mode()
    def _first(self, tokens: Tensor, places: Places, layer: int) -> Tensor:
        self._point(tokens, places)
        spread, position = places.spread(tokens), places.spread(places.position)
        return places.gather(self._model.network.first(spread, layer, self._cache, position, places.mask()))

    @torch.inference_mode()
    def _forward(self, tokens: Tensor, places: Places) -> tuple[Tensor, dict[int, Tensor]]:
        cache = self._cache
        self._point(tokens, places)
        keep = places.columns - int(places.column[places.wanted].min())
        try:
            logits, features = self._model.network(
                places.spread(tokens), keep, places.layers, cache, places.spread(places.position), places.mask()
            )
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{self._model.id!r} ran out of memory with {len(self._sessions)} texts at once."
            ) from error
        row, column = places.row[places.wanted], places.column[places.wanted] - (places.columns - keep)
        logits = logits[row, column]
        if logits.is_cuda:
            torch.cuda.synchronize(logits.device)  # so that the seconds counted are the model's own
        return logits, {layer: places.gather(states) for layer, states in features.items()}

    @torch.inference_mode()
    def move(self, row: int, target: int, slots: list[int]) -> None:
        self._cache.move(row, target, slots)

    def _copy(self, source: int, target: int, length: int) -> None:
        self._cache.copy(source, target, length)
