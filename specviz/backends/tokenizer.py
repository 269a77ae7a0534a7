"""Text to tokens and back, for both backends, and how two tokenizers differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specviz.types import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBE = "The quick brown fox, 3.14159 of 27 naïve cafés; don't (stop) now!\n\n  A\tline — 東京 😀 <|x|> x=10**9"
CHAT = {"chat": "as a message to the model", "text": "as plain text to go on with"}


class Tokenizer:
    """The tokenizer of a model folder or Hub id.

    A local `tokenizer.json` is read by the tokenizers library alone (transformers takes seconds to import); everything
    else, chat templates too, goes through transformers' AutoTokenizer.

    opening  the special token that every text begins with; "" for what the tokenizer itself puts there
    tags     style -> special token put behind the opening

    Raises ModelError if it cannot be had, or lacks one of these tokens.
    """

    def __init__(self, model: str, opening: str = "", tags: Mapping[str, str] | None = None):
        local = (Path(model) / "tokenizer.json").is_file()
        self._engine: _Local | _Library = _Local(model) if local else _Library(model)
        self._opening = [self._id(opening)] if opening else []
        self._tags = {style: self._id(tag) for style, tag in (tags or {}).items()}

    def _id(self, token: str) -> int:
        number = self.vocabulary().get(token)
        if number is None:
            raise ModelError(f"The tokenizer of {self._engine.model!r} has no token {token!r}.")
        return number

    @property
    def styles(self) -> dict[str, str]:
        """Ways to wrap a prompt that this tokenizer offers of itself: name -> what it is for."""
        return dict(CHAT) if self._engine.has_chat else {}

    def encode(self, text: str, style: str | None = None, system: str | None = None) -> list[int]:
        """Token ids of `text` as one of the tags or `styles` puts it, or as plain text. Special tokens spelled out in
        `text` are ordinary characters there, so a prompt cannot end the text. ValueError if the chat template refuses."""
        if style in self._tags:
            return [*self._opening, self._tags[style], *self.plain(text)]
        if style == "chat":
            return self._engine.chat(text, system)
        return [*self._opening, *self.plain(text)] if self._opening else self._engine.begun(text)

    def plain(self, text: str) -> list[int]:
        """Ids of `text` and nothing else."""
        return self._engine.plain(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, special tokens left out."""
        return self._engine.decode(tokens)

    def piece(self, token: int) -> str:
        """What one token looks like on its own: its text, its bytes (⟨F0 9F⟩) if they are no whole character, or its name."""
        name = self._names.get(token)
        if name is None:
            return f"⟨{token}⟩"
        if token in self._engine.special:
            return name
        if "▁" in name:
            return name.replace("▁", " ")
        text = self.decode([token])
        if "\ufffd" in text:
            byte = re.fullmatch(r"<0x([0-9A-F]{2})>", name)
            raw = byte[1] if byte else " ".join(f"{_BYTES[c]:02X}" for c in name if c in _BYTES)
            return f"⟨{raw}⟩"
        return text

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """What each of `tokens` looks like."""
        return [self.piece(token) for token in tokens]

    @property
    def special(self) -> frozenset[int]:
        """Tokens that are no text: they begin and end messages and texts."""
        return self._engine.special

    @cached_property
    def _names(self) -> dict[int, str]:
        return {number: name for name, number in self.vocabulary().items()}

    @cached_property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end the text."""
        return self._engine.stop_tokens()

    def vocabulary(self) -> dict[str, int]:
        """Every token's text to its id."""
        return self._engine.vocabulary()


class _Library:
    """A tokenizer as transformers has it."""

    def __init__(self, model: str):
        self.model = model
        try:
            from transformers import AutoTokenizer

            self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model)
        except Exception as error:
            raise ModelError(why_not(model, error)) from error
        self.has_chat = bool(self._tokenizer.chat_template)
        added = self._tokenizer.added_tokens_decoder.items()
        self.special = frozenset(number for number, token in added if token.special)

    def plain(self, text: str) -> list[int]:
        return self._ids(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True))

    def begun(self, text: str) -> list[int]:
        """Ids of `text` behind what the tokenizer itself puts in front."""
        return self._ids(self._tokenizer(text, split_special_tokens=True))

    def chat(self, text: str, system: str | None = None) -> list[int]:
        """Ids of `text` as a person's message, and of what comes in front of the model's answer."""
        message = [] if system is None else [{"role": "system", "content": system}]
        message += [{"role": "user", "content": text}]
        try:
            made = self._tokenizer.apply_chat_template(
                message, add_generation_prompt=True, return_dict=True, sanitize_control_tokens=True
            )
        except Exception as error:  # a template is a program, and raises whatever it likes
            raise ValueError(
                f"The chat template of {self.model!r} refuses this prompt: {_first_line(error)}"
            ) from error
        return self._ids(made)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def stop_tokens(self) -> frozenset[int]:
        end = self._tokenizer.eos_token_id
        return frozenset() if end is None else frozenset([end])

    def vocabulary(self) -> dict[str, int]:
        return self._tokenizer.get_vocab()

    @staticmethod
    def _ids(made: Any) -> list[int]:
        return list(made["input_ids"])


class _Local:
    """A folder's tokenizer.json by the tokenizers library, with what the files beside it say."""

    def __init__(self, model: str):
        from tokenizers import Tokenizer as Fast

        self.model, self._folder = model, Path(model)
        try:
            self._tokenizer = Fast.from_file(str(self._folder / "tokenizer.json"))
            self._config = _read_json(self._folder / "tokenizer_config.json")
        except Exception as error:  # the library raises no class of its own
            raise ModelError(why_not(model, error)) from error
        self._tokenizer.encode_special_tokens = True  # as ordinary characters, where a text spells them out
        self.has_chat = bool(self._config.get("chat_template")) or (self._folder / "chat_template.jinja").is_file()
        added = self._tokenizer.get_added_tokens_decoder().items()
        self.special = frozenset(number for number, token in added if token.special)

    def plain(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def begun(self, text: str) -> list[int]:
        """Ids of `text` behind what the tokenizer itself puts in front: its file says that, not its configuration."""
        return list(self._tokenizer.encode(text).ids)

    @cached_property
    def _library(self) -> _Library:
        return _Library(self.model)

    def chat(self, text: str, system: str | None = None) -> list[int]:
        return self._library.chat(text, system)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def stop_tokens(self) -> frozenset[int]:
        """What generation_config.json says, or config.json, or else the tokenizer's own end of text."""
        for name in ("generation_config.json", "config.json"):
            end = _read_json(self._folder / name).get("eos_token_id")
            if end is not None:
                return frozenset(end if isinstance(end, list) else [end])
        end = self._tokenizer.token_to_id(_content(self._config.get("eos_token") or ""))
        return frozenset() if end is None else frozenset([end])

    def vocabulary(self) -> dict[str, int]:
        return dict(self._tokenizer.get_vocab())


def differences(first: Tokenizer, second: Tokenizer) -> str | None:
    """A sentence that says how two tokenizers differ, or None if a token means the same to both.

    Tokens known to one side only are fine (vocabularies are padded to different widths); a shared id or text
    that means different things, or text that is split differently, is not.
    """
    one, two = dict(sorted(first.vocabulary().items(), key=lambda item: item[1])), second.vocabulary()
    moved = [(text, i, two[text]) for text, i in one.items() if text in two and two[text] != i]
    by_id = {i: text for text, i in two.items()}
    renamed = [(i, text, by_id[i]) for text, i in one.items() if i in by_id and by_id[i] != text]
    if moved or renamed:
        count = len({i for _, i, _ in moved} | {i for i, _, _ in renamed})
        i, text, other = renamed[0] if renamed else (moved[0][1], moved[0][0], f"id {moved[0][2]}")
        return f"{count:,} of {len(one):,} token ids mean something else; id {i} is {text!r} to the draft and {other!r} to the verifier."
    if first.encode(PROBE) != second.encode(PROBE):
        return "they split the same text into different tokens, though they share a vocabulary."
    return None


def why_not(model: str, error: Exception) -> str:
    """A sentence for people on why a model could not be had."""
    text = str(error)
    if "gated" in text.lower() or "401" in text:
        return f"{model!r} is gated. Accept its terms on the Hub and log in with a token that may read it."
    if isinstance(error, OSError) and any(
        word in text.lower() for word in ("not a local folder", "find", "connect", "repo id", "offline")
    ):
        return f"{model!r} was not found: it is no local folder, and the Hub does not have it or cannot be reached."
    return f"{model!r} could not be loaded: {_first_line(error)}"


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no such file."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return data


def _content(token: str | dict[str, str]) -> str:
    return token["content"] if isinstance(token, dict) else token


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _byte_names() -> dict[str, int]:
    """GPT-2's byte-to-character table, reversed: how byte-level BPE spells each byte in a token's name."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


_BYTES = _byte_names()
