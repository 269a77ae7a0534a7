from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from specviz.sets.base import SetRule
from specviz.sums.rows import Floats
from specviz.sums.sorted_rows import SortedRows
from specviz.types import Drawing

STEP = 0.3  # of ln t in the sum that stands for an integral over t; its error falls as exp(-pi^2 / STEP)
MOST_TOKENS = 128  # of which the acceptance of several siblings is computed exactly: every pair of them is looked at


@dataclass(frozen=True)
class ListCoupling(SetRule):
    """Draft and verifier share k noises E^j, standard exponentials: sibling j is argmin E^j/p, and the token written is
    argmin (min_j E^j)/q, which never looks at a sibling. Two drafters therefore give the same text.

    The token is one of the siblings with chance sum over x of 1 / sum over y of max(p(y)/p(x), q(y)/q(x)) for one sibling.
    For more, inclusion and exclusion over the siblings that are x leave one integral over the time of the token written.
    """

    name = "list_coupling"
    drawings = ("iid",)
    summary = "Draft and verifier read the same noise, so the text does not depend on the draft, and they mostly agree."
    formula = "X_j = argmin E^j(x) / p(x), y = argmin min_j E^j(x) / q(x)\nacceptance of one: Σ_x 1 / Σ_y max(p(y)/p(x), q(y)/q(x))"
    helps = (
        "When the text must not depend on who drafts: two drafters, or none, give the same tokens from the same noise."
    )
    hurts = "Who never looks at a sibling cannot make up for one that was refused: it falls short of the optimum. Its acceptance is known exactly for few tokens only."
    source = "Daliri et al. 2024 (arXiv 2408.07978); Rowan et al. 2025 (arXiv 2506.05632)"

    def accepts(self, verifier: Floats, draft: Floats, k: int, drawing: Drawing) -> Floats:
        if k == 1:
            return at_least(verifier, draft, 1)
        if verifier.shape[1] > MOST_TOKENS:
            raise ValueError(
                f"The acceptance of list_coupling with several siblings is computed for up to {MOST_TOKENS} tokens; "
                "list_coupling.at_least bounds it for more."
            )
        return np.array([_accepts(q, p, k) for q, p in zip(verifier, draft)])


def at_least(verifier: Floats, draft: Floats, k: int) -> Floats:
    """The chance that the token written is the sibling of the very noise that made it, [B]: a bound of the acceptance from
    below, and for one sibling the acceptance itself (2408.07978, list matching lemma)."""
    rows = SortedRows(verifier, draft)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = (
            rows.draft_above[:, :-1] / rows.draft_sorted
            + (rows.verifier_below[:, :-1] + (k - 1)) / rows.verifier_sorted
        )
        kept = np.where((rows.draft_sorted > 0) & (rows.verifier_sorted > 0), k / rates, 0.0)
    bound: Floats = kept.sum(-1).clip(0, 1)
    return bound


def _accepts(verifier: Floats, draft: Floats, k: int) -> float:
    """One place. The time m at which the token x is written is gone through on a scale of ln m."""
    times = np.exp(np.arange(-45, np.log(45), STEP))
    total = 0.0
    for x in map(int, np.flatnonzero((verifier > 0) & (draft > 0))):
        m, own = times * verifier[x], np.exp(-times)  # own: a noise that only must not write another token
        fast, late = _coupled(verifier, draft, x, m)
        for s in range(1, k + 1):  # s given siblings are x
            first = s * fast * late ** (s - 1) * own ** (k - s)
            if s < k:
                first = first + (k - s) * late**s * own ** (k - s)
            total += (-1) ** (s + 1) * comb(k, s) * float((first * m).sum()) * STEP
    return min(max(total, 0.0), 1.0)


def _coupled(verifier: Floats, draft: Floats, x: int, m: Floats) -> tuple[Floats, Floats]:
    """For a noise whose sibling is x, where x is written at m [n]: the density that x arrives in it at m itself, and the
    chance that it arrives there later, [n] each; no other token may be written, nor arrive first.

    If x arrives at r m, another y arrives after max(m q(y)/q(x), r m p(y)/p(x)): the rate of all is a convex line of pieces
    in r, and the integral over each piece is at hand.
    """
    others = np.arange(len(draft)) != x
    a, b = verifier[others] / verifier[x], draft[others] / draft[x]
    with np.errstate(divide="ignore", invalid="ignore"):
        bends = np.where(b > 0, a / b, np.inf)
    order = np.argsort(bends)
    starts = np.concatenate([[1.0], bends[order].clip(1.0)])  # the pieces, of which some are empty
    slopes = 1 + np.concatenate([[0.0], np.cumsum(b[order])])
    level = np.concatenate([np.cumsum(a[order][::-1])[::-1], [0.0]])
    ends = np.append(starts[1:], np.inf)
    some = (ends > starts) & np.isfinite(starts)
    starts, ends, slopes, level = starts[some], ends[some], slopes[some], level[some]
    near = np.exp(-m[:, None] * (level + slopes * starts))
    far = np.where(
        np.isfinite(ends), np.exp(-m[:, None] * (level + slopes * np.where(np.isfinite(ends), ends, 0.0))), 0.0
    )
    return near[:, 0], ((near - far) / slopes).sum(-1)
