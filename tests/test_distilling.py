"""A draft for a verifier that is there: what the verifier writes, what the draft learns from it, and what comes out."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from specviz import backends, training
from specviz.assets import ASSETS
from specviz.backends import Forward
from specviz.backends.tokenizer import Tokenizer
from specviz.backends.weights import EMBEDDING, HEAD, Weights
from specviz.prob import dists
from specviz.training import (
    cut,
    distil,
    distil_draft,
    export,
    learning,
    loop,
    machine,
    prompts,
    shards,
    teachers,
    writing,
)
from specviz.training.model import Llama, Size
from specviz.training.prompts import Frame, Source
from specviz.training.writing import ASKED, COOL, GIVEN, HOT, SAID, Text
from tests.test_training import arguments

LONGEST = 96
WRONG = 0.02  # total variation in the mean, of bfloat16
# A message is a question, its answer the solution.
TEMPLATE = "<|endoftext|><|task|>{{ messages[0]['content'] }}{{ '\\n' }}"


def chatty(folder: Path, template: str = TEMPLATE) -> Path:
    """The smallest model that comes with the project, with a chat template."""
    shutil.copytree(ASSETS / "pairs" / "small" / "draft", folder)
    facts = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(facts | {"chat_template": template}))
    return folder


def trained(verifier: Path, out: Path, *options: object) -> Path:
    """The folder `out`, with what one quick run of the recipe makes of a verifier; one text in five is held out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "HELD_OUT", 5)
        quick = "--verifier", verifier, "--out", out, "--quick", "--kept-tokens", 400
        assert training.run(arguments(*quick, *options)) == 0
    return out


@pytest.fixture(scope="module", autouse=True)
def many_held_out():
    """One text in five: there are only a few here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "HELD_OUT", 5)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatty(tmp_path_factory.mktemp("models") / "verifier")


@pytest.fixture(scope="module")
def verifier(folder):
    return backends.load(str(folder))


@pytest.fixture(scope="module")
def teacher(verifier, folder):
    return teachers.of(verifier, Weights(folder), torch.device("cpu"))


@pytest.fixture(scope="module")
def source(folder):
    return Source.of(Tokenizer(str(folder)), [], LONGEST // 2)


def law_of(states, log_sums, rows):
    """The verifier's probabilities [M, K] of the tokens with these output rows [K, width]."""
    return (states.float() @ rows.T - log_sums[:, None]).exp()


def texts(source: Source, count: int, seed: int = 0) -> list[Text]:
    rngs = [random.Random(f"{seed} {index}") for index in range(count)]
    return [Text(source.draw(rng, []), source.frame, LONGEST, rng) for rng in rngs]


def written_by(teacher, source: Source, count: int, seed: int = 0) -> list[Text]:
    made = texts(source, count, seed)
    writing.write(teacher, made, LONGEST, (teacher.layers,))
    return made


@pytest.fixture(scope="module")
def store(verifier, teacher, source, tmp_path_factory):
    """Two shards that the verifier wrote."""
    made = shards.Shards(tmp_path_factory.mktemp("written"), verifier.revision)
    for seed in range(2):
        ended = [text for text in written_by(teacher, source, 40, seed) if not text.lost]
        states, log_sums = torch.cat([text.states for text in ended]), torch.cat([text.log_sums for text in ended])
        made.add(shards.words(ended), states[:, -1], log_sums, 1.5)
    return made


# How texts begin


def test_a_template_is_a_frame_around_a_message(folder, source):
    """What stands before and behind a message is found from the template alone, and puts any message as it does."""
    words = Tokenizer(str(folder))
    assert source.frame.opening == [0, 3] and source.frame.stops == {0}
    assert source.frame.closing == words.plain("\n") and len(source.frame.closing) == 1
    assert source.frame.message(words.plain("A new question?")) == words.encode("A new question?", "chat")


def test_without_a_template_texts_begin_with_what_begins_a_text():
    """The first token is what the tokenizer puts in front, or else the one that ends texts; messages there are none."""
    frame = Frame.of(Tokenizer(str(ASSETS / "pairs" / "small" / "draft")))
    assert frame.opening == [0] and not frame.closing
    beginning = Source(frame, [], 20).draw(random.Random(1), [])
    assert beginning == ([0], False)


def test_a_template_that_changes_the_message_is_refused(tmp_path):
    odd = chatty(tmp_path / "odd", "<|task|>{{ messages[0]['content'] | upper }}<|tiny|>")
    with pytest.raises(ValueError, match="always the same"):
        Frame.of(Tokenizer(str(odd)))


def test_prompts_come_from_lines_of_text_and_of_json(tmp_path):
    (tmp_path / "a.txt").write_text("One?\n\n  Two?  \n")
    rows = [
        {"question": "Three?"},
        {"instruction": "Sort", "input": "b a"},
        {"instruction": "Sum", "instances": [{"input": "1 2"}]},
    ]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = prompts.read([tmp_path / "a.txt", tmp_path / "b.jsonl"])
    assert read == ["One?", "Two?", "Three?", "Sort\nb a", "Sum\n1 2"]
    for text, said in (("", "no prompt"), ("{", "Line 1"), ('{"answer": 1}', "Line 1"), ("[1]", "Line 1")):
        (tmp_path / "c.jsonl").write_text(text)
        with pytest.raises(ValueError, match=said):
            prompts.read([tmp_path / "c.jsonl"])


def test_beginnings_are_of_all_kinds(folder, tmp_path):
    """A prompt of the files is put as a message, an answer's first tokens as plain text; prompts that are too long are
    left out, and if all are, that is said."""
    (tmp_path / "a.txt").write_text("Short?\n" + "long " * 100)
    words = Tokenizer(str(folder))
    source = Source.of(words, [tmp_path / "a.txt"], 32)
    answers = [words.plain("The cat sat on the mat and looked at the moon")]
    rng = random.Random(2)
    made = [source.draw(rng, answers) for _ in range(200)]
    asked = words.encode("Short?", "chat")
    plain = [ids for ids, _ in made if ids == answers[0][: len(ids)]]
    assert ([0, 3], True) in made and (asked, False) in made and len({len(ids) for ids in plain}) > 5
    assert len(plain) + made.count(([0, 3], True)) + made.count((asked, False)) == 200
    (tmp_path / "a.txt").write_text("long " * 100)
    with pytest.raises(ValueError, match="longer than 32"):
        Source.of(words, [tmp_path / "a.txt"], 32)


# What the verifier writes


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_in_step_a_verifier_says_what_it_says_alone(verifier, folder, monkeypatch, kind):
    """Logits and states of texts in step, some of them dropped on the way, and of texts read, are those of the model's forward: in
    float32 laws within a total variation of 0.0001 in the mean, and states within a thousandth; in bfloat16 both within 0.02. Through
    the model's own sessions as well."""
    monkeypatch.setattr(machine, "number_type", lambda device: kind)
    tokens = torch.randint(4, 4000, (6, 24), generator=torch.Generator().manual_seed(1))
    whole = [verifier.session().forward(row.tolist(), features=(0, 1, 2)) for row in tokens]
    laws = torch.stack([torch.softmax(seen.logits, -1) for seen in whole])
    states = torch.stack([torch.stack([seen.features[layer] for layer in (1, 2)], 1) for seen in whole])
    sums = torch.stack([seen.logits.logsumexp(-1) for seen in whole])
    wrong, off = (0.02, 0.02) if kind == torch.bfloat16 else (1e-4, 1e-3)

    def same(seen, theirs):
        return seen.dtype == torch.float16 and (seen.float() - theirs).norm() < off * theirs.norm()

    for teacher in (teachers.of(verifier, Weights(folder), torch.device("cpu")), teachers.Sessions(verifier)):
        rows = torch.arange(6)
        teacher.begin(6, 24, (1, 2))
        for place in range(24):
            if place == 10:
                rows = torch.tensor([0, 3, 5])
                teacher.keep(rows)
            logits, seen = teacher.step(tokens[rows, place])
            apart = (torch.softmax(logits, -1) - laws[rows, place]).abs().sum(-1) / 2
            assert apart.mean() < wrong and same(seen, states[rows, place])
        read, log_sums = teacher.read([tokens[0], tokens[1, :7]], (2, 0))
        assert [len(each) for each in read] == [24, 7] and (log_sums[1] - sums[1, :7]).norm() < off * sums[1, :7].norm()
        assert same(read[0][:, 0], states[0, :, 1]) and same(read[0][:, 1], whole[0].features[0])


def test_texts_come_again(teacher, source):
    """The same numbers make the same texts, other numbers others."""
    ways = [[text.tokens for text in written_by(teacher, source, 12, seed)] for seed in (0, 0, 1)]
    assert ways[0] == ways[1] and not set(map(tuple, ways[0])) & set(map(tuple, ways[2]))


def test_a_message_is_answered(teacher, source):
    """What the verifier writes stands in the template's frame, ends with a stop token or at the limit, and a message
    that did not end is lost."""
    frame, made = source.frame, written_by(teacher, source, 40)
    assert {text.lost for text in made} == {True, False}
    for text in made:
        roles = text.roles
        assert text.tokens[:2] == frame.opening and roles[:2] == [GIVEN, GIVEN] and roles[2] == ASKED
        assert len(text.states) == len(text.log_sums) == len(roles) == len(text.tokens)
        if text.lost:
            assert SAID not in roles
            continue
        answer = roles.index(SAID)
        assert text.tokens[answer - 1 : answer] == frame.closing and roles[answer - 1] == ASKED
        assert set(roles[answer:]) == {SAID} and not set(text.tokens[answer:-1]) & frame.stops
        assert text.tokens[-1] in frame.stops or len(text.tokens) == LONGEST


def test_what_stands_behind_a_message_is_put_there():
    """The first token of it the verifier writes itself, which ends the message; the others are given."""
    text = Text(([5], True), Frame([5], [0, 3, 4], [], frozenset({0})), 20, random.Random(0))
    for token in (7, 0, 8, 0):
        text.take(token)
    assert text.tokens == [5, 7, 0, 3, 4, 8, 0] and text.ended and not text.lost
    assert text.roles == [GIVEN, ASKED, ASKED, GIVEN, GIVEN, SAID, SAID]


@pytest.mark.parametrize("sampling", [HOT, COOL], ids=["hot", "cool"])
def test_tokens_are_drawn_from_the_law(source, sampling):
    """Counts of 20,000 draws within 5 standard errors of each probability above 1 %, and nothing that has none (false
    alarms: 1 in 30,000)."""
    logits = torch.randn(200, generator=torch.Generator().manual_seed(3)) * 2
    made = texts(source, 20_000)
    for text in made:
        text.role, text.answering = SAID, sampling
    drawn = torch.tensor(writing._drawn(logits.expand(len(made), -1), made))
    probs, shares = dists.to_probs(logits, sampling), torch.bincount(drawn, minlength=200) / len(made)
    errors = (probs * (1 - probs) / len(made)).sqrt()
    assert ((shares - probs).abs() < 5 * errors)[probs > 0.01].all() and not shares[probs == 0].any()


def test_a_state_holds_the_whole_law(verifier, folder, store):
    """From the states and the sums in a batch comes the verifier's own law behind every token that it wrote."""
    entries = store.entries[:5]
    tokens, weights, states, log_sums = store.batch(entries)
    assert tokens.shape == weights.shape and len(states) == len(log_sums) == (weights > 0).sum()
    head = Weights(folder)[HEAD]
    law, first = law_of(states, log_sums, head), 0
    for entry in entries:
        seen = verifier.session().forward(entry.tokens.tolist()[:-1])
        expected = torch.softmax(seen.logits[entry.roles[1:] != GIVEN], -1)
        apart = (law[first : first + len(expected)] - expected).abs().sum(-1) / 2
        assert apart.mean() < WRONG
        first += len(expected)
    assert first == len(law)


# What is kept on disk


def test_shards_come_back_and_are_of_one_verifier(store):
    again = shards.Shards(store.folder, store.revision)
    assert len(again) == 2 and again.seconds == 3.0 and again.written == store.written
    assert all(torch.equal(a, b) for a, b in zip(again.batch(again.entries[:7]), store.batch(store.entries[:7])))
    with pytest.raises(ValueError, match="choose another --out"):
        shards.Shards(store.folder, "another")


def test_a_verifier_that_ends_no_message_is_told(teacher, source, tmp_path, monkeypatch):
    monkeypatch.setattr(Text, "lost", property(lambda self: True, lambda self, value: None), raising=False)
    store = shards.Shards(tmp_path, "any")
    with pytest.raises(ValueError, match="--prompts"):
        distil.write(teacher, source, store, None, distil.settings(arguments(*options(tmp_path, tmp_path))), 4)


def test_a_pass_reads_every_text_once_and_can_be_taken_up(store):
    """But for those held out, of which there are some; the order goes on from any place, and is another in each pass."""
    reader = shards.Reader(store, seed=4)
    held_out = [entry for entry in store.entries if entry.held_out]
    assert held_out and len(reader.entries) + len(held_out) == len(store.entries)
    count = reader.per_pass(4)
    passes = [[reader.batch(4) for _ in range(count)] for _ in range(2)]
    texts_read = [
        sorted(bytes(row.numpy()).rstrip(b"\0") for tokens, *_ in batches for row in tokens) for batches in passes
    ]
    assert texts_read[0] == texts_read[1] and len(texts_read[0]) == len(reader.entries)
    assert any(a[0].shape != b[0].shape or not torch.equal(a[0], b[0]) for a, b in zip(*passes))
    second = shards.Reader(store, seed=4)
    second.restore({"cursor": count - 1})
    for number in (count - 1, count, count + 1):
        batch = second.batch(4)
        assert all(torch.equal(a, b) for a, b in zip(batch, (passes[0] + passes[1])[number]))


def test_the_tokens_kept_are_those_it_writes(store):
    written = [token for entry in store.entries if not entry.held_out for token in entry.tokens[entry.roles != GIVEN]]
    counts = torch.bincount(torch.tensor(written), minlength=4096)
    kept = store.frequent(50, frozenset({9}), 4096)
    assert kept.dtype == torch.int32 and len(kept) == 50 and (kept[1:] > kept[:-1]).all() and 9 in kept
    others = torch.ones(4096, dtype=torch.bool).index_fill(0, kept.long(), False)
    assert counts[kept[kept != 9].long()].min() >= counts[others].max()


# What the draft learns


@pytest.mark.parametrize("count", [4096, 60])
def test_a_whole_copy_is_right_but_for_what_it_does_not_know(folder, store, count):
    """A draft of all the verifier's layers has its law within the kept tokens, so the loss at temperature 1 is the mass
    outside, and the overlap the mass inside."""
    weights = Weights(folder)
    head, kept = weights[HEAD], store.frequent(count, frozenset(), 4096)
    model = distil_draft.start(weights, kept, [0, 1], None, head)
    batch = store.batch(store.entries[:20])
    mass = law_of(batch[2], batch[3], head[kept.long()]).sum(-1)
    answers = batch[1][batch[1] > 0] == 1
    overlap = cut.overlap(model, [batch], head, HOT)
    assert overlap == pytest.approx(mass[answers].mean().item(), abs=5e-3)
    assert (overlap > 0.99) == (count == 4096)
    with torch.no_grad():
        loss = cut.distill_loss(model, *batch, output=head[kept.long()], soft=1.0)
    assert loss.item() == pytest.approx(loop.weighted(1 - mass, batch[1][batch[1] > 0]).item(), abs=1e-2)


def test_grouped_heads_are_those_of_transformers():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    size = Size(layers=2, width=64, head=16, groups=2, vocabulary=50, positions=64)
    mine, facts = Llama(size), export.config(size, 0)
    theirs = LlamaForCausalLM(LlamaConfig(**facts)).float().eval()
    theirs.load_state_dict(mine.state_dict(), strict=False)
    tokens = torch.randint(0, 50, (2, 30))
    with torch.no_grad():
        assert torch.allclose(mine(tokens), theirs(tokens).logits, atol=1e-5)


# The command


def options(folder: Path, out: Path, *more) -> list:
    return [
        "--verifier", folder, "--out", out, "--quick", "--tokens", 2500, "--draft-steps", 30, "--layers", 1,
        "--kept-tokens", 400, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    """What one quick run of the recipe makes."""
    made = tmp_path_factory.mktemp("draft")
    assert training.run(arguments(*options(folder, made))) == 0
    return made


def test_a_quick_run_raises_the_overlap(out):
    """On held-out answers over the copied layer that it began with; the curve is in the log and in pair.json."""
    log = [json.loads(line) for line in (out / "state" / "draft" / "log.jsonl").read_text().splitlines()]
    measured = [line for line in log if "overlap" in line]
    assert measured[0]["step"] == 0 and measured[-1]["step"] == 30
    for name in set(learning.SAMPLINGS) & set(measured[0]):
        assert measured[-1][name] > measured[0][name] + 0.05
    facts = json.loads((out / "pair.json").read_text())["draft"]
    assert [line["overlap"] for line in facts["curve"]] == [line["overlap"] for line in measured]
    assert facts["tokens_written"] >= 2500 and facts["kept_tokens"] == 400 and facts["passes"] > 0


def test_what_comes_out_is_a_pair(out, folder):
    """It loads, drafts only tokens that it knows, and computes what was trained; what it borrows is not in its files."""
    loaded = backends.load_pair(out)
    assert loaded.verifier.id == str(folder) and loaded.facts.parameters["draft"] > 0
    files = [torch.load(out / "state" / "draft" / "checkpoint.pt", weights_only=False)["model"]]
    assert not {EMBEDDING, HEAD} & set(files[0])
    weights = Weights(folder)
    kept = files[0]["kept_tokens"].long()
    model = distil_draft.start(weights, kept.int(), [1], None, weights[HEAD])
    model.load_state_dict(files[0])
    ids = loaded.encode("What is 3 + 4?", "chat")
    seen = loaded.draft.batch(1, 64)
    logits = seen.forward([Forward(seen.session(), ids)])[0].logits
    others = torch.ones(logits.shape[-1], dtype=torch.bool).index_fill(0, kept, False)
    assert torch.isinf(logits[:, others]).all() and len(kept) == 400
    with torch.no_grad():
        mine = model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool))
    assert (
        torch.softmax(mine, -1) - torch.softmax(logits[:, kept], -1)
    ).abs().max() < 3e-3  # half precision on the way


def test_a_run_that_stops_comes_to_the_same_draft(out, folder, tmp_path, monkeypatch):
    """Stopped while the verifier writes, and twice while the draft learns: the same numbers as without a stop."""
    add, train, stops = shards.Shards.add, loop.Run.train, [7, 12]

    def add_one(self, *more):
        if len(self) == 1:
            raise KeyboardInterrupt
        add(self, *more)

    monkeypatch.setattr(shards.Shards, "add", add_one)
    with pytest.raises(KeyboardInterrupt):
        training.run(arguments(*options(folder, tmp_path)))
    monkeypatch.setattr(shards.Shards, "add", add)
    monkeypatch.setattr(loop.Run, "train", lambda self: train(self, stops.pop(0) if stops else None))
    results = [training.run(arguments(*options(folder, tmp_path, "--resume"))) for _ in range(3)]
    assert results == [1, 1, 0]
    for path in (out / "draft").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "draft" / path.name).read_bytes()


def test_a_draft_of_its_own_size(folder, tmp_path):
    """Narrower than the verifier it has an embedding and an output layer of its own, and loads without borrowing."""
    more = [
        "--verifier",
        folder,
        "--out",
        tmp_path,
        "--quick",
        "--tokens",
        600,
        "--draft-steps",
        3,
        "--kept-tokens",
        300,
    ]
    assert training.run(arguments(*more, "--draft-size", "1x64")) == 0
    loaded = backends.load_pair(tmp_path)
    assert Weights(tmp_path / "draft")[HEAD].shape == (300, 64) and loaded.draft.parameters < loaded.verifier.parameters
    assert torch.isinf(loaded.draft.session().forward([0, 3]).logits).sum(-1).tolist() == [4096 - 300] * 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--layers", "0,2"], "has layers 0 to 1; got 2"),
        (["--layers", "first"], "N,N"),
        (["--layers", "1", "--draft-size", "1x64"], "one of the two"),
        (["--steps", "3"], "--steps goes with --data"),
        (["--tokens", "-1"], "--tokens must be above 0"),
    ],
)
def test_what_is_wrong_is_said(folder, tmp_path, more, said):
    with pytest.raises(ValueError, match=said):
        training.run(arguments("--verifier", folder, "--out", tmp_path, *more))
    with pytest.raises(ValueError, match="--prompts goes with --verifier"):
        training.run(arguments("--data", folder, "--out", tmp_path, "--prompts", folder))


def test_a_verifier_whose_logits_are_made_otherwise_is_refused(verifier, folder, source):
    """The recipe learns from states: it must not follow a verifier that, say, bends its logits."""
    head = Weights(folder)[HEAD]
    distil.check(verifier, head, source)
    with pytest.raises(ValueError, match="cannot follow"):
        distil.check(verifier, head * 1.5, source)
