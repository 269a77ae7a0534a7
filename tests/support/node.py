"""The page's arithmetic in node, without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from specviz.view import boot

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")


class Arithmetic:
    """The page's pure modules, as `specviz` in expressions: see tests/js/pure.js."""

    def __init__(self, process: subprocess.Popen[str]):
        self._process = process

    def evaluate(self, expression: str, arg: object = None) -> Any:
        """The value of an expression, or of the function that it is for `arg`. RuntimeError if it throws."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([expression, arg], allow_nan=False) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline(), object_hook=_number)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]


def _number(value: dict) -> Any:
    return float(value["$number"].replace("Infinity", "inf")) if "$number" in value else value


@contextmanager
def arithmetic() -> Iterator[Arithmetic]:
    """The arithmetic with the rules and drafters in words, or a skip that says why."""
    if NODE is None:
        pytest.skip("There is no node on this machine.")
    command = [NODE, str(ROOT / "tests" / "js" / "evaluate.js")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        made = Arithmetic(process)
        words = {"rules": boot.rule_words(), "drafters": boot.drafter_words(), "sets": boot.set_words()}
        made.evaluate("(words) => { Object.assign(specviz.boot, words); }", words)
        yield made
        assert process.stdin
        process.stdin.close()
