"""What a drafter hands to the loop: tokens, each with the very distribution it was drawn from; and how they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.types import Sampling

if TYPE_CHECKING:
    from specviz.rules import Rule


class Proposal:
    """Drafted tokens that cannot be separated from their distributions.

    A proposal draws its own tokens (`add`), and only a proposal can be judged by the loop. So the classic
    mistakes cannot be written down: an argmax draft judged with a soft distribution, raw logits, a draft
    sampled at another temperature than the verifier's.
        tokens       tuple of m token ids
        draft_probs  [m, V]
        sampling     the transforms that made draft_probs; the verifier's must be the same
    """

    def __init__(self, sampling: Sampling):
        self.sampling = sampling
        self._tokens: list[int] = []
        self._probs: list[Tensor] = []
        self._stacked: Tensor | None = None

    def add(self, probs: Tensor, race: Tensor) -> int:
        """Draws a token from `probs` [V] by the exponential noise `race` [V], keeps both, and returns its id."""
        token = dists.draw_token(probs, race)
        self._tokens.append(token)
        self._probs.append(probs)
        self._stacked = None
        return token

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(self._tokens)

    @property
    def draft_probs(self) -> Tensor:
        if self._stacked is None:
            self._stacked = torch.stack(self._probs)
        return self._stacked

    def __len__(self) -> int:
        return len(self._tokens)

    def judged_by(self, rule, verifier_probs: Tensor, sampling: Sampling) -> Judgement:
        """What `rule` says about every token; verifier_probs [m, V] must come from the same transforms."""
        return judge([Judging(self, rule, verifier_probs, sampling)])[0]


class Judging(NamedTuple):
    """What decoding asks of a rule: to judge all tokens of a proposal. verifier_probs: [m, V], made under `sampling`."""

    proposal: Proposal
    rule: Rule
    verifier_probs: Tensor
    sampling: Sampling

    def answer(self) -> Judgement:
        """Asks the rule for this alone."""
        return self.proposal.judged_by(self.rule, self.verifier_probs, self.sampling)


class Judgement(NamedTuple):
    """The answer, for m tokens: numbers [m], and what they come from."""

    accept_prob: list[float]
    draft_prob: list[float]  # of the token
    verifier_prob: list[float]  # of the token
    tokens: Tensor  # [m]
    verifier_probs: Tensor  # [m, V]
    draft_probs: Tensor  # [m, V]
    residual_probs: Tensor  # [m, V]


def judge(asked: Sequence[Judging]) -> list[Judgement]:
    """All answers. Proposals of one length under one rule are judged in one call, [k, m, V]."""
    groups: dict[tuple, list[int]] = {}
    for i, one in enumerate(asked):
        if one.sampling != one.proposal.sampling:
            raise ValueError(
                f"The draft was sampled with {one.proposal.sampling} and the verifier with {one.sampling}; they must be the same."
            )
        groups.setdefault((one.rule, len(one.proposal)), []).append(i)
    found: dict[int, Judgement] = {}
    for (rule, _), group in groups.items():
        verifier = _stacked([asked[i].verifier_probs for i in group])
        draft = _stacked([asked[i].proposal.draft_probs for i in group]).to(verifier.device)
        tokens = torch.tensor([asked[i].proposal.tokens for i in group], device=verifier.device)
        dists.check(verifier, "verifier_probs")
        dists.check(draft, "draft_probs")
        verdict = rule.verdict(verifier, draft, tokens)
        numbers = verdict.accept_prob.tolist(), dists.at(draft, tokens).tolist(), dists.at(verifier, tokens).tolist()
        found |= zip(group, map(Judgement, *numbers, tokens, verifier, draft, verdict.residual_probs))
    return [found[i] for i in range(len(asked))]


def _stacked(rows: list[Tensor]) -> Tensor:
    return torch.stack(rows) if len(rows) > 1 else rows[0].unsqueeze(0)
