from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.rules.base import children
from specviz.rules.traversal import TEXT, Traversal
from specviz.types import Drawing, Verdict


@dataclass(frozen=True)
class MultiPath(Traversal):
    """Multi-path block verification: of all paths of a tree of independent draws the best is taken, and judged as `block`
    judges a chain that was drawn from the law which taking the best gives it. On a chain it is `block`.

    Which is best is settled token by token from the text on, by verifier/draft. Where every node of level d has k_d
    candidates, all paths are up to (s, t) with the chance U_1^k_1, where U_d = A_d + p_d U_(d+1)^k_(d+1) with p_d the draft's
    probability of the path's token there and A_d its mass of worse ones; at the end U is its mass up to t. So the best path
    that begins with s goes on with t in proportion to U_1^k_1 up to t, less the same before t (for k_2 = k_3 = ... = 1 that is
    the paper's law of the best of k_1 paths).
    """

    name = "multi_path"
    summary = "Strict. Of all paths of independent draws the most promising is taken and judged together, as if it had been drawn so."
    source = "Multi-path block verification (arXiv 2602.16961)"
    formula = "the best path, token by token by q/p; p* its law: p*(t | s) ∝ P(all paths are up to (s, t)) − P(all are before (s, t))\nthen as block, with p* in place of p"
    helps = "With several independent paths: a path is chosen for what the verifier thinks of it, and then rescued as a block is."
    hurts = "It takes candidates drawn independently, as many for each node of a level; all other paths are thrown away unjudged."
    even = True

    @property
    def drawings(self) -> frozenset[Drawing]:
        return frozenset({"iid"})

    def judge_tree(self, parents: Sequence[int], verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        shape, size = token.shape, verifier_probs.shape[-1]
        accept, residual = torch.zeros_like(draft_probs[..., 0]), torch.zeros_like(draft_probs)
        behind = children(parents)
        for drafted, verifier, draft, kept, left in zip(
            token.reshape(-1, shape[-1]),
            *(part.reshape(-1, shape[-1], size) for part in (verifier_probs, draft_probs)),
            accept.view(-1, shape[-1]),
            residual.view(-1, shape[-1], size),
        ):
            path = _best_path(parents, behind, verifier, draft, drafted)
            law = _law_of_best(behind, path, verifier, draft, drafted)
            verdict = self.verdict(verifier[path], law, drafted[path])
            kept[path] = verdict.accept_prob
            for end, row in zip((TEXT, *path), verdict.residual_probs):
                left[behind[end]] = row
        return Verdict(accept, residual)


def _worse(verifier: Tensor, draft: Tensor) -> Tensor:
    """[V]: the draft's mass of all tokens worse than each; of equals the first is worse."""
    order = torch.argsort(torch.where(draft > 0, verifier / draft, 0.0), stable=True)
    mass = torch.empty_like(draft)
    mass[order] = torch.cumsum(draft[order], -1) - draft[order]
    return mass.clamp_min(0)


def _best_path(
    parents: Sequence[int], behind: dict[int, list[int]], verifier: Tensor, draft: Tensor, token: Tensor
) -> list[int]:
    """The nodes of the best path, one of those that have its tokens."""
    ends, tokens = [TEXT], token.tolist()
    while following := [child for end in ends for child in behind.get(end, ())]:
        if len({tokens[node] for node in following}) == 1:
            ends = following
            continue
        worse = _worse(verifier[following[0]], draft[following[0]])
        best = max(following, key=lambda node: float(worse[tokens[node]]))
        ends = [node for node in following if tokens[node] == tokens[best]]
    path = [ends[0]]
    while parents[path[0]] != TEXT:
        path.insert(0, parents[path[0]])
    return path


class _Place(NamedTuple):
    """A place on the way: of its token the mass of worse ones and its own, and how many candidates it had."""

    worse: Tensor
    own: Tensor
    count: int


def _law_of_best(
    behind: dict[int, list[int]], path: list[int], verifier: Tensor, draft: Tensor, token: Tensor
) -> Tensor:
    """[L, V]: for each place of the best path what its token there has as law, given those before it.

    A difference of powers a^k - b^k is (a - b) times the sum of a^i b^(k-1-i), and the differences themselves multiply up to
    the draft's own probability: so nothing cancels.
    """
    places: list[_Place] = []
    laws, before = [], torch.ones_like(draft[0, 0])  # the product of the sums up to the prefix
    for parent, node in zip((TEXT, *path), path):
        own, worse, count = draft[node], _worse(verifier[node], draft[node]), len(behind[parent])
        upper, lower = worse + own, worse
        product = _sum_of_powers(upper, lower, count)
        for place, after in zip(reversed(places), [count, *(place.count for place in reversed(places))]):
            upper, lower = place.worse + place.own * upper**after, place.worse + place.own * lower**after
            product = product * _sum_of_powers(upper, lower, place.count)
        laws.append(dists.normalise(own * (product / before)))
        before = product[token[node]]
        places.append(_Place(worse[token[node]], own[token[node]], count))
    return torch.stack(laws)


def _sum_of_powers(first: Tensor, second: Tensor, count: int) -> Tensor:
    """Sum over i < count of first^i second^(count - 1 - i)."""
    total, power = torch.ones_like(first), torch.ones_like(second)
    for _ in range(count - 1):
        power = power * second
        total = total * first + power
    return total
