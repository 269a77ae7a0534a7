"""Trees of candidates: which shape pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from specviz.sums.rows import Floats

Shape = tuple["Shape", ...]  # of a node: the shapes below each of its children, the eldest first


def kept_by_rank(rounds: Iterable[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """P[b]: how often exactly the candidate of rank b (from 0) was kept, of the places that offered so many and were reached.
    `rounds`: of each the parents of its nodes, and the path that was kept."""
    return quotients(*count_by_rank(rounds))


def quotients(above: Sequence[int], below: Sequence[int]) -> list[float]:
    return [part / whole for part, whole in zip(above, below)]


def written_by(chances: Sequence[float], levels: Sequence[Sequence[int]]) -> float:
    """Tokens that a round writes on average with a tree of these levels (see `specviz.drafters.tree.widths`), if the candidate
    of rank b is kept with chance chances[b] wherever it stands; the one that each round adds included."""
    total, level = 1.0, [1.0]
    for counts in levels:
        ranks = (zip([node] * count, range(count)) for node, count in zip(level, counts, strict=True))
        level = [
            node * (chances[rank] if rank < len(chances) else 0.0) for siblings in ranks for node, rank in siblings
        ]
        total += sum(level)
    return total


def count_by_rank(rounds: Iterable[tuple[Sequence[int], Sequence[int]]]) -> tuple[list[int], list[int]]:
    """The two counts that `kept_by_rank` is the quotient of."""
    kept: list[int] = []
    offered: list[int] = []
    for parents, path in rounds:
        for end in (-1, *path):
            children = [node for node, parent in enumerate(parents) if parent == end]
            more = len(children) - len(offered)
            kept, offered = kept + [0] * more, offered + [0] * more
            for rank, node in enumerate(children):
                offered[rank] += 1
                kept[rank] += node in path
    return kept, offered


@dataclass(frozen=True)
class Best:
    """A tree of `nodes` nodes on `levels` levels: its shape as the drafter `tree` takes it, and the tokens that a round
    writes with it on average, the one that each adds included."""

    shape: str
    nodes: int
    levels: int
    written: float


def best_shape(chances: Sequence[float], nodes: int, levels: int) -> Best:
    """The tree of so many nodes, on at most so many levels, that writes most if the candidate of rank b is kept with chance
    chances[b] wherever it stands (Sequoia, arXiv 2402.12374, sec. 3.1): a dynamic program over nodes, levels and ranks.
    ValueError where so many nodes have no room on so many levels."""
    if nodes < 1 or levels < 1 or not chances:
        raise ValueError("A tree has at least one node, one level and one chance.")
    trees: list[tuple[Floats, list[Shape | None]]] = [_leaf(nodes)]  # by levels below a node
    for _ in range(levels):
        trees.append(_level(chances, nodes, *trees[-1]))
    written, shapes = trees[-1]
    shape = shapes[nodes]
    if shape is None:
        raise ValueError(
            f"A tree of {len(chances)} candidates for a place and {levels} levels has no room for {nodes} nodes."
        )
    text, deep = _written(shape)
    return Best(text, nodes, deep, float(written[nodes]))


def fastest_shape(
    chances: Sequence[float], most: int, levels: int, draft_seconds: float, verify_seconds: Callable[[int], float]
) -> Best:
    """The best shape of up to `most` nodes with the least time per token written: a level costs `draft_seconds`, a look
    of the verifier at n nodes verify_seconds(n)."""
    made = [best_shape(chances, nodes, deep) for deep in range(1, levels + 1) for nodes in _room(chances, deep, most)]
    return min(made, key=lambda best: (best.levels * draft_seconds + verify_seconds(best.nodes)) / best.written)


def _room(chances: Sequence[float], levels: int, most: int) -> range:
    """How many nodes a tree on so many levels may have."""
    return range(1, min(most, sum(len(chances) ** level for level in range(1, levels + 1))) + 1)


def _leaf(nodes: int) -> tuple[Floats, list[Shape | None]]:
    """Of a node with nothing below it, by how many nodes are below it: the tokens it stands for if it is kept, and its shape."""
    return np.array([1.0] + [-np.inf] * nodes), [(), *[None] * nodes]


def _level(
    chances: Sequence[float], nodes: int, values: Floats, shapes: list[Shape | None]
) -> tuple[Floats, list[Shape | None]]:
    """The same of a node with one level more below it, of which each child is a node of `values` and `shapes`."""
    best, made = _leaf(nodes)
    sums, parts = best.copy(), list(made)  # with exactly so many children so far
    for chance in chances:
        longer = np.full(nodes + 1, -np.inf)
        longer_parts: list[Shape | None] = [None] * (nodes + 1)
        for below in range(nodes):  # in the newest child
            child = shapes[below]
            if child is None:
                continue
            for before in range(nodes - below):
                total, elder = before + below + 1, parts[before]
                value = sums[before] + chance * values[below]
                if elder is not None and value > longer[total]:
                    longer[total], longer_parts[total] = value, (*elder, child)
        sums, parts = longer, longer_parts
        for total in range(nodes + 1):
            if sums[total] > best[total]:
                best[total], made[total] = sums[total], parts[total]
    return best, made


def _written(shape: Shape) -> tuple[str, int]:
    """A shape as text, and how many levels it has."""
    levels, level = [], [shape]
    while any(level):
        counts = [len(children) for children in level]
        levels.append(str(counts[0]) if len(set(counts)) == 1 else ".".join(map(str, counts)))
        level = [child for children in level for child in children]
    return "-".join(levels), len(levels)
