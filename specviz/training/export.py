"""A trained model as a plain transformers folder: config, float16 safetensors in small shards, tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from specviz.training.model import Llama, Size
from specviz.training.tokenizer import END

SHARD = 8_000_000  # bytes; a hub's plain git refuses files over 10 MB


def config(size: Size, end: int) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "vocab_size": size.vocabulary,
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "head_dim": size.head,
        "hidden_act": "silu",
        "max_position_embeddings": size.positions,
        "rms_norm_eps": size.epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": size.theta},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "use_cache": True,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": None,
    }


def save(folder: Path, model: Llama, tokenizer: Tokenizer) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("model*.safetensors*"):
        old.unlink()
    end = tokenizer.token_to_id(END)
    write(folder / "config.json", config(model.size, end))
    write(folder / "generation_config.json", {"bos_token_id": end, "eos_token_id": end})
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END,
            "eos_token": END,
            "clean_up_tokenization_spaces": False,
            "model_max_length": model.size.positions,
        },
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    shards: list[dict] = [{}]
    for name, weight in model.state_dict().items():
        weight = weight.detach().to("cpu", torch.float16).contiguous()
        if shards[-1] and bytes_of(shards[-1].values()) + bytes_of([weight]) > SHARD:
            shards.append({})
        shards[-1][name] = weight
    places = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shard, file))
    total = sum(bytes_of(shard.values()) for shard in shards)
    write(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})


def load(folder: Path) -> Llama:
    """The folder's model with the training-side forward, in float32."""
    from safetensors.torch import load_file

    folder = Path(folder)
    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Llama(
        Size(
            layers=facts["num_hidden_layers"],
            width=facts["hidden_size"],
            head=facts["head_dim"],
            hidden=facts["intermediate_size"],
            vocabulary=facts["vocab_size"],
            positions=facts["max_position_embeddings"],
            theta=facts["rope_parameters"]["rope_theta"],
            epsilon=facts["rms_norm_eps"],
        )
    )
    weights = {}
    for file in sorted(folder.glob("model*.safetensors")):
        weights.update(load_file(file))
    weights.pop("lm_head.weight", None)  # tied to the embedding
    model.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return model.eval()


def bytes_of(weights) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)


def write(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
