"""A Space is made ready, checked and pushed as it should be, with a stand-in for the Hub; the static site opens from files."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, errors, metadata_load, metadata_save

from specviz import cli
from specviz.hosting import check, prepare, push, site
from tests.support.browser import beyond, until, watched

ROOT = Path(__file__).parents[1]
TO = "someone/specviz"


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Path:
    """A Space for the usual hardware, in a folder."""
    folder = tmp_path_factory.mktemp("space") / "set"
    prepare.prepared(folder, TO)
    return folder


@pytest.fixture
def spoiled(space, tmp_path) -> Path:
    """A copy of it, whose own files may be changed; the weights in it are those of the other."""

    def copied(source: str, target: str) -> None:
        (os.link if source.endswith(".safetensors") else shutil.copyfile)(source, target)

    return Path(shutil.copytree(space, tmp_path / "spoiled", copy_function=copied))


def problems(folder: Path, hardware: str = prepare.CPU) -> dict[str, str]:
    return {found.about: found.said for found in check.checks(folder, hardware) if not found.good}


def test_this_checkout_makes_a_space(space):
    """Nothing is wrong with it, on either hardware; what a visitor does not need stays at home."""
    assert problems(space) == {}
    names = prepare.files(space)
    assert {
        "app.py",
        "README.md",
        "requirements.txt",
        "LICENSE",
        "assets/pairs/small/pair.json",
        "specviz/view/boot.py",
    } <= {*names}
    assert not [name for name in names if re.search(r"^(tests|\.)|__pycache__|\.py[ci]$|/\.", name)]
    assert {"tests", ".git"} <= {*prepare.left_out()}


def test_on_zerogpu_it_asks_for_what_there_is(space, tmp_path):
    """The same set with the torch and the Python that ZeroGPU offers, which the first lacks."""
    assert "ZeroGPU offers torch 2.8.0" in problems(space, prepare.ZERO)["versions"]
    prepare.prepared(tmp_path / "zero", TO, prepare.ZERO)
    assert problems(tmp_path / "zero", prepare.ZERO) == {}
    assert prepare.pins(tmp_path / "zero")["torch"] in prepare.ZERO_TORCH
    assert prepare.pins(space) == prepare.pins(ROOT), "the pins of a CPU Space are those of the tests"


def test_the_picture_of_a_space_is_its_own(space):
    assert metadata_load(space / "README.md")["thumbnail"].startswith(
        f"https://huggingface.co/spaces/{TO}/resolve/main/assets/"
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("title", None, "title is missing"), ("emoji", "x", "one emoji"), ("colorFrom", "orange", "one of red"),
        ("sdk", "docker", "sdk must be gradio"), ("sdk_version", "6.0.0", "installs gradio 6.31.0"),
        ("python_version", 3.1, "without them 3.10 is 3.1"), ("app_file", "main.py", "no app_file 'main.py'"),
        ("short_description", "x" * 61, "at most 60"), ("license", "mit", "LICENSE is another text"),
        ("thumbnail", f"https://huggingface.co/spaces/{TO}/resolve/main/gone.png", "not among the files"),
        ("tags", "one", "a list of texts"), ("models", ["nobody"], "OWNER/NAME"),
        ("preload_from_hub", ["a/b c d"], "preload_from_hub lacks: QuantFactory"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_said(spoiled, field, value, says):
    """Each field of the front matter, wrong in its way."""
    head = {name: old for name, old in metadata_load(spoiled / "README.md").items() if name != field}
    metadata_save(spoiled / "README.md", head | ({} if value is None else {field: value}))
    assert says in " ".join(problems(spoiled).values())


def test_other_problems_are_said(spoiled, monkeypatch):
    """A loose pin, a token of the Hub in a file, a pair without a card, no licence, and too much."""
    (spoiled / "requirements.txt").write_text("gradio==6.31.0\ntorch>=2.8\n")
    (spoiled / "app.py").write_text("TOKEN = 'hf_" + 34 * "a" + "'\n")
    (spoiled / "assets/pairs/small/README.md").unlink()
    (spoiled / "LICENSE").unlink()
    monkeypatch.setattr(check, "WHOLE", 1_000_000)
    said = problems(spoiled)
    assert (
        "does not pin torch" in said["versions"] and "app.py holds" in said["secrets"] and "may have 1" in said["size"]
    )
    assert "small has no card" in said["licences"] and "LICENSE is another text or missing" in said["licences"]


def test_on_a_space_the_page_asks_nobody(monkeypatch):
    """What Gradio does on a Space alone (its page asks the Hub, and a server takes changes to the code), it does by the
    Space's name, which it is not told when the page is served."""
    from gradio.utils import get_space

    from specviz.ui import page, serve
    from specviz.ui.desk import Desk
    from specviz.ui.models import Models

    monkeypatch.setenv("SPACE_ID", TO)
    monkeypatch.setenv("SYSTEM", "spaces")
    assert get_space() == TO
    serve._check(argparse.Namespace(host="127.0.0.1", port=None, deadline=None))
    assert get_space() is None
    assert page.build(Desk(Models(lambda name, progress: None))).get_config_file()["space_id"] is None


class Hub:
    """In the place of HfApi: remembers what it is asked for, or fails."""

    def __init__(self, failure: Exception | None = None):
        self.asked, self.failure = [], failure

    def whoami(self):
        if self.failure:
            raise self.failure
        return {"name": "someone"}

    def create_repo(self, repo_id, **more):
        self.asked.append(("create", repo_id, more))

    def upload_folder(self, **more):
        self.asked.append(("upload", more["repo_id"], more))


def test_what_is_pushed(space):
    """The Space is created unless it is there, then gets exactly the files of the folder; what it had besides goes."""
    hub = Hub()
    assert push.pushed(space, TO, sdk="gradio", hardware=prepare.CPU, hub=hub) == f"https://huggingface.co/spaces/{TO}"
    (create, *created), (upload, *uploaded) = hub.asked
    assert (create, upload) == ("create", "upload")
    assert created == [
        TO,
        {"repo_type": "space", "space_sdk": "gradio", "space_hardware": "cpu-basic", "exist_ok": True},
    ]
    assert uploaded[1]["allow_patterns"] == prepare.files(space) and uploaded[1]["delete_patterns"] == "*"
    for name in ("create_repo", "upload_folder"):  # the stand-in takes what the real one does
        (asked,) = [more for kind, _, more in hub.asked if name.startswith(kind)]
        assert asked.keys() <= HfApi.__dict__[name].__annotations__.keys()


def answered(status: int, words: str) -> errors.HfHubHTTPError:
    answer = SimpleNamespace(status_code=status, headers={}, request=None)
    return errors.HfHubHTTPError(words, response=answer, server_message=words)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (errors.LocalTokenNotFoundError("no token"), "not logged in to the Hub. Run: hf auth login"),
        (answered(401, "Invalid credentials"), "does not know your token"),
        (answered(402, "Payment required"), "wants a paid plan for this Space: Payment required. A static site needs none"),
        (answered(403, "Subscribe to PRO to create Gradio Spaces"), "wants a paid plan"),
        (answered(403, "You have no write access"), "may not write to 'someone/specviz'"),
        (answered(429, "Too many requests"), "refused (429): Too many requests."),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (ConnectionError("Name or service not known"), "could not be reached: Name or service not known"),
    ],
)  # fmt: skip
def test_why_the_hub_did_not_take_it(space, failure, says):
    """Each reason has its sentence; anything else is a defect of ours and stays an error."""
    with pytest.raises(ValueError) as raised:
        push.pushed(space, TO, sdk="gradio", hub=Hub(failure))
    assert says in str(raised.value)
    with pytest.raises(KeyError):
        push.pushed(space, TO, sdk="gradio", hub=Hub(KeyError("x")))


def test_the_command(tmp_path, monkeypatch, capsys):
    """`specviz space` pushes what it has checked, `--check` and `--folder` push nothing, and a problem is status 1."""
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert cli.main(["space", "--to", TO, "--folder", str(tmp_path / "set"), "--check"]) == 0 and not hub.asked
    said = capsys.readouterr().out
    assert "WRONG" not in said and "left out: " in said and "app.py\n" in said
    assert cli.main(["space", "--to", TO, "--folder", str(tmp_path / "set")]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert cli.main(["space", "--to", "someone"]) == 2 and "OWNER/NAME" in capsys.readouterr().err
    assert cli.main(["space"]) == 2 and "--to" in capsys.readouterr().err
    assert cli.main(["space", "--to", TO, "--hardware", "zero-a10g"]) == 0
    assert [kind for kind, *_ in hub.asked] == ["create", "upload"] and hub.asked[0][2]["space_hardware"] == "zero-a10g"
    hub.asked.clear()
    monkeypatch.setattr(check, "SHORT", 10)
    assert cli.main(["space", "--to", TO]) == 1 and not hub.asked
    assert "WRONG  front matter: short_description must be" in capsys.readouterr().out
    monkeypatch.setattr(prepare, "PUSHED", (*prepare.PUSHED, "gone"))
    with pytest.raises(ValueError, match="lacks gone. Run this in a clone"):
        prepare.prepared(tmp_path / "other", TO)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gallery") / "site"
    pages = site.made(folder)
    assert pages[0] == folder / "index.html" and len(pages) == 1 + len(
        list((ROOT / "assets" / "recorded").glob("*.json"))
    )
    return folder


def test_the_site_opens_from_files(chromium, gallery):
    """The gallery, a run reached from it, the next run, the playground: no server, no request elsewhere, no error, and
    nothing out of sight at the side, on a desktop and on a phone."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    page, wrong = watched(context, "")
    page.goto((gallery / "index.html").as_uri())
    names = page.locator(".card h2").all_inner_texts()
    assert len(names) == 1 + len(list((gallery / "runs").iterdir())) and names[0] == "Playground"
    for width in (360, 390, 960, 1440):
        assert beyond(page, width) == []
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.click(f".card:has-text('{names[1]}') a")
    until(page, "specviz.state.run")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    first = page.evaluate("specviz.state.run.trace.prompt")
    page.click(".sitebar [rel=next]")
    until(page, "first => specviz.state.run && specviz.state.run.trace.prompt !== first", arg=first)
    page.click(".sitebar a")
    page.click(".card:has-text('Playground') a")
    until(page, "document.querySelector('.playground').checkVisibility()")
    context.close()
    assert wrong == []


def test_the_site_is_a_static_space(gallery, monkeypatch, capsys, tmp_path):
    """Its README says so, model text is no markup in it, and `--to` pushes it as one."""
    head = metadata_load(gallery / "README.md")
    assert head["sdk"] == "static" and (gallery / head["app_file"]).is_file() and len(head["short_description"]) <= 60
    text = (gallery / "index.html").read_text(encoding="utf-8")
    assert text.count('class="card"') == len(list((gallery / "runs").iterdir())) and "Peter lives" in text
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert cli.main(["site", str(tmp_path / "site"), "--to", TO]) == 0
    assert hub.asked[0][2]["space_sdk"] == "static" and "index.html" in hub.asked[1][2]["allow_patterns"]
    assert cli.main(["site", str(tmp_path / "site")]) == 2 and "is not empty" in capsys.readouterr().err


def test_hostile_text_is_text(record, monkeypatch):
    """What a model wrote, and a prompt, stand in a card as they are read."""
    monkeypatch.setattr(record, "prompt", "<script>alert(1)</script>")
    monkeypatch.setattr(record, "pieces", {token: "<b>&" for token in record.pieces})
    card = site._card("runs/x.html", {"name": "<i>", "why": "</p><script>"}, record)
    assert "<script" not in card and "<b>" not in card and "<i>" not in card and "&lt;b&gt;&amp;" in card
