"""Rules that keep whatever belongs to a set of tokens, which the verifier's distribution alone decides."""

from __future__ import annotations

import torch
from torch import Tensor

from specviz.rules import TokenRule
from specviz.rules.base import SiblingVerdict
from specviz.sums.arrivals import Arrivals


class MemberRule(TokenRule):
    """A subclass gives `members`, and `residual_probs`, which does not depend on the drafted token."""

    def members(self, verifier_probs: Tensor) -> Tensor:
        """The tokens that are kept, bool [..., V]."""
        raise NotImplementedError

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return self.members(verifier_probs).to(verifier_probs.dtype)

    def judge_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> SiblingVerdict:
        """Every candidate by itself, against the verifier; the residual that the eldest would leave comes after the last."""
        against = verifier_probs.unsqueeze(-2).expand_as(draft_probs)
        residual = self.residual_probs(verifier_probs, draft_probs[..., 0, :], token[..., 0])
        accept = self.accept_probs(verifier_probs, draft_probs[..., 0, :]).gather(-1, token)
        return SiblingVerdict(accept, against, residual.unsqueeze(-2).expand_as(draft_probs), (self,) * token.shape[-1])

    def law_of_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        """Candidates that do not look at each other: the first member among them, one after the other. Without replacement:
        a member by its share in the draft's, unless all draws are among the other tokens."""
        inside, eldest = self.members(verifier_probs), draft_probs[0]
        law, left = torch.zeros_like(verifier_probs), torch.ones_like(verifier_probs[0])
        without_replacement = draft_probs[1, token[0]] == 0 and eldest[token[1]] > 0
        if without_replacement:
            member = eldest.where(inside, 0.0)
            order = torch.argsort(inside.int(), descending=True, stable=True)
            arrivals = Arrivals(eldest[order].double().cpu().numpy(), len(token))
            left = left * float(arrivals.held(inside.sum().cpu().numpy()[None])[0])
            law = member * ((1 - left) / member.sum()) if bool(member.any()) else law
        else:
            for own in draft_probs:
                kept = own.where(inside, 0.0)
                law, left = law + left * kept, left * (1 - kept.sum())
        return law + left * self.residual_probs(verifier_probs, eldest, token[0])
