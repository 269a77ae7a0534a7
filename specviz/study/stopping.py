"""When should a draft end? The exact law of one place for a draft that looks at a drawn token before it decides.

    discarding(draft, verifier, 0.2)     # not the verifier's
    kept(draft, verifier)                # the verifier's, whatever the draft's threshold
    repaired(draft, verifier, 0.2)       # the verifier's again

draft_probs, verifier_probs [..., V] as everywhere; `least`: a threshold on the draft's probability of the token it drew.
docs/STOPPING.md has the words, the figures, and who does it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from specviz import rules
from specviz.prob import dists


def discarding(draft_probs: Tensor, verifier_probs: Tensor, least: float) -> Tensor:
    """[..., V]: the law of the place if a token that the draft gave less than `least` is thrown away once it is drawn, and the
    verifier writes there alone; any other is judged by `sps`. Unlikely tokens had their chance as a draft and get it again."""
    offered = _offered(draft_probs, least)
    accepted = torch.minimum(offered, verifier_probs)
    refused = (offered - accepted).sum(-1, keepdim=True)
    thrown_away = 1 - offered.sum(-1, keepdim=True)
    return accepted + refused * dists.residual(verifier_probs, draft_probs) + thrown_away * verifier_probs


def kept(draft_probs: Tensor, verifier_probs: Tensor) -> Tensor:
    """[..., V]: the law of the place if the token stays in the draft and only what would follow it is left out: `sps`."""
    return rules.make("sps").output_law(verifier_probs, draft_probs)


def repaired(draft_probs: Tensor, verifier_probs: Tensor, least: float) -> Tensor:
    """[..., V]: the law of the place if the token is thrown away, but then, as after a refusal, the next one is drawn from
    norm(max(verifier - draft where it is at least `least`, 0)). What is offered is then all that counts as a draft."""
    offered = _offered(draft_probs, least)
    accepted = torch.minimum(offered, verifier_probs)
    return accepted + (1 - accepted.sum(-1, keepdim=True)) * dists.residual(verifier_probs, offered)


class Bias(NamedTuple):
    """Means over places: total variation between `discarding` and the verifier, KL(discarding || verifier) in nats, and the
    chance that a drawn token is thrown away."""

    tv: float
    kl: float
    thrown_away: float


def bias(draft_probs: Tensor, verifier_probs: Tensor, least: float) -> Bias:
    """What discarding changes at the places of a text, [N, V] each."""
    law = discarding(draft_probs, verifier_probs, least)
    thrown_away = 1 - _offered(draft_probs, least).sum(-1)
    columns = dists.tv(law, verifier_probs), dists.kl(law, verifier_probs), thrown_away
    return Bias(*(float(column.mean()) for column in columns))


def _offered(draft_probs: Tensor, least: float) -> Tensor:
    """The part of the draft's law that is ever offered."""
    return draft_probs.where(draft_probs >= least, 0.0)
