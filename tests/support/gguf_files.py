"""GGUF files as llama.cpp writes them, made of a folder of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, dequantize, quantize

from tests.backends.test_tokenizer import CHATML

NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
}  # fmt: skip
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
KINDS = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
SPECIAL = {"<|endoftext|>": 2, "<|im_start|>": 3, "<|im_end|>": 3, "<think>": 4}  # the kind of each in the file
WORDS = ["th", "the", "Ġthe", "Ġt"]
MERGES = ["t h", "th e", "Ġ the", "Ġ t"]


def tokens(size: int) -> list[str]:
    """The special tokens, the bytes, some words, and what fills the list up."""
    from tokenizers import pre_tokenizers

    listed = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *WORDS]
    return [*listed, *(f"[unused{number}]" for number in range(size - len(listed)))]


def write(path: Path, folder: str | Path, kind: str = "F32", *, skip: str = "", **metadata) -> dict[str, np.ndarray]:
    """Writes the model in `folder` with its matrices stored as `kind`. `metadata` changes what the file says, by key with
    dots as double underscores (None: left out); `skip` leaves a tensor out. Returns the tensors, under transformers' names,
    as that storing leaves them."""
    from safetensors.numpy import load_file

    config = json.loads((Path(folder) / "config.json").read_text())
    kind_of_model, quantised = config["model_type"], GGMLQuantizationType[kind]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    rope = config.get("rope_parameters") or {}
    about = {
        "general.architecture": kind_of_model,
        f"{kind_of_model}.block_count": config["num_hidden_layers"],
        f"{kind_of_model}.context_length": config["max_position_embeddings"],
        f"{kind_of_model}.embedding_length": config["hidden_size"],
        f"{kind_of_model}.feed_forward_length": config["intermediate_size"],
        f"{kind_of_model}.attention.head_count": heads,
        f"{kind_of_model}.attention.head_count_kv": groups,
        f"{kind_of_model}.attention.key_length": config.get("head_dim") or config["hidden_size"] // heads,
        f"{kind_of_model}.attention.value_length": config.get("head_dim") or config["hidden_size"] // heads,
        f"{kind_of_model}.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        f"{kind_of_model}.rope.freq_base": float(rope.get("rope_theta") or config.get("rope_theta", 10000.0)),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens(config["vocab_size"]),
        "tokenizer.ggml.token_type": [SPECIAL.get(token, 1) for token in tokens(config["vocab_size"])],
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": CHATML,
    } | {key.replace("__", "."): value for key, value in metadata.items()}
    writer = GGUFWriter(path, about.pop("general.architecture"))
    for key, value in about.items():
        match value:
            case None:
                pass
            case str():
                writer.add_string(key, value)
            case bool():
                writer.add_bool(key, value)
            case int():
                writer.add_uint32(key, value)
            case float():
                writer.add_float32(key, value)
            case list():
                writer.add_array(key, value)
    left = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        for name, numbers in load_file(file).items():
            stem, _, end = name.rpartition(".")
            if stem.startswith("model.layers."):
                number, _, part = stem.removeprefix("model.layers.").partition(".")
                theirs = f"blk.{number}.{NAMES[part]}.{end}"
            else:
                theirs = f"{WHOLE[stem]}.{end}"
            rows = numbers.astype(np.float32)
            stored = quantize(rows, quantised) if numbers.ndim > 1 else rows
            left[name] = dequantize(stored, quantised).reshape(rows.shape) if numbers.ndim > 1 else rows
            if kind_of_model == "llama" and theirs.split(".")[-2] in (
                "attn_q",
                "attn_k",
            ):  # as llama.cpp's converter does
                count = heads if theirs.split(".")[-2] == "attn_q" else groups
                stored = stored.reshape(count, 2, len(stored) // count // 2, -1).swapaxes(1, 2).reshape(stored.shape)
            if theirs != skip:
                writer.add_tensor(
                    theirs, np.ascontiguousarray(stored), raw_dtype=quantised if numbers.ndim > 1 else None
                )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return left
