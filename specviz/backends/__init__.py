"""Models that really run. One file per way to run one; this room alone knows of weights, caches and tokenizers.

    pair = backends.load_pair()                          # the pair the project ships
    pair = backends.load_pair("Qwen/Qwen3-0.6B", "Qwen/Qwen3-14B", device="cuda", dtype="bfloat16")
    tokens = pair.encode("Once upon a time", style="tiny")
    session = pair.verifier.session()                    # one text: its own cache
    logits = session.forward(tokens)                     # [len(tokens), V]
    session.rollback(3)                                  # as if only the first 3 tokens had been seen
    batch = pair.verifier.batch(rows=8, positions=300)   # many texts: one forward for all, see `Batch`

Everything a person can cause here raises ModelError or ValueError with a sentence for people.
"""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Protocol

from torch import Tensor

from specviz import registry
from specviz.assets import ASSETS
from specviz.backends import memory
from specviz.backends.tokenizer import Tokenizer, differences
from specviz.prob import dists
from specviz.types import ModelError, Sampling

SHIPPED = Path(os.environ.get("SPECVIZ_PAIR") or ASSETS / "pairs" / "small")
MAX_PROMPT_CHARACTERS = 50_000


def is_shipped(model_id: str) -> bool:
    """Whether a recorded model id names one of the shipped pair."""
    return model_id in ("shipped/draft", "shipped/verifier")


class Model(Protocol):
    """Loaded weights. Sessions share them."""

    name: str  # the backend's name
    id: str  # Hub id or folder, as given ("shipped/draft" for the shipped pair)
    revision: str  # commit, or a hash of the weight files
    parameters: int
    dtype: str
    vocabulary: int  # width of the logits, padding included
    max_positions: int

    def session(self) -> Session: ...

    def batch(self, rows: int, positions: int) -> Batch: ...  # of at most `rows` texts of at most `positions` tokens


class Seen(NamedTuple):
    logits: Tensor
    features: dict[int, Tensor]


class BatchItem(NamedTuple):
    session: Session
    tokens: list[int]
    keep: int
    parents: object = None
    features: object = ()


class Session:
    """One text going through one model. `length` is the number of tokens seen and not rolled back: the one truth
    about the cache. `seconds` is the time spent in forwards so far."""

    def __init__(self, model: Model):
        self.length = 0
        self.seconds = 0.0
        self.max_positions = model.max_positions
        self._vocabulary = model.vocabulary

    def forward(self, tokens: list[int], keep: int | None = None, parents=None, features=()) -> Seen:
        """Sees `tokens` [n] after those seen before; returns the logits after each of the last `keep` (default all), [keep, V]."""
        tokens, keep = self.checked(tokens, keep)
        began = perf_counter()
        logits = self._forward(tokens, keep)
        self.saw(len(tokens), perf_counter() - began)
        return Seen(logits, {})

    def checked(self, tokens: list[int], keep: int | None) -> tuple[list[int], int]:
        """The arguments of `forward` as the model is to get them, or ModelError or ValueError."""
        keep = len(tokens) if keep is None else keep
        if not 1 <= keep <= len(tokens):
            raise ValueError(f"keep must be from 1 to {len(tokens)}; got {keep}.")
        if self.length + len(tokens) > self.max_positions:
            raise ModelError(f"The text is longer than the {self.max_positions} tokens this model can hold.")
        # A token that only the partner has (a wider vocabulary) is seen as token 0: this model has nothing else to see.
        return [t if t < self._vocabulary else 0 for t in tokens], keep

    def saw(self, count: int, seconds: float) -> None:
        """Counts `count` tokens that went through the model in `seconds`."""
        self._last = count
        self.length += count
        self.seconds += seconds

    def settle(self, path) -> None:
        """Of the tokens of the last forward keeps those of `path`."""
        self.rollback(self.length - self._last + len(path))

    def rollback(self, length: int) -> None:
        """Forgets every token from absolute position `length` on. No effect if fewer have been seen."""
        if length < self.length:
            self._rollback(length)
            self.length = length

    def _forward(self, tokens: list[int], keep: int) -> Tensor:
        raise NotImplementedError

    def _rollback(self, length: int) -> None:
        raise NotImplementedError


class Batch:
    """Texts that go through one model together. Each is a Session; what it is told does not depend on the others,
    up to the last bits of float arithmetic. This one, for models that know no better, asks them one after the other."""

    def __init__(self, model: Model):
        self._model = model

    def session(self) -> Session:
        """A new text. At most as many at a time as the batch has rows."""
        return self._model.session()

    def release(self, session: Session) -> None:
        """A text is done; its row is free."""

    def forward(self, asked: list[tuple[Session, list[int], int]]) -> list[Tensor]:
        """What `session.forward(tokens, keep)` returns, for every (session, tokens, keep); each session once."""
        return [session.forward(tokens, keep) for session, tokens, keep, *_ in asked]


class Pair:
    """A draft model and a verifier over one vocabulary."""

    def __init__(self, draft: Model, verifier: Model, tokenizer: Tokenizer, styles: dict[str, str]):
        self.draft, self.verifier, self.tokenizer = draft, verifier, tokenizer
        self.styles = styles  # name -> what it is for; the tag is put before the prompt
        self.vocabulary = max(draft.vocabulary, verifier.vocabulary)
        self.max_positions = min(draft.max_positions, verifier.max_positions)
        self.source: dict | None = None  # the arguments of `load_pair`, if that made it

    def encode(self, prompt: str, style: str | None = None) -> list[int]:
        """Token ids of a prompt, as both models expect them. ValueError if it is empty, too long, or of an unknown style."""
        if not prompt.strip():
            raise ValueError("The prompt is empty. Write at least one word.")
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            raise ValueError(
                f"The prompt has {len(prompt):,} characters; at most {MAX_PROMPT_CHARACTERS:,} are allowed."
            )
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise ValueError(
                "The prompt holds half a character (a surrogate without its partner). Delete it and write it anew."
            )
        if style is not None and style not in self.styles:
            known = ", ".join(self.styles) or "none"
            raise ValueError(f"There is no style {style!r}. There are: {known}.")
        tokens = self.tokenizer.encode(prompt, style)
        if len(tokens) >= self.max_positions:
            raise ValueError(
                f"The prompt is {len(tokens):,} tokens long; these models hold {self.max_positions:,}, and some must be left to write."
            )
        return tokens

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end the text."""
        return self.tokenizer.stop_tokens


def load(model: str, *, device: str = "cpu", dtype: str | None = None, backend: str | None = None) -> Model:
    """Loads one model by local folder or Hub id. The first backend that can run it is used, unless one is named."""
    found = registry.variants(__name__)
    if backend is not None and backend not in found:
        raise ValueError(f"There is no backend called {backend!r}. There are: {', '.join(found)}.")
    device = memory.placed(model, device, dtype)
    candidates = [found[backend]] if backend else sorted(found.values(), key=lambda cls: -cls.speed)
    for cls in candidates:
        if cls.can_run(model, device, dtype):
            with memory.explained(f"{model!r} does not fit into the memory of {device}."):
                return cls(model, device=device, dtype=dtype)
    raise ModelError(f"No backend can run {model!r} on {device} in {dtype or 'its own dtype'}.")


def load_pair(
    draft: str | None = None,
    verifier: str | None = None,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    backend: str | None = None,
) -> Pair:
    """Loads a draft and a verifier (both None: the shipped pair). ModelError says how their tokenizers differ, if they do."""
    if (draft is None) != (verifier is None):
        raise ValueError("Give both models, the draft and the verifier, or neither for the shipped pair.")
    source = dict(draft=draft, verifier=verifier, device=device, dtype=dtype, backend=backend)
    styles: dict[str, str] = {}
    shipped = draft is None
    if shipped:
        draft, verifier = str(SHIPPED / "draft"), str(SHIPPED / "verifier")
        facts = SHIPPED / "pair.json"
        styles = (
            json.loads(facts.read_text())["styles"]
            if facts.exists()
            else {"tiny": "a story", "tale": "a tale", "task": "a question"}
        )
    tokenizer, other = Tokenizer(verifier), Tokenizer(draft)
    if how := differences(other, tokenizer):
        raise ModelError(f"These two models cannot work together, because their tokenizers differ: {how}")
    styles = styles or tokenizer.styles
    tokenizer.tags = {style: f"<|{style}|>" for style in styles}
    models = [load(name, device=device, dtype=dtype, backend=backend) for name in (draft, verifier)]
    if all(model.name == "static_llama" for model in models):
        import torch

        # At this size a second thread gains a tenth to a third on an idle machine and loses many times over on a busy one.
        torch.set_num_threads(1)
    for model, role in zip(models, ("draft", "verifier")):
        if shipped:
            model.id = f"shipped/{role}"  # a folder's path says nothing on another machine
    pair = Pair(*models, tokenizer, styles)
    pair.source = source
    gc.collect()
    gc.freeze()  # what is here by now stays: going through it again takes a tenth of a second, in the midst of some text
    return pair
