"""What the pair reads: stories from text files, questions from the generators, packed into rows.

A data folder holds `*.txt`, documents separated by `<|endoftext|>`. A file whose name begins
with "tiny" is told in the tiny style, any other in the tale style. Every fiftieth document
(by hash) is kept for the held-out losses. The order is a pure function of the seed, and
`state()` is all that is needed to go on after an interruption.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from specviz import tasks
from specviz.training import tokenizer as tokens

MIX = {"task": 0.62, "tiny": 0.33, "tale": 0.05}  # shares of the tokens the verifier reads
DRAFT_MIX = {"task": 0.3, "tiny": 0.65, "tale": 0.05}  # stories are where a small draft agrees with it least
MORE = ("chain", "objects", "order", "order", "sort", "sort", "sort")  # slow to learn: each drawn so often again
PROMPT_WEIGHT = 0.05  # of a question's prompt in the loss; its solution has 1
HELD_OUT_TEXT = 50  # one document in so many
# Names that change places within a list from reading to reading, so that a small corpus
# read many times teaches who is who rather than these very people.
SWAPS = (
    ("Lily", "Mia", "Sue", "Anna", "Lucy", "Jane", "Emma", "Sara", "Amy", "Molly", "Sally", "Kate", "Ella", "Daisy"),
    ("Tom", "Ben", "Max", "Sam", "Tim", "Jack", "Bob", "Billy", "Timmy", "Tommy", "John", "Joe", "Peter", "Leo"),
)
NAME = re.compile(r"\b(" + "|".join(name for row in SWAPS for name in row) + r")\b")

# ids; the weight of each as a target of the loss; whether the text ends here (else: cut from a longer one).
# The first id, the end token, is the target that closes the document before; the style tag is never a target.
Document = tuple[list[int], list[float], bool]


@dataclass(frozen=True)
class Texts:
    """Documents by style, and those kept for the held-out losses."""

    train: dict[str, list[str] | list[list[int]]]
    test: dict[str, list[str]]


def read(folder: Path, chunk: int = 1200) -> Texts:
    """All texts of a folder. Tales are cut at paragraphs into pieces of about `chunk` characters."""
    paths = sorted(Path(folder).glob("*.txt"))
    if not paths:
        raise ValueError(f"there is no .txt file in {folder}")
    train, test = {}, {}
    for path in paths:
        style = "tiny" if path.name.startswith("tiny") else "tale"
        for document in path.read_text(encoding="utf-8").split(tokens.END):
            document = document.strip()
            if not document:
                continue
            kept = int(hashlib.sha256(document.encode()).hexdigest(), 16) % HELD_OUT_TEXT == 0
            pieces = [document] if style == "tiny" else cut(document, chunk)
            (test if kept else train).setdefault(style, []).extend(pieces)
    return Texts(train, test)


def cut(document: str, chunk: int) -> list[str]:
    """Whole paragraphs up to about `chunk` characters; every piece but the last ends with a newline."""
    pieces, piece = [], ""
    for paragraph in document.split("\n"):
        if piece and len(piece) + len(paragraph) > chunk:
            pieces.append(piece)
            piece = ""
        piece += paragraph + "\n"
    return [*pieces, piece.rstrip("\n")]


def swap_names(text: str, rng: random.Random) -> str:
    new = {}
    for row in SWAPS:
        new.update(zip(row, rng.sample(row, len(row))))
    return NAME.sub(lambda found: new[found.group()], text)


class Reader:
    """Endless rows for training; the documents of each style in a new order every time round."""

    def __init__(self, texts: Texts, tokenizer: Tokenizer, seed: int, length: int, mix: dict[str, float] = MIX):
        """The documents of a style are texts, or the ids of texts (see `written`)."""
        self.texts, self.tokenizer, self.length = texts.train, tokenizer, length
        self.mix = {style: share for style, share in mix.items() if style == "task" or self.texts.get(style)}
        self.openings = {style: tokens.opening(tokenizer, style) for style in self.mix}
        self.seed = seed
        self.rng = random.Random(f"reader {seed}")
        self.cursor = {style: 0 for style in self.mix}  # documents taken
        self.used = {style: 0 for style in self.mix}  # tokens taken
        self.waiting: list = []  # a document that did not fit its row

    def state(self) -> dict:
        return {
            "rng": self.rng.getstate(),
            "cursor": dict(self.cursor),
            "used": dict(self.used),
            "waiting": list(self.waiting),
        }

    def restore(self, state: dict) -> None:
        self.rng.setstate(state["rng"])
        self.cursor, self.used = dict(state["cursor"]), dict(state["used"])
        self.waiting = list(state["waiting"])

    def document(self, style: str) -> Document:
        cursor = self.cursor[style]
        self.cursor[style] += 1
        if style == "task":
            names = (*tasks.names(), *MORE)
            question = tasks.family(names[cursor % len(names)]).draw(self.rng, "train")
            return question_ids(question, self.tokenizer, self.openings[style])
        epoch, place = divmod(cursor, len(self.texts[style]))
        order = shuffled(len(self.texts[style]), f"{self.seed} {style} {epoch}")
        text = self.texts[style][order[place]]
        if not isinstance(text, str):
            return written_ids(text, self.openings[style])
        if style == "tiny" and epoch:
            text = swap_names(text, self.rng)
        return text_ids(text, self.tokenizer, self.openings[style])

    def row(self) -> tuple[list[int], list[float]]:
        """length + 1 ids and their weights as targets: whole documents, the last one cut off."""
        ids, weights, ended = [], [], True
        while (room := self.length + 1 - len(ids)) > 0:
            if not ids and self.waiting:
                style, document = self.waiting.pop()
            else:
                style = max(self.mix, key=lambda s: self.mix[s] * sum(self.used.values()) - self.used[s])
                document = self.document(style)
            if ids and len(document[0]) > room and style != "task":  # what is long begins a row of its own
                self.waiting.append((style, document))
                style, document = "task", self.document("task")
            new, weight, ends = document
            ids += new[:room]
            weights += ([weight[0] if ended else 0.0] + weight[1:])[:room]
            self.used[style] += min(len(new), room)
            ended = ends
        return ids, weights

    def batch(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """inputs [rows, T], targets [rows, T], weights [rows, T]."""
        ids, weights = zip(*(self.row() for _ in range(rows)))
        ids = torch.tensor(ids)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), torch.tensor(weights)[:, 1:].contiguous()


_orders: dict[tuple, list[int]] = {}


def shuffled(count: int, key: str) -> list[int]:
    """A permutation that depends on the key alone; the latest few are remembered."""
    if (count, key) not in _orders:
        if len(_orders) > 4:
            _orders.clear()
        order = list(range(count))
        random.Random(key).shuffle(order)
        _orders[count, key] = order
    return _orders[count, key]


def question_ids(
    question: tasks.Question, tokenizer: Tokenizer, opening: list[int], prompt_weight: float = PROMPT_WEIGHT
) -> Document:
    prompt = tokenizer.encode(question.prompt).ids
    solution = tokenizer.encode("\n" + question.solution).ids
    return opening + prompt + solution, [1.0, 0.0] + [prompt_weight] * len(prompt) + [1.0] * len(solution), True


def text_ids(text: str, tokenizer: Tokenizer, opening: list[int]) -> Document:
    return told(tokenizer.encode(text).ids, opening, not text.endswith("\n"))


def written_ids(ids: list[int], opening: list[int]) -> Document:
    """A text that is ids already; it has ended if its last id is the end token."""
    ended = ids[-1] == opening[0]
    return told(ids[:-1] if ended else ids, opening, ended)


def told(ids: list[int], opening: list[int], ended: bool) -> Document:
    """A text of which every token counts."""
    return opening + ids, [1.0, 0.0] + [1.0] * len(ids), ended


def held_out(texts: Texts, tokenizer: Tokenizer, style: str, count: int, length: int):
    """One held-out document per row, padded: inputs, targets, weights, each [<= count, length].

    For questions the solution alone counts. None when the style has no held-out text.
    """
    opening = tokens.opening(tokenizer, style)
    if style == "task":
        documents = [question_ids(q, tokenizer, opening, 0.0) for q in tasks.items(tasks.names(), count, 0, "test")]
    else:
        documents = [text_ids(text, tokenizer, opening) for text in texts.test.get(style, [])[:count]]
    if not documents:
        return None
    end = opening[0]
    ids = torch.full((len(documents), length + 1), end)
    weights = torch.zeros(len(documents), length + 1)
    for row, (new, weight, ended) in enumerate(documents):
        new, weight = (new + [end])[: length + 1], (weight + [float(ended)])[: length + 1]
        ids[row, : len(new)] = torch.tensor(new)
        weights[row, : len(new)] = torch.tensor(weight)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), weights[:, 1:].contiguous()
