"""The recipe: reading, learning, stopping and going on, and what comes out of it."""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import backends, tasks, training
from specviz.training import data, evaluate, export, loop, machine, optimizer, tokenizer, written
from specviz.training.model import Llama, Size, inherit

STORY = "Once upon a time there was a {} named {}. {} liked to play in the {} with Lily and Tom.\nThey were happy."


def stories(count: int) -> list[str]:
    rng = random.Random(7)
    return [
        STORY.format(rng.choice(["cat", "dog", "girl", "boy", "fish"]), name, name, rng.choice(["sun", "park", "rain"]))
        + f" It was day {number}."
        for number, name in enumerate(rng.choices(["Mia", "Ben", "Max", "Sue"], k=count))
    ]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A data folder with two small files, one of each style."""
    path = tmp_path_factory.mktemp("data")
    (path / "tiny.txt").write_text(f"\n{tokenizer.END}\n".join(stories(300)))
    (path / "tales.txt").write_text("\n".join(f"The king went to hill {n} and met a wolf there." for n in range(200)))
    return path


def arguments(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    training.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture(scope="session")
def pair(folder, tmp_path_factory):
    """A pair made by one quick run of the whole recipe."""
    out = tmp_path_factory.mktemp("pair")
    assert training.run(arguments("--data", folder, "--out", out, "--quick")) == 0
    return out


@pytest.fixture(scope="session")
def words(pair):
    return tokenizer.load(pair / "state" / "tokenizer.json")


# What comes out


def test_the_quick_run_learns_and_writes_a_pair(pair):
    facts = json.loads((pair / "pair.json").read_text())
    assert set(facts["styles"]) == set(facts["tags"]) and facts["tags"] == {
        "tiny": "<|tiny|>",
        "tale": "<|tale|>",
        "task": "<|task|>",
    }
    for name in ("verifier", "draft"):
        log = [json.loads(line) for line in (pair / "state" / name / "log.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in log if "loss" in line]
        assert losses[-1] < losses[0] - 0.5
        assert facts[name]["tokens_read"] == log[-1]["tokens"] > 0
        assert all(loss > 0 for loss in facts[name]["held_out_loss"].values())
    assert facts["verifier"]["parameters"] > facts["draft"]["parameters"]
    loaded = backends.load_pair(pair)
    assert loaded.facts.name == pair.name and loaded.styles == facts["styles"]
    assert loaded.encode("One day", "tale")[:2] == [0, loaded.tokenizer.vocabulary()["<|tale|>"]]


@pytest.mark.parametrize("name", ["verifier", "draft"])
def test_transformers_loads_it_and_computes_the_same(pair, words, name):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(pair / name, dtype=torch.float32)
    assert type(theirs).__name__ == "LlamaForCausalLM" and theirs.config.tie_word_embeddings
    assert theirs.config.max_position_embeddings >= 1024
    ids = torch.randint(0, theirs.config.vocab_size, (3, 70), generator=torch.Generator().manual_seed(0))
    trained = Llama(export.load(pair / name).size)
    trained.load_state_dict(torch.load(pair / "state" / name / "checkpoint.pt", weights_only=False)["model"])
    with torch.no_grad():
        expected, rounded = theirs(ids).logits, export.load(pair / name)(ids)
        assert torch.allclose(rounded, expected, atol=1e-4)  # the same numbers, two forwards
        assert (trained(ids).softmax(-1) - expected.softmax(-1)).abs().max() < 2e-3  # float16 on the way
    text = "<|endoftext|><|task|>What is 47 * 36?"
    fast = AutoTokenizer.from_pretrained(pair / name)
    assert fast.encode(text) == words.encode(text).ids and fast.eos_token_id == fast.bos_token_id == 0
    assert fast.decode(fast.encode("odd  \u202e text\0 .")) == "odd  \u202e text\0 ."


def test_shards_stay_small(tmp_path, words, monkeypatch):
    monkeypatch.setattr(export, "SHARD", 60_000)
    model = Llama(Size(layers=3, width=64, vocabulary=words.get_vocab_size()))
    export.save(tmp_path, model, words)
    shards = list(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2 and all(s.stat().st_size < 600_000 for s in shards)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(index) == set(model.state_dict()) and set(index.values()) == {s.name for s in shards}
    again = export.load(tmp_path)
    assert all(torch.equal(w.half(), again.state_dict()[n].half()) for n, w in model.state_dict().items())


# Tokens


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_any_text_comes_back(words, text):
    assert words.decode(words.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    "text", ["a\0b", "\u202eabc\u202c", "\u6771\u4eac \U0001f600 \u00e9e\u0301", "\r\n\t  x ", "\ufeff", "1,234.5"]
)
def test_hard_text_comes_back(words, text):
    assert words.decode(words.encode(text).ids) == text


def test_digits_and_tags_are_single_tokens(words):
    for digit in "0123456789":
        assert len(words.encode(digit).ids) == 1
    assert len(words.encode("90210").ids) == 5
    assert [words.token_to_id(tag) for tag in (tokenizer.END, *tokenizer.TAGS)] == [0, 1, 2, 3]
    assert tokenizer.opening(words, "task") == words.encode("<|endoftext|><|task|>").ids
    with pytest.raises(ValueError, match="tiny, tale, task"):
        tokenizer.opening(words, "poem")


# Reading


def test_a_question_weighs_its_solution(words):
    question = tasks.items(["chain"], 1, 0)[0]
    ids, weights, ended = data.question_ids(question, words, tokenizer.opening(words, "task"))
    assert words.decode(ids, skip_special_tokens=False) == f"<|endoftext|><|task|>{question.text}" and ended
    assert weights[:2] == [1.0, 0.0] and set(weights[2:]) == {data.PROMPT_WEIGHT, 1.0}
    learnt = [i for i, weight in zip(ids[2:], weights[2:]) if weight == 1.0]
    assert words.decode(learnt) == "\n" + question.solution


def test_rows_hold_nothing_that_is_held_out(folder, words):
    texts = data.read(folder)
    assert texts.test["tiny"] and not set(texts.test["tiny"]) & set(texts.train["tiny"])
    reader = data.Reader(texts, words, seed=1, length=96)
    for _ in range(60):
        x, y, weights = reader.batch(4)
        assert x.shape == y.shape == weights.shape == (4, 96) and torch.equal(x[:, 1:], y[:, :-1])
        for row in words.decode_batch(x.tolist(), skip_special_tokens=False):
            for part in row.split(tokenizer.END):
                if part.startswith("<|task|>") and "\n" in part:
                    assert not tasks.held_out(part.removeprefix("<|task|>").split("\n")[0])
    shares = {style: used / sum(reader.used.values()) for style, used in reader.used.items()}
    assert all(abs(shares[style] - data.MIX[style]) < 0.03 for style in data.MIX)


def test_a_tale_cut_in_pieces_does_not_end_early(words):
    pieces = data.cut("\n".join(f"Paragraph {n} is here." for n in range(40)), 100)
    assert len(pieces) > 5 and "".join(pieces).count("Paragraph") == 40
    opening = tokenizer.opening(words, "tale")
    ends = [data.text_ids(piece, words, opening)[2] for piece in pieces]
    assert ends == [False] * (len(pieces) - 1) + [True]


def test_the_order_of_reading_can_be_taken_up_again(folder, words):
    texts = data.read(folder)
    whole, first, second = (data.Reader(texts, words, 5, 64) for _ in range(3))
    expected = [whole.batch(4) for _ in range(20)]
    for _ in range(9):
        first.batch(4)
    second.restore(first.state())
    for number in range(9, 20):
        assert all(torch.equal(a, b) for a, b in zip(second.batch(4), expected[number]))


def test_names_change_places_but_stay_apart():
    text = "Lily met Tom and Anna. Lily said to Tom: hello, Lilypad."
    for seed in range(20):
        new = data.swap_names(text, random.Random(seed)).replace(",", "").split()
        assert new[0] == new[5] and new[2] == new[8].rstrip(":") and len({new[0], new[2], new[4]}) == 3
        assert new[-1] == "Lilypad."


def test_the_verifier_writes_what_the_draft_reads(folder, pair, words):
    """The verifier's own stories: as many as asked for, the same for the same seed, ended ones with their end, others as
    long as may be; and a reader of them takes nothing else for a story."""
    texts, verifier = data.read(folder), export.load(pair / "verifier")
    end, limit = words.token_to_id(tokenizer.END), written.LONGEST + 1 - len(tokenizer.opening(words, "tiny"))
    made = written.stories(verifier, words, texts, 3_000, seed=3)
    assert sum(map(len, made)) >= 3_000 and made == written.stories(verifier, words, texts, 3_000, seed=3)
    assert made != written.stories(verifier, words, texts, 3_000, seed=4)
    assert all(end not in ids[:-1] and (ids[-1] == end or len(ids) == limit) for ids in made)
    reader = data.Reader(data.Texts({**texts.train, "tiny": made}, texts.test), words, 1, 96, data.DRAFT_MIX)
    whole = {tuple(ids) for ids in made}
    for _ in range(20):
        ids, weights, ended = reader.document("tiny")
        assert (*ids[2:], end) in whole if ended else tuple(ids[2:]) in whole
        assert len(weights) == len(ids) and weights[:2] == [1.0, 0.0]


def test_without_a_compiler_nothing_is_compiled(monkeypatch):
    """On a processor torch.compile needs a C++ compiler; without one, or where it is not wanted, the function itself is used."""
    device = torch.device("cpu")
    assert machine.compiled(abs, device, wanted=False) is abs
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert machine.compiled(abs, device) is abs


# Learning


def small_run(path, folder, words, steps=6, loss=loop.language_loss) -> loop.Run:
    torch.manual_seed(0)
    model = Llama(Size(layers=1, width=32, head=32, vocabulary=words.get_vocab_size()))
    reader = data.Reader(data.read(folder), words, 2, 48)
    return loop.Run(
        path, model, reader, loss, loop.Budget(steps=steps), rows=4, measure=dict, device=torch.device("cpu")
    )


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path, folder, words):
    whole = small_run(tmp_path / "whole", folder, words)
    assert whole.train()
    assert not small_run(tmp_path / "parts", folder, words).train(stop_after=2)
    second = small_run(tmp_path / "parts", folder, words)
    assert second.resume() and second.step == 2 and not second.train(stop_after=3)
    third = small_run(tmp_path / "parts", folder, words)
    assert third.resume() and third.train() and third.step == whole.step == 6
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, third.model.state_dict()[name]), name


def test_a_signal_stops_after_the_step_and_saves(tmp_path, folder, words):
    def loss(*batch):
        signal.raise_signal(signal.SIGTERM)
        return loop.language_loss(*batch)

    handler = signal.getsignal(signal.SIGTERM)
    run = small_run(tmp_path, folder, words, loss=loss)
    assert not run.train() and run.step == 1 and run.checkpoint.exists()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_loss_that_is_not_a_number_is_an_error(tmp_path, folder, words):
    run = small_run(tmp_path, folder, words, steps=30, loss=lambda *batch: loop.language_loss(*batch) * float("nan"))
    with pytest.raises(FloatingPointError, match="step 20"):
        run.train()


def test_the_schedule_follows_the_clock_or_the_steps():
    assert loop.Budget(steps=10).progress(5, 1e9) == 0.5
    assert loop.Budget(minutes=2).progress(10**9, 60) == 0.5
    assert loop.Budget(steps=10, minutes=1).progress(1, 120) == 1.0
    places = [loop.scale(p / 1000) for p in range(1001)]
    assert places[0] > 0 and max(places) == 1.0 and places[-1] == 0.0
    peak = places.index(1.0)
    assert peak == 10 and places[peak:] == sorted(places[peak:], reverse=True)


def test_muon_updates_are_orthogonal():
    for shape in ((4, 32, 32), (2, 64, 24), (2, 24, 64)):
        spread = torch.linalg.svdvals(
            optimizer.orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
        )
        assert 0.1 < spread.min() and spread.max() < 1.3


def test_distillation_of_oneself_costs_nothing(words):
    torch.manual_seed(3)
    one, other = (Llama(Size(layers=1, width=32, head=32)) for _ in range(2))
    x = torch.randint(0, 4096, (2, 17))
    batch = x[:, :-1], x[:, 1:], torch.ones(2, 16)
    assert abs(loop.distill_loss(one, one, *batch, 1.0).item()) < 1e-5
    assert loop.distill_loss(one, other, *batch, 1.0).item() > 1e-4
    assert torch.isclose(loop.distill_loss(one, other, *batch, 0.0), loop.language_loss(one, *batch), atol=1e-5)


def test_the_draft_inherits_the_verifiers_picture_of_words():
    torch.manual_seed(4)
    verifier, draft, wide = (Llama(Size(layers=1, width=width, head=32)) for width in (64, 32, 96))
    with torch.no_grad():  # a verifier whose words really lie in 32 directions
        verifier.model.embed_tokens.weight.copy_(torch.randn(4096, 32) @ torch.randn(32, 64))
    for model in (draft, wide):
        inherit(model.model.embed_tokens.weight, verifier.model.embed_tokens.weight)
    theirs, mine, wider = (m.model.embed_tokens.weight.detach()[:200] for m in (verifier, draft, wide))
    assert torch.allclose(theirs @ theirs.T, mine @ mine.T, atol=1e-2)
    assert torch.allclose(theirs @ theirs.T, wider[:, :64] @ wider[:, :64].T, atol=1e-2)


# Measuring


def test_evaluation_measures_a_pair(pair, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "LONGEST_ANSWER", 40)
    monkeypatch.setattr(evaluate, "LONGEST_STORY", 40)
    monkeypatch.setattr(evaluate, "RULES", ("sps", "cactus:delta=1"))
    monkeypatch.setattr(evaluate, "LENGTHS", (1, 4))
    out = tmp_path / "figures.json"
    assert (
        evaluate.main(
            [
                "--pair",
                str(pair),
                "--data",
                str(folder),
                "--count",
                "8",
                "--stories",
                "2",
                "--samples",
                "1",
                "--rules",
                "--speed",
                "1",
                "--json",
                str(out),
            ]
        )
        == 0
    )
    report, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert report["verifier"]["all"]["asked"] == report["draft"]["all"]["asked"] == 8 and len(report["stories"]) == 1
    assert sum(report["verifier"][name]["asked"] for name in tasks.names()) == 8
    assert all(0 < report["overlap"][style]["mean"] <= 1 for style in ("task", "tiny"))
    assert set(report["held_out_loss"]) == {"tiny", "task"}
    truncated, untruncated = report["rules"].values()
    for found in (truncated, untruncated):
        assert set(found) == {"plain", "sps", "cactus:delta=1"} and "against_sps" in found["cactus:delta=1"]
        assert 0 < found["sps"]["accepted_per_round"] <= 4 and found["sps"]["rounds"] < found["plain"]["rounds"]
        assert f"| `sps` | {evaluate.share(found['sps'])} |" in shown
    for found in report["speed"].values():
        assert set(found["ratio_quartiles"]) == {"1", "4"} and found["plain_tokens_per_second"] > 0
    assert "temperature 0.6, top-p 0.95, top-k 20" in shown and report["stories"][0] in shown


# The command


def test_importing_is_cheap():
    code = "import sys, specviz.training; print({'torch', 'tokenizers', 'transformers'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )


def test_what_is_wrong_is_said(pair, folder, tmp_path):
    with pytest.raises(ValueError, match="--resume"):
        training.run(arguments("--data", folder, "--out", pair, "--quick"))
    with pytest.raises(ValueError, match="no .txt file"):
        training.run(arguments("--data", tmp_path, "--out", tmp_path / "out", "--quick"))
    with pytest.raises(ValueError, match="--minutes must be above 0"):
        training.run(arguments("--data", folder, "--out", tmp_path / "out", "--minutes", 0))
    with pytest.raises(ValueError, match="8x256"):
        Size.parse("large")


def test_a_finished_run_resumes_to_the_same_pair(pair, folder):
    before = (pair / "verifier" / "model.safetensors.index.json").read_bytes(), export.load(pair / "draft").state_dict()
    assert training.run(arguments("--data", folder, "--out", pair, "--quick", "--resume")) == 0
    after = (pair / "verifier" / "model.safetensors.index.json").read_bytes(), export.load(pair / "draft").state_dict()
    assert before[0] == after[0] and all(torch.equal(before[1][name], after[1][name]) for name in before[1])
