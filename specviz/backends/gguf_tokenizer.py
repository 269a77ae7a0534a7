"""The tokenizer of a GGUF file as the files that transformers and the tokenizers library read: byte-level BPE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specviz.backends.cached import write_json
from specviz.backends.gguf_file import GGUFFile

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

_UNKNOWN, _CONTROL, _USER = 2, 3, 4  # kinds of tokens, by their numbers in the file; all others are ordinary
_CASELESS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {  # what llama.cpp calls a way to split a text -> the expression it splits by before bytes; None: GPT-2's own
    "gpt-2": None,
    "smollm": None,  # behind single digits
    "qwen2": _CASELESS % "",
    "llama-bpe": _CASELESS % "{1,3}",
}
BEGUN = ("llama-bpe",)  # texts begin with the first token unless the file says otherwise


def write_tokenizer(file: GGUFFile, folder: Path) -> dict[str, object]:
    """Writes tokenizer.json, tokenizer_config.json and generation_config.json, and returns what the latter holds. ModelError
    if the file's tokenizer is of a kind that cannot be stated truly, or damaged."""
    model, split = file.text("tokenizer.ggml.model", "?"), file.text("tokenizer.ggml.pre", "?")
    if model != "gpt2":
        file.refuse(f"its tokenizer is of the kind {model!r}, and byte-level BPE ('gpt2') is read")
    if split not in SPLITS:
        file.refuse(f"its tokenizer splits texts by {split!r}, and {', '.join(SPLITS)} are known")
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    tokens, merges = file.texts("tokenizer.ggml.tokens"), file.texts("tokenizer.ggml.merges")
    kinds = file.wholes("tokenizer.ggml.token_type") or [1] * len(tokens)
    ids = {token: number for number, token in enumerate(tokens)}
    if not tokens or len(ids) != len(tokens) or len(kinds) != len(tokens):
        file.refuse("its list of tokens is damaged")
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    try:
        made = Tokenizer(models.BPE(ids, pairs, ignore_merges=split == "llama-bpe"))
    except Exception as error:  # the library raises no class of its own
        file.refuse(f"its tokenizer is damaged ({error})")
    made.pre_tokenizer, made.decoder = _pre_tokenizer(split), decoders.ByteLevel()
    if split == "qwen2":
        made.normalizer = normalizers.NFC()
    made.add_tokens(
        [
            AddedToken(token, special=kind != _USER, normalized=False)
            for token, kind in zip(tokens, kinds)
            if kind in (_UNKNOWN, _CONTROL, _USER)
        ]
    )
    named = {}
    for role, key in {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}.items():
        if (number := file.whole(f"tokenizer.ggml.{key}_token_id", -1)) >= 0:
            if number >= len(tokens):
                file.refuse(f"its {key} token is number {number:,} of {len(tokens):,}")
            named[role] = number
    if file.metadata.get("tokenizer.ggml.add_bos_token", split in BEGUN) and "bos" in named:
        first = tokens[named["bos"]]
        made.post_processor = processors.TemplateProcessing(f"{first} $A", None, [(first, named["bos"])])
    made.save(str(folder / "tokenizer.json"))
    template = file.text("tokenizer.chat_template")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{f"{role}_token": tokens[number] for role, number in named.items()},
        **({"chat_template": template} if template else {}),
    }
    write_json(folder / "tokenizer_config.json", config)
    ends = [named[role] for role in ("eos",) if role in named]
    ends += [n for key in ("eot", "eom") if 0 <= (n := file.whole(f"tokenizer.ggml.{key}_token_id", -1)) < len(tokens)]
    about: dict[str, object] = {
        "bos_token_id": named.get("bos"),
        "pad_token_id": named.get("pad"),
        "eos_token_id": list(dict.fromkeys(ends)) or None,
    }
    write_json(folder / "generation_config.json", about)
    return about


def _pre_tokenizer(split: str) -> PreTokenizer:
    from tokenizers import Regex, pre_tokenizers

    expression = SPLITS[split]
    if expression is None:
        single = [pre_tokenizers.Digits(individual_digits=True)] if split == "smollm" else []
        return pre_tokenizers.Sequence([*single, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
