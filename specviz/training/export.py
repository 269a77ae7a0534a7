"""A trained model as a plain transformers folder: config, float16 safetensors in small shards, tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from specviz.backends.cached import sha256_of, write_json
from specviz.backends.weights import EMBEDDING, HEAD, KEPT
from specviz.training.cut import CutLlama
from specviz.training.exit import ExitModel
from specviz.training.head import HeadModel
from specviz.training.lookahead import LookaheadModel
from specviz.training.model import Llama, Size
from specviz.training.tokenizer import END

SHARD = 8_000_000  # bytes; a hub's plain git refuses files over 10 MB
OF_TOKENIZER = (  # files of a folder that say how its model's texts become tokens, and end
    "added_tokens.json", "chat_template.jinja", "generation_config.json", "merges.txt", "special_tokens_map.json",
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json",
)  # fmt: skip


def config(size: Size, end: int | None) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "vocab_size": size.vocabulary,
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.key_heads,
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
    end = tokenizer.token_to_id(END)
    write_json(folder / "config.json", config(model.size, end))
    write_json(folder / "generation_config.json", {"bos_token_id": end, "eos_token_id": end})
    write_json(
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
    save_weights(folder, model.state_dict())


def save_draft(folder: Path, model: CutLlama, verifier: Path, layers: Sequence[int]) -> None:
    """A draft beside its verifier's folder: `layers` of that it began with, and what it does not borrow of weights and
    tokenizer."""
    own = {"borrows": [EMBEDDING, HEAD] if model.borrows else [], "copied_layers": list(layers)}
    _save_beside(folder, model, verifier, own)
    for path in sorted(verifier.glob("*")):
        if path.name in OF_TOKENIZER and not model.borrows:  # a draft that borrows is never without its verifier
            shutil.copyfile(path, folder / path.name)


def save_on_states(folder: Path, model: HeadModel | ExitModel, verifier: Path, layer: int) -> None:
    """A head or an exit beside its verifier's folder, of which it began with a `layer`, as `backends.head` and `backends.exit` read
    them."""
    where = {"reads": list(model.reads)} if isinstance(model, HeadModel) else {"layer": model.layer}
    _save_beside(folder, model, verifier, {"borrows": [EMBEDDING, HEAD], "copied_layers": [layer]} | where)


def _save_beside(folder: Path, model: CutLlama | HeadModel | ExitModel, verifier: Path, own: dict) -> None:
    """Weights and config.json, which says what is the model's `own` and not of every Llama."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = {}
    for name in ("config.json", "generation_config.json"):
        if (verifier / name).is_file():
            facts = json.loads((verifier / name).read_text(encoding="utf-8"))
            ends |= {end: facts[end] for end in ("bos_token_id", "eos_token_id") if end in facts}
    write_json(folder / "config.json", config(model.size, None) | ends | {"tie_word_embeddings": False, "specviz": own})
    save_weights(folder, model.state_dict())


def save_lookahead(folder: Path, model: LookaheadModel) -> None:
    """Look-ahead tokens beside their verifier's folder, as `backends.lookahead` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    size = {"vocab_size": model.size.vocabulary, "hidden_size": model.size.width}
    write_json(folder / "config.json", size | {"specviz": {"lookahead": model.count}})
    save_weights(folder, {"lookahead.weight": model.embeddings, KEPT: model.kept_tokens})


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Shards and their index: half precision, numbers of tokens as they are. Those of an earlier model go."""
    for old in folder.glob("model*.safetensors*"):
        old.unlink()
    shards: list[dict] = [{}]
    for name, weight in weights.items():
        weight = weight.detach().cpu().contiguous()
        weight = weight.half() if weight.is_floating_point() else weight
        if shards[-1] and bytes_of(shards[-1].values()) + bytes_of([weight]) > SHARD:
            shards.append({})
        shards[-1][name] = weight
    places = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shard, file))
    total = sum(bytes_of(shard.values()) for shard in shards)
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})


def save_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes the pair.json of a folder: `facts`, and of each weight file in its folders its SHA-256."""
    hashes = {role: sums(folder / role) for role in ("draft", "verifier", "head", "exit", "lookahead")}
    write_json(
        folder / "pair.json",
        {**facts, **{role: facts[role] | {"sha256": files} for role, files in hashes.items() if files}},
    )


def sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each weight file in a folder."""
    return {path.name: sha256_of(path) for path in sorted(folder.glob("*.safetensors"))}


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
            groups=facts["num_key_value_heads"],
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
