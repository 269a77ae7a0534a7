"""The package: what its wheel holds, and that an installed specviz works away from any checkout."""

from __future__ import annotations

import ast
import json
import os
import re
import site
import subprocess
import sys
import sysconfig
import tarfile
import urllib.parse
import urllib.request
import venv
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import specviz
from specviz import backends, exports, optional, rules
from tests.support.browser import app

ROOT = Path(__file__).parents[1]
HATCHLING = [sys.executable, "-m", "hatchling", "build"]


def build(source: Path, kind: str, folder: Path) -> Path:
    """Builds a "wheel" or an "sdist" of a source tree into `folder`, with nothing fetched."""
    subprocess.run([*HATCHLING, "-t", kind, "-d", folder], cwd=source, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of a new environment that has specviz from the wheel, its libraries from here, and no checkout. Its
    name begins with a dot, as such a folder's often does: its files must be served to a browser all the same."""
    folder = tmp_path_factory.mktemp("installed") / ".venv"
    venv.create(folder, with_pip=True, symlinks=True)
    own = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    libraries = [path for path in [*site.getsitepackages(), site.getusersitepackages()] if path in sys.path]
    (own / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, env=environment())
    return folder / "bin"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def call(folder: Path, *command) -> subprocess.CompletedProcess:
    """Runs a command in an empty folder."""
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


def test_the_wheel_holds_the_rooms_and_the_assets(wheel):
    """Every file of specviz, and of assets all but the screenshots, at the places where they are looked for; no more."""
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "specviz").rglob("*") if path.is_file()}
    wanted = {name for name in wanted if "__pycache__" not in name and not name.endswith((".pyc", ".pyi"))}
    assets = {path for path in (ROOT / "assets").rglob("*") if path.is_file() and "screenshots" not in path.parts}
    wanted |= {f"specviz/{path.relative_to(ROOT).as_posix()}" for path in assets}
    assert {"specviz/view/css/base.css", "specviz/view/js/shell/app.js", "specviz/py.typed"} <= wanted
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_the_source_distribution_makes_the_same_wheel(wheel, tmp_path):
    """A wheel built from the sdist has the same files: the sdist lacks nothing."""
    for name in ("sdist", "source", "again"):
        (tmp_path / name).mkdir()
    with tarfile.open(build(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build(source, "wheel", tmp_path / "again")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert sorted(second.namelist()) == sorted(first.namelist())


def test_metadata(metadata):
    """The distribution has a name of its own on PyPI, and the version of the code."""
    assert metadata["Name"] == optional.DISTRIBUTION != "specviz"
    assert metadata["Version"] == specviz.__version__


def requirements(metadata: Message, extra: str | None = None) -> dict[str, Requirement]:
    """Of the core, or those that an extra adds."""
    found = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    return {
        canonicalize_name(one.name): one
        for one in found
        if (one.marker is None) == (extra is None) and (extra is None or one.marker.evaluate({"extra": extra}))
    }


def test_everything_imported_is_declared(metadata):
    """What a room imports is required: by the core, or by the extra that the sentence about it names; and no file but
    those of the page imports an optional library before it is needed."""
    core = requirements(metadata)
    for library, (_, extra) in optional.EXTRAS.items():
        assert canonicalize_name(library) in requirements(metadata, extra), f"{library} is not in the extra {extra}"
    for path in (ROOT / "specviz").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for scope, nodes in (("file", tree.body), ("anywhere", ast.walk(tree))):
            for name in imported(nodes) - set(sys.stdlib_module_names) - {"specviz"}:
                lazy = scope == "anywhere" or path.parent.name == "ui"
                declared = canonicalize_name(name) in core or (lazy and name in optional.EXTRAS)
                assert declared, f"{path.relative_to(ROOT)} imports {name}"


def imported(nodes) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


def test_the_pins_of_a_space_lie_within_the_declared_ranges(metadata):
    """requirements.txt installs what the package asks for; so do those of the tests."""
    ranges = requirements(metadata)
    for extra in metadata.get_all("Provides-Extra"):
        ranges |= requirements(metadata, extra)
    lines = [*(ROOT / "requirements.txt").read_text().splitlines(), *(ROOT / "tests/requirements.txt").read_text().splitlines()]  # fmt: skip
    pins = {canonicalize_name(one.name): one for one in map(Requirement, filter(None, lines))}
    assert {"gradio", "torch", "transformers"} <= pins.keys()
    for name in pins.keys() & ranges.keys():
        (pin,) = pins[name].specifier
        assert pin.operator == "==" and ranges[name].specifier.contains(pin.version), f"{pins[name]}: {ranges[name]}"


def test_the_command_decodes_in_an_empty_folder(installed, tmp_path):
    """`specviz` and `python -m specviz` are the same, and find the models: no checkout is near."""
    made = call(tmp_path, installed / "specviz", "generate", "--prompt", "Once upon a time", "--max-new-tokens", "8")
    assert made.returncode == 0 and "kept per round" in made.stdout, made.stderr
    code = "import specviz.assets; print(specviz.assets.ASSETS)"
    where = call(tmp_path, installed / "python", "-c", code).stdout.strip()
    assert Path(where).is_relative_to(installed.parent)
    for command in ([installed / "specviz"], [installed / "python", "-m", "specviz"]):
        assert call(tmp_path, *command, "--version").stdout == f"specviz {specviz.__version__}\n"


def test_the_page_is_served_from_an_empty_folder(installed, tmp_path):
    """`specviz page` sends the page with its scripts, styles and words, and every file that these point at."""
    command = (str(installed / "specviz"), "page")
    with app(tmp_path / "log.txt", command, tmp_path, PYTHONPATH="") as url:

        def fetched(address: str) -> bytes:
            with urllib.request.urlopen(urllib.parse.urljoin(url, urllib.parse.quote(address)), timeout=60) as answer:
                return answer.read()

        page = fetched("").decode()
        head, gradio, _ = page.partition("window.gradio_config")
        assert gradio, "Gradio's own page, and before any script of it what is this one's"
        boot = json.loads(re.search('id="specviz-boot">(.*)</script>', head)[1])
        modules = json.loads(re.search('type="importmap">(.*)</script>', head)[1])["imports"]
        assert {"specviz/shell/app.js", "specviz/rules/sps.js"} < modules.keys()
        assert set(boot["rules"]) == {*rules.names(), "plain"} and boot["exports"] == exports.words()
        assert ".sv.sv .playtable" in head
        assert [pair["name"] for pair in boot["pairs"]] == list(backends.pairs())
        recorded = [example["recorded"] for example in boot["prompts"] if example["recorded"]]
        assert len(recorded) == len(list((ROOT / "assets" / "recorded").glob("*.json"))) > 0
        swept = [regime["recorded"] for regime in boot["sweep"]["regimes"]]
        assert len(swept) == len(list((ROOT / "assets" / "sweeps").glob("*.json"))) > 0
        for address in [*recorded, *swept, boot["plotly"]]:
            assert fetched(address) == (ROOT / address.removeprefix("specviz/")).read_bytes() != b""
        assert str(installed.parent) not in head


HUB = ["generate", "--prompt", "x", "--draft", "acme/small", "--verifier", "acme/large"]


@pytest.mark.parametrize(
    ("library", "arguments"),
    [("gradio", ["page"]), ("transformers", HUB), ("plotly", ["bench", "--plot", "x.html"])],
)
def test_a_missing_part_has_its_sentence(tmp_path, library, arguments):
    """Without an optional library its part exits with 2 and a sentence that says what to install; no traceback."""
    code = f"import sys; sys.modules[{library!r}] = None; from specviz.cli import main; sys.exit(main({arguments!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    extra = optional.EXTRAS[library][1]
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.endswith(f" {library}, which is not installed: pip install 'specviz-decoding[{extra}]'\n")
    assert "Traceback" not in done.stderr


def test_another_missing_library_is_no_advice():
    """Only the optional libraries have a sentence; anything else stays the error that it is."""
    assert optional.missing(ModuleNotFoundError("No module named 'torch'", name="torch")) is None
    assert optional.missing(ValueError("gradio")) is None
    inner = ModuleNotFoundError("No module named 'gradio'", name="gradio.themes")
    outer = ValueError("The page is closed.")
    outer.__cause__ = inner
    assert "pip install 'specviz-decoding[page]'" in optional.missing(outer)
