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
        (
            "As in the paper: cactus beside sps and tas, on questions with one right answer. Not as in the paper: temperature 1 with nothing cut off, 4 tokens drafted instead of 20, and models of 0.9 and 5.9 million parameters instead of 0.6 and 14 billion.",
            "A budget costs answers here: cactus at δ 1 has 108 of 160 right, the verifier alone 137 of 160. With nothing cut off a token that the verifier gives 1 % may be lifted to 15 %, one wrong digit makes a wrong answer, and there is little to win: strict sampling keeps 3.16 of 4.",
        ),
    ),
    Regime(
        "paper",
        "as in the paper: temperature 0.6, top-k 20, top-p 0.95, 8 drafted",
        {
            "rules": ["sps", "cactus:delta=0.1,0.3,1,3,solver=taylor,exact", "tas:epsilon=0.09,0.01,0.001"],
            **COMMON,
            **PAPER,
        },
        (
            "As in the paper: temperature 0.6, top-k 20, top-p 0.95, cactus by both solvers beside sps and tas. Not as in the paper: the models, the questions, and 8 tokens drafted instead of 20.",
            "With the tail cut off no rule is measurably worse than the verifier alone: a token outside the cut has probability 0, which no budget lifts. But what is kept rises only from 5.57 to 5.66 of 8, where the paper's models go from 5.1 to 7.0 of 20: this verifier is nearly sure of every token, so what strict sampling refuses is mostly what the verifier rules out.",
        ),
    ),
)
