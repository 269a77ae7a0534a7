"""What a drafter hands to the loop: tokens, each with the very distribution it was drawn from."""

from __future__ import annotations

import torch
from torch import Tensor

from specviz import dists
from specviz.types import Sampling, Verdict


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
        token = int(dists.draw(probs, race))
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

    def judged_by(self, rule, verifier_probs: Tensor, sampling: Sampling) -> Verdict:
        """The verdict of `rule` on every token; verifier_probs [m, V] must come from the same transforms."""
        if sampling != self.sampling:
            raise ValueError(f"The draft was sampled with {self.sampling} and the verifier with {sampling}; they must be the same.")
        device = verifier_probs.device
        draft_probs = self.draft_probs.to(device)
        dists.check(verifier_probs, "verifier_probs")
        dists.check(draft_probs, "draft_probs")
        return rule.verdict(verifier_probs, draft_probs, torch.tensor(self._tokens, device=device))
