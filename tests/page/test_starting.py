"""What keeps the page from starting is said in a sentence, with status 2; what does not is left out, and named in the log."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import tempfile

import pytest

from specviz import backends, cli
from specviz.assets import ASSETS
from specviz.types import ModelError
from specviz.ui import examples, files, page, regimes
from specviz.ui.desk import Desk
from specviz.ui.models import Models
from specviz.view import boot
from tests.support.traces import recorded

SMALL = ASSETS / "pairs" / "small"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("GRADIO_SERVER_PORT", "abc", "The port must be a whole number from 1 to 65535; got 'abc'."),
        ("GRADIO_SERVER_PORT", "99999", "from 1 to 65535; got '99999'."),
        ("GRADIO_SERVER_PORT", "-1", "from 1 to 65535; got '-1'."),
        ("GRADIO_SERVER_NAME", "203.0.113.7", "no address of this machine"),
        ("SPECVIZ_DEADLINE", "abc", "The deadline must be a number of seconds above 0; got 'abc'."),
        ("SPECVIZ_DEADLINE", "-1", "above 0; got '-1'."),
        ("SPECVIZ_DEADLINE", "nan", "above 0; got 'nan'."),
        ("SPECVIZ_DEVICE", "foo", "There is no device 'foo'. Use cpu, cuda"),
        ("SPECVIZ_DTYPE", "int8", "There is no dtype 'int8'. Use float32, bfloat16 or float16."),
    ],
)
def test_a_setting_that_cannot_be_has_its_sentence(monkeypatch, capsys, variable, value, says):
    for name in ("GRADIO_SERVER_PORT", "GRADIO_SERVER_NAME"):
        monkeypatch.setenv(name, "")  # as if it were not set
    monkeypatch.setenv(variable, value)
    refuses(capsys, says)


def refuses(capsys, says: str) -> None:
    """The page does not start, and one line says why."""
    assert cli.main(["page"]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and said.startswith("specviz: ")


def test_no_temporary_folder_has_its_sentence(monkeypatch, capsys):
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    refuses(capsys, "There is no folder for temporary files that can be written to. Name one by TMPDIR.")


def test_a_missing_style_sheet_has_its_sentence(monkeypatch, capsys):
    monkeypatch.setattr(boot, "STYLES", ("nowhere.css", *boot.STYLES))
    refuses(capsys, "there is no file '")


def test_a_damaged_pair_has_its_sentence(monkeypatch, capsys, tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "pair.json").write_text((SMALL / "pair.json").read_text()[:300])
    monkeypatch.setattr(backends.facts, "PAIRS", tmp_path)
    refuses(capsys, "pair.json' could not be read: line ")


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """A copy of what the page shows before anyone presses Run."""
    folder = tmp_path / "assets"
    (folder / "recorded").mkdir(parents=True)
    shutil.copy(ASSETS / "prompts.json", folder)
    shutil.copytree(ASSETS / "sweeps", folder / "sweeps")
    for path in recorded("small")[:2]:
        shutil.copy(path, folder / "recorded")
    monkeypatch.setattr(examples, "ASSETS", folder)
    monkeypatch.setattr(regimes, "FOLDER", folder / "sweeps")
    monkeypatch.setitem(files.SERVED, "assets", (folder, files.SERVED["assets"][1]))
    return folder


def shown() -> tuple[int, int, int]:
    """How many examples there are, how many of them with a recorded run, and how many recorded sweeps."""
    known = {"small": backends.pairs()["small"]}
    listed = examples.examples(known)
    return len(listed), sum(one["recorded"] is not None for one in listed), len(examples.swept_before())


@pytest.mark.parametrize(
    ("name", "keeps", "loses"),
    [
        ("recorded", 300, (0, 1, 0)),
        ("recorded", 0, (0, 1, 0)),
        ("prompts.json", 300, (2, 2, 0)),
        ("sweeps/paper.json", 300, (0, 0, 1)),
    ],
)
def test_a_damaged_file_is_left_out_and_named(assets, capsys, name, keeps, loses):
    """Cut off in the middle or empty, it costs nothing but itself."""
    whole = shown()
    path = min((assets / "recorded").iterdir()) if name == "recorded" else assets / name
    path.write_bytes(path.read_bytes()[:keeps])
    left = shown()
    lost = tuple(int(before) - int(after) for before, after in zip(whole, left))
    assert whole == (2, 2, 2) and lost == loses
    assert f"'{path}' is damaged and left out: " in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_damaged_weights_are_noticed(tmp_path, damage):
    """One bit is enough: each weight file is held against its hash."""
    folder = tmp_path / "pair"
    shutil.copytree(SMALL, folder)
    path = folder / "verifier" / "model-00002-of-00002.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.unlink() if damage == "missing" else path.write_bytes(data if damage == "flipped" else data[:-100])
    with pytest.raises(
        ModelError, match=f"model-00002-of-00002.safetensors' are {'missing' if damage == 'missing' else 'damaged'}"
    ):
        backends.load_pair(folder)


def test_every_weight_file_that_ships_has_its_hash():
    for facts in backends.pairs().values():
        for role in ("draft", "verifier"):
            assert facts.sha256[role].keys() == {path.name for path in (facts.folder / role).glob("*.safetensors")}


def test_a_full_disk_is_said_where_a_file_is_made(monkeypatch):
    """The page gets a sentence, and no traceback is left behind."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    blocks = page.build(Desk(Models(lambda name, progress: None)))
    view = next(block for block in blocks.blocks.values() if isinstance(block, page.View))
    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    asked = json.dumps({"name": "replay", "trace": recorded("small")[0].read_text(encoding="utf-8")})
    assert "No space left on device" in asyncio.run(view.export(asked))["error"]
