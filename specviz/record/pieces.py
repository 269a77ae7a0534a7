"""The pieces of a text: what each token looks like on its own, and how bytes of one character come together."""

from __future__ import annotations

import codecs
import re
from collections.abc import Set
from typing import Protocol

_BYTES = re.compile(r"⟨([0-9A-F]{2}(?: [0-9A-F]{2})*)⟩")  # a token whose bytes are no whole character


class Tokenizer(Protocol):
    """What a record must know of a tokenizer: what a token looks like, and which tokens are no text."""

    @property
    def special(self) -> Set[int]: ...

    def piece(self, token: int) -> str: ...


def joined(pieces: list[str]) -> list[str]:
    """The text that each of these pieces, one behind the other, adds: a character that is spread over several tokens stands
    at the last of them, and bytes that never become a character stay as they are. The page does the same (store.js)."""
    out, reader = list(pieces), codecs.getincrementaldecoder("utf-8")()
    waiting: dict[
        int, str
    ] = {}  # pieces with bytes of a character that is not whole yet, and what each adds if it becomes so
    for i, piece in enumerate(pieces):
        found = _BYTES.fullmatch(piece)
        text = None
        while found is not None and text is None:
            try:
                text = reader.decode(bytes.fromhex(found[1]))
            except UnicodeDecodeError:
                reader.reset()
                if not waiting:
                    break
                waiting = {}  # it is not what these needed, but it may begin anew
        if text is None:
            waiting = {}
            reader.reset()
            continue
        waiting[i] = text
        if not reader.getstate()[0]:
            for k, adds in waiting.items():
                out[k] = adds
            waiting = {}
    return out
