"""What every rule over siblings says about itself and can be asked; and how siblings may come, all ways one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from specviz import registry, rules
from specviz.rules.inputs import Numbers
from specviz.sums.rows import Floats, Indices, Mask, few
from specviz.types import DRAWINGS, Drawing

MOST_SIBLINGS = 64


class SetRule:
    """A rule over the k siblings of one place. A subclass gives `law_of` and `accepts`, and `emits` if what is written
    depends on the siblings alone: float64 arrays of B places, distributions [B, V] that sum to 1."""

    name: ClassVar[str]
    lossless: ClassVar[bool] = True  # the law is the verifier's distribution
    drawings: ClassVar[tuple[Drawing, ...]]  # how siblings may come for it; the first is the usual way
    summary: ClassVar[str]  # one plain sentence
    formula: ClassVar[str]  # X_i sibling i, p_i its law, p the draft, q the verifier
    helps: ClassVar[str]  # one or two plain sentences: what it is good for
    hurts: ClassVar[str]  # and what not
    source: ClassVar[str]  # the paper

    def __post_init__(self) -> None:
        registry.check_knobs(self)

    @property
    def spec(self) -> str:
        """Text that `parse` turns back into this rule."""
        return registry.spec(self)

    def law(self, verifier_probs: Numbers, draft_probs: Numbers, k: int, drawing: Drawing | None = None) -> Floats:
        """What the place emits, [..., V], exact. ValueError if the siblings cannot have come so for this rule."""
        drawing = self._drawing(drawing)
        shape, verifier, draft = checked(verifier_probs, draft_probs, k, drawing)
        return self.law_of(verifier, draft, k, drawing).reshape(*shape, -1)

    def acceptance(
        self, verifier_probs: Numbers, draft_probs: Numbers, k: int, drawing: Drawing | None = None
    ) -> Floats:
        """The chance that what is written is one of the siblings, [...], exact. ValueError as for `law`, and where there is
        no way to compute it exactly for so many tokens."""
        drawing = self._drawing(drawing)
        shape, verifier, draft = checked(verifier_probs, draft_probs, k, drawing)
        return by_few(lambda q, p: self.accepts(q, p, k, drawing), verifier, draft).reshape(shape)

    def law_of(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        """`law` without its checks, [B, V]."""
        return verifier

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        """`acceptance` without its checks, [B]."""
        raise NotImplementedError

    def emits(self, verifier: Floats, draft: Floats, tokens: Indices, drawing: Drawing) -> Floats:
        """What each place emits, [B, V], given its siblings `tokens` [B, k] as `drawn` has them. NotImplementedError where
        that does not depend on them alone."""
        raise NotImplementedError

    def _drawing(self, drawing: Drawing | None) -> Drawing:
        drawing = drawing or self.drawings[0]
        if drawing in DRAWINGS and drawing not in self.drawings:
            raise ValueError(f"{self.name} takes siblings that come {' or '.join(self.drawings)}; got {drawing}.")
        return drawing


def checked(
    verifier_probs: Numbers, draft_probs: Numbers, k: int, drawing: Drawing
) -> tuple[tuple[int, ...], Floats, Floats]:
    """The leading shape, and both distributions as float64 rows [B, V] that sum to 1. ValueError if they are no
    distributions over one vocabulary, or k or the drawing is none."""
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_SIBLINGS:
        raise ValueError(f"k must be a whole number from 1 to {MOST_SIBLINGS}; got {registry.shown(k)}.")
    if drawing not in DRAWINGS:
        raise ValueError(f"drawing must be one of {', '.join(DRAWINGS)}; got {registry.shown(drawing)}.")
    both = rules.checked(verifier_probs, draft_probs)
    rows = [part.detach().double().cpu().numpy().reshape(-1, part.shape[-1]) for part in both]
    verifier, draft = (part / part.sum(-1, keepdims=True) for part in rows)
    return tuple(both[0].shape[:-1]), verifier, draft


def by_few(function: Callable[[Floats, Floats], Floats], verifier: Floats, draft: Floats) -> Floats:
    """`function` of rows [b, V], which gives [b], of a few rows at a time, [B]."""
    step = few(verifier.shape[1])
    parts = [function(verifier[i : i + step], draft[i : i + step]) for i in range(0, len(verifier), step)]
    return np.concatenate(parts) if parts else np.zeros(0)


def normalised(weights: Floats, otherwise: Floats) -> Floats:
    """Rows [B, V] scaled to sum to 1; those of `otherwise` where there is nothing to scale."""
    mass = weights.sum(-1, keepdims=True)
    return np.where(mass > 0, weights / np.where(mass > 0, mass, 1.0), otherwise)


def residual(verifier: Floats, draft: Floats) -> Floats:
    """norm(max(verifier - draft, 0)), [B, V]; the verifier where that has no mass."""
    return normalised(np.maximum(verifier - draft, 0), verifier)


def likeliest(draft: Floats, k: int) -> Mask:
    """[B, V]: the k likeliest tokens of each row, of those that have mass; the first of equals."""
    if k >= draft.shape[1]:
        return draft > 0
    least = np.partition(draft, draft.shape[1] - k, -1)[:, draft.shape[1] - k, None]
    above, equal = draft > least, draft == least
    room = k - np.count_nonzero(above, -1)[:, None]
    mask: Mask = (above | (equal & (np.cumsum(equal, -1) <= room))) & (draft > 0)
    return mask


def chosen(draft: Floats, k: int, drawing: Drawing) -> Mask:
    """[B, V]: the tokens that are siblings whatever is drawn. Of k greedy ones one is drawn, from what is left of `draft`;
    where fewer than k tokens have mass, one of those is left."""
    if drawing == "picked":
        return likeliest(draft, k)
    mask = np.zeros(draft.shape, dtype=bool)
    if drawing == "greedy":
        left = np.minimum(k, np.count_nonzero(draft, -1)) - 1
        for count in np.unique(left[left > 0]):
            mask[left == count] = likeliest(draft[left == count], int(count))
    return mask


def others(draft: Floats) -> Floats:
    """1 - draft, [B, V], to its last digits: of a token that has most of the mass, what all others have."""
    top = draft.argmax(-1)[:, None]
    rest = draft.copy()
    np.put_along_axis(rest, top, 0.0, -1)
    left = 1 - draft
    np.put_along_axis(left, top, rest.sum(-1, keepdims=True), -1)
    return left


def at(probs: Floats, tokens: Indices) -> Floats:
    """[B, ...]: the probabilities of `tokens` [B, ...]."""
    flat: Floats = np.take_along_axis(probs, tokens.reshape(len(tokens), -1), -1)
    return flat.reshape(tokens.shape)


def sibling_laws(draft: Floats, tokens: Indices, drawing: Drawing) -> list[Floats]:
    """The law [B, V] of each of the k siblings `tokens` [B, k], given its elders."""
    if drawing == "iid":
        return [draft] * tokens.shape[1]
    points = [np.eye(draft.shape[1])[tokens[:, i]] for i in range(tokens.shape[1])]
    if drawing == "picked":
        return points
    if drawing == "greedy":  # the drawn one is the eldest
        others = np.maximum.reduce([np.zeros_like(draft), *points[1:]])
        return [normalised(draft * (1 - others), draft), *points[1:]]
    laws, left = [], draft
    for point in points:
        laws.append(normalised(left, left))
        left = left * (1 - point)
    return laws


def drawn(draft: Floats, k: int, drawing: Drawing) -> tuple[Indices, Floats]:
    """All ways in which k siblings may come from one distribution `draft` [V]: the tokens [n, k], and the chance of each [n]."""
    size = len(draft)
    if drawing == "picked":
        order = [int(token) for token in np.argsort(-draft, kind="stable")[:k] if draft[token] > 0]
        return np.array([order]), np.ones(1)
    if drawing == "greedy":
        fixed = chosen(draft[None], k, drawing)[0]
        order = [int(token) for token in np.argsort(-draft, kind="stable") if fixed[token]]
        left = np.where(fixed, 0.0, draft)
        first = np.flatnonzero(left)
        return np.array([[token, *order] for token in first]), left[first] / left.sum()
    if drawing == "iid":
        ways = np.array(list(itertools.product(range(size), repeat=k)))
        return ways, draft[ways].prod(-1)
    k = min(k, int(np.count_nonzero(draft)))
    ways = np.array(list(itertools.permutations(np.flatnonzero(draft), k)))
    left, chances = np.broadcast_to(draft, (len(ways), size)).copy(), np.ones(len(ways))
    for i in range(k):
        chances *= draft[ways[:, i]] / left.sum(-1)
        np.put_along_axis(left, ways[:, i : i + 1], 0.0, -1)
    return ways, chances
