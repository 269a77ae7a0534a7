"""Pairs of table models, for everything that takes a pair: their laws are known exactly, and a round costs next to nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from specviz import backends
from specviz.backends import Pair
from tests.support.table import TableExit, TableHead, TableLookahead, TableModel


class Letters:
    """Token 0 is "a", token 1 is "b", and so on."""

    special: frozenset[int] = frozenset()

    def __init__(self, vocabulary: int, stop_tokens: frozenset[int] = frozenset()):
        self.size, self.stop_tokens = vocabulary, stop_tokens

    def encode(self, text: str, style: str | None = None, system: str | None = None) -> list[int]:
        return [(ord(letter) - ord("a")) % self.size for letter in text]

    def piece(self, token: int) -> str:
        return chr(ord("a") + token)


def table_pair(
    vocabulary: int = 3,
    *,
    verifier: TableModel | None = None,
    draft: TableModel | None = None,
    stop: frozenset[int] = frozenset(),
    drafting: bool = True,
    exact: bool = False,
) -> Pair:
    """Two tables over `vocabulary` tokens, those of seeds 1 and 2 unless they are given. `stop`: tokens that end a text;
    `drafting` False: no draft model, no head, no exit and no look-ahead tokens; `exact`: logits in float64, so that laws come out to its last digits."""
    verifier = verifier or TableModel(vocabulary, 1)
    draft = draft or TableModel(vocabulary, 2)
    if exact:
        verifier.logits, draft.logits = verifier.logits.double(), draft.logits.double()
    pair = Pair(draft if drafting else None, verifier, Letters(vocabulary, stop), {})
    if drafting:
        pair.head, pair.exit, pair.lookahead = TableHead(draft), TableExit(draft), TableLookahead()
    return pair


CHAT = (  # each message behind a token of its own; without a system message it says "Be kind."
    "{% if messages[0].role != 'system' %}<|task|>Be kind.\n{% endif %}{% for one in messages %}"
    "{{ '<|task|>' if one.role == 'system' else '<|tale|>' }}{{ one.content }}\n{% endfor %}<|tiny|>"
)


def chat_pair(folder: Path, name: str = "chatty") -> Pair:
    """The models of the small pair as a pair that chats by the template CHAT, written to a folder and loaded from there."""
    small = backends.pairs()["small"].folder
    for role in ("draft", "verifier"):
        shutil.copytree(small / role, folder / role)
        path = folder / role / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": CHAT}))
    facts = {
        role: words
        for role, words in json.loads((small / "pair.json").read_text()).items()
        if role not in ("head", "exit")
    }
    facts |= {
        "name": name, "title": "A pair that chats", "knows": "Next to nothing.", "order": 9, "opening": "", "tags": {},
        "styles": {"chat": "as a message", "text": "as it is"},
    }  # fmt: skip
    (folder / "pair.json").write_text(json.dumps(facts))
    pair = backends.load_pair(folder)
    for role, model in zip(("draft", "verifier"), pair.models):
        model.id = f"{name}/{role}"  # as those are called that come with the project
    return pair
