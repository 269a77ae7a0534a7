"""The pairs that the page offers: each is loaded once, in the background, when it is first asked for, and then stays.

A pair goes by its name; None is the page's own: the pair it was started with, or the one that comes first.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from specviz import optional
from specviz.backends import Pair, PairFacts
from specviz.backends.places import Progress
from specviz.registry import shown
from specviz.types import ModelError
from specviz.view.boot import drafter_facts, pair_words

Load = Callable[[str | None, Progress], Pair]


class Loading:
    """A pair on its way, in a thread of its own unless `here`: `share` (0 to 1) and `sentence` say how far it is; once it is
    over there is a `pair`, or a `problem`."""

    def __init__(self, name: str | None, load: Load, here: bool = False):
        self.share, self.sentence = 0.0, "The models are loading."
        self.pair: Pair | None = None
        self.problem = ""
        self._over = threading.Event()
        if here:
            self._fetch(name, load)
        else:
            threading.Thread(target=self._fetch, args=(name, load), daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Waits at most so long; whether it is over."""
        return self._over.wait(seconds)

    def state(self) -> dict[str, Any]:
        """{"state": "loading", "share", "message"}, {"state": "failed", "message"} or {"state": "ready", "pair": see `about`}"""
        if not self.wait(0):
            return {"state": "loading", "share": self.share, "message": self.sentence}
        if self.pair is None:
            return {"state": "failed", "message": self.problem}
        return {"state": "ready", "pair": about(self.pair)}

    def _tell(self, share: float, sentence: str) -> None:
        self.share = share
        self.sentence = sentence.rstrip(".") + (f", {share:.0%}." if 0 < share < 1 else ".")

    def _fetch(self, name: str | None, load: Load) -> None:
        try:
            self.pair = load(name, self._tell)
        except (ModelError, ValueError) as error:
            self.problem = optional.missing(error) or str(error)
        except Exception as error:  # whatever it is, the page must say so instead of waiting for ever
            self.problem = optional.missing(error) or f"The models could not be loaded: {type(error).__name__}."
            raise
        finally:
            if self.problem:
                print(f"specviz: {self.problem}", file=sys.stderr, flush=True)
            self._over.set()


class Models:
    """The pairs on offer, `known` by their names, and the page's own, which is one of them or brings models of its own."""

    def __init__(self, load: Load, known: Mapping[str, PairFacts] | None = None):
        self.known = dict(known or {})
        self._load = load
        self._begun: dict[str | None, Loading] = {}
        self._one = threading.Lock()

    def get(self, name: str | None = None) -> Loading:
        """The pair of that name, its loading begun unless it was; one that failed is tried again. ValueError if it is not on
        offer."""
        if name is not None and name not in self.known:
            offered = ", ".join(self.known) or "only the models that this page was started with"
            raise ValueError(f"There is no pair called {shown(name)} here. There are: {offered}.")
        with self._one:
            if name is not None and self._is_own(name):
                name = None
            found = self._begun.get(name)
            if found is None or (found.problem and found.wait(0)):
                found = self._begun[name] = Loading(name, self._load)
            return found

    def load_here(self) -> Pair | None:
        """The page's own pair, loaded in this thread before anyone asks for it; None if there is a problem."""
        own = self._begun[None] = Loading(None, self._load, here=True)
        return own.pair

    def _is_own(self, name: str) -> bool:
        """Whether the page's own pair is, or is about to be, the one of this name."""
        own = self._begun.get(None)
        if own is None or (own.pair is None and not own.problem):
            return name == next(iter(self.known))
        return _name(own.pair) == name

    def peek(self, name: str | None = None) -> Loading | None:
        """A pair on offer as far as it is, nothing begun by asking; None before anyone asked for it."""
        with self._one:
            return self._begun.get(None if name is not None and self._is_own(name) else name)


def _name(pair: Pair | None) -> str | None:
    return None if pair is None or pair.facts is None else pair.facts.name


def about(pair: Pair) -> dict[str, Any]:
    """What the page says of a loaded pair: as in `boot.pair_words` (name null: models without a pair.json), and

    ids      of the draft (null: there is none) and the verifier
    notice   why it is not the pair that was to be expected; empty if it is
    system   the system message that its chat template puts by itself, "" if it puts none; null: not known, or no chat
    """
    models = {"draft": pair.draft, "verifier": pair.verifier}
    own = {
        "name": None,
        "title": pair.verifier.id if pair.draft is None else f"{pair.draft.id}, {pair.verifier.id}",
        "knows": "",
        "licence": "",
        "parameters": {role: part.parameters for role, part in pair.parts.items()},
        "styles": pair.styles,
        "sampling": asdict(pair.sampling),
        "drafter": drafter_facts(pair.drafter),
    }
    return {
        **(own if pair.facts is None else pair_words(pair.facts)),
        "ids": [None if model is None else model.id for model in models.values()],
        "notice": pair.notice,
        "system": pair.tokenizer.system if "chat" in pair.styles else None,
    }
