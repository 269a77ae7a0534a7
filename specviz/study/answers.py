"""What a rule changed, question by question: its answers beside those of plain decoding, which had the same draws.

Of two answers to one question, the rule's is
    won     right where the plain one is wrong
    lost    wrong where the plain one is right
    alike   another text, but graded alike
or the same text, which is nothing to look at.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specviz.tasks import Question

OUTCOMES = ("won", "lost", "alike")
MOST = 40  # questions of each outcome that are shown of one setting
LONGEST = 1500  # characters shown of one text


@dataclass(frozen=True)
class Answer:
    """What was written on a question, and whether its last claim is the right one."""

    text: str
    right: bool


def outcome(answer: Answer, plain: Answer) -> str | None:
    """Which of OUTCOMES an answer is beside the plain one; None where the texts are the same."""
    if answer.right != plain.right:
        return "won" if answer.right else "lost"
    return None if answer.text == plain.text else "alike"


def changes(answers: Sequence[Answer], plain: Sequence[Answer]) -> dict[str, list[int]]:
    """The indices of the questions of each outcome, in their order."""
    outcomes = [outcome(*pair) for pair in zip(answers, plain, strict=True)]
    return {name: [i for i, one in enumerate(outcomes) if one == name] for name in OUTCOMES}


def seed_of(seed: int, question: int) -> int:
    """The seed of the draws on the question of that index, at every setting of a sweep with that seed."""
    return (1_000_003 * seed + question) % 2**53


def shown(
    questions: Sequence[Question], seed: int, plain: Sequence[Answer], others: dict[str, Sequence[Answer]]
) -> dict[str, Any]:
    """What changed under each rule, as plain data that stays small: {questions: {index: {prompt, answer, family, seed, text,
    right}}, rules: {spec: {outcome: {count, texts: {index: text}}}}}.

    `others` are the answers by the spec of their rule. `count` is of all, `texts` of the first MOST; `text` and `right` of a
    question are those of plain decoding. Only questions that some text belongs to are there.
    """
    rules: dict[str, dict[str, Any]] = {}
    for spec, answers in others.items():
        rules[spec] = {
            name: {"count": len(which), "texts": {str(i): _cut(answers[i].text) for i in which[:MOST]}}
            for name, which in changes(answers, plain).items()
        }
    used = {int(i) for outcomes in rules.values() for one in outcomes.values() for i in one["texts"]}
    return {
        "questions": {
            str(i): {
                "prompt": questions[i].prompt, "answer": questions[i].answer, "family": questions[i].family,
                "seed": seed_of(seed, i), "text": _cut(plain[i].text), "right": plain[i].right,
            }
            for i in sorted(used)
        },
        "rules": rules,
    }  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def csv_text(
    questions: Sequence[Question], seed: int, plain: Sequence[Answer], others: dict[str, Sequence[Answer]]
) -> str:
    """Every answer of a sweep as CSV, a line each, plain decoding first; `beside_plain` is empty where the text is the same."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("rule", "question", "family", "prompt", "answer", "seed", "right", "beside_plain", "text"))
    for spec, answers in {"plain": plain, **others}.items():
        for i, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            about = (spec, i, question.family, question.prompt, question.answer, seed_of(seed, i))
            writer.writerow((*about, int(answer.right), outcome(answer, plain[i]) or "", answer.text))
    return out.getvalue()
