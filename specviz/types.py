"""The words of this project, and the plain records that its rooms hand to each other.

Glossary (papers swap the letters p and q; the code never uses either alone)
    draft_probs        the distribution a drafted token was really sampled from, [V]
    verifier_probs     the verifier's distribution at the same position, [V]
    target_probs       the distribution a rule aims at once token n was drafted, [V]
    accept_prob        probability that the drafted token is kept, in [0, 1]
    residual_probs     distribution sampled from when it is not kept, [V]
    output_law         what one verified position really emits, [V]
    lane               one text of a run: a rule, a drafter and a draft length, decoded over the prompt
    round              draft some tokens, verify them in one forward, judge, emit
    draft              the tokens offered in a round: a chain, or a tree with several candidates for one place
    node               one token of a draft; its parent is another node or the text itself
    drawn, chosen      how a node came: sampled from a distribution, or picked, so that its law is all on that token
    sibling            a node with the same parent as another: another candidate for that place; the elder is judged first
    drawing            how siblings came, see DRAWINGS
    judged             a node that a rule looked at (those behind a rejection never are)
    strict             the test of `sps`: keep with min(1, verifier/draft)
    fate               what became of a token: accepted, relaxed, rejected, discarded, resampled, bonus
    relaxed            kept only because the rule is lossy: the strict test with the same uniform would have refused it
    discarded          drafted behind a rejection and never judged
    position           absolute index of a token in prompt + generated text, from 0
    step               a round of one lane as the run takes it, with its seconds and the lane's clock
    purpose            what noise is drawn for: a draft, a verifier's own token, a residual, an acceptance test
    attempt            0, or where a round began, for rules that read ahead; part of the key of all noise
    branch             the how-manieth node of its depth in a draft, from 0; part of the key of its noise
    piece              the text of one token on its own
    accepted_per_round accepted draft tokens per round; the one token each round always adds is not counted
    emitted_per_round  the same plus that one token
Units: divergences and entropies in nats, times in seconds, lengths in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from specviz.registry import check_knobs, knob

if TYPE_CHECKING:
    from torch import Tensor

Origin = Literal["accepted", "resampled", "bonus"]
Reason = Literal["end of text", "length", "stopped"]
Drawing = Literal["iid", "without_replacement", "greedy", "picked"]
DRAWINGS: dict[Drawing, str] = {  # how the candidates for one place may come
    "iid": "each drawn from the whole distribution, independently",
    "without_replacement": "each drawn from the distribution without its elders",
    "greedy": "one drawn from the distribution without the likeliest tokens, which are chosen",
    "picked": "the likeliest tokens, all chosen",
}


@dataclass(frozen=True)
class Sampling:
    """The transforms applied to draft and verifier logits alike: temperature, then top-k, then top-p."""

    temperature: float = knob(
        1.0, "0 always takes the likeliest token; 1 samples as the model says.", low=0.0, high=5.0
    )
    top_k: int = knob(0, "Keep only the k likeliest tokens; 0 keeps all.", low=0, high=1_000_000, unit="tokens")
    top_p: float = knob(
        1.0, "Keep the smallest set of likeliest tokens with this much probability.", low=0.0, high=1.0, open_low=True
    )

    def __post_init__(self) -> None:
        check_knobs(self)


@dataclass(frozen=True)
class Verdict:
    """What a rule says about drafted tokens: keep with `accept_prob` [...], else draw from `residual_probs` [..., V]."""

    accept_prob: Tensor
    residual_probs: Tensor


def depths(parents: Sequence[int]) -> list[int]:
    """How deep each node of a draft lies, given the parent of each (an earlier node, or -1): 0 right behind the text."""
    deep: list[int] = []
    for parent in parents:
        deep.append(deep[parent] + 1 if parent >= 0 else 0)
    return deep


@dataclass(frozen=True)
class Walk:
    """What became of a draft, which is a tree whose nodes are numbered so that a parent comes before its children.

    path     the kept nodes, from the first token on
    judged   the nodes that a rule looked at, in that order
    refused  the last candidate refused where the path ends, whose residual the next token is drawn from; None if there
             was none to refuse, and the next token is the verifier's own
    """

    path: tuple[int, ...]
    judged: tuple[int, ...]
    refused: int | None

    @property
    def end(self) -> int:
        """The last kept node; -1 if none was."""
        return self.path[-1] if self.path else -1


class ModelError(RuntimeError):
    """A model cannot be used: not found, not matching its partner, or its numbers are broken. The text is for people."""
