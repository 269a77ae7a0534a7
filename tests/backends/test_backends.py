"""Both ways to run a model agree with transformers, roll back exactly, and refuse what they cannot run."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from specviz import backends, rules
from specviz.backends import Forward, graphed, packed, static_llama
from specviz.backends.hub import Transformers, TransformersSession
from specviz.backends.static_llama import StaticLlama
from specviz.backends.tokenizer import Tokenizer, differences
from specviz.engine.settings import Settings
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from specviz.types import ModelError


def make_mistral(folder) -> None:
    """A random Mistral folder, whose attention looks back 8 tokens."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, sliding_window=8, max_position_embeddings=128,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(folder)


def make_llama(folder, *, vocabulary=300, heads=4, groups=2, tied=False, seed=0, layers=2, **more):
    """A random Llama folder, made by transformers itself."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=96, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=groups, head_dim=24, max_position_embeddings=128, tie_word_embeddings=tied,
        bos_token_id=0, eos_token_id=0, initializer_range=0.3, **more,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def give_tokenizer(folder, size=300, swap=False):
    """A byte-level tokenizer with `size` entries beside the weights."""
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, pre_tokenizers

    names = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    if swap:
        names[5], names[6] = names[6], names[5]
    names += [f"word{i}" for i in range(size - len(names))]
    fast = Fast(models.BPE({name: i for i, name in enumerate(names)}, []))
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast.add_special_tokens(["<|endoftext|>"])
    fast.save(f"{folder}/tokenizer.json")
    with open(f"{folder}/tokenizer_config.json", "w") as file:
        json.dump(
            {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
            file,
        )
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A draft and a verifier of different logits width over one tokenizer."""
    root = tmp_path_factory.mktemp("models")
    draft = give_tokenizer(make_llama(root / "draft", vocabulary=304, heads=2, groups=2, seed=1, tied=True))
    verifier = give_tokenizer(make_llama(root / "verifier", vocabulary=320, seed=2))
    return draft, verifier


@pytest.mark.parametrize(
    "shape",
    [
        dict(),
        dict(heads=2, groups=2, tied=True),
        dict(heads=4, groups=1),
        dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    ],
)
def test_the_fast_forward_is_transformers_forward(tmp_path, shape):
    """static_llama's logits equal transformers' in float32, whole and in pieces, with grouped heads and tied weights."""
    folder = make_llama(tmp_path, **shape)
    fast, slow = StaticLlama(folder).session(), Transformers(folder).session()
    tokens = torch.randint(0, 300, (40,), generator=torch.Generator().manual_seed(3)).tolist()
    for begin, end in ((0, 17), (17, 18), (18, 23), (23, 40)):
        torch.testing.assert_close(
            fast.forward(tokens[begin:end]).logits, slow.forward(tokens[begin:end]).logits, atol=2e-4, rtol=1e-4
        )


def test_long_texts_in_parts_and_caches_that_grow(tmp_path, monkeypatch):
    """A text many times a part and a first cache long, with rollbacks between, gives transformers' logits and features;
    so do texts of different lengths in one batch, which they outgrow together, and a tree that is longer than a part."""
    monkeypatch.setattr(static_llama, "FIRST", 8)
    monkeypatch.setattr(static_llama, "PART", 16)
    folder = make_llama(tmp_path)
    model, slow = StaticLlama(folder), Transformers(folder).session()
    fast, batch = model.session(), model.batch(3, 128)
    tokens = torch.randint(0, 300, (128,), generator=torch.Generator().manual_seed(5)).tolist()
    for begin, end, forget in ((0, 40, 3), (37, 38, 0), (38, 55, 30), (25, 90, 1), (89, 128, 0)):
        seen, wanted = (session.forward(tokens[begin:end], features=[1, 2]) for session in (fast, slow))
        torch.testing.assert_close(seen.logits, wanted.logits, atol=2e-4, rtol=1e-4)
        for layer in (1, 2):
            torch.testing.assert_close(seen.features[layer], wanted.features[layer], atol=2e-4, rtol=1e-4)
        for session in (fast, slow):
            session.rollback(end - forget)
    slow.rollback(0)
    whole = slow.forward(tokens).logits
    rows = [batch.session() for _ in range(3)]
    for length in (5, 8, 9, 30, 100):
        asked = [Forward(row, tokens[row.length : length - i]) for i, row in enumerate(rows)]
        for ask, seen in zip(asked, batch.forward(asked)):
            end = ask.session.length
            torch.testing.assert_close(seen.logits, whole[end - len(ask.tokens) : end], atol=2e-4, rtol=1e-4)
    parents = [-1, *(i // 2 for i in range(39))]
    fast.rollback(0), slow.rollback(0)
    fast.forward(tokens[:3]), slow.forward(tokens[:3])
    seen, wanted = (session.forward(tokens[:40], parents=parents).logits for session in (fast, slow))
    torch.testing.assert_close(seen, wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", [StaticLlama, Transformers])
def test_rollback_is_as_if_never_seen(tmp_path, backend):
    """After rolling back to any length, the next logits equal those of a fresh session: no off-by-one."""
    model = backend(make_llama(tmp_path))
    tokens = torch.randint(0, 300, (30,), generator=torch.Generator().manual_seed(4)).tolist()
    for length in (1, 7, 19, 20, 29):
        session, fresh = model.session(), model.session()
        session.forward(tokens[:20])
        session.forward([5, 6, 7])
        session.rollback(length)
        assert session.length == min(length, 23)
        session.rollback(min(length, 20))
        session.forward(tokens[session.length :])
        fresh.forward(tokens)
        assert session.length == fresh.length == 30
        torch.testing.assert_close(session.forward([9]).logits, fresh.forward([9]).logits, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", [StaticLlama, Transformers])
def test_keep_gives_the_last_rows(tmp_path, backend):
    """keep=n returns the logits after the last n tokens, and out-of-range keeps and over-long texts raise."""
    model = backend(make_llama(tmp_path))
    whole, part = model.session().forward([1, 2, 3, 4]), model.session().forward([1, 2, 3, 4], keep=2)
    torch.testing.assert_close(part.logits, whole.logits[2:], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="keep must be"):
        model.session().forward([1], keep=2)
    with pytest.raises(ModelError, match="longer than the 128 tokens"):
        model.session().forward([1] * 129)


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
def test_any_pair_of_folders_runs_and_reproduces(folders, backend):
    """A pair given by folder, with padded vocabularies, decodes three rules and its trace verifies."""
    pair = backends.load_pair(draft=folders[0], verifier=folders[1], backend=backend)
    assert pair.verifier.name == backend and pair.vocabulary == 320
    lanes = [Settings(rule=rules.make(name), max_new_tokens=24, seed=3) for name in ("sps", "tas", "cactus")]
    trace = run(pair, "hello there", lanes).finish()
    assert verify(Trace.from_json(trace.to_json()), pair)[0]


def test_backends_write_the_same_text(folders):
    """The same settings and seed give the same tokens on both backends: randomness is keyed, not consumed."""
    texts = []
    for backend in ("static_llama", "transformers"):
        pair = backends.load_pair(draft=folders[0], verifier=folders[1], backend=backend)
        lanes = [Settings(rule=rules.make("cactus"), max_new_tokens=40, seed=11)]
        texts.append(run(pair, "hello", lanes).finish().text(0))
    assert texts[0] == texts[1]


def test_different_tokenizers_are_refused_with_the_difference(folders, tmp_path):
    """Two models whose token ids mean different things do not load as a pair, and the sentence shows one."""
    other = give_tokenizer(make_llama(tmp_path / "other", vocabulary=304), swap=True)
    with pytest.raises(ModelError, match=r"tokenizers differ: 2 of 300 token ids mean something else; id 5 is"):
        backends.load_pair(draft=other, verifier=folders[1])
    wider = give_tokenizer(make_llama(tmp_path / "wider", vocabulary=320), size=310)
    assert differences(Tokenizer(folders[0]), Tokenizer(wider)) is None


def test_unknown_damaged_and_impossible_models_are_sentences(folders, tmp_path):
    """Missing, damaged and unsupported models raise ModelError for people, not a traceback of a library."""
    with pytest.raises(ModelError, match="could not be loaded|not found"):
        backends.load_pair(draft="nobody/nothing", verifier="nobody/nothing")
    with pytest.raises(ModelError, match="not found|could not be loaded"):
        backends.load("nobody/nothing")
    with pytest.raises(ModelError, match="no CUDA device|cuda"):
        if torch.cuda.is_available():
            raise ModelError("cuda is there")
        backends.load(folders[0], device="cuda")
    with pytest.raises(ModelError, match="no dtype 'float7'"):
        backends.load(folders[0], dtype="float7")
    with pytest.raises(ValueError, match="no backend called 'magic'. There are: static_llama, transformers"):
        backends.load(folders[0], backend="magic")
    broken = tmp_path / "broken"
    shutil.copytree(folders[0], broken)
    (broken / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      garbage")
    with pytest.raises(ModelError):
        backends.load(str(broken))


def test_a_sliding_window_model_rolls_back_or_is_refused(tmp_path):
    """A model whose cache forgets the past either refuses to load with a sentence or stays exact beyond its window."""
    make_mistral(tmp_path)
    try:
        model = Transformers(str(tmp_path))
    except ModelError as error:
        assert "rolled back" in str(error)
        return
    tokens = torch.randint(0, 64, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    session, fresh = model.session(), model.session()
    session.forward(tokens[:30])
    session.forward([1, 2, 3])
    session.rollback(30)
    torch.testing.assert_close(
        session.forward(tokens[30:]).logits, fresh.forward(tokens).logits[30:], atol=2e-4, rtol=1e-4
    )


def test_the_shipped_pair_loads_everywhere(pair):
    """The shipped folders are plain transformers: AutoModel gives the fast forward's logits, AutoTokenizer its ids."""
    from transformers import AutoTokenizer

    folder = str(backends.pairs()["small"].folder / "verifier")
    slow = backends.load(folder, backend="transformers")
    tokens = pair.encode("Once upon a time there was a small dog named Spot.", next(iter(pair.styles)))
    torch.testing.assert_close(
        pair.verifier.session().forward(tokens).logits, slow.session().forward(tokens).logits, atol=1e-3, rtol=1e-3
    )
    library = AutoTokenizer.from_pretrained(folder)
    text = "Lily saw 12 birds; naïve café 東京 😀\x00\u202e."
    assert library(text, add_special_tokens=False)["input_ids"] == pair.tokenizer.plain(text)
    assert pair.tokenizer.decode(pair.tokenizer.plain(text)) == text


def test_prompts_cannot_end_the_text_and_pieces_show_bytes(pair):
    """Special tokens spelled out in a prompt are plain characters; a token that is no whole character shows its bytes."""
    tokens = pair.encode("a <|endoftext|> b")
    assert tokens.count(0) == 1 and tokens[0] == 0
    pieces = [pair.tokenizer.piece(t) for t in pair.tokenizer.plain("😀")]
    assert "".join(pieces) == "😀" or all(p.startswith("⟨") for p in pieces)


@pytest.mark.parametrize(
    "prompt,says",
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("x" * 60_000, "characters; at most"),
        ("a b " * 3000, "tokens long"),
        ("a \ud83d b", "half a character"),
    ],
)
def test_prompts_that_cannot_run_are_sentences(pair, prompt, says):
    """Empty and over-long prompts raise a ValueError that says what is allowed."""
    with pytest.raises(ValueError, match=says):
        pair.encode(prompt)


@pytest.mark.parametrize("rows", [1, 2, 5, 9, 33])
@pytest.mark.parametrize("shape", [(96, 32), (1408, 256)])
@pytest.mark.parametrize("twice", [True, False])
def test_a_packed_matrix_multiplies_like_the_plain_one(rows, shape, twice):
    """Both ways through a Matrix, stored once or twice, and adding to what is there, against float64."""
    generator = torch.Generator().manual_seed(rows)
    weight, x, to = (torch.randn(size, generator=generator) for size in (shape, (rows, shape[1]), (rows, shape[0])))
    exact = x.double() @ weight.double().T
    matrix = packed.Matrix(weight, twice)
    torch.testing.assert_close(matrix(x).double(), exact, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(matrix(x, to.clone()).double(), exact + to, rtol=1e-4, atol=1e-4)


def test_packing_the_linears_of_a_model_changes_none_of_its_numbers():
    """Biased, unbiased and nested layers, few rows and many; what is no plain linear layer stays what it is."""

    class Own(torch.nn.Linear):
        pass

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 700),
        torch.nn.SiLU(),
        torch.nn.Sequential(torch.nn.Linear(700, 900, bias=False), Own(900, 8)),
    ).eval()
    inputs = [torch.randn(1, rows, 64) for rows in (1, 3, 40)]
    with torch.inference_mode():
        before = [model(x) for x in inputs]
        packed.pack_linears(model)
        assert [type(m) for m in model.modules() if isinstance(m, (packed.PackedLinear, torch.nn.Linear))] == [
            packed.PackedLinear,
            packed.PackedLinear,
            Own,
        ]
        for x, wanted in zip(inputs, before):
            torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("records", [True, False])
def test_an_arena_of_fixed_length_gives_the_same_logits(tmp_path, monkeypatch, keeps, records):
    """Prompts in pieces, few tokens, rolling back, outgrowing the arena and moving in after another text; and where a
    forward cannot be recorded (there is no GPU for it here), it runs all the same."""
    monkeypatch.setattr(graphed, "MANY", 40)
    model = Transformers(make_llama(tmp_path / "model"))
    model.network.keeps = keeps
    model.arenas.append(graphed.Arena(model.network, 16))
    arena = model.arenas[0]
    arena._records = records
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        one, other = model.session(), graphed.GraphedSession(model)
        assert other._arena is arena and not model.arenas
        for count, keep, forget in (
            (9, 1, 0),
            (1, 1, 0),
            (5, 5, 4),
            (3, 2, 0),
            (100, 1, 60),
            (70, 70, 65),
            (5, 5, 3),
            (1, 1, 0),
        ):
            tokens = torch.randint(0, model.vocabulary, (count,), generator=generator).tolist()
            seen, wanted = other.forward(tokens, keep), one.forward(tokens, keep)
            scale = wanted.logits.abs().max().item()  # of a row: what float32 rounds its sums by
            torch.testing.assert_close(seen.logits, wanted.logits, rtol=1e-4, atol=1e-5 * scale)
            for session in (one, other):
                session.rollback(session.length - forget)
        del other, session
        assert model.arenas == [arena] and not arena._records


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_recorded_forwards_on_a_gpu(tmp_path, dtype):
    """Replayed forwards give the logits and features of the library's own cache, for every number of tokens and after
    rolling back; and so does a tree, which is not recorded."""
    model = Transformers(make_llama(tmp_path / "model"), device="cuda", dtype=dtype)
    one, other = TransformersSession(model), model.session()
    tolerance = dict(rtol=1e-3, atol=1e-3) if dtype == "float32" else dict(rtol=0.1, atol=0.1)
    for count in (9, 1, 5, 1, 5, 40, 1, 5):
        tokens = list(range(10, 10 + count))
        seen, wanted = (session.forward(tokens, features=[1]) for session in (other, one))
        torch.testing.assert_close(seen.logits, wanted.logits, **tolerance)
        torch.testing.assert_close(seen.features[1], wanted.features[1], **tolerance)
        for session in (one, other):
            session.rollback(session.length - count // 2)
    tree = dict(parents=[-1, 0, 0, 2, 1], features=[1])
    seen, wanted = (session.forward([7, 8, 9, 10, 11], **tree) for session in (other, one))
    torch.testing.assert_close(seen.logits, wanted.logits, **tolerance)
    torch.testing.assert_close(seen.features[1], wanted.features[1], **tolerance)
    for session in (one, other):
        session.settle([0, 2, 3])
    torch.testing.assert_close(other.forward([5], features=[1]).logits, one.forward([5]).logits, **tolerance)
    assert set(other._arena._recorded) == {(count, (1,)) for count in (1, 5, 9)}
