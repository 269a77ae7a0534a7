"""What README.md and CONTRIBUTING.md say can be done: their links lead somewhere, their commands and their Python work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from specviz import cli, drafters, rules
from tests import doc_tables

ROOT = Path(__file__).parents[1]
DOCS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/API.md", "docs/OPERATING.md", "docs/DRAFTERS.md", "docs/STOPPING.md", "docs/SERVERS.md", "docs/PROMISES.md", *(str(path.relative_to(ROOT)) for path in (ROOT / "assets" / "pairs").glob("*/README.md")))  # fmt: skip


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a language in a document."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [
        block
        for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        if kind == language
    ]


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name):
    """Every relative link and picture is a file of the repository, and its anchor a heading of that file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {link}"
        heads = [re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)] if anchor else []  # fmt: skip
        assert not anchor or anchor in heads, f"{name}: {link}"


def commands() -> list[str]:
    lines = "\n".join(block for name in DOCS for block in blocks(name, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"(\S*python3? -m )?specviz ", line)]


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command):
    """The command line takes every command as it is written there; nothing is run."""
    words = shlex.split(command, comments=True)
    try:
        cli.build_parser().parse_args(words[words.index("specviz") + 1 :])
    except SystemExit as end:
        assert end.code == 0, command


@pytest.mark.parametrize("block", blocks("README.md", "python"))
def test_the_python_of_the_readme_runs(block, tmp_path):
    """Each block is a program by itself."""
    program = tmp_path / "program.py"
    program.write_text('if __name__ == "__main__":\n' + textwrap.indent(block, "    "), encoding="utf-8")
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_path({str(program)!r}, run_name='__main__')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_the_house_is_as_the_readme_says():
    """The list of rooms has every folder of specviz, and no other."""
    (listing,) = [block for block in blocks("README.md", "") if block.startswith("app.py")]
    listed = set(re.findall(r"^  (\w+)/ ", listing, re.MULTILINE))
    folders = {path.parent.name for path in (ROOT / "specviz").glob("*/__init__.py")}
    assert listed == folders


def test_the_options_of_servers_are_those_of_the_classes():
    """docs/SERVERS.md has a line for every rule and drafter that a server has, with the very options that the page gives."""
    text = (ROOT / "docs" / "SERVERS.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip().strip("`") for cell in line.split("|")[1:4]] for line in text.splitlines() if line[:2] == "| "
    ]
    server, said = "", {}
    for name, variant, options in rows[1:]:
        server = name.split(" (")[0].removesuffix(" 5.23") or server
        said[server, variant.removeprefix("drafter `")] = options.replace("(what it does)", "")
    variants = [*map(rules.get, rules.names()), *(type(drafters.make(name)) for name in drafters.names())]
    assert said == {
        (server, variant.name): options for variant in variants for server, options in variant.servers.items()
    }


def test_every_promise_has_its_test():
    """docs/PROMISES.md names a test in every row, and each of them exists."""
    rows = re.findall(r"^\| (?!promise|---).*\|$", (ROOT / "docs" / "PROMISES.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) >= 15
    for row in rows:
        names = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert names, row
        for file, name in names:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


@pytest.mark.parametrize("name", doc_tables.TABLES)
def test_tables_say_what_the_code_says(name):
    """The tables made from the code are those of today; every drafter has its words and its proof."""
    page = (doc_tables.DOCS / name).read_text(encoding="utf-8")
    assert page == doc_tables.written(name), "run `python -m tests.doc_tables`"
    if name == "DRAFTERS.md":
        assert "def test_every_rule_and_drafter(" in (ROOT / "tests/contracts/test_laws.py").read_text(encoding="utf-8")
        for drafter in map(drafters.make, drafters.names()):
            assert not drafter.drafts or (drafter.as_there and drafter.left_out)
