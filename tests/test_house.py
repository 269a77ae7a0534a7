"""The house keeps its shape: imports go one way, and rooms keep to what they may touch."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from specviz import rules
from specviz.view import boot

ROOT = Path(__file__).parents[1]
ORDER = [  # a room may import from rooms on lines above its own, and from its own folder
    {"assets", "optional", "options", "stopping"},
    {"registry"},
    {"types"},
    {"prob", "sums"},
    {"rules", "tasks", "backends"},
    {"sets"},
    {"drafters"},
    {"engine"},
    {"record"},
    {"study", "training"},
    {"view"},
    {"exports"},
    {"api"},
    {"__init__"},  # hands `api` out, and is what `import specviz` gives
    {"ui"},
    {"bench", "hosting"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
SCRIPTS = [  # of the page, the same: a folder's modules import from folders on lines above, and from their own folder
    {"core"},
    {"laws"},
    {"parts", "rules", "sets"},  # rules, sets: the twins, beside the rules they are twins of
    {"compare", "playground", "sweep"},
    {"shell"},
]
FILES = sorted((ROOT / "specviz").rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "specviz").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names of everything a file imports, at any depth of nesting."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_room_is_listed():
    """Each folder and file of specviz has its place in the order, and each place is taken."""
    files = [path for path in (ROOT / "specviz").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {room_of(path) for path in files} - {"py.typed"} == LEVEL.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """A room imports only from rooms before it; a lazy import counts like any other. Only the package itself hands out
    its front room, when it is asked for."""
    own = room_of(path)
    if own == "__init__":
        assert {name for name in imported(path) if name.startswith("specviz")} <= {
            "specviz.api",
            "specviz.api.Run",
            "specviz.api.compare",
        }  # what people call, brought when they ask for it
        return
    for name in imported(path):
        if name.startswith("specviz."):
            other = name.split(".")[1]
            if other == own or other == "__version__" or (own, other) == ("__init__", "api"):
                continue
            assert LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_scripts_import_one_way():
    """The page's modules import by name, only from folders before their own, and no module needs itself in the end."""
    level = {folder: level for level, folders in enumerate(SCRIPTS) for folder in folders}
    needs = {}
    for name, path in boot.imports(lambda path: str(path)).items():
        text = Path(path).read_text(encoding="utf-8")
        needs[name] = set(re.findall(r'^import [^;]*?"([^"]+)";', text, re.MULTILINE))
        for other in needs[name]:
            own, whose = name.split("/")[1], other.split("/")[1]
            assert own == whose or level[whose] < level[own], f"{name} imports {other}"
    assert {name.split("/")[1] for name in needs} == level.keys()
    assert set().union(*needs.values()) <= needs.keys()
    assert len(list(TopologicalSorter(needs).static_order())) == len(needs)  # raises CycleError


def test_rooms_keep_to_their_libraries():
    """Only backends (and training) know transformers, only ui knows gradio, rules know no randomness,
    sums and views no torch, and statistics by SciPy are in prob alone."""
    for path in FILES:
        own, names = room_of(path), {n.split(".")[0] for n in imported(path)}
        if own not in ("backends", "training", "bench"):
            assert "transformers" not in names, path
        if own != "ui":
            assert "gradio" not in names, path
        if own != "prob":
            assert "scipy" not in names, path
        if own in ("sums", "exports", "view", "ui") or path.name in ("terminal.py", "metrics.py", "check.py"):
            assert "torch" not in names, path
        if own in ("rules", "sums", "record") or path.name == "decode.py":
            assert not names & {"random", "time"}, path


def test_the_engine_does_not_need_the_page_or_transformers():
    """Loading the small pair and decoding imports neither gradio nor transformers: a cold start stays short."""
    code = (
        "import sys; from specviz import backends, rules; from specviz.engine.settings import Settings\n"
        "from specviz.record.running import run\n"
        "pair = backends.load_pair('small'); lanes = [Settings(rule=rules.make('sps'), max_new_tokens=8)]\n"
        "assert run(pair, 'One day', lanes).finish().text(0)\n"
        "print({'gradio', 'transformers'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


def test_app_is_short():
    """app.py only starts the page."""
    assert len((ROOT / "app.py").read_text().splitlines()) <= 40


def test_the_page_names_rules_only_where_it_opens():
    """No script of the page names a rule: twins do, and view/openings.json, whose rules and knobs there are."""
    names = set(rules.names()) - {
        "block",
        "top_k",
        "exact_match",
    }  # words of their own: a scope, a knob of sampling, a flag
    for path in (ROOT / "specviz" / "view" / "js").rglob("*.js"):
        quoted = set(re.findall(r"[\"'`](\w+)[\"'`]", path.read_text(encoding="utf-8")))
        assert not quoted & names, f"{path.name} names {quoted & names}"
    openings = json.loads((ROOT / "specviz" / "view" / "openings.json").read_text(encoding="utf-8"))
    for field in ("lanes", "nextLanes", "nextLines", "unfolded"):
        assert set(openings[field]) <= {"plain", *rules.names()}, field
    for preset in openings["presets"].values():
        for name, rows in preset["knobs"].items():
            assert all(rules.make(name, **knobs) for knobs in rows)
        assert preset["focus"][0] in rules.names()
