"""What every way to run a model offers: a text that goes through the model, and many texts that go through it together.

The tokens of one forward follow each other (a chain), or branch (a tree): each has a parent, which is an earlier token
of that forward or, as -1, the text that was there before. A token sees that text, its ancestors and itself. Its
position is its depth behind the text, its slot in the cache is its order: two numbers, equal in a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from specviz.stopping import checkpoint
from specviz.types import ModelError, depths

if TYPE_CHECKING:
    from torch import Tensor


class Seen(NamedTuple):
    """What a model makes of n tokens that it was shown."""

    logits: Tensor  # [keep, V], after each of the last `keep` tokens
    features: dict[int, Tensor]  # layer -> [n, width]: the hidden state of every token after that many layers


class Forward(NamedTuple):
    """A text and what its model is asked: the arguments of `Session.forward`."""

    session: Session
    tokens: list[int]
    keep: int | None = None
    parents: Sequence[int] | None = None
    features: Sequence[int] = ()


class Model(Protocol):
    """Loaded weights. Sessions share them."""

    name: str  # the backend's name
    id: str  # Hub id or folder, as given ("small/draft" for the draft of the pair `small`)
    revision: str  # commit, or a hash of the weight files
    parameters: int
    dtype: str
    vocabulary: int  # V, the width of the logits, padding included
    max_positions: int
    layers: int
    ahead: int  # look-ahead tokens that it was given, which its forwards know as -1, -2, ..., -ahead

    @property
    def can(self) -> frozenset[str]:
        """ "tree": a forward's tokens may branch. "features": hidden states can be asked for. "begin": so can `Session.begin`.
        "ahead": it can be given look-ahead tokens."""

    @property
    def threads(self) -> int | None:
        """The number of torch threads that suits the model; None: as many as torch itself would take."""

    def lend(self, name: str) -> Tensor:
        """The embedding ("model.embed_tokens.weight") or the output layer ("lm_head.weight"), [V, width], in any float dtype
        on any device, for a draft that does without its own. KeyError if there is none to lend."""

    def look_ahead(self, rows: Tensor) -> None:
        """Gives it look-ahead tokens, by their embeddings [ahead, width]. Only if it `can` "ahead"."""

    def session(self) -> Session:
        """A new text."""

    def batch(self, rows: int, positions: int) -> Batch:
        """Room for `rows` texts of `positions` tokens each, those of a draft included that are forgotten again."""


class HeadSession(Protocol):
    """A text as a head sees it. `seconds`: time spent so far."""

    seconds: float

    @property
    def length(self) -> int:
        """Places."""

    def read(self, tokens: list[int], features: dict[int, Tensor]) -> Tensor:
        """Adds places: the tokens [n] in them, and the verifier's states [n, width] by layer. The logits behind the last
        of them, of the tokens that the head knows."""

    def go_on(self, token: int) -> Tensor:
        """Adds a place with the head's own state of the last one. The logits behind it."""

    def rollback(self, length: int) -> None:
        """Forgets the places from `length` on; only `read` may follow."""


class Head(Protocol):
    """Loaded weights of a head. `reads`: the verifier's layers whose states it wants; `kept` [K]: the tokens, ascending,
    that its logits stand for (None: all). The rest as in `Model`."""

    name: str
    id: str
    revision: str
    parameters: int
    dtype: str
    reads: tuple[int, ...]
    kept: Tensor | None

    def session(self) -> HeadSession:
        """A new text."""


class ExitSession(Protocol):
    """A text as an exit sees it. `seconds`: time spent so far."""

    seconds: float

    @property
    def length(self) -> int:
        """Tokens."""

    def read(self, states: Tensor) -> Tensor:
        """Adds tokens by the verifier's states [n, width] of them behind its layer. The logits behind the last, of the tokens
        that the exit knows."""

    def rollback(self, length: int) -> None:
        """Forgets the tokens from `length` on."""


class Exit(Protocol):
    """Loaded weights of an exit: what a verifier would say behind the first `layer` of its layers. `kept` as in `Head`, the rest as
    in `Model`."""

    name: str
    id: str
    revision: str
    parameters: int
    dtype: str
    layer: int
    kept: Tensor | None

    def session(self) -> ExitSession:
        """A new text."""


class Lookahead(Protocol):
    """Look-ahead tokens, `count` of them, that a verifier was given. `kept` [K]: the tokens, ascending, that the logits behind them
    are about (None: all). The rest as in `Model`."""

    name: str
    id: str
    revision: str
    parameters: int
    dtype: str
    count: int
    kept: Tensor | None


class Tree:
    """How the n tokens of one forward branch. `parents` [n]: the parent of each, see above. ValueError if one is no
    earlier token."""

    def __init__(self, parents: Sequence[int]):
        self.parents = list(parents)
        for i, parent in enumerate(self.parents):
            if not -1 <= parent < i:
                raise ValueError(f"The parent of token {i} must be an earlier token, from -1 to {i - 1}; got {parent}.")
        self.depths = depths(self.parents)  # [n], of each token behind the text: 0 for one that follows it directly

    @property
    def is_chain(self) -> bool:
        return self.parents == list(range(-1, len(self.parents) - 1))

    @cached_property
    def sees(self) -> np.ndarray:
        """[n, n] bool: whether token i sees token j, which is an ancestor of it or itself."""
        sees = np.eye(len(self.parents), dtype=bool)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                sees[i] |= sees[parent]
        return sees

    def mask(self, before: int, end: int | None = None) -> Tensor:
        """[n, end] float32 over the slots of a cache (default: those in use) that holds `before` tokens in front of
        these: 0 where a token sees, -inf elsewhere."""
        import torch

        count = len(self.parents)
        mask = np.full((count, before + count if end is None else end), -np.inf, np.float32)
        mask[:, :before] = 0
        mask[:, before : before + count][self.sees] = 0
        return torch.from_numpy(mask)


class Shown(NamedTuple):
    """The arguments of a forward, once they are checked."""

    tokens: list[int]
    keep: int
    tree: Tree | None  # None: a chain
    layers: tuple[int, ...]  # whose features are asked for


class Begun(NamedTuple):
    """Tokens behind the text that went through the first `layer` layers only: their states there, [n, width]."""

    tokens: list[int]
    layer: int
    states: Tensor

    def first(self, tokens: Sequence[int]) -> Begun:
        """Those that `tokens` begin with."""
        same = len(list(takewhile(lambda both: both[0] == both[1], zip(self.tokens, tokens))))
        return Begun(self.tokens[:same], self.layer, self.states[:same])


class Session:
    """One text going through one model. `length` is the number of tokens seen and not forgotten: the one truth about
    the cache. `seconds` is the time spent in forwards so far, `begin_seconds` that in `begin`."""

    def __init__(self, model: Model):
        self.length = 0
        self.seconds = self.begin_seconds = 0.0
        self.max_positions = model.max_positions
        self._model = model
        self._last = 0  # tokens of the last forward, if `settle` may still choose among them
        self._tree: Tree | None = None  # how they branch, if they do
        self._begun: Begun | None = None

    def forward(
        self,
        tokens: list[int],
        keep: int | None = None,
        parents: Sequence[int] | None = None,
        features: Sequence[int] = (),
    ) -> Seen:
        """Sees `tokens` [n] behind the text seen before.

        keep      of how many of the last tokens the logits are wanted (default: all)
        parents   [n], one for each token (default: a chain, -1, 0, 1, ...). Tokens that branch must be settled before
                  the next forward
        features  the layers whose hidden states are wanted, of all the tokens: 0 is the embedding, and the last one
                  comes with the final norm, as the logits are made from it

        ModelError if the text becomes too long; ValueError if the arguments make no sense, or ask for something the
        model cannot do.
        """
        checkpoint()
        shown = self.checked(tokens, keep, parents, features)
        began = perf_counter()
        seen = self._forward(shown)
        self.observe(shown, perf_counter() - began)
        return seen

    def begin(self, tokens: list[int], layer: int) -> Tensor:
        """Lets the first `layer` layers alone see `tokens` [n] behind the text: their states there, [n, width]. It does not count as
        seen. What the last call began is not computed again, nor, where the backend can do without, in the next `forward`.
        Raises what `forward` does."""
        checkpoint()
        if "begin" not in self._model.can:
            raise ValueError(f"{self._model.id!r} cannot stop behind some of its layers.")
        if not 1 <= layer < self._model.layers:
            raise ValueError(
                f"A forward can stop behind layer 1 to {self._model.layers - 1} of {self._model.id!r}; got {layer}."
            )
        tokens = self.checked(tokens, 1, None, ()).tokens
        began, same = perf_counter(), self._begun is not None and self._begun.layer == layer
        known = self._begun.first(tokens) if self._begun is not None and same else None
        states = self._begin(tokens, layer, known)
        self._begun = Begun(tokens, layer, states)
        self.begin_seconds += perf_counter() - began
        return states

    def checked(
        self, tokens: list[int], keep: int | None, parents: Sequence[int] | None, features: Sequence[int]
    ) -> Shown:
        """The arguments of `forward` as the model is to get them; raises its errors."""
        keep = len(tokens) if keep is None else keep
        if not 1 <= keep <= len(tokens):
            raise ValueError(f"keep must be from 1 to {len(tokens)}; got {keep}.")
        if self._tree is not None:
            raise ValueError("The last forward branched; settle on a path through it before the next one.")
        tree = None if parents is None else self._branching(parents, len(tokens))
        depth = len(tokens) if tree is None else max(tree.depths) + 1
        if self.length + depth > self.max_positions:
            raise ModelError(f"The text is longer than the {self.max_positions} tokens this model can hold.")
        if features:
            self._check_features(features)
        if min(tokens) < -self._model.ahead:
            raise ValueError(f"{self._model.id!r} has {self._model.ahead} look-ahead tokens; got token {min(tokens)}.")
        # A token that only the partner has (a wider vocabulary) is seen as token 0: this model has nothing else to see.
        vocabulary = self._model.vocabulary
        return Shown([t if t < vocabulary else 0 for t in tokens], keep, tree, tuple(features))

    def _branching(self, parents: Sequence[int], count: int) -> Tree | None:
        """The tree of `count` tokens, or None if it is a chain."""
        if len(parents) != count:
            raise ValueError(f"Each of the {count} tokens must have a parent; got {len(parents)}.")
        tree = Tree(parents)
        if tree.is_chain:
            return None
        if "tree" not in self._model.can:
            raise ValueError(f"{self._model.id!r} cannot look at drafts that branch, because of its kind of attention.")
        return tree

    def _check_features(self, features: Sequence[int]) -> None:
        if "features" not in self._model.can:
            raise ValueError(f"{self._model.id!r} does not give its hidden states.")
        if odd := [layer for layer in features if not 0 <= layer <= self._model.layers]:
            raise ValueError(f"{self._model.id!r} has hidden states 0 to {self._model.layers}; got {odd[0]}.")

    def observe(self, shown: Shown, seconds: float) -> None:
        """Notes that `shown` went through the model in `seconds`."""
        self.length += len(shown.tokens)
        self.seconds += seconds
        self._last, self._tree, self._begun = len(shown.tokens), shown.tree, None

    def settle(self, path: Sequence[int]) -> None:
        """Of the last forward's tokens keeps those whose indices are in `path` and forgets the others, so that all is
        as if only those had been seen, one after the other. The first of them follows the text, each other one is the
        child of the one before it; an empty path keeps none. ValueError if that is not so, or if nothing was seen since
        the last `settle` or `rollback`."""
        if not self._last:
            raise ValueError("There is nothing to settle: no token was seen since the text was settled or rolled back.")
        path, start = list(path), self.length - self._last
        if self._tree is not None or path != list(range(min(len(path), self._last))):
            self._check_path(path)
            stay = next((k for k, i in enumerate(path) if k != i), len(path))  # this many are where they belong
            if stay < len(path):
                self._move(start + stay, [start + i for i in path[stay:]])
            self._tree = None
        self.rollback(start + len(path))
        self._last = 0

    def _check_path(self, path: list[int]) -> None:
        parents = range(-1, self._last - 1) if self._tree is None else self._tree.parents
        before = -1
        for i in path:
            if not 0 <= i < self._last or parents[i] != before:
                raise ValueError(f"{path} is no path through the last {self._last} tokens from the text on.")
            before = i

    def rollback(self, length: int) -> None:
        """Forgets every token from absolute position `length` on. No effect if fewer have been seen. ValueError if
        that leaves tokens that branch: those are for `settle`."""
        if length >= self.length:
            if self._begun is not None:
                self._begun = self._begun.first(self._begun.tokens[: length - self.length])
            return
        self._begun = None
        start = self.length - self._last
        if self._tree is not None and length > start:
            self.settle(range(length - start))
            return
        self._rollback(length)
        self.length, self._last, self._tree = length, 0, None

    def _forward(self, shown: Shown) -> Seen:
        raise NotImplementedError

    def _begin(self, tokens: list[int], layer: int, known: Begun | None) -> Tensor:
        """See `begin`. `known`: the first of them, if some are begun already; a backend may do those again."""
        raise NotImplementedError

    def _rollback(self, length: int) -> None:
        """Forgets all slots of the cache from `length` on."""
        raise NotImplementedError

    def _move(self, target: int, slots: list[int]) -> None:
        """Copies what the cache holds in `slots`, which rise, to the slots from `target` on; none of those is behind
        its source."""
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

    def forward(self, asked: Sequence[Forward]) -> list[Seen]:
        """What each text's own `forward` returns; every text at most once."""
        return [ask.session.forward(ask.tokens, ask.keep, ask.parents, ask.features) for ask in asked]
