"""The weights and the configuration of a GGUF file, as transformers saves them: of Llama, Qwen2 and Qwen3."""

from __future__ import annotations

import json
import struct
from math import pi, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specviz.backends.gguf_file import GGUFFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specviz.backends.places import Progress

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_MORE = {  # of each layer of an architecture
    "qwen2": {f"attn_{k}.bias": f"self_attn.{k}_proj.bias" for k in "qkv"},
    "qwen3": {f"attn_{k}_norm.weight": f"self_attn.{k}_norm.weight" for k in "qk"},
}


class Shape:
    """What the metadata of a file says about the model's shape. ModelError if that is not one of `ARCHITECTURES`, or has
    something beside it that changes what the model computes."""

    def __init__(self, file: GGUFFile):
        self._file = file
        self.kind = kind = file.text("general.architecture", "?")
        if kind not in ARCHITECTURES or file.whole(f"{kind}.expert_count", 0):
            named = f"a mixture of experts ({kind})" if kind in ARCHITECTURES else f"of the architecture {kind!r}"
            file.refuse(f"it is {named}, and of GGUF files llama, qwen2 and qwen3 without experts are read")
        self.layers, self.width = file.whole(f"{kind}.block_count"), file.whole(f"{kind}.embedding_length")
        self.inner, self.positions = file.whole(f"{kind}.feed_forward_length"), file.whole(f"{kind}.context_length")
        self.heads = file.whole(f"{kind}.attention.head_count")
        self.groups = file.whole(f"{kind}.attention.head_count_kv", self.heads)
        if not (self.layers > 0 and self.heads > 0 and self.groups > 0 and self.heads % self.groups == 0):
            file.refuse(f"{self.heads} heads over {self.groups} in {self.layers} layers are no model")
        self.size = file.whole(f"{kind}.attention.key_length", self.width // self.heads)
        turned = file.whole(f"{kind}.rope.dimension_count", self.size)
        if turned != self.size or file.whole(f"{kind}.attention.value_length", self.size) != self.size:
            file.refuse("its heads turn by a part of their numbers only, or have values of another size than keys")
        if "token_embd.weight" not in file.tensors:
            file.refuse("it lacks token_embd.weight")
        self.vocabulary = file.tensors["token_embd.weight"].shape[0]
        self.tied = "output.weight" not in file.tensors

    def config(self) -> dict[str, object]:
        """The config.json of transformers."""
        return {
            "architectures": [ARCHITECTURES[self.kind]],
            "model_type": self.kind,
            "hidden_act": "silu",
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.size,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": self._file.real(f"{self.kind}.attention.layer_norm_rms_epsilon"),
            "rope_parameters": self._rope(),
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.tied,
            "attention_bias": False,  # Qwen2's are its own
            **({"mlp_bias": False} if self.kind == "llama" else {"use_sliding_window": False}),
            "dtype": "float32",
        }

    def _rope(self) -> dict[str, object]:
        file, theta = self._file, self._file.real(f"{self.kind}.rope.freq_base", 10000.0)
        scaling = file.text(f"{self.kind}.rope.scaling.type", "none")
        if scaling not in ("none", "linear"):
            file.refuse(f"it stretches positions by {scaling!r}, and none, linear and Llama 3's way are read")
        if scaling == "linear":
            factor = file.real(f"{self.kind}.rope.scaling.factor")
            return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
        if "rope_freqs.weight" not in file.tensors:
            return {"rope_type": "default", "rope_theta": theta}
        stored = file.tensors["rope_freqs.weight"].numbers(file).flatten().astype(np.float64)
        made: dict[str, Any] = {
            "rope_type": "llama3", "rope_theta": theta, "factor": round(float(stored.max()), 3),
            "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        }  # fmt: skip
        waves = 2 * pi * theta ** (np.arange(0, self.size, 2) / self.size)
        smooth = np.clip((8192 / waves - 1.0) / 3.0, 0.0, 1.0)  # 1: turned as it was, 0: by the factor more slowly
        expected = 1 / ((1 - smooth) / made["factor"] + smooth)
        if stored.shape != expected.shape or not np.allclose(stored, expected, rtol=1e-3):
            file.refuse("its rope_freqs.weight is not what Llama 3's way to stretch positions gives")
        return made

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name in the file -> name and shape in the folder, of every tensor there must be."""
        queries, keys = self.heads * self.size, self.groups * self.size
        sizes = {
            "attn_norm": (self.width,), "ffn_norm": (self.width,),
            "attn_q": (queries, self.width), "attn_k": (keys, self.width), "attn_v": (keys, self.width),
            "attn_output": (self.width, queries), "attn_q_norm": (self.size,), "attn_k_norm": (self.size,),
            "ffn_gate": (self.inner, self.width), "ffn_up": (self.inner, self.width), "ffn_down": (self.width, self.inner),
        }  # fmt: skip
        made: dict[str, tuple[str, tuple[int, ...]]] = {
            "token_embd.weight": ("model.embed_tokens.weight", (self.vocabulary, self.width))
        }
        for layer in range(self.layers):
            for name, ours in (_LAYER | _MORE.get(self.kind, {})).items():
                whole = sizes[name.rpartition(".")[0]]
                shape = whole[:1] if name.endswith(".bias") else whole
                made[f"blk.{layer}.{name}"] = (f"model.layers.{layer}.{ours}", shape)
        made["output_norm.weight"] = ("model.norm.weight", (self.width,))
        if not self.tied:
            made["output.weight"] = ("lm_head.weight", (self.vocabulary, self.width))
        return made

    def straight(self, name: str, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """A tensor as transformers has it: llama.cpp keeps the query and key rows of Llama in pairs, not in halves."""
        heads = {"attn_q.weight": self.heads, "attn_k.weight": self.groups}.get(name.split(".", 2)[-1])
        if self.kind != "llama" or heads is None:
            return numbers
        paired = numbers.reshape(heads, self.size // 2, 2, -1)
        return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(numbers.shape)


def write_weights(file: GGUFFile, shape: Shape, path: Path, progress: Progress) -> None:
    """Writes the tensors as float32 safetensors, one at a time. ModelError if one is missing, or another shape than it
    should be, or one too many; OSError if the file cannot be written."""
    wanted = shape.tensors()
    for name, (_, size) in wanted.items():
        if name not in file.tensors:
            file.refuse(f"it lacks {name}")
        if file.tensors[name].shape != size:
            file.refuse(f"{name} has the shape {file.tensors[name].shape} and should have {size}")
    if odd := sorted(file.tensors.keys() - wanted.keys() - {"rope_freqs.weight"}):
        file.refuse(f"it holds {odd[0]}, which a {shape.kind} of this kind does not have")
    head, end = {}, 0
    for ours, size in wanted.values():
        start, end = end, end + 4 * prod(size)
        head[ours] = {"dtype": "F32", "shape": list(size), "data_offsets": [start, end]}
    text = json.dumps({"__metadata__": {"format": "pt"}} | head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        done = 0
        for name, (_, size) in wanted.items():
            numbers = shape.straight(name, file.tensors[name].numbers(file))
            out.write(numbers.astype("<f4", copy=False).data)
            done += 4 * prod(size)
            progress(done / end, f"Reading {file.path.name}")
