"""Text to tokens and back, for both backends, and how two tokenizers differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from specviz.backends.chat import Chat, Refused
from specviz.types import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBE = "The quick brown fox, 3.14159 of 27 naïve cafés; don't (stop) now!\n\n  A\tline — 東京 😀 <|x|> x=10**9"
_NAMED = tuple(f"{role}_token" for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
CHAT = {"chat": "as a message to the model", "text": "as plain text to go on with"}


class Tokenizer:
    """The tokenizer of a model folder or Hub id.

    A local `tokenizer.json` is read by the tokenizers library alone (transformers takes seconds to import); everything
    else goes through transformers' AutoTokenizer. Chat templates run here, see `chat.Chat`.

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
        return {} if self._engine.chat is None else dict(CHAT)

    @property
    def system(self) -> str | None:
        """The system message that its chat template puts by itself, "" if it puts none; None if there is no template, or
        one that takes no system message."""
        return None if self._engine.chat is None else self._engine.chat.system

    @property
    def special(self) -> frozenset[int]:
        """Tokens that are no text, such as the end of a message: shown as what they are, and never offered as a choice."""
        return self._engine.special

    def encode(self, text: str, style: str | None = None, system: str | None = None) -> list[int]:
        """Token ids of `text` as one of the tags or `styles` puts it, or as plain text. Special tokens spelled out in
        `text` are ordinary characters there, so a prompt cannot end the text. `system` is the system message of a chat:
        None is what the template itself puts, "" none. ValueError if the chat template refuses, or there is no chat."""
        chat = self._engine.chat if style == "chat" and style not in self._tags else None
        if chat is not None:
            try:
                return chat.ids(text, system)
            except Refused as error:
                model = self._engine.model
                raise ValueError(f"The chat template of {model!r} refuses this prompt: {error}.") from error
        if system is not None:
            raise ValueError("A system message can only be given to models with a chat template, in the style 'chat'.")
        if style in self._tags:
            return [*self._opening, self._tags[style], *self.plain(text)]
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
        added = self._tokenizer.added_tokens_decoder
        self.special = frozenset(number for number, token in added.items() if token.special)
        self.chat: Chat | None = None
        if self._tokenizer.chat_template:
            self.chat = Chat(
                self._tokenizer.get_chat_template(),
                self._tokenizer.special_tokens_map,
                {token.content: token.special for token in added.values()},
                lambda text: self._ids(self._tokenizer(text, add_special_tokens=False)),
                self.plain,
            )

    def plain(self, text: str) -> list[int]:
        return self._ids(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True))

    def begun(self, text: str) -> list[int]:
        """Ids of `text` behind what the tokenizer itself puts in front."""
        return self._ids(self._tokenizer(text, split_special_tokens=True))

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
        self._one_at_a_time = Lock()  # one setting of the tokenizer says whether special tokens count
        added = self._tokenizer.get_added_tokens_decoder()
        self.special = frozenset(number for number, token in added.items() if token.special)
        self.chat: Chat | None = None
        if template := self._template():
            named = {name: _content(self._config[name]) for name in _NAMED if self._config.get(name)}
            kinds = {token.content: token.special for token in added.values()}
            self.chat = Chat(template, named, kinds, lambda text: self._encode(text, special=True), self._spelt)

    def plain(self, text: str) -> list[int]:
        return self._encode(text)

    def begun(self, text: str) -> list[int]:
        """Ids of `text` behind what the tokenizer itself puts in front: its file says that, not its configuration."""
        return self._encode(text, begun=True)

    def _encode(self, text: str, begun: bool = False, special: bool = False) -> list[int]:
        """Ids of a text: with what is put in front, and with special tokens for what they are where it spells them out."""
        with self._one_at_a_time:
            self._tokenizer.encode_special_tokens = not special
            return list(self._tokenizer.encode(text, add_special_tokens=begun).ids)

    def _spelt(self, text: str) -> list[int]:
        """Ids of the characters of a text, in which no added token counts."""
        made = self._tokenizer
        text = made.normalizer.normalize_str(text) if made.normalizer else text
        words = made.pre_tokenizer.pre_tokenize_str(text) if made.pre_tokenizer else [(text, (0, 0))]
        return [token.id for word, _ in words for token in made.model.tokenize(word)]

    def _template(self) -> str | None:
        """The source of the chat template, if there is one: of several, the one to chat by."""
        file = self._folder / "chat_template.jinja"
        found = file.read_text(encoding="utf-8") if file.is_file() else self._config.get("chat_template")
        if isinstance(found, list):
            found = {entry["name"]: entry["template"] for entry in found}.get("default")
        return found if isinstance(found, str) else None

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
