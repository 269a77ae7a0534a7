"""Text to tokens and back, for both backends, and how two tokenizers differ."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from specviz.types import ModelError

PROBE = "The quick brown fox, 3.14159 of 27 naïve cafés; don't (stop) now!\n\n  A\tline — 東京 😀 <|x|> x=10**9"


class Tokenizer:
    """The tokenizer of a model folder or Hub id.

    A local `tokenizer.json` is read by the tokenizers library alone (transformers takes seconds to import);
    everything else goes through transformers' AutoTokenizer.
    """

    def __init__(self, model: str):
        self.tags: dict[str, str] = {}  # style -> special token put before the prompt
        path = Path(model) / "tokenizer.json"
        self._slow = None
        try:
            if path.is_file():
                from tokenizers import Tokenizer as Fast

                self._fast = Fast.from_file(str(path))
                self._config = _read_json(path.with_name("tokenizer_config.json"))
                self._generation = _read_json(path.with_name("generation_config.json")) | _read_json(
                    path.with_name("config.json")
                )
            else:
                from transformers import AutoTokenizer

                self._slow = AutoTokenizer.from_pretrained(model)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(why_not(model, error)) from error

    @property
    def styles(self) -> dict[str, str]:
        """Ways to wrap a prompt that this tokenizer offers of itself."""
        has_chat = self._slow is not None and getattr(self._slow, "chat_template", None)
        return {"chat": "as a message to the model", "text": "as plain text to go on with"} if has_chat else {}

    def encode(self, text: str, style: str | None = None) -> list[int]:
        """Token ids: begin-of-text, then the style's tag if it has one, then `text` (in which nothing is special)."""
        if self._slow is not None:
            if style == "chat":
                chat = [{"role": "user", "content": text}]
                return list(
                    self._slow.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True)[
                        "input_ids"
                    ]
                )
            return list(self._slow(text)["input_ids"])
        head = [self._config.get("bos_token")] + [self.tags.get(style)]
        ids = [self._fast.token_to_id(_content(token)) for token in head if token]
        return [i for i in ids if i is not None] + self._plain(text)

    def _plain(self, text: str) -> list[int]:
        """Ids of `text`; special tokens spelled out in it are ordinary characters, so a prompt cannot end the text."""
        self._fast.encode_special_tokens = True
        return self._fast.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: list[int]) -> str:
        """The text of `tokens`, special tokens left out."""
        engine = self._slow if self._slow is not None else self._fast
        return engine.decode(tokens, skip_special_tokens=True)

    def piece(self, token: int) -> str:
        """What one token looks like on its own: its text, its bytes (⟨F0 9F⟩) if they are no whole character, or its name."""
        name = self._slow.convert_ids_to_tokens(token) if self._slow is not None else self._fast.id_to_token(token)
        if name is None:
            return f"⟨{token}⟩"
        if token in self._special:
            return name
        if "▁" in name:
            return name.replace("▁", " ")
        text = self.decode([token])
        if "\ufffd" in text:
            found = re.fullmatch(r"<0x([0-9A-F]{2})>", name)
            raw = found[1] if found else " ".join(f"{_BYTES[c]:02X}" for c in name if c in _BYTES)
            return f"⟨{raw}⟩"
        return text

    @cached_property
    def _special(self) -> frozenset[int]:
        if self._slow is not None:
            return frozenset(self._slow.all_special_ids)
        return frozenset(i for i, token in self._fast.get_added_tokens_decoder().items() if token.special)

    @property
    def stop_tokens(self) -> frozenset[int]:
        if self._slow is not None:
            return frozenset(i for i in [self._slow.eos_token_id] if i is not None)
        eos = self._generation.get("eos_token_id")
        if eos is None and self._config.get("eos_token"):
            eos = self._fast.token_to_id(_content(self._config["eos_token"]))
        return frozenset(eos if isinstance(eos, list) else [eos] if eos is not None else [])

    def vocabulary(self) -> dict[str, int]:
        """Every token's text to its id."""
        return self._slow.get_vocab() if self._slow is not None else self._fast.get_vocab()


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


def _read_json(path: Path) -> dict:
    import json

    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _content(token) -> str:
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
