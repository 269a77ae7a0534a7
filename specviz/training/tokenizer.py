"""The pair's one tokenizer: byte-level BPE, digits one by one, three style tags.

Every byte has a token, so any text goes in and comes back unchanged
(Sennrich et al. 2016 for BPE, Radford et al. 2019 for its byte-level form).
A text given to the model is `<|endoftext|>`, a style tag, then the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"  # id 0: opens every text and closes it
STYLES = {  # name of the tag: what it is for
    "tiny": "a simple story for small children",
    "tale": "an old fairy tale",
    "task": "a question with worked steps",
}
TAGS = tuple(f"<|{style}|>" for style in STYLES)


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END, *TAGS],
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    return tokenizer


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def opening(tokenizer: Tokenizer, style: str) -> list[int]:
    """The two ids every text of a style begins with."""
    if style not in STYLES:
        raise ValueError(f"a style is one of {', '.join(STYLES)}, not {style!r}")
    return [tokenizer.token_to_id(END), tokenizer.token_to_id(f"<|{style}|>")]
