"""Pairs of models: those that come with the project, those of a folder, and models of one's own."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from specviz import backends, rules
from specviz.assets import ASSETS
from specviz.backends import facts as facts_file
from specviz.backends.weights import EMBEDDING
from specviz.engine.settings import Settings
from specviz.record import trace
from specviz.types import ModelError
from tests.backends.test_backends import give_tokenizer, make_llama
from tests.backends.test_partial import make_partial

ROOT = Path(__file__).parents[2]


def write_pair(folder: Path, **facts) -> Path:
    """A folder with a tiny pair and its pair.json."""
    for role in ("draft", "verifier"):
        give_tokenizer(make_llama(folder / role, layers=1, seed=len(role)))
    facts = {
        "name": folder.name, "title": "A test pair", "knows": "Nothing.", "made_of": "Noise.", "licence": "CC0-1.0",
        "styles": {"word": "a word"}, "tags": {"word": "word7"}, "opening": "<|endoftext|>",
        "draft": {"parameters": 1}, "verifier": {"parameters": 2},
    } | facts  # fmt: skip
    (folder / "pair.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Two pairs that come with the project, in place of those that do."""
    monkeypatch.setattr(facts_file, "PAIRS", tmp_path / "pairs")
    write_pair(tmp_path / "pairs" / "able", order=2)
    write_pair(tmp_path / "pairs" / "baker", order=1)
    return tmp_path


def test_every_pair_that_ships_says_what_is_true_of_it(pair):
    """Its name is its folder's, its models are there with as many parameters as it says, every style can be asked for,
    and its words are there; so for those whose weights are elsewhere, where they are installed."""
    known = backends.pairs()
    assert pair.facts == known["small"] and pair.styles == known["small"].styles
    for name, facts in known.items():
        assert (
            facts.folder == ASSETS / "pairs" / name and facts.title and facts.knows and facts.made_of and facts.licence
        )
        if any(importlib.util.find_spec(published.module) is None for published in facts.weights.values()):
            continue
        loaded = pair if name == "small" else backends.load_pair(name)
        assert {role: part.parameters for role, part in loaded.parts.items()} == facts.parameters
        assert [model.id for model in loaded.models] == [f"{name}/draft", f"{name}/verifier"]
        assert all(loaded.encode("Hello there.", style) for style in loaded.styles)
    assert pair.encode("One day", "tiny")[:2] == [0, pair.tokenizer.vocabulary()["<|tiny|>"]]
    assert pair.encode("One day")[0] == 0 and pair.stop_tokens == {0}


def test_pairs_are_found_in_their_order_and_loaded_by_name_or_folder(registered):
    """The lowest order is the default; a name among those that ship comes first, then a folder; the ids of a pair that
    does not ship say where it is."""
    assert list(backends.pairs()) == ["baker", "able"]
    assert backends.load_pair().verifier.id == "baker/verifier"
    assert backends.load_pair("able").draft.id == "able/draft"
    elsewhere = write_pair(registered / "elsewhere")
    loaded = backends.load_pair(elsewhere)
    assert loaded.verifier.id == str(elsewhere / "verifier") and loaded.styles == {"word": "a word"}
    assert loaded.encode("a", "word") == [0, loaded.tokenizer.vocabulary()["word7"], *loaded.tokenizer.plain("a")]
    assert backends.load_pair(**loaded.source).draft.revision == loaded.draft.revision
    with pytest.raises(ValueError, match=r"no pair called 'charlie', and no folder .* There are: baker, able\."):
        backends.load_pair("charlie")


@pytest.mark.parametrize(
    "facts,says",
    [
        (dict(styles=None), "could not be read"),
        (dict(draft={}), "lacks 'parameters'"),
        (dict(styles={"opera": "sung"}), "names a style 'opera', but no tag"),
        (dict(tags={"word": "<|nowhere|>"}), r"has no token '<\|nowhere\|>'"),
        (dict(opening="<|begin|>"), r"has no token '<\|begin\|>'"),
    ],
)
def test_a_damaged_pair_is_a_sentence(tmp_path, facts, says):
    """What is wrong with a pair.json, or does not fit its tokenizer, is a ModelError that names it."""
    with pytest.raises(ModelError, match=says):
        backends.load_pair(write_pair(tmp_path / "odd", **facts))
    (tmp_path / "odd" / "pair.json").write_text("{")
    with pytest.raises(ModelError, match="could not be read"):
        backends.load_pair(tmp_path / "odd")
    (tmp_path / "odd" / "pair.json").write_text("{}")
    with pytest.raises(ModelError, match="lacks 'name'"):
        backends.load_pair(tmp_path / "odd")


def test_models_of_ones_own(registered):
    """A draft and a verifier by their folders, or a verifier alone; anything else is a ValueError in a sentence."""
    draft, verifier = (str(registered / "pairs" / "able" / role) for role in ("draft", "verifier"))
    both = backends.load_pair(draft=draft, verifier=verifier)
    assert (both.draft.id, both.verifier.id, both.facts, both.styles) == (draft, verifier, None, {})
    alone = backends.load_pair(verifier=verifier)
    assert alone.draft is None and alone.models == [alone.verifier] and alone.threads == 1
    assert (alone.vocabulary, alone.max_positions) == (300, 128) and alone.encode("a") == alone.tokenizer.plain("a")
    with pytest.raises(ValueError, match="needs a draft model"):
        trace.begin(alone, "a", None, [Settings(rule=rules.make("sps"))])
    with pytest.raises(ValueError, match="Give both models"):
        backends.load_pair(draft=draft)
    with pytest.raises(ValueError, match="but not both"):
        backends.load_pair("able", verifier=verifier)


def test_a_draft_that_borrows_takes_its_verifiers_tokenizer(registered):
    """A draft without a tokenizer of its own, which borrows its verifier's embedding, is read by that one's; one that
    borrows nothing needs its own."""
    able = registered / "pairs" / "able"
    draft = make_partial(registered / "draft", str(able / "verifier"), [EMBEDDING], None)
    Path(draft, "tokenizer.json").unlink()
    pair = backends.load_pair(draft=draft, verifier=str(able / "verifier"))
    for model in pair.models:
        assert model.session().forward([1, 2]).logits.shape == (2, 300)
    assert pair.folders == {"draft": draft, "verifier": str(able / "verifier")}
    (able / "draft" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="'.*able/draft' could not be loaded"):
        backends.load_pair("able")


def test_recorded_ids_say_what_to_load(registered):
    """Ids as traces record them: of a pair that ships, by its name or the one it had before, of a pair's folder, and of
    models of one's own, with and without a draft."""
    able = registered / "pairs" / "able"
    cases = [
        (("able/draft", "able/verifier"), {"pair": "able"}),
        ((None, "able/verifier"), {"pair": "able"}),
        ((str(able / "draft"), str(able / "verifier")), {"pair": str(able)}),
        (("able/draft", "baker/verifier"), {"draft": "able/draft", "verifier": "baker/verifier"}),
        (("able/verifier", "able/draft"), {"draft": "able/verifier", "verifier": "able/draft"}),
        (("Qwen/Qwen3-0.6B", "Qwen/Qwen3-14B"), {"draft": "Qwen/Qwen3-0.6B", "verifier": "Qwen/Qwen3-14B"}),
        (("nobody/draft", "nobody/verifier"), {"draft": "nobody/draft", "verifier": "nobody/verifier"}),
        ((None, "Qwen/Qwen3-14B"), {"verifier": "Qwen/Qwen3-14B"}),
    ]
    for ids, source in cases:
        assert backends.pair_of(ids) == source


def test_the_recorded_runs_name_a_pair_that_ships():
    """Every trace that comes with the project can be run again by the ids in it."""
    recorded = sorted((ASSETS / "recorded").glob("*.json"))
    assert recorded
    for path in recorded:
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
        assert backends.pair_of([models["draft"]["id"], models["verifier"]["id"]]) == {
            "pair": models["verifier"]["id"].partition("/")[0]
        }


PROCESS = """
import gc, sys, torch, numpy, tokenizers
from specviz import backends, registry

def state():
    return torch.get_num_threads(), torch.get_num_interop_threads(), gc.get_freeze_count(), gc.get_threshold(), gc.isenabled()

torch.set_num_threads(2)
before = state()
registry.variants("specviz.backends")
pairs = [backends.load_pair('small'), backends.load_pair('small', backend="transformers")]
for pair in pairs:
    for session in (pair.draft.session(), pair.verifier.session(), pair.verifier.batch(2, 20).session()):
        session.forward([1, 2, 3])
assert state() == before, (before, state())
backends.dedicate_process(pairs[1])
assert torch.get_num_threads() == 2 and gc.get_freeze_count() > 10_000
backends.dedicate_process(pairs[0])
assert torch.get_num_threads() == 1
"""


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_library_leaves_the_process_as_it_was():
    """Importing, loading and running on either backend change neither torch's threads nor the garbage collector;
    `dedicate_process` does, as the models say."""
    run(PROCESS)


def test_pairs_are_listed_without_torch():
    """A page that names the pairs before any model is loaded waits for no library."""
    code = "import sys; from specviz import backends; print('small' in backends.pairs(), {'torch', 'transformers'} & set(sys.modules))"
    assert run(code) == "True set()"


def test_no_behaviour_hangs_on_a_models_name():
    """Models are asked for their properties, and settings are arguments: in the rooms that run models nobody looks at
    a name, and nobody in this one reads the environment, but to find the user's cache folder."""
    for room in ("backends", "drafters", "engine"):
        for path in (ROOT / "specviz" / room).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(model|draft|verifier)\.name\b", text), path
            read = re.findall(r"environ\b.*", text) if room == "backends" else []
            assert read == (['environ.get("XDG_CACHE_HOME", "")'] if path.name == "cached.py" else []), path
