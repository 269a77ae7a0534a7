"""The page's modules without a browser: their own tests, their types, and served by nothing but a folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from specviz.assets import ASSETS
from specviz.view import types
from tests.support.browser import until, watched
from tests.support.node import NODE, ROOT
from tests.support.traces import recorded

TESTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "js").glob("*.test.js"))


@pytest.mark.skipif(NODE is None, reason="There is no node on this machine.")
def test_the_pure_modules_pass_their_own_tests():
    """tests/js, by `node --test`: how numbers are said, links, the trace as the page reads it."""
    done = subprocess.run([NODE, "--test", *TESTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_types_of_the_scripts_are_those_of_python():
    """trace.d.ts, which tsc holds the scripts to, says what the Python types of a trace say."""
    assert types.PATH.read_text(encoding="utf-8") == types.text(), "run `python -m specviz.view.types`"


REPLAY = """
import sys
from pathlib import Path
from specviz.exports.replay import replay
from specviz.record import trace
page = replay(trace.load(Path(sys.argv[1])), address=lambda path: "./" + path.relative_to(Path.cwd()).as_posix())
Path("index.html").write_text(page, encoding="utf-8")
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves the files of a folder, and says nothing."""

    def log_message(self, *_):
        pass


def test_a_plain_file_server_is_enough_for_a_replay(chromium, tmp_path):
    """Without the room `ui`, a page made of the folders as they lie on the disk, each module a file of its own, opens and
    plays: nothing of the view needs Gradio."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyi", "ui")
    shutil.copytree(ROOT / "specviz", tmp_path / "specviz", ignore=ignored)
    (tmp_path / "assets").symlink_to(ASSETS, target_is_directory=True)
    (tmp_path / "favicon.ico").touch()  # browsers ask for one by themselves
    subprocess.run([sys.executable, "-c", REPLAY, str(recorded()[0])], cwd=tmp_path, check=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    context = chromium.new_context(reduced_motion="reduce")
    page, wrong = watched(context, home)
    asked = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(home)))
    page.goto(home)
    until(page, "document.querySelectorAll('.sv .lane .t').length > 20")
    assert {"specviz/view/js/shell/app.js", "specviz/rules/sps.js"} < set(asked)
    context.close()
    server.shutdown()
    assert wrong == []
