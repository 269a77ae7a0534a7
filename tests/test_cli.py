"""The command line, as a person at a terminal meets it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import specviz
from specviz import api, backends, cli
from specviz.cli import terminal
from specviz.record import trace
from tests.backends.test_backends import make_llama
from tests.support import gguf_files

PROMPT = [
    "--prompt",
    "Tom has 3 apples. He buys 4 more. How many apples does Tom have?",
    "--style",
    "task",
    "--max-new-tokens",
    "30",
]


def call(capsys, *arguments):
    """Exit status, output and error stream of a command, which runs the small pair unless it names other models."""
    words = [str(a) for a in arguments]
    if words[0] in ("generate", "compare", "sweep") and not {"--pair", "--draft", "--verifier"} & set(words):
        words += ["--pair", "small"]
    status = cli.main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_generate_writes_text_figures_and_a_trace_that_verifies(capsys, tmp_path):
    """generate prints the text and the figures with definitions; its trace reproduces by verify."""
    file = tmp_path / "trace.json"
    status, out, _ = call(
        capsys, "generate", *PROMPT, "--rule", "cactus", "--set", "delta=0.5", "--seed", "7", "--json", file
    )
    assert status == 0
    record = trace.load(file)
    assert record.text(0).removesuffix("<|endoftext|>").strip() in out
    assert record.lanes[0].knobs["delta"] == 0.5 and record.seed == 7
    assert "kept per round (measured): Accepted draft tokens per verifier call." in " ".join(out.split())
    status, out, _ = call(capsys, "verify", file)
    assert status == 0 and out.startswith("Reproduced")


def test_verify_fails_on_a_trace_that_does_not_reproduce(capsys, tmp_path):
    """A trace with another seed but a valid digest exits with 1 and says where."""
    file = tmp_path / "trace.json"
    call(capsys, "generate", *PROMPT, "--json", file)
    record = trace.load(file)
    record.seed = 99
    record.save(file)
    status, out, _ = call(capsys, "verify", file)
    assert status == 1 and "differs first" in out


def test_auto_draft_length_writes_a_trace_that_verifies(capsys, tmp_path):
    """--draft-length auto may choose differently each time, yet its trace reproduces: every round's length is in it."""
    file = tmp_path / "trace.json"
    status, _, _ = call(
        capsys,
        "compare",
        *PROMPT[:-2],
        "--max-new-tokens",
        "60",
        "--rule",
        "plain",
        "--rule",
        "sps",
        "--rule",
        "block",
        "--draft-length",
        "auto",
        "--json",
        file,
    )
    lane = trace.load(file).lanes[1]
    assert status == 0 and lane.draft_length == "auto" and len({len(r.drafted) for r in lane.rounds}) > 1
    status, out, _ = call(capsys, "verify", file)
    assert status == 0 and out.startswith("Reproduced")


def test_given_models_are_announced_with_what_they_take(capsys):
    """Models given by name are announced on the error stream, before they load; the shipped pair is not."""
    from specviz import backends

    folders = [str(backends.pairs()["small"].folder / role) for role in ("draft", "verifier")]
    status, _, err = call(
        capsys, "generate", *PROMPT[:2], "--max-new-tokens", "3", "--draft", folders[0], "--verifier", folders[1]
    )
    assert status == 0 and err.count("of weights and up to") == 2 and "is free on cpu." in err
    status, _, err = call(capsys, "generate", *PROMPT[:2], "--max-new-tokens", "3", "--pair", "small")
    assert status == 0 and "weights" not in err


def test_compare_shows_every_lane(capsys):
    """compare decodes each rule and puts their figures in one table, with a speed-up where a plain lane ran."""
    status, out, _ = call(capsys, "compare", *PROMPT, "--rule", "plain", "--rule", "sps", "--rule", "cactus:delta=1")
    assert status == 0
    for name in ("== plain ==", "== sps ==", "== cactus:delta=1,solver=taylor ==", "speed-up, x"):
        assert name in out


def test_a_lane_may_have_a_drafter_of_its_own(capsys):
    """It stands behind an @, and --drafter is for the lanes without; lanes that differ in it alone are told apart."""
    lanes = ["--rule", "sps", "--rule", "sps@ngram:longest=2", "--drafter", "model"]
    status, out, _ = call(capsys, "compare", *PROMPT, *lanes)
    assert status == 0 and "== sps@ngram:longest=2,shortest=1 ==" in out
    rows = [line.split()[0] for line in out.splitlines() if line.startswith("sps@")]
    assert rows == ["sps@model", "sps@ngram"]
    status, _, err = call(capsys, "compare", *PROMPT, "--rule", "sps@magic")
    assert status == 2 and "no drafter called 'magic'" in err


def test_a_drafter_without_a_model_drafts_in_every_lane(capsys, tmp_path):
    """--drafter with its knobs is used by all lanes but the plain one, kept in the trace, said with the figures, and
    verify draws the same tokens again; what it drafted stands earlier in the text, behind the same token."""
    file = tmp_path / "trace.json"
    lanes = ["--rule", "plain", "--rule", "sps", "--rule", "cactus:delta=1"]
    status, out, _ = call(capsys, "compare", *PROMPT, *lanes, "--drafter", "ngram:longest=2", "--json", file)
    assert status == 0 and "drafter: ngram:longest=2,shortest=1\n" in out
    record = trace.load(file)
    assert [lane.drafter.spec for lane in record.lanes] == [
        "nothing",
        "ngram:longest=2,shortest=1",
        "ngram:longest=2,shortest=1",
    ]
    for lane in record.lanes[1:]:
        text = [*record.prompt_tokens, *lane.tokens]
        drafted = [round_ for round_ in lane.rounds if round_.drafted]
        assert drafted
        for round_ in drafted:
            before = text[: round_.start]
            copied = [
                before[i + 1 : i + 1 + len(round_.drafted)] for i in range(len(before) - 1) if before[i] == before[-1]
            ]
            assert round_.drafted in copied
    status, out, _ = call(capsys, "verify", file)
    assert status == 0 and out.startswith("Reproduced")


def test_a_verifier_alone_runs_with_a_drafter_that_needs_no_model(capsys, tmp_path):
    """--verifier without --draft: ngram drafts, and the trace verifies with that verifier alone; the model cannot draft."""
    from specviz import backends

    file, verifier = tmp_path / "trace.json", backends.pairs()["small"].folder / "verifier"
    asked = ["generate", *PROMPT[:2], "--max-new-tokens", "12", "--verifier", verifier]
    status, _, _ = call(capsys, *asked, "--drafter", "ngram", "--json", file)
    assert status == 0 and set(trace.load(file).models) == {"verifier"}
    status, out, _ = call(capsys, "verify", file, "--verifier", verifier)
    assert status == 0 and out.startswith("Reproduced")
    status, _, err = call(capsys, *asked)
    assert status == 2 and "The drafter model needs a draft model, and only a verifier is loaded." in err


def test_a_gguf_file_chats_with_a_system_message(capsys, tmp_path, monkeypatch):
    """A file of llama.cpp is a verifier; its system message is in the trace, which verifies by it and not by another; the
    call from Python writes the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    gguf_files.write(tmp_path / "model.gguf", make_llama(tmp_path / "model", vocabulary=320))
    models = ["--verifier", tmp_path / "model.gguf"]
    asked = ["--prompt", "Why?", "--style", "chat", "--system", "Rhyme.", "--max-new-tokens", "12", "--seed", "4"]
    status, _, err = call(capsys, "generate", *asked, *models, "--drafter", "ngram", "--json", tmp_path / "trace.json")
    assert status == 0 and "model.gguf' takes" in err
    record = trace.load(tmp_path / "trace.json")
    assert record.system == "Rhyme." and record.models["verifier"].id == str(tmp_path / "model.gguf")
    assert call(capsys, "verify", tmp_path / "trace.json")[0] == 0
    pair = backends.load_pair(verifier=str(tmp_path / "model.gguf"))
    asked = {"style": "chat", "max_new_tokens": 12, "seed": 4, "drafter": "ngram", "pair": pair}
    assert specviz.compare("Why?", ["sps"], system="Rhyme.", **asked).text() == record.text(0)
    assert specviz.compare("Why?", ["sps"], **asked).trace.prompt_tokens != record.prompt_tokens
    for other in ("Rhyme!", None):
        record.system = other
        record.save(tmp_path / "other.json")
        assert trace.load(tmp_path / "other.json").system == other
        status, out, _ = call(capsys, "verify", tmp_path / "other.json")
        assert status == 1 and out == "The prompt gives other tokens than the trace records.\n"
    status, _, err = call(
        capsys, "generate", "--prompt", "Why?", "--style", "tiny", "--system", "Rhyme.", "--pair", "small"
    )
    assert status == 2 and "A system message can only be given to models with a chat template" in err


def test_a_pair_in_place_of_another_is_announced(capsys, monkeypatch):
    """What the loaded pair has to say stands on the error stream, from the command line, and is a warning in Python."""
    load_pair = backends.load_pair

    def replaced(*asked, **named):
        return replace(load_pair("small", device="cpu"), notice="The pair 'small' runs in place of 'large': no disk.")

    monkeypatch.setattr(backends, "load_pair", replaced)
    status, _, err = call(capsys, "generate", "--prompt", "One day", "--style", "tiny", "--max-new-tokens", "2")
    assert status == 0 and "The pair 'small' runs in place of 'large': no disk.\n" in err
    api._loaded.cache_clear()
    with pytest.warns(UserWarning, match="runs in place of 'large'"):
        specviz.compare("One day", ["sps"], max_new_tokens=2)
    api._loaded.cache_clear()


def test_progress_is_one_line_of_a_terminal():
    """On a terminal the line is written over and wiped; elsewhere there is nothing to call. No control character passes."""
    stream = io.StringIO()
    with terminal.progress(stream) as show:
        assert show is None and stream.getvalue() == ""
    stream.isatty = lambda: True
    with terminal.progress(stream) as show:
        show(0.0, "Looking")
        show(0.5, "Reading\x1b[2J")
    assert stream.getvalue() == "\rLooking\x1b[K\rReading⟨001B⟩[2J 50%\x1b[K\r\x1b[K"


def test_advise_for_a_drafter(capsys, tmp_path):
    """advise is for the drafter of the traces, or for the one that is named, and says which."""
    file = tmp_path / "trace.json"
    call(capsys, "compare", *PROMPT, "--rule", "sps", "--rule", "tas", "--json", file)
    for more, drafter in (([], "model:tokens=drawn"), (["--drafter", "ngram:longest=2"], "ngram:longest=2,shortest=1")):
        status, out, _ = call(capsys, "advise", file, "--spend", "0.1", "--rule", "sps", "--draft-length", "3", *more)
        assert status == 0 and out.splitlines()[1].startswith("sps") and f"Drafter: {drafter}." in out
    status, out, _ = call(capsys, "advise", file, "--drafters", "--draft-length", "2")
    assert status == 0 and out.startswith("drafter ") and "model:tokens=drawn " in out and "Rule: sps." in out
    status, _, err = call(capsys, "advise", file, "--spend", "0.1", "--drafter", "magic")
    assert status == 2 and "no drafter called 'magic'" in err


def test_sweep_with_a_drafter(capsys, tmp_path):
    """sweep hands its drafter to every point but the plain one, and its table says so."""
    file = tmp_path / "table.csv"
    asked = ["--rule", "sps", "--questions", "2", "--family", "reverse", "--max-new-tokens", "16"]
    status, out, _ = call(capsys, "sweep", *asked, "--drafter", "ngram:longest=2", "--csv", file)
    assert status == 0 and "sps" in out
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["name"], row["drafter"]) for row in rows] == [("plain", ""), ("sps", "ngram:longest=2,shortest=1")]


def test_help_lists_rules_and_drafters_with_their_knobs(capsys):
    """Where a rule and a drafter can be named, the help says which there are; what drafts nothing is not among them."""
    for command in ("generate", "compare", "sweep"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        out = capsys.readouterr().out
        listed = out[out.index("acceptance rules:") :].splitlines()
        assert any(line.split() == ["cactus", "delta=1.0,", "solver=taylor"] for line in listed)
        assert any(line.split() == ["ngram", "longest=3,", "shortest=1"] for line in listed)
        assert not any(line.startswith("  nothing") for line in listed)


def test_json_to_standard_output_is_json_alone(capsys):
    """--json - gives a trace that can be piped."""
    status, out, _ = call(capsys, "generate", *PROMPT, "--json", "-")
    assert status == 0 and json.loads(out)["format"] == "specviz-trace"


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["generate", "--prompt", " "], "The prompt is empty"),
        (["generate", "--prompt", "a " * 40_000], "characters; at most"),
        (["generate", "--prompt", "a " * 5_000], "tokens long"),
        (["generate", *PROMPT, "--rule", "magic"], "no acceptance rule called 'magic'. There are: alignment, block, "),
        (["generate", *PROMPT, "--rule", "cactus", "--set", "delta=-1"], "delta must be from 0"),
        (
            ["generate", *PROMPT, "--rule", "cactus", "--set", "size=1"],
            "has no parameter 'size'. It takes: delta, solver.",
        ),
        (["generate", *PROMPT, "--rule", "cactus", "--set", "delta"], "not of the form name=value"),
        (["generate", *PROMPT, "--temperature", "9"], "temperature must be from 0 to 5"),
        (["generate", *PROMPT, "--draft-length", "0"], "draft_length must be from 1 to 32"),
        (
            ["generate", *PROMPT, "--draft-length", "many"],
            "a number from 0 to 1, as in confidence:0.4; got 'many'",
        ),
        (
            ["generate", *PROMPT, "--draft-length", "2.5"],
            "a number from 0 to 1, as in confidence:0.4; got '2.5'",
        ),
        (
            ["generate", *PROMPT, "--drafter", "magic"],
            "no drafter called 'magic'. There are: consensus, dynamic, early_exit, head, hybrid, lookahead, model, ngram, nothing, stand, suffix, tree.",
        ),
        (["compare", *PROMPT, "--rule", "sps", "--drafter", "ngram:longest=99"], "longest must be from 1 to 16 tokens"),
        (["generate", *PROMPT, "--drafter", "ngram:width=1"], "has no parameter 'width'. It takes: longest, shortest."),
        (["generate", *PROMPT, "--drafter", "nothing"], "drafts nothing. Choose the rule plain"),
        (["sweep", "--drafter", "ngram:longest"], "not of the form name=value"),
        (["generate", *PROMPT, "--draft", "nowhere/at-all"], "Give both models"),
        (["generate", *PROMPT, "--draft", "nowhere/at-all", "--verifier", "nowhere/at-all"], "nowhere/at-all"),
        (["generate", *PROMPT[:2], "--style", "opera"], "no style 'opera'"),
        (["generate", *PROMPT[:2], "--pair", "large"], "no pair called 'large', and no folder of that name"),
        (["generate", *PROMPT[:2], "--pair", "small", "--verifier", "x"], "but not both"),
        (["verify", "no-such-file.json"], "there is no file"),
    ],
)
def test_bad_input_gets_a_sentence(capsys, arguments, says):
    """Every mistake exits with 2 and one sentence on the error stream, never a traceback."""
    status, out, err = call(capsys, *arguments)
    assert status == 2 and says in err and "Traceback" not in err


def test_hostile_text_stays_text_in_a_terminal(capsys):
    """Escape sequences, direction overrides and NUL from a model are shown as codes and never reach the terminal raw."""
    shown = terminal.safe("a\x1b[2Jb\u202ec\x00d\ne\x9bf\u2066")
    assert shown == "a⟨001B⟩[2Jb⟨202E⟩c⟨0000⟩d\ne⟨009B⟩f⟨2066⟩"
    hostile = "<img src=x onerror=alert(1)> ${alert(1)} \u202e \x00 " + "x" * 10_000
    status, out, _ = call(capsys, "generate", "--prompt", hostile[:600], "--max-new-tokens", "5", "--json", "-")
    assert status == 0 and json.loads(out)["prompt"] == hostile[:600]


def test_a_terminal_gets_colour_and_a_pipe_gets_plain_text():
    """On a real pseudo-terminal refused tokens are struck through; in a pipe there is not one escape."""
    command = [sys.executable, "-m", "specviz", "generate", *PROMPT, "--pair", "small", "--rule", "sps", "--seed", "3"]
    root = Path(__file__).parents[1]
    piped = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert "\x1b" not in piped
    main, side = pty.openpty()
    process = subprocess.Popen(command, cwd=root, stdout=side, close_fds=True)
    os.close(side)
    shown = b""
    try:
        while chunk := os.read(main, 65536):
            shown += chunk
    except OSError:  # the other end was closed
        pass
    assert process.wait() == 0 and b"\x1b[9;31m" in shown


def test_a_port_in_use_has_its_sentence(capsys):
    """The page at a port that is taken: 2 and a sentence."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = call(capsys, "page", "--host", "127.0.0.1", "--port", port)
    assert status == 2 and f"port {port}: in use" in err
