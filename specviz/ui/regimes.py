"""The sweeps that are recorded, so that the page shows them before anyone presses Run: what each asks, and what to make of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specviz import tasks
from specviz.assets import ASSETS
from specviz.study import sweep

FOLDER = ASSETS / "sweeps"


@dataclass(frozen=True)
class Regime:
    """A recorded sweep. `asked`: its request, see `sweeping`; `about`: sentences on what its figures say."""

    name: str
    title: str
    asked: dict[str, Any]
    about: tuple[str, ...]

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"


COMMON = {"questions": sweep.QUESTIONS, "families": list(tasks.names()), "seed": 0}
TRAINED = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "draft_length": 4}
PAPER = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "draft_length": 8}

REGIMES = (
    Regime(
        "trained",
        "as trained, temperature 1",
        {"rules": list(sweep.DEFAULT), **COMMON, **TRAINED},
        (),
    ),
    Regime(
        "paper",
        "as in the paper: temperature 0.6, top-k 20, top-p 0.95, 8 drafted",
        {
            "rules": ["sps", "cactus:delta=0.1,0.3,1,3,solver=taylor,exact", "tas:epsilon=0.09,0.01,0.001"],
            **COMMON,
            **PAPER,
        },
        (),
    ),
)
