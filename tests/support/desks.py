"""Desks over models that a test brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from specviz.backends import Pair, PairFacts
from specviz.ui.desk import DEADLINE, Desk
from specviz.ui.models import Models


def desk_of(load: Callable[[], Pair], known: Mapping[str, PairFacts] | None = None, deadline: float = DEADLINE) -> Desk:
    """A desk whose every pair is what `load` gives, on offer under the names of `known`; its own is loading already."""
    desk = Desk(Models(lambda name, progress: load(), known), deadline)
    desk.open()
    return desk
