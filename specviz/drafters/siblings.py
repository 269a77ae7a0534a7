"""The ways in which several candidates for one place may come, see `specviz.types.DRAWINGS`."""

from __future__ import annotations

from torch import Tensor

from specviz.drafters.draft import Draft
from specviz.prob import dists
from specviz.types import Drawing


def offer(draft: Draft, parent: int, probs: Tensor, count: int, drawing: Drawing) -> range:
    """Puts up to `count` candidates for the place behind node `parent` into `draft`, and returns their numbers. `probs` [V]
    is what the draft model says of that place. The eldest is the one to be judged first.

    How many there are depends on `probs`, never on what was drawn. Of several greedy ones the drawn one is the eldest: it
    is judged against the verifier, the chosen ones against what it leaves, which keeps as much as any rule could.
    """
    first = len(draft)
    if drawing == "iid" or count == 1 and drawing != "picked":
        for _ in range(count):
            draft.draw(probs, parent)
    elif drawing == "without_replacement":
        draft.draw_distinct(probs, count, parent)
    else:
        likeliest = [token for token in ranked(probs, count) if probs[token] > 0]
        if drawing == "greedy" and len(likeliest) > 1:
            likeliest = likeliest[:-1]
            draft.draw(dists.without(probs, likeliest), parent)
        for token in likeliest:
            draft.pick(token, parent, float(probs[token]))
    return range(first, len(draft))


def ranked(probs: Tensor, count: int) -> list[int]:
    """The `count` likeliest tokens of `probs` [V], the likeliest first."""
    tokens: list[int] = probs.topk(min(count, len(probs))).indices.tolist()
    return tokens
