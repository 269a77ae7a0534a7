"""Llama-shaped models of moderate size on CPU: a forward without a framework around it, and a cache that grows.

At the size of the shipped pairs much of a framework's time goes to bookkeeping; this does the arithmetic and
nothing else (up to twice as fast as transformers' forward, see `python -m specviz bench`). float32 throughout.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from specviz.backends import cached
from specviz.backends.packed import Matrix
from specviz.backends.ragged import Places, RaggedBatch
from specviz.backends.session import Begun, Model, Seen, Session, Shown, Tree
from specviz.backends.weights import EMBEDDING, HEAD, Weights, widen
from specviz.stopping import checkpoint
from specviz.types import ModelError

SMALL = 1_000_000_000  # bytes of weight files; beyond this the arithmetic dominates and transformers does as well
ONE_CORE = 50_000_000  # parameters up to which a second thread gains little, and loses much on a busy machine
FIRST = 256  # slots that a cache has at first; it doubles when a text outgrows it
PART = 256  # tokens of a long text that go through the model at a time, so that the masks stay small
Attend = Callable[[int, Tensor, Tensor], Tensor]


class StaticLlama:
    """A LlamaForCausalLM folder: config.json and safetensors."""

    name = "static_llama"
    speed = 2
    can = frozenset({"tree", "features", "begin", "ahead"})

    @classmethod
    def can_run(cls, model: str, device: str, dtype: str | None) -> bool:
        """A local folder with a plain Llama in it, on CPU, in float32."""
        folder = Path(model)
        if device != "cpu" or dtype not in (None, "float32") or not (folder / "config.json").is_file():
            return False
        config = json.loads((folder / "config.json").read_text())
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        plain = (
            config.get("model_type") == "llama"
            and not config.get("attention_bias")
            and not config.get("mlp_bias")
            and config.get("hidden_act") == "silu"
        )
        size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        return plain and rope.get("rope_type", "default") == "default" and 0 < size < SMALL

    def __init__(self, model: str, *, device: str = "cpu", dtype: str | None = None, lender: Model | None = None):
        self._folder = folder = Path(model)
        self.id, self.dtype = model, "float32"
        weights = Weights(folder, lender)
        self._config = config = weights.config
        self.revision = weights_hash(sorted(folder.glob("*.safetensors")))
        self.parameters = weights.parameters
        self.vocabulary, self.max_positions = config["vocab_size"], config["max_position_embeddings"]
        self.heads, self.groups = (
            config["num_attention_heads"],
            config.get("num_key_value_heads") or config["num_attention_heads"],
        )
        self.head_size = config.get("head_dim") or config["hidden_size"] // self.heads
        self.layers = config["num_hidden_layers"]
        if lender is None:
            self.threads = 1 if self.parameters <= ONE_CORE else None
        else:
            self.threads = lender.threads  # they run by turns in one process
        try:
            self._prepare(weights)
        except KeyError as error:
            raise ModelError(f"The weights of {model!r} lack {error}; the folder is damaged or is no Llama.") from error

    def _prepare(self, weights: Weights) -> None:
        """Fuses and reorders the weights. Query and key rows are interleaved so that the rotary embedding
        is one complex multiplication; what norms and attention multiply by is folded into the matrices behind them."""
        n_q, n_kv, size = self.heads, self.groups, self.head_size
        self._embed = weights.whole(EMBEDDING)
        self.look_ahead(self._embed[:0])
        width = self._embed.shape[1]
        self._least = torch.tensor((width * self._config["rms_norm_eps"]) ** 0.5)
        gain = width**0.5  # a norm here gives rows of length 1, not of mean square 1
        twice = self.parameters <= ONE_CORE  # of a larger one the memory is dearer
        self._weights: list[tuple[Matrix, ...]] = []  # of each layer
        for i in range(self.layers):
            w = {k: weights[f"model.layers.{i}.{v}.weight"] for k, v in _NAMES.items()}
            qkv = torch.cat([_interleave(w["q"], n_q, size) * size**-0.5, _interleave(w["k"], n_kv, size), w["v"]])
            qkv *= w["norm1"] * gain
            gate_up = torch.cat([w["gate"], w["up"]]).mul_(w["norm2"] * gain)
            self._weights.append(tuple(Matrix(part, twice) for part in (qkv, w["o"], gate_up, w["down"])))
        self._last_gain = weights["model.norm.weight"] * gain
        self._head, self._kept = Matrix(weights[HEAD] * self._last_gain, twice), weights.kept
        theta = (self._config.get("rope_parameters") or {}).get("rope_theta") or self._config.get("rope_theta", 10000.0)
        angles = torch.outer(
            torch.arange(self.max_positions).double(), theta ** (-torch.arange(0, size, 2).double() / size)
        )
        self._rotary = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)  # [positions, size / 2]

    def lend(self, name: str) -> Tensor:
        """See `Model.lend`."""
        return self._embed if name == EMBEDDING else Weights(self._folder).lend(name)

    def look_ahead(self, rows: Tensor) -> None:
        """See `Model.look_ahead`."""
        self.ahead, self._ahead = len(rows), rows

    def session(self) -> StaticLlamaSession:
        return StaticLlamaSession(self)

    def batch(self, rows: int, positions: int) -> StaticLlamaBatch:
        return StaticLlamaBatch(self, rows, positions)

    def shape(self, rows: int, positions: int) -> tuple[int, ...]:
        """Of keys and values: [layers, 2, rows, groups, positions, size]."""
        return self.layers, 2, rows, self.groups, positions, self.head_size

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens [n] as what the layers begin with, [n, hidden]."""
        x = F.embedding(tokens.clamp_min(0), self._embed)
        if self.ahead:
            further = tokens < 0
            x[further] = self._ahead[-1 - tokens[further]]
        return x

    def through(
        self,
        x: Tensor,
        position: Tensor | slice,
        attend: Attend,
        layers: tuple[int, ...] = (),
        span: range | None = None,
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """The layers of `span` (default: all) over x [n, hidden], which may be written over, at their positions: [n, hidden], and
        the features of `layers`, each [n, hidden]. `attend(layer, queries, new)` stores the new keys and values [n, 2 groups, size]
        and returns what the queries [n, heads, size] find, [n, heads * size]."""
        count, heads, size, turned = len(x), self.heads, self.head_size, self.heads + self.groups
        rotary = self._rotary[position].unsqueeze(1)
        features: dict[int, Tensor] = {}
        for layer in range(self.layers) if span is None else span:
            qkv, out, gate_up, down = self._weights[layer]
            checkpoint()
            if layer in layers:
                features[layer] = x.clone()  # the next sum is written over x
            h = qkv(self.norm(x)).view(count, -1, size)
            torch.view_as_complex(h.view(count, -1, size // 2, 2)[:, :turned]).mul_(rotary)
            x = out(attend(layer, h[:, :heads], h[:, heads:]), x)
            gate, up = gate_up(self.norm(x)).chunk(2, -1)
            x = down(F.silu(gate).mul_(up), x)
        if self.layers in layers and (span is None or span.stop == self.layers):
            features[self.layers] = self.norm(x) * self._last_gain
        return x, features

    def norm(self, x: Tensor) -> Tensor:
        """Rows [n, hidden] scaled as RMSNorm does, but for the gain: x / sqrt(|x|^2 + hidden * eps)."""
        return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), self._least)

    def logits(self, x: Tensor) -> Tensor:
        """[n, hidden] to [n, V]."""
        logits = self.kept_logits(x)
        return logits if self._kept is None else widen(logits, self._kept, self.vocabulary)

    def kept_logits(self, x: Tensor) -> Tensor:
        """[n, hidden] to [n, K], of the tokens that its output layer knows."""
        return self._head(self.norm(x))


class StaticLlamaSession(Session):
    """Keys and values live in arrays with room to spare; rolling back is forgetting a number."""

    _model: StaticLlama

    def __init__(self, model: StaticLlama):
        super().__init__(model)
        self._hold(torch.empty(model.shape(1, min(FIRST, model.max_positions)))[:, :, 0].flatten(1, 2))

    def _hold(self, cache: Tensor) -> None:
        """Keys and values [layers, 2 groups, slots, size]."""
        self._cache, self._by_layer = cache, list(cache)

    def _room(self, end: int) -> None:
        """Makes room for `end` slots."""
        layers, both, slots, size = self._cache.shape
        if end > slots:
            wider = torch.empty(layers, both, max(end, 2 * slots), size)
            wider[:, :, : self.length] = self._cache[:, :, : self.length]
            self._hold(wider)

    @torch.inference_mode()
    def _forward(self, shown: Shown) -> Seen:
        begun = self._begun.first(shown.tokens) if self._begun is not None else None
        if (
            begun is None
            or not begun.tokens
            or shown.tree is not None
            or min(shown.layers, default=begun.layer) < begun.layer
        ):
            x, features = self.run(self._model.embed(torch.tensor(shown.tokens)), shown.tree, shown.layers)
        else:
            x = self._begin(shown.tokens, begun.layer, begun)
            x, features = self.run(x.clone(), None, shown.layers, range(begun.layer, self._model.layers))
        return Seen(self._model.logits(x[len(x) - shown.keep :]), features)

    @torch.inference_mode()
    def _begin(self, tokens: list[int], layer: int, known: Begun | None) -> Tensor:
        count = 0 if known is None else len(known.tokens)
        if known is not None and count == len(tokens):
            return known.states
        x = self._model.embed(torch.tensor(tokens[count:]))
        states, _ = self.run(x, span=range(layer), first=count)
        return states if known is None else torch.cat([known.states, states])

    def run(
        self,
        x: Tensor,
        tree: Tree | None = None,
        layers: tuple[int, ...] = (),
        span: range | None = None,
        first: int = 0,
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """The layers of `span` (default: all) over x [n, hidden], which may be written over, behind what was seen and `first` others
        that those layers saw: see `StaticLlama.through`."""
        count = len(x)
        self._room(self.length + first + count)
        if count <= PART:
            return self._through(x, tree, layers, span, first)
        parts = [
            self._through(x[part : part + PART], tree, layers, span, first + part) for part in range(0, count, PART)
        ]
        features = {layer: torch.cat([states[layer] for _, states in parts]) for layer in layers}
        return torch.cat([states for states, _ in parts]), features

    def _through(
        self, x: Tensor, tree: Tree | None, layers: tuple[int, ...], span: range | None, first: int
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """A part of them, from the `first` on, behind those before it."""
        m, count = self._model, len(x)
        start, end = self.length + first, self.length + first + count
        heads, groups, size = m.heads, m.groups, m.head_size
        position: Tensor | slice = slice(start, end)
        mask = None
        if tree is not None:
            position = torch.tensor(tree.depths[first : first + count]) + self.length
            mask = tree.mask(self.length)[first : first + count, :end]
        elif count > 1:
            mask = torch.full((count, end), -torch.inf).triu_(start + 1)
        if mask is not None and heads > groups:
            mask = mask.repeat(heads // groups, 1)

        def attend(layer: int, queries: Tensor, new: Tensor) -> Tensor:
            cache = self._by_layer[layer]
            cache[:, start:end] = new.transpose(0, 1)
            keys, values = cache[:groups, :end].transpose(1, 2), cache[groups:, :end]
            queries = queries.transpose(0, 1).reshape(
                groups, -1, size
            )  # the heads of a group, one after another, [groups, n', size]
            seen = torch.bmm(queries, keys) if mask is None else torch.baddbmm(mask, queries, keys)  # [groups, n', end]
            mixed = torch.bmm(torch.softmax(seen, -1), values).view(heads, count, size)
            return mixed.transpose(0, 1).reshape(count, -1)

        return m.through(x, position, attend, layers, span)

    def _rollback(self, length: int) -> None:
        pass

    @torch.inference_mode()
    def _move(self, target: int, slots: list[int]) -> None:
        self._cache[:, :, target : target + len(slots)] = self._cache[:, :, slots]


class StaticLlamaBatch(RaggedBatch):
    """Only attention needs to know whose token is whose; all else runs over the tokens of all texts, unpadded."""

    _model: StaticLlama

    def __init__(self, model: StaticLlama, rows: int, positions: int):
        super().__init__(model, positions)
        self._rows = rows
        self._cache = self._empty(min(FIRST, positions))

    def _empty(self, positions: int) -> Tensor:
        # Padding is looked at, with weight 0, so it must be a number; and zeros of NumPy cost nothing until they are touched.
        return torch.from_numpy(np.zeros(self._model.shape(self._rows, positions), np.float32))

    def _room(self, end: int) -> None:
        """Makes room for `end` slots."""
        slots = self._cache.shape[4]
        if end > slots:
            wider = self._empty(min(max(end, 2 * slots), self._positions))
            for session in self._sessions:
                wider[:, :, session.row, :, : session.length] = self._cache[:, :, session.row, :, : session.length]
            self._cache = wider

    @torch.inference_mode()
    def _forward(self, tokens: Tensor, places: Places) -> tuple[Tensor, dict[int, Tensor]]:
        m, count = self._model, len(tokens)
        x, features = self._through(tokens, places)
        logits = m.logits(x[F.pad(places.wanted, (0, -len(places.wanted) % 8))])[: len(places.wanted)]
        return logits, {layer: states[:count] for layer, states in features.items()}

    @torch.inference_mode()
    def _first(self, tokens: Tensor, places: Places, layer: int) -> Tensor:
        return self._through(tokens, places, range(layer))[0][: len(tokens)]

    def _through(self, tokens: Tensor, places: Places, span: range | None = None) -> tuple[Tensor, dict[int, Tensor]]:
        """The layers of `span` (default: all) over tokens [N] and a few that count for nothing: see `StaticLlama.through`."""
        m, end = self._model, places.end
        self._room(end)
        count = len(tokens)
        idle = -count % 8  # oneDNN prepares itself for every number of rows anew, so there are few of these
        _, _, rows, groups, positions, size = self._cache.shape
        row = (places.row + places.rows.start)[:, None] * groups + torch.arange(groups)
        slots = (row * positions + places.slot[:, None]).flatten()  # of every new key and value, in its layer
        mask = places.mask()  # [k, 1, n, end]
        k, _, n, _ = mask.shape

        def attend(layer: int, queries: Tensor, new: Tensor) -> Tensor:
            for cache, part in zip(self._cache[layer], torch.split(new[:count], groups, 1)):
                cache.view(-1, size)[slots] = part.reshape(-1, size)
            keys, values = self._cache[layer, :, places.rows, :, :end]  # [k, groups, end, size]
            queries = places.spread(queries[:count]).transpose(1, 2).reshape(k, groups, -1, size)
            seen = (queries @ keys.transpose(2, 3)).view(k, -1, n, end)  # [k, heads, n, end]
            mixed = torch.softmax(seen.add_(mask), -1).view(k, groups, -1, end) @ values
            return F.pad(places.gather(mixed.view(k, -1, n, size).transpose(1, 2)).flatten(1), (0, 0, 0, idle))

        x = m.embed(F.pad(tokens, (0, idle)))
        return m.through(x, F.pad(places.position, (0, idle)), attend, places.layers, span)

    @torch.inference_mode()
    def move(self, row: int, target: int, slots: list[int]) -> None:
        self._cache[:, :, row, :, target : target + len(slots)] = self._cache[:, :, row][..., slots, :]

    def _copy(self, source: int, target: int, length: int) -> None:
        self._cache[:, :, target, :, :length] = self._cache[:, :, source, :, :length]


_NAMES = dict(
    q="self_attn.q_proj",
    k="self_attn.k_proj",
    v="self_attn.v_proj",
    o="self_attn.o_proj",
    gate="mlp.gate_proj",
    up="mlp.up_proj",
    down="mlp.down_proj",
    norm1="input_layernorm",
    norm2="post_attention_layernorm",
)


def _interleave(weight: Tensor, heads: int, size: int) -> Tensor:
    """Rows (0..h-1, h..2h-1) of each head to (0, h, 1, h+1, ...): transformers' halves become complex pairs."""
    return weight.view(heads, 2, size // 2, -1).transpose(1, 2).reshape(heads * size, -1)


def weights_hash(files: list[Path]) -> str:
    """The first 12 hex digits of a SHA-256 over weight files, or over the file that they were made of: the revision of a
    model without one."""
    if files and (made_of := cached.revision(files[0].parent)):
        return made_of
    return cached.sha256_of(*files)[:12]
