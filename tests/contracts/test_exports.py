"""What every export does, whichever there are: nothing here names one."""

from __future__ import annotations

import base64
import json

import pytest

from specviz import cli, exports
from specviz.record import trace
from specviz.ui.exporting import exported


@pytest.mark.parametrize("name", exports.names())
def test_an_export_describes_itself(name):
    """A name that a shell takes as one word, a suffix with its dot, and one line that says what it is."""
    export = exports.make(name)
    assert export.name == name and name.isidentifier() and name.islower()
    assert export.suffix.startswith(".") and export.suffix[1:].isalnum()
    assert export.summary.endswith(".") and "\n" not in export.summary


@pytest.mark.parametrize("name", exports.names())
def test_the_command_line_and_the_page_make_the_same_file(name, record, tmp_path, capsys):
    """`specviz export` writes what `write` does, and the page is sent the same bytes; the trace is left as it was."""
    source, file = tmp_path / "trace.json", tmp_path / "made"
    record.save(source)
    before = source.read_bytes()
    assert cli.main(["export", str(source), "--as", name, "-o", str(file)]) == 0
    exports.make(name).write([trace.load(source)], tmp_path / "again")
    assert file.read_bytes() == (tmp_path / "again").read_bytes() != b""
    sent = exported(json.dumps({"name": name, "trace": before.decode()}))
    assert base64.b64decode(sent["data"]) == file.read_bytes()
    assert sent["file"] == f"specviz-{name}{exports.make(name).suffix}" and "/" in sent["type"]
    assert source.read_bytes() == before


def test_the_help_lists_every_export(capsys):
    """Each is in the help of the command, with its summary."""
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for words in exports.words():
        assert f"{words['name']} {words['summary']}" in shown


def test_bad_input_has_its_sentence(record, tmp_path, capsys):
    """An unknown export, a file that is no trace, and the trace itself as the target: 2, a sentence, nothing written."""
    source = tmp_path / "trace.json"
    record.save(source)
    before = source.read_bytes()
    (tmp_path / "other.json").write_text("hello")
    first = exports.names()[0]
    for arguments, says in (
        ([source, "--as", "film", "-o", tmp_path / "x"], "There is no export called 'film'. There are: "),
        ([tmp_path / "other.json", "--as", first, "-o", tmp_path / "x"], "not JSON"),
        ([source, "--as", first, "-o", source], "is the trace itself"),
        ([source, "--as", first, "-o", tmp_path / "nowhere" / "x"], "there is no file"),
        ([source, "--as", first, "-o", tmp_path], "cannot be used"),
        ([source, tmp_path / "other.json", "--as", first, "-o", tmp_path / "x"], "not JSON"),
    ):
        assert cli.main(["export", *map(str, arguments)]) == 2
        assert says in capsys.readouterr().err
    assert source.read_bytes() == before and not (tmp_path / "x").exists()
    for asked, says in (
        ("hello", "Expecting value"),
        ("[1]", "is a JSON object"),
        (json.dumps({"name": "film"}), "no export called 'film'"),
        (json.dumps({"name": first, "trace": "{}"}), "trace"),
    ):
        with pytest.raises(ValueError, match=says):
            exported(asked)
