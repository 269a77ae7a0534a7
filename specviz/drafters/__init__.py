"""Ways to propose tokens. One file per way.

    drafter = drafters.make("ngram", longest=4)             # or drafters.parse("ngram:longest=4")
    proposer = drafter.open(pair, pair.draft.session())     # what it holds for one text

A drafter is a value: a frozen dataclass whose fields are `knob`s, found by its `name`. What it knows of one text, caches
included, is in the `Proposer` that it opens. A proposer fills a `Draft`, and knows no rules, no noise and no bookkeeping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from specviz import registry
from specviz.backends import Pair, Session
from specviz.backends.facts import TRAINED
from specviz.drafters.asks import Looked
from specviz.drafters.draft import Draft
from specviz.rules import Rule
from specviz.types import DRAWINGS, Drawing, Sampling, Walk

PACKAGE, KIND = __name__, "drafter"


def names() -> list[str]:
    """The keys of all registered drafters."""
    return list(registry.variants(PACKAGE))


TOKENS = ("drawn", "chosen")  # the values of a knob `tokens`: how a token comes from its distribution
TOKENS_HELP = "Each token is drawn from its distribution, or the likeliest is chosen."
CONFIDENCE_HELP = (  # of a knob `confidence`, from 0 to 1
    "Another token follows only if the likeliest at the last place had this probability, at temperature 1."
)


def make(name: str, **params: float | str) -> Drafter:
    """Builds a drafter. ValueError says what is allowed if the name, a parameter or a value is not."""
    drafter = registry.make(PACKAGE, KIND, name, **params)
    assert isinstance(drafter, Drafter)
    return drafter


def parse(spec: str) -> Drafter:
    """Builds a drafter from text: ``model``, ``ngram:longest=4``."""
    drafter = registry.parse(PACKAGE, KIND, spec)
    assert isinstance(drafter, Drafter)
    return drafter


def of_text() -> list[Drafter]:
    """Those that draft, and need no more than the text and the models for it: not what others wrote. At their own defaults."""
    made = map(make, names())
    return [drafter for drafter in made if drafter.drafts and not drafter.wants_samples]


class Drafter:
    """What every drafter says about itself, and what it can be asked."""

    name: ClassVar[str]
    summary: ClassVar[str]  # one plain sentence
    source: ClassVar[str]  # the paper, or who does it
    as_there: ClassVar[str] = ""  # what is as it is there, in a sentence, for the table in docs/DRAFTERS.md
    left_out: ClassVar[str] = ""  # what is not
    drafts: ClassVar[bool] = True  # False: never a token, so that decoding is plain
    branches: ClassVar[bool] = False  # it may offer several candidates for one place
    reads_probs: ClassVar[bool] = (
        False  # it wants to see the verifier's distributions, those behind the prompt's tokens too
    )
    servers: ClassVar[
        Mapping[str, str]
    ] = {}  # as a rule's (docs/SERVERS.md), with {knob} or {knob?value=word} for the value of a knob

    def __post_init__(self) -> None:
        registry.check_knobs(self)

    @property
    def drawing(self) -> Drawing:
        """How the candidates for one place come, for one that `branches`."""
        return "iid"

    @property
    def even(self) -> bool:
        """Whether every node of a level gets as many candidates, for one that `branches`."""
        return True

    @property
    def spec(self) -> str:
        """Text that `parse` turns back into this drafter."""
        return registry.spec(self)

    @property
    def chooses(self) -> bool:
        """Whether its tokens are chosen, not drawn; by the knob `tokens`, if it has that."""
        return getattr(self, "tokens", "drawn") == "chosen"

    @property
    def uses_draft_model(self) -> bool:
        return False

    @property
    def uses_head(self) -> bool:
        return False

    @property
    def uses_exit(self) -> bool:
        return False

    @property
    def uses_lookahead(self) -> bool:
        return False

    @property
    def trained(self) -> list[str]:
        """What it needs that was trained on the verifier's states: those of `TRAINED` that it uses."""
        return [role for role in TRAINED if getattr(self, f"uses_{role}")]

    @property
    def wants_samples(self) -> int:
        """How many other samples of the same prompt it wants to be `given`."""
        return 0

    def open(self, pair: Pair, session: Session | None) -> Proposer:
        """What it holds for one text; `session` is a new one of the draft model where `uses_draft_model`, the verifier's own where
        `uses_exit`, else None."""
        raise NotImplementedError

    def reads(self, pair: Pair) -> tuple[int, ...]:
        """The verifier's layers whose states it wants to see."""
        return ()

    def ahead(self, pair: Pair) -> int:
        """How many look-ahead tokens it wants behind each token that the verifier looks at."""
        return 0

    def nodes(self, length: int) -> int:
        """The most nodes in a draft of at most `length` tokens on a path. One that `branches` has more than a chain."""
        return length

    def laws(self, pair: Pair, prompt: list[int], written: list[int], sampling: Sampling) -> Tensor | None:
        """[N, V]: what a token drafted at the place of each of the N tokens written behind a prompt is drawn from, given the
        text before that place alone; None where it depends on more, such as where the round began."""
        return None

    def refusal(self, rule: Rule | None, pair: Pair) -> str | None:
        """Why this drafter cannot work with these models, or under this rule; None if it can."""
        if self.uses_draft_model and pair.draft is None:
            return f"The drafter {self.name} needs a draft model, and only a verifier is loaded."
        if self.uses_head and pair.head is None:
            return (
                f"The drafter {self.name} needs a head trained for its verifier, and {pair.verifier.id} comes without one: "
                "see `specviz train --head`."
            )
        if self.uses_exit and pair.exit is None:
            return (
                f"The drafter {self.name} needs an exit trained for its verifier, and {pair.verifier.id} comes without one: "
                "see `specviz train --exit`."
            )
        if self.uses_lookahead and pair.lookahead is None:
            return (
                f"The drafter {self.name} needs look-ahead tokens trained for its verifier, and {pair.verifier.id} comes without: "
                "see `specviz train --lookahead`."
            )
        for need, wanted, words in (
            ("tree", self.branches, "look at several candidates for one place at once"),
            ("ahead", self.uses_lookahead, "take look-ahead tokens"),
            ("begin", self.uses_exit, "stop behind some of its layers"),
            ("features", bool(self.reads(pair)), "show the states of its layers"),
        ):
            if wanted and need not in pair.verifier.can:
                return f"The drafter {self.name} needs a verifier that can {words}, and {pair.verifier.id} cannot."
        if not self.branches or rule is None:
            return None
        offers = f"The drafter {self.name} offers several candidates for one place"
        if self.drawing not in rule.drawings:
            if not rule.drawings:
                return f"{offers}, and {rule.name} judges only one."
            allowed = " or ".join(drawing for drawing in DRAWINGS if drawing in rule.drawings)
            return f"{offers} that come {self.drawing}, and {rule.name} judges several only if they come {allowed}."
        if rule.even and not self.even:
            return f"{offers}, more for some nodes of a level than for others, and {rule.name} judges only even trees."
        return None


class Proposer:
    """A drafter at work on one text."""

    @property
    def seconds(self) -> float:
        """Time spent drafting so far, that of a draft model included."""
        return 0.0

    def given(self, samples: Sequence[Sequence[int]]) -> None:
        """What others wrote behind the same prompt, for one that `wants_samples`. None of it may rest on the noise of this text."""

    def saw(self, seen: Looked) -> None:
        """What the verifier saw of the next n tokens of the text, before the first draft all but the last: by layer its states
        [n, width], for a drafter that `reads`, and its distributions [n, V] behind them, for one that `reads_probs`; what
        look-ahead tokens behind the last say, for one that wants some `ahead`. What was seen of a draft comes with `settled`."""

    async def propose(self, text: list[int], draft: Draft) -> None:
        """Adds tokens that may follow `text` to `draft`, while it has `room`. It may add none."""
        raise NotImplementedError

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        """A round is over: the draft behind the `length` tokens of the text was judged, `walk` says which nodes stay, and
        `seen` is what the verifier saw of it."""
