"""What a drafter hands over: tokens, each with the very distribution it came from, and each with its parent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from specviz.prob import dists, noise
from specviz.types import Sampling

TEXT = -1  # the parent of a node that follows the text itself


class Provenance(NamedTuple):
    """Where a drafted token came from, for whoever looks at the run. No rule and no model reads it.

    by           the drafter that proposed it, where one stands for several
    copied_from  index in the text (prompt, then written tokens) of the token that it is a copy of
    matched      length, in tokens, of the run that was looked up to find it
    layer        the verifier's layer behind which it was proposed
    sample       index of the sample of the same prompt that it is a copy of
    ahead        number of the look-ahead token, from 1 on, that it was proposed behind
    """

    by: str | None = None
    copied_from: int | None = None
    matched: int | None = None
    layer: int | None = None
    sample: int | None = None
    ahead: int | None = None


class Draft:
    """A tree of drafted tokens, grown node by node; a chain is a tree in which every node follows the one before.

    No token is without its law: `draw` samples a token from a distribution and keeps both, `pick` puts a token that was
    chosen and whose law is all on that token. Only a draft can be judged, so the classic mistakes cannot be written down:
    an argmax draft judged with a soft distribution, raw logits, a draft sampled at another temperature than the verifier's.

    Node i has `tokens[i]`, `parents[i]` < i (TEXT: it follows the text), `chosen[i]`, row i of `probs` [m, V] and, where
    its drafter said so, `provenance[i]`. Its place is `start` plus its depth. All noise is drawn here, keyed by place, branch (the how-manieth node of its depth) and attempt.
    """

    def __init__(
        self,
        start: int,
        budget: int,
        sampling: Sampling,
        source: noise.Noise,
        vocabulary: int,
        stop_tokens: frozenset[int] = frozenset(),
        attempt: int = 0,
        least: float = 0.0,
    ):
        self.start, self.budget, self.sampling = start, budget, sampling
        self.vocabulary, self.attempt, self.least = vocabulary, attempt, least
        self._source, self._stop = source, stop_tokens
        self._tokens: list[int] = []
        self._parents: list[int] = []
        self._depths: list[int] = []
        self._branches: list[int] = []
        self._probs: list[Tensor | None] = []  # None: chosen
        self._confidence: list[float] = []  # what its drafter gave each token
        self._provenance: list[Provenance | None] = []
        self._stacked: Tensor | None = None

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(self._tokens)

    @property
    def parents(self) -> tuple[int, ...]:
        return tuple(self._parents)

    @property
    def chosen(self) -> tuple[bool, ...]:
        return tuple(probs is None for probs in self._probs)

    @property
    def provenance(self) -> tuple[Provenance | None, ...]:
        return tuple(self._provenance)

    @property
    def depth(self) -> int:
        """The most tokens on one path."""
        return max(self._depths, default=-1) + 1

    @property
    def is_chain(self) -> bool:
        """Whether every node follows the one before."""
        return self._depths == list(range(len(self._depths)))

    @property
    def probs(self) -> Tensor:
        """[m, V]: the law of every node."""
        if self._stacked is None:
            self._stacked = torch.stack([self._law(i) for i in range(len(self))])
        return self._stacked

    def room(self, parent: int | None = None) -> bool:
        """Whether a token may follow node `parent` (default: the newest): the budget is not spent there, the text has not ended,
        and its drafter was sure enough of that node."""
        parent = len(self._tokens) - 1 if parent is None else parent
        if parent == TEXT:
            return self.budget > 0
        open_ended = self._tokens[parent] not in self._stop and self._confidence[parent] >= self.least
        return open_ended and self._depth_behind(parent) < self.budget

    def ends(self, token: int) -> bool:
        """Whether this token ends a text, so that nothing may follow it."""
        return token in self._stop

    def draw(self, probs: Tensor, parent: int | None = None) -> int:
        """Samples a token to follow node `parent` (default: the newest) from `probs` [V], and returns its id."""
        depth, branch = self._place(parent)
        exponentials = self._source.exponentials(noise.DRAFT, self.start + depth, self.vocabulary, self.attempt, branch)
        token = dists.draw_token(probs, exponentials.to(probs.device))
        self._add(token, parent, depth, branch, probs, float(probs[token]))
        return token

    def draw_distinct(self, probs: Tensor, count: int, parent: int | None = None) -> list[int]:
        """Samples up to `count` different tokens to follow node `parent` (default: the newest) from `probs` [V], without
        replacement, and returns their ids: those that arrive first in the race whose winner `draw` returns. The law of
        each is `probs` without its elders."""
        parent = len(self._tokens) - 1 if parent is None else parent
        depth, branch = self._place(parent)
        exponentials = self._source.exponentials(noise.DRAFT, self.start + depth, self.vocabulary, self.attempt, branch)
        tokens = dists.draw_tokens(probs, exponentials.to(probs.device), count)
        for rank, token in enumerate(tokens):
            law = dists.without(probs, tokens[:rank]) if rank else probs
            self._add(token, parent, depth, branch + rank, law, float(law[token]))
        return tokens

    def pick(self, token: int, parent: int | None = None, confidence: float = 1.0) -> None:
        """Puts a chosen token behind node `parent` (default: the newest). `confidence`: the probability its drafter gave it."""
        depth, branch = self._place(parent)
        self._add(token, parent, depth, branch, None, confidence)

    def take(self, probs: Tensor, chosen: bool, parent: int | None = None) -> int:
        """A token from `probs` [V] behind node `parent` (default: the newest): drawn, or the likeliest if it is to be `chosen`.
        Returns its id."""
        if not chosen:
            return self.draw(probs, parent)
        token = int(probs.argmax())
        self.pick(token, parent, float(probs[token]))
        return token

    def note(self, provenance: Provenance) -> None:
        """Says where the newest node came from."""
        self._provenance[-1] = provenance

    def credit(self, by: str) -> None:
        """Notes which drafter proposed every node so far, for one that stands for several."""
        self._provenance = [(known or Provenance())._replace(by=by) for known in self._provenance]

    def uniforms(self) -> list[float]:
        """The number in [0, 1) drawn for the acceptance test of every node."""
        if self.is_chain:
            return self._source.uniforms(self.start, len(self), self.attempt)
        places = zip(self._depths, self._branches)
        return [self._source.uniforms(self.start + depth, 1, self.attempt, branch)[0] for depth, branch in places]

    def cut(self) -> None:
        """Drops every node that there was no room for: what follows there is never looked at."""
        kept: dict[int, int] = {TEXT: TEXT}  # old number -> new
        for i, parent in enumerate(self._parents):
            if parent in kept and self.room(parent):
                kept[i] = len(kept) - 1
        if len(kept) == len(self) + 1:
            return
        del kept[TEXT]
        parents = [kept.get(self._parents[i], TEXT) for i in kept]
        self._tokens, self._depths = [self._tokens[i] for i in kept], [self._depths[i] for i in kept]
        self._branches, self._probs = [self._branches[i] for i in kept], [self._probs[i] for i in kept]
        self._provenance, self._confidence = [self._provenance[i] for i in kept], [self._confidence[i] for i in kept]
        self._parents, self._stacked = parents, None

    def path(self, nodes: Sequence[int]) -> list[int]:
        """The tokens of some nodes."""
        return [self._tokens[i] for i in nodes]

    def _law(self, node: int) -> Tensor:
        probs = self._probs[node]
        if probs is not None:
            return probs
        like = next((known for known in self._probs if known is not None), None)
        law = torch.zeros(self.vocabulary) if like is None else torch.zeros_like(like)
        law[self._tokens[node]] = 1.0
        return law

    def _depth_behind(self, parent: int) -> int:
        return 0 if parent == TEXT else self._depths[parent] + 1

    def _place(self, parent: int | None) -> tuple[int, int]:
        """Depth and branch of the next node behind `parent`."""
        last = len(self._tokens) - 1
        parent = last if parent is None else parent
        if not TEXT <= parent <= last:
            raise ValueError(f"A node follows the text (-1) or one of the {last + 1} nodes before it; got {parent}.")
        depth = self._depth_behind(parent)
        return depth, self._depths.count(depth)

    def _add(
        self,
        token: int,
        parent: int | None,
        depth: int,
        branch: int,
        probs: Tensor | None,
        confidence: float = 1.0,
    ) -> None:
        self._parents.append(len(self._parents) - 1 if parent is None else parent)
        self._tokens.append(token)
        self._depths.append(depth)
        self._branches.append(branch)
        self._probs.append(probs)
        self._provenance.append(None)
        self._confidence.append(confidence)
        self._stacked = None
