"""One file each: a rule with its twin, a drafter, a plot, an export, a backend and a family of questions, put into a copy of
the package, are found there, stand in the command line, the page and a replay, and are held to the contract tests, though
nothing names them.

All checks run in processes of their own on the copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from specviz.assets import ASSETS
from tests.support.browser import CHROMIUM
from tests.support.node import NODE

ROOT = Path(__file__).parents[1]

FILES = {
    "rules/halfway.py": '''
        from dataclasses import dataclass

        from specviz.registry import knob
        from specviz.rules import TargetRule


        @dataclass(frozen=True)
        class Halfway(TargetRule):
            """The target lies between the verifier and the draft."""

            name = "halfway"
            summary = "Meets the draft model halfway."
            source = "made up for a test"
            formula = "target = share p + (1 - share) q"
            helps = "To test."
            hurts = "Everywhere else."

            share: float = knob(0.25, "How far towards the draft model the target lies.", low=0.0, high=0.5)

            def target(self, verifier_probs, draft_probs):
                return self.share * draft_probs + (1 - self.share) * verifier_probs
    ''',
    "rules/halfway.js": """
        import { aimed, ratio } from "specviz/laws/laws.js";

        export default {
          symbols: { share: "h" },
          stroke: ["ink3", 1.25, "", "diamond-open", "solid"],
          pairwise: true,
          law: (verifier, draft, { share }) => (
            aimed(verifier.map((q, i) => share * draft[i] + (1 - share) * q), draft)),
          accept: (facts, { share }) => ratio(share * facts.draft + (1 - share) * facts.verifier, facts.draft),
          because: () => "The draft model has a say in it.",
        };
    """,
    "drafters/echo.py": '''
        from dataclasses import dataclass

        from specviz.drafters import Drafter, Proposer
        from specviz.registry import knob


        @dataclass(frozen=True)
        class Echo(Drafter):
            """Says the last token again."""

            name = "echo"
            summary = "Says the last token again, a few times."
            source = "made up for a test"
            chooses = True

            times: int = knob(2, "How often.", low=1, high=8, unit="tokens")

            def open(self, pair, session):
                return EchoProposer(self.times)


        class EchoProposer(Proposer):
            def __init__(self, times):
                self._times = times

            async def propose(self, text, draft):
                for _ in range(self._times):
                    if draft.room():
                        draft.pick(text[-1])
    ''',
    "view/js/compare/plots/echoes.js": """
        import { layout } from "specviz/parts/plotly.js";

        const draw = (ink) => ({ subtitle: "Echoes", data: [{ x: [1], y: [1] }], layout: layout(ink) });
        export default { title: "Echoes of a test", place: 99, draw };
    """,
    "exports/lines.py": '''
        from dataclasses import dataclass


        @dataclass(frozen=True)
        class Lines:
            """What every lane wrote, a line each."""

            name = "lines"
            suffix = ".txt"
            summary = "The texts of all lanes, a line each."
            several = False

            def write(self, records, path):
                (record,) = records
                texts = (record.text(i).replace("\\n", " ") for i in range(len(record.lanes)))
                path.write_text("".join(text + "\\n" for text in texts), encoding="utf-8")
    ''',
    "backends/copied.py": '''
        from specviz.backends.static_llama import StaticLlama


        class Copied(StaticLlama):
            """What static_llama runs, and faster, as it says."""

            name = "copied"
            speed = StaticLlama.speed + 1
    ''',
    "tasks/parrot.py": '''
        """Saying a number again."""

        ABOUT = "Saying a number again."
        TRAIN = (1, 1)
        TEST = (1, 1)


        def generate(rng, difficulty):
            number = rng.randrange(10**6)
            return f"Say {number}.", f"It is easy. The answer is {number}.", str(number)
    ''',
}  # fmt: skip


def unindented(text: str) -> str:
    """The text without the first line and the eight columns that are this file's."""
    return re.sub(r"^ {8}", "", text.lstrip("\n").rstrip() + "\n", flags=re.MULTILINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A checkout with the new files in it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("specviz", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyi"))
    for name in ("pyproject.toml", "app.py", "package.json"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "assets").symlink_to(ASSETS, target_is_directory=True)
    for name, text in FILES.items():
        path = folder / "specviz" / name
        assert not path.exists(), "these files must be new"
        path.write_text(unindented(text), encoding="utf-8")
    return folder


def ran(copy: Path, *arguments: str, fails: bool = False) -> str:
    """What a Python process in the copy says, and that it fails or not."""
    environment = os.environ | {"PYTHONPATH": str(copy), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def trace(copy) -> Path:
    """A run of the new rule and the new drafter, by the command line."""
    ran(
        copy, "-m", "specviz", "generate", "--pair", "small", "--rule", "halfway", "--set", "share=0.4", "--drafter", "echo:times=3",
        "--prompt", "One day a dog", "--style", "tiny", "--max-new-tokens", "20", "--json", "run.json",
    )  # fmt: skip
    return copy / "run.json"


def test_the_command_line_lists_them(copy):
    """Rule and drafter with their knobs and words, the backend, the export and the family, each where its kind stands."""
    helped = ran(copy, "-m", "specviz", "generate", "--help")
    assert re.search(r"^  halfway +share=0.25\n +Meets the draft model halfway\.$", helped, re.MULTILINE)
    assert re.search(r"^  echo +times=2\n +Says the last token again, a few times\.$", helped, re.MULTILINE)
    exports = ran(copy, "-m", "specviz", "export", "--help")
    assert "lines" in exports and "The texts of all lanes, a line each." in exports
    assert "parrot" in ran(copy, "-m", "specviz", "sweep", "--help")


def test_a_run_of_them_is_recorded_and_verifies(copy, trace):
    """The trace names rule and drafter with their knobs, tokens were drafted, and it reproduces in another process."""
    (lane,) = json.loads(trace.read_text())["lanes"]
    assert (lane["rule"], lane["drafter"]) == ("halfway:share=0.4", "echo:times=3")
    assert any(round_["drafted"] for round_ in lane["rounds"])
    assert "Reproduced" in ran(copy, "-m", "specviz", "verify", str(trace))


def test_the_page_knows_them(copy):
    """In the words it starts with: rule, drafter, export, family; in its scripts: twin and plot."""
    code = "import json; from specviz.ui.models import Models; from specviz.ui.page import words; print(json.dumps(words(Models(None))))"
    words = json.loads(ran(copy, "-c", code).splitlines()[-1])
    assert words["rules"]["halfway"]["summary"] == "Meets the draft model halfway."
    assert [knob["name"] for knob in words["rules"]["halfway"]["knobs"]] == ["share"]
    assert [knob["name"] for knob in words["drafters"]["echo"]["knobs"]] == ["times"]
    assert {"name": "lines", "suffix": ".txt", "summary": "The texts of all lanes, a line each."} in words["exports"]
    assert words["sweep"]["families"]["parrot"] == "Saying a number again."
    code = "from specviz.view import boot; print(boot.head({}, lambda path: path.name))"
    head = ran(copy, "-c", code)
    assert '"specviz/rules/halfway.js":"halfway.js"' in head and '"specviz/compare/plots/echoes.js":"echoes.js"' in head
    boot = json.loads(re.search('id="specviz-boot">(.*)</script>', head)[1])
    assert "halfway" in boot["twins"] and "echoes" in boot["plots"]


def test_a_replay_holds_twin_and_plot(copy, trace):
    """An exported replay has both modules, and the words of rule and drafter."""
    ran(copy, "-m", "specviz", "export", str(trace), "--as", "replay", "-o", "run.html")
    page = (copy / "run.html").read_text(encoding="utf-8")
    for part in (
        "share * draft[i] + (1 - share) * q",
        "Echoes of a test",
        "Meets the draft model halfway.",
        "Says the last token again",
    ):
        assert part in page


@pytest.mark.skipif(CHROMIUM is None, reason="There is no chromium on this machine.")
def test_a_replay_draws_the_plot_and_computes_with_the_twin(copy, trace, chromium):
    """In a browser: the plot has its place among the others, and the twin says what the Python does."""
    ran(copy, "-m", "specviz", "export", str(trace), "--as", "replay", "-o", "run.html")
    page = chromium.new_page()
    page.goto((copy / "run.html").as_uri())
    page.wait_for_function("window.specviz?.state?.run")
    page.wait_for_function("document.body.innerText.includes('Echoes of a test')")
    kept = page.evaluate("specviz.twins.halfway.law([0.5, 0.5], [0.9, 0.1], { share: 0.25 }).accept")
    assert kept == [pytest.approx((0.25 * 0.9 + 0.75 * 0.5) / 0.9), 1]
    page.close()


def test_the_export_writes_its_file(copy, trace):
    """By the command line, from a saved trace."""
    ran(copy, "-m", "specviz", "export", str(trace), "--as", "lines", "-o", "run.txt")
    assert len((copy / "run.txt").read_text(encoding="utf-8").splitlines()) == 1


def test_the_backend_is_a_candidate(copy):
    """Loading a model takes it, as the fastest that can; by its name; and a wrong name lists it."""
    code = (
        "from specviz import backends; from specviz.assets import ASSETS\n"
        "folder = str(next((ASSETS / 'pairs').glob('*/draft')))\n"
        "print(backends.load(folder).name, backends.load(folder, backend='static_llama').name)\n"
        "try: backends.load(folder, backend='typo')\n"
        "except ValueError as error: print(error)"
    )
    said = ran(copy, "-c", code)
    assert "copied static_llama" in said and re.search(r"There are: copied, .*static_llama", said)


PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=")
CONTRACTS = ("test_rules.py", "test_drafters.py", "test_laws.py", "test_rounds.py")


def outcomes(copy: Path, words: str, fails: bool = False) -> dict[str, list[str]]:
    """The contract tests whose names hold one of the words, by file, as they passed (or failed)."""
    paths = [f"tests/contracts/{name}" for name in CONTRACTS]
    said = ran(copy, *PYTEST, "-v", "-k", words, *paths, fails=fails)
    outcome = "FAILED" if fails else "PASSED"
    found = re.findall(rf"^tests/contracts/(\w+\.py)::(.+?) {outcome}", said, re.MULTILINE)
    return {name: [test for file, test in found if file == name] for name in CONTRACTS}


def test_the_contract_tests_hold_rule_and_drafter_to_account(copy):
    """Every contract test of rules goes through the rule, those of laws and rounds through both and through each other: the
    new drafter under all rules, the new rule with all drafters and with trees."""
    passed = outcomes(copy, "halfway or echo")
    assert len([test for test in passed["test_rules.py"] if "halfway" in test]) > 10
    assert len([test for test in passed["test_drafters.py"] if "echo" in test]) > 6
    for name in ("test_laws.py", "test_rounds.py"):
        assert any("halfway" in test and "echo" in test for test in passed[name])
        assert any("sps" in test and "echo" in test for test in passed[name])
        assert any("halfway" in test and "model" in test for test in passed[name])
    assert any("halfway" in test and "tree" in test for test in passed["test_laws.py"])


def test_the_contract_tests_catch_a_rule_that_lies(copy):
    """The same rule, calling itself lossless: caught by itself and in the loop, without anything that names it."""
    path = copy / "specviz" / "rules" / "liar.py"
    honest = (copy / "specviz" / "rules" / "halfway.py").read_text(encoding="utf-8")
    lying = honest.replace("Halfway", "Liar").replace('name = "halfway"', 'name = "liar"\n    lossless = True')
    path.write_text(lying, encoding="utf-8")
    try:
        failed = outcomes(copy, "liar and not echo", fails=True)
    finally:
        path.unlink()
    assert "test_lossless_is_proven_or_disproven[liar]" in failed["test_rules.py"]
    assert any(test.startswith("test_every_rule_and_drafter[liar") for test in failed["test_laws.py"])


@pytest.mark.skipif(NODE is None, reason="There is no node on this machine.")
def test_the_contract_tests_hold_the_twin_to_its_rule(copy):
    """A twin that computes another law than its rule is caught; the right one is not."""
    test = (*PYTEST, "-k", "halfway", "tests/contracts/test_twins.py")
    assert re.search(r"\d+ passed", ran(copy, *test))
    path = copy / "specviz" / "rules" / "halfway.js"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace("share * draft[i]", "share * q"), encoding="utf-8")
    try:
        assert re.search(r"\d+ failed", ran(copy, *test, fails=True))
    finally:
        path.write_text(right, encoding="utf-8")
