"""What a model takes is known before it is loaded, and what cannot fit is refused in a sentence."""

from __future__ import annotations

import pytest
import torch

from specviz import backends, rules
from specviz.backends import memory
from specviz.engine import race
from specviz.engine.settings import Settings
from specviz.types import ModelError
from tests.backends.test_backends import make_llama
from tests.support.pairs import table_pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_llama(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("dtype,width", [(None, 4), ("float32", 4), ("bfloat16", 2)])
def test_the_estimate_is_what_loading_takes(folder, dtype, width):
    """Weights and cache by the headers equal the bytes of the loaded model's own tensors."""
    found = memory.estimate(folder, "cpu", dtype)
    model = backends.load(folder, dtype=dtype, backend="transformers")
    assert found.weights == sum(p.numel() * p.element_size() for p in model.network.model.parameters())
    assert (
        found.cache == 2 * 2 * 2 * 24 * 128 * width and found.positions == 128
    )  # keys and values, layers, heads, size, tokens
    assert found.free > 0 and "of weights and up to" in found.sentence and "is free on cpu." in found.sentence


def test_nothing_is_read_but_headers(folder, tmp_path):
    """The estimate of a file whose tensors are cut off is that of the whole: no weight was looked at."""
    import json
    import shutil
    from pathlib import Path

    cut = Path(shutil.copytree(folder, tmp_path / "cut"))
    data = (cut / "model.safetensors").read_bytes()
    header = int.from_bytes(data[:8], "little")
    (cut / "model.safetensors").write_bytes(data[: 8 + header])
    assert memory.estimate(str(cut)).weights == memory.estimate(folder).weights
    (cut / "config.json").write_text(json.dumps({"model_type": "mystery"}))
    assert memory.estimate(str(cut)).cache == 0 and "text of" not in memory.estimate(str(cut)).sentence


def test_what_cannot_be_read_is_left_to_loading(tmp_path):
    """No folder, no files, a damaged header: no estimate, and no error of its own."""
    assert memory.estimate(str(tmp_path / "nowhere")) is None and memory.estimate(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x00\x01")
    assert memory.estimate(str(tmp_path)) is None
    assert memory.placed(str(tmp_path), "cpu", None) == "cpu"


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(folder, monkeypatch):
    """With less free than the weights take, the refusal names both sizes and what to do."""
    weights = memory.estimate(folder).weights
    monkeypatch.setattr(memory, "free_bytes", lambda device: weights - 1)
    with pytest.raises(ModelError, match=r"takes .* MB of weights .* is free on cpu\. It does not fit\. Choose"):
        memory.placed(folder, "cpu", None)
    assert memory.placed(folder, "cpu", "bfloat16") == "cpu"
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    assert memory.placed(folder, "cpu", None) == "cpu"


def test_a_verifier_larger_than_one_gpu_is_spread(folder, monkeypatch):
    """One GPU is too small and two are enough: all devices are used. If two are not either, it is refused."""
    weights = memory.estimate(folder).weights
    for share, where in ((0.6, "auto"), (1.5, "cuda")):
        monkeypatch.setattr(memory, "_gpus", lambda: 2)
        monkeypatch.setattr(memory, "free_bytes", lambda device, share=share: int(weights * share))
        assert memory.placed(folder, "cuda", "float32") == where
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(weights * 0.4))
    with pytest.raises(ModelError, match="does not fit"):
        memory.placed(folder, "cuda", "float32")


def test_running_out_of_memory_is_a_sentence():
    """torch's refusal to allocate becomes a ModelError; any other error stays what it is."""
    with pytest.raises(ModelError, match="too much"), memory.explained("too much"):
        torch.empty(2**60)
    with pytest.raises(ModelError, match="too much"), memory.explained("too much"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    with pytest.raises(RuntimeError, match="something else"), memory.explained("too much"):
        raise RuntimeError("something else")


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_a_run_that_outgrows_memory_ends_with_a_sentence_and_the_next_one_runs(monkeypatch, when):
    """Whether the cache or a later forward cannot be had: what was written before arrives, then comes a ModelError."""
    pair = table_pair(3)
    lanes = [Settings(rule=rules.make("sps"), max_new_tokens=30)]
    whole = [step.result.emitted for step in race.race(pair, [0, 1], lanes)]

    def too_large(session):
        torch.empty(2**60 if when == "at the start" or session.length > 15 else 1)
        return session

    with monkeypatch.context() as patch:
        forward, made = backends.Session.forward, pair.verifier.session
        if when == "later":
            patch.setattr(
                backends.Session, "forward", lambda self, *given, **named: forward(too_large(self), *given, **named)
            )
        else:
            pair.verifier.session = lambda: too_large(made())
        steps = []
        with pytest.raises(ModelError, match="not enough memory for this run"):
            for step in race.race(pair, [0, 1], lanes):
                steps.append(step)
        assert bool(steps) == (when == "later")
        vars(pair.verifier).pop("session", None)
    assert [step.result.emitted for step in race.race(pair, [0, 1], lanes)] == whole
