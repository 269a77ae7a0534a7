"""The tables of docs/DRAFTERS.md and docs/STOPPING.md, from the code: `python -m tests.doc_tables` writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from specviz import drafters, registry, rules
from specviz.prob import dists
from specviz.study import stopping
from tests.support.pairs import table_pair

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- made by python -m tests.doc_tables -->\n", "<!-- end -->"
DRAFT, VERIFIER = (torch.tensor(p, dtype=torch.float64) for p in ((0.5, 0.3, 0.15, 0.05), (0.3, 0.2, 0.2, 0.3)))
LEAST = 0.2


def drafter_table() -> str:
    """A row for each drafter that drafts; the lossless rules are those of `test_laws.test_every_rule_and_drafter`."""
    lines = [
        "| drafter | knobs (default) | as in its source | left out | proved lossless under | source |",
        "|---|---|---|---|---|---|",
    ]
    for drafter in [made for name in drafters.names() if (made := drafters.make(name)).drafts]:
        knobs = ", ".join(f"{knob} ({value})" for knob, value in registry.values(drafter).items())
        able = [
            name
            for name in rules.names()
            if rules.get(name).lossless and drafter.refusal(rules.make(name), table_pair(3)) is None
        ]
        cells = (f"`{drafter.name}`", knobs, drafter.as_there, drafter.left_out, ", ".join(able), drafter.source)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def stopping_table() -> str:
    """The law of one place, by what is done with a token below the threshold."""
    nothing = torch.nn.functional.one_hot(DRAFT.argmax(), 4).double()
    laws = {
        "the verifier's own": VERIFIER,
        "drawn, looked at, thrown away": stopping.discarding(DRAFT, VERIFIER, LEAST),
        "drawn, looked at, kept; what would follow is left out": stopping.kept(DRAFT, VERIFIER),
        "thrown away, and the next token drawn from what was not offered": stopping.repaired(DRAFT, VERIFIER, LEAST),
        "chosen (the likeliest) instead of drawn": stopping.kept(nothing, VERIFIER),
    }
    lines = ["| the token | law of the place | total variation | KL, nats |", "|---|---|---|---|"]
    for what, law in laws.items():
        tv, kl = float(dists.tv(law, VERIFIER)), float(dists.kl(law, VERIFIER))
        lines.append(f"| {what} | {', '.join(f'{p:.2f}' for p in law.tolist())} | {tv:.2f} | {kl:.3f} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {"DRAFTERS.md": drafter_table, "STOPPING.md": stopping_table}


def written(name: str) -> str:
    """A page with today's table."""
    before, _, rest = (DOCS / name).read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + TABLES[name]() + END + rest.partition(END)[2]


if __name__ == "__main__":
    for page in TABLES:
        (DOCS / page).write_text(written(page), encoding="utf-8")
