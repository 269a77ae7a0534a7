"""Drafts that borrow of their verifier, and output layers that are cut: on both backends the model they stand for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from specviz import backends, rules
from specviz.backends.hub import Transformers
from specviz.backends.static_llama import StaticLlama
from specviz.backends.weights import EMBEDDING, HEAD, KEPT
from specviz.engine.settings import Settings
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.record.verify import verify
from specviz.types import ModelError
from tests.backends.test_backends import give_tokenizer, make_llama

TOKENS = [3, 17, 250, 17, 99, 4, 8]
KEPT_IDS = [0, 3, 8, 17, 99, 150, 250, 299]


def make_partial(folder: Path, whole: str, borrows: list[str], kept: list[int] | None, own_rows: bool = False) -> str:
    """The model `whole` without what it borrows, and cut to the tokens `kept`."""
    shutil.copytree(whole, folder)
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["specviz"] = {"borrows": borrows}
    (folder / "config.json").write_text(json.dumps(config))
    if kept is not None:
        weights[KEPT] = torch.tensor(kept, dtype=torch.int32)
        if own_rows:
            weights[HEAD] = weights[HEAD][kept].clone()
    save_file({name: w for name, w in weights.items() if name not in borrows}, folder / "model.safetensors")
    return str(folder)


def lent_from(whole: str, verifier: str, folder: Path) -> str:
    """The model `whole` with the embedding and the output layer of `verifier`."""
    shutil.copytree(whole, folder)
    weights, theirs = load_file(folder / "model.safetensors"), load_file(f"{verifier}/model.safetensors")
    weights[EMBEDDING] = theirs[EMBEDDING]
    weights[HEAD] = theirs.get(HEAD, theirs[EMBEDDING]).clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


@pytest.mark.parametrize("backend", [StaticLlama, Transformers])
@pytest.mark.parametrize("lending", [StaticLlama, Transformers])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("borrows", [[], [EMBEDDING], [HEAD], [EMBEDDING, HEAD]])
@pytest.mark.parametrize("cut", [True, False])
def test_a_partial_model_is_the_whole_one_it_stands_for(tmp_path, backend, lending, tied, borrows, cut):
    """Logits of the kept tokens are those of the same model with the lent tensors written into it; all others are -inf.
    One row and several, whichever backend lends, from a verifier with a tied output layer too."""
    verifier = make_llama(tmp_path / "verifier", layers=3, seed=2, tied=tied)
    whole = make_llama(tmp_path / "whole", seed=1)
    lent = lent_from(whole, verifier, tmp_path / "lent")
    for name in {EMBEDDING, HEAD} - set(borrows):  # what it does not borrow is its own
        weights = load_file(f"{lent}/model.safetensors")
        weights[name] = load_file(f"{whole}/model.safetensors")[name]
        save_file(weights, f"{lent}/model.safetensors", {"format": "pt"})
    kept = KEPT_IDS if cut else None
    folder = make_partial(tmp_path / "draft", whole, borrows, kept, own_rows=HEAD not in borrows)
    model = backend(folder, lender=lending(verifier) if borrows else None)
    session, wanted = model.session(), Transformers(lent).session()
    assert model.vocabulary == 300
    for tokens in (TOKENS, [5]):
        logits, expected = session.forward(tokens).logits, wanted.forward(tokens).logits
        others = torch.ones(300, dtype=torch.bool)
        others[KEPT_IDS if cut else slice(None)] = False
        torch.testing.assert_close(logits[:, ~others], expected[:, ~others], atol=2e-4, rtol=1e-4)
        assert bool((logits[:, others] == -torch.inf).all())


def test_a_cut_and_tied_model_cuts_its_embedding(tmp_path):
    """With a tied output layer the kept rows are those of the model's own embedding."""
    whole = make_llama(tmp_path / "whole", tied=True)
    folder = make_partial(tmp_path / "draft", whole, [], KEPT_IDS)
    expected = Transformers(whole).session().forward(TOKENS).logits[:, KEPT_IDS]
    for backend in (StaticLlama, Transformers):
        logits = backend(folder).session().forward(TOKENS).logits
        torch.testing.assert_close(logits[:, KEPT_IDS], expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
def test_a_pair_with_a_partial_draft_runs_and_reproduces(tmp_path, backend):
    """Loaded as a pair the verifier lends; drafts hold kept tokens alone, texts others as well, and the trace verifies."""
    verifier = give_tokenizer(make_llama(tmp_path / "verifier", layers=3, seed=2))
    whole = give_tokenizer(make_llama(tmp_path / "whole", seed=1))
    draft = make_partial(tmp_path / "draft", whole, [EMBEDDING, HEAD], KEPT_IDS)
    pair = backends.load_pair(draft=draft, verifier=verifier, backend=backend)
    lanes = [Settings(rule=rules.make(name), max_new_tokens=40, seed=3) for name in ("sps", "cactus", "tas")]
    trace = run(pair, "hello there", lanes).finish()
    rounds = [round_ for lane in trace.lanes for round_ in lane.rounds]
    assert {token for round_ in rounds for token in round_.drafted} <= set(KEPT_IDS)
    assert not {token for round_ in rounds for token in round_.emitted} <= set(KEPT_IDS)
    assert verify(Trace.from_json(trace.to_json()), pair)[0]
    own = sum(w.numel() for name, w in load_file(f"{draft}/model.safetensors").items() if name != KEPT)
    assert pair.draft.parameters == own and trace.models["draft"].parameters == own


def _unsorted(weights, config):
    weights[KEPT] = weights[KEPT].flip(0).contiguous()


def _beyond(weights, config):
    weights[KEPT][-1] = 300


def _empty(weights, config):
    weights[KEPT] = weights[KEPT][:0].clone()


def _too_many_rows(weights, config):
    weights[HEAD] = torch.zeros(9, 64)
    config["specviz"]["borrows"] = [EMBEDDING]


def _other_tensor(weights, config):
    config["specviz"]["borrows"].append("model.norm.weight")


def _no_list(weights, config):
    config["specviz"] = "all of it"


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
@pytest.mark.parametrize(
    "damage, words",
    [
        (_unsorted, "must be different ids from 0 to 299, rising"),
        (_beyond, "must be different ids from 0 to 299, rising"),
        (_empty, "must be different ids from 0 to 299, rising"),
        (_too_many_rows, "has 9 rows for 8 kept tokens"),
        (_other_tensor, "only model.embed_tokens.weight and lm_head.weight are lent"),
        (_no_list, "could not be read|could not be loaded"),
    ],
)
def test_damaged_partial_models_are_sentences(tmp_path, backend, damage, words):
    """What does not fit together is refused before it runs, and the sentence says what it is."""
    verifier = make_llama(tmp_path / "verifier", seed=2)
    folder = Path(make_partial(tmp_path / "draft", make_llama(tmp_path / "whole"), [EMBEDDING, HEAD], KEPT_IDS))
    weights, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    damage(weights, config)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=words):
        backends.load(str(folder), backend=backend, lender=backends.load(verifier, backend=backend))


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
def test_a_borrower_needs_its_own_verifier(tmp_path, backend):
    """Alone, or with a verifier of another width or a smaller vocabulary, it is refused in a sentence."""
    folder = make_partial(tmp_path / "draft", make_llama(tmp_path / "whole"), [EMBEDDING, HEAD], KEPT_IDS)
    with pytest.raises(ModelError, match="cannot be loaded without one"):
        backends.load(folder, backend=backend)
    smaller = backends.load(make_llama(tmp_path / "smaller", vocabulary=200), backend=backend)
    with pytest.raises(ModelError, match=r"has the shape \(200, 64\) and not \(300, 64\): it is the draft of another"):
        backends.load(folder, backend=backend, lender=smaller)
