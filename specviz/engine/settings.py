"""Everything that decides a lane's text, besides the prompt and the models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from specviz import drafters, rules
from specviz.drafters import Drafter
from specviz.engine import lengths
from specviz.prob import noise
from specviz.registry import check_knobs, knob
from specviz.rules import Rule
from specviz.types import Sampling


@dataclass(frozen=True)
class Settings:
    """An acceptance rule, a drafter, and the numbers of a lane.

    Plain decoding, the verifier alone, has no `rule`; a drafter that drafts nothing has none either. `draft_length` is the most
    tokens on one path of a draft, or one of `lengths.WAYS` to decide it; or, to run a recorded lane again, a tuple of every
    round's length. `samples`: what others wrote behind the same prompt, with other seeds, for a drafter that wants them. ValueError, in a sentence, where a value is out of its range.
    """

    rule: Rule | None = None
    sampling: Sampling = Sampling()
    draft_length: int | str | tuple[int, ...] = knob(
        4,
        "Tokens drafted before the verifier looks; auto chooses for speed, confidence:0.4 stops behind a doubtful token, "
        "thompson by what was kept.",
        low=1,
        high=32,
        unit="tokens",
    )
    max_new_tokens: int = knob(200, "The run ends after this many new tokens.", low=1, high=100_000, unit="tokens")
    seed: int = knob(0, "The same seed gives the same run.", low=0, high=2**53 - 1)  # what a browser can count to
    drafter: Drafter = field(default_factory=lambda: drafters.make("model"))
    samples: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.drafter.drafts:
            object.__setattr__(self, "rule", None)
        if isinstance(self.draft_length, str | tuple):
            lengths.chooser(self.draft_length, noise.Noise(0))  # checks the words
            replace(self, draft_length=1)  # checks the rest
        else:
            check_knobs(self)

    @property
    def drafting(self) -> Drafter:
        """The drafter at work: `drafter`, or in plain decoding the one that drafts nothing."""
        return drafters.make("nothing") if self.rule is None else self.drafter


def parse_lane(spec: str) -> tuple[Rule | None, Drafter | None]:
    """The rule of a lane given as text, and the drafter that it names: ``plain``, ``cactus:delta=0.5``,
    ``sps@ngram:longest=4``. No rule is plain decoding; no drafter: it names none. ValueError says what is allowed."""
    rule, at, drafter = (part.strip() for part in spec.partition("@"))
    if rule == "plain":
        if at:
            raise ValueError("Plain decoding has no drafter: write plain.")
        return None, None
    return rules.parse(rule), parse_drafter(drafter) if at else None


def parse_drafter(spec: str) -> Drafter:
    """The drafter of a text such as ``ngram:longest=4``. ValueError says what is allowed; one that drafts nothing is not."""
    drafter = drafters.parse(spec)
    if not drafter.drafts:
        raise ValueError(f"The drafter {drafter.name} drafts nothing. Choose the rule plain for that.")
    return drafter
