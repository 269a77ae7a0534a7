from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.rules.base import children, post_order
from specviz.rules.block import Block
from specviz.types import DRAWINGS, Drawing, Verdict, Walk

TEXT = -1  # the parent of a node that follows the text itself


@dataclass(frozen=True)
class Traversal(Block):
    """Traversal verification: a tree is judged from its leaves to the text, so that a good leaf rescues its whole path.

    reach(text) = 1, reach(node) = min(1, reach(parent) verifier/draft). The first leaf, depth first, keeps its path with
    chance reach(leaf). Otherwise it is deleted, and with S = sum of max(reach verifier - draft, 0) at its parent, that
    one's verifier becomes this surplus, scaled, and its reach S / (S + 1 - reach). A node is judged when it has become a leaf, so in
    post-order, and which nodes that is does not depend on any draw. On a chain it is `block`.
    """

    name = "traversal"
    summary = "Strict, but judges a whole tree from its leaves: a good leaf rescues its path, and nothing is distorted."
    source = "Weng et al. 2025 (arXiv 2505.12398), traversal verification"
    formula = "r(n) = min(1, r(parent) q(n) / p(n)); keep the first leaf and its path with chance r\nelse it goes, and at its parent S = Σ_y max(r q(y) − p(y), 0), q ← max(r q − p, 0) / S, r ← S / (S + 1 − r)\nat the end draw from the q of the node reached"
    helps = "With trees: a likely deep token rescues the unlikely ones before it, so that longer paths stay than when every place is judged by itself."
    hurts = "It can say what is kept only once the whole tree is judged, and on a tree of one level it gains nothing."
    servers = dict[str, str]()  # no server judges trees so

    @property
    def drawings(self) -> frozenset[Drawing]:
        return frozenset(DRAWINGS)

    def judge_tree(self, parents: Sequence[int], verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        behind = children(parents)
        draft = dists.at(draft_probs, token)  # [..., m]
        accept, residual = torch.empty_like(draft), torch.empty_like(draft_probs)

        def delete_below(node: int, reach: Tensor) -> Tensor:
            """Judges all nodes below `node`, whose reach [...] is given, and returns what that is once they are deleted."""
            if node not in behind:
                return reach
            left = verifier_probs[..., behind[node][0], :]
            for child in behind[node]:
                scaled, drawn = reach * dists.at(left, token[..., child]), draft[..., child]
                accept[..., child] = delete_below(child, torch.where(scaled < drawn, scaled / drawn, 1.0))
                surplus = (reach.unsqueeze(-1) * left - draft_probs[..., child, :]).clamp_min(0)
                mass = surplus.sum(-1)
                least = mass + (1 - reach)  # never below the mass, even in float arithmetic
                reach = torch.where(least > 0, mass / least, 1.0)
                mass = mass.unsqueeze(-1)
                left = torch.where(mass > 0, surplus / mass.where(mass > 0, 1.0), left)
                residual[..., child, :] = left
            return reach

        delete_below(TEXT, torch.ones_like(draft[..., 0]))
        return Verdict(accept, residual)

    def walk(self, parents: Sequence[int], accept_prob: Sequence[float], uniforms: Sequence[float]) -> Walk:
        """The first node, children before parents, whose uniform is below its accept_prob is kept with its path."""
        judged: set[int] = set()
        path: list[int] = []
        behind = children(parents)
        for node in post_order(behind):
            judged.add(node)
            if uniforms[node] < accept_prob[node]:
                while node != TEXT:
                    path.insert(0, node)
                    node = parents[node]
                break
        end = path[-1] if path else TEXT
        return Walk(tuple(path), tuple(sorted(judged | set(path))), behind[end][-1] if end in behind else None)
