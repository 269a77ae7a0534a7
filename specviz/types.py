"""The words of this project, and the plain records that its rooms hand to each other.

Glossary (papers swap the letters p and q; the code never uses either alone)
    draft_probs        the distribution a drafted token was really sampled from, [V]
    verifier_probs     the verifier's distribution at the same position, [V]
    target_probs       the distribution a rule aims at once token n was drafted, [V]
    accept_prob        probability that the drafted token is kept, in [0, 1]
    residual_probs     distribution sampled from when it is not kept, [V]
    output_law         what one verified position really emits, [V]
    round              draft some tokens, verify them in one forward, judge, emit
    judged             a drafted token that a rule looked at (those behind a rejection never are)
    position           absolute index of a token in prompt + generated text, from 0
    accepted_per_round accepted draft tokens per round; the one token each round always adds is not counted
    emitted_per_round  the same plus that one token
Units: divergences and entropies in nats, times in seconds, lengths in tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from specviz.registry import check_knobs, knob

if TYPE_CHECKING:
    from torch import Tensor

Origin = Literal["accepted", "resampled", "bonus"]
Reason = Literal["end of text", "length", "stopped"]


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
class Settings:
    """Everything that decides a lane's text, besides the prompt and the two models.

    `rule` is an acceptance rule, or None for plain decoding with the verifier alone. `draft_length` may be "auto":
    chosen round by round for speed (see `adaptive`); or, to run a recorded lane again, a tuple of every round's length.
    """

    rule: object | None = None
    sampling: Sampling = Sampling()
    draft_length: int | str | tuple[int, ...] = knob(
        4,
        "Tokens the draft model writes before the verifier looks; auto chooses round by round, for speed.",
        low=1,
        high=32,
        unit="tokens",
    )
    max_new_tokens: int = knob(200, "The run ends after this many new tokens.", low=1, high=100_000, unit="tokens")
    seed: int = knob(0, "The same seed gives the same run.", low=0, high=2**53 - 1)  # what a browser can count to

    def __post_init__(self) -> None:
        if self.draft_length == "auto" or isinstance(self.draft_length, tuple):
            replace(self, draft_length=1)  # checks the rest
        elif isinstance(self.draft_length, str):
            raise ValueError(f"draft_length must be from 1 to 32 tokens, or auto; got {self.draft_length!r}.")
        else:
            check_knobs(self)


@dataclass(frozen=True)
class Verdict:
    """What a rule says about drafted tokens: keep with `accept_prob` [...], else draw from `residual_probs` [..., V]."""

    accept_prob: Tensor
    residual_probs: Tensor


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


class Drafted(NamedTuple):
    """A round begins: these tokens were drafted (none in plain decoding). `draft_seconds`: the draft model's time."""

    start: int
    tokens: tuple[int, ...]
    draft_seconds: float


class Verified(NamedTuple):
    """The verifier has looked at the whole round in one forward, which took `verify_seconds`."""

    verify_seconds: float


class Judged(NamedTuple):
    """One drafted token was kept or refused: kept iff `uniform` < `accept_prob` (`block`: see its docstring).

    `draft_prob`, `verifier_prob`: probability of the token under each model. `strict_accept_prob`: what `sps`
    would have accepted with, min(1, verifier/draft). `measures`: names of `specviz.engine.measure` to numbers, or
    empty when tracing is off.
    """

    position: int
    token: int
    kept: bool
    uniform: float
    accept_prob: float
    strict_accept_prob: float
    draft_prob: float
    verifier_prob: float
    measures: dict[str, float]


class Emitted(NamedTuple):
    """A token became part of the text. The last one of a round is `resampled` or `bonus`, the others `accepted`."""

    position: int
    token: int
    origin: Origin


class Finished(NamedTuple):
    """The lane is done."""

    reason: Reason


Event = Drafted | Verified | Judged | Emitted | Finished


class ModelError(RuntimeError):
    """A model cannot be used: not found, not matching its partner, or its numbers are broken. The text is for people."""
