"""Look-ahead tokens behind a verifier's text: what is trained, what runs, and what the loop makes of it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from specviz import backends, drafters, training
from specviz.backends.lookahead import LookaheadTokens
from specviz.backends.weights import HEAD, Weights
from specviz.engine import batch
from specviz.engine.decode import Decoding, alone
from specviz.record.running import run
from specviz.record.verify import verify
from specviz.training import cut, lookahead, machine
from specviz.training.lookahead import LookaheadModel
from specviz.types import ModelError
from tests.support.runs import choices, rounds_of, settings_of
from tests.test_distilling import chatty, trained
from tests.test_training import arguments

DRAFTER = drafters.make("lookahead", most=2, confidence=0)
QUESTION = "What is 3 + 4?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatty(tmp_path_factory.mktemp("models") / "verifier")


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    """What one quick run of the recipe makes."""
    more = ["--tokens", 1500, "--draft-steps", 20]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookahead, "MEASURED", 1)
        return trained(folder, tmp_path_factory.mktemp("lookahead"), "--lookahead", 2, *more)


@pytest.fixture(scope="module")
def pair(out):
    return backends.load_pair(out)


def test_a_quick_run_raises_the_overlap(out):
    """On held-out answers, of the first and of the second token; and nothing but the embeddings was learned."""
    log = [json.loads(line) for line in (out / "state" / "lookahead" / "log.jsonl").read_text().splitlines()]
    measured = [line["overlap"] for line in log if "overlap" in line]
    assert all(last > first + 0.02 for first, last in zip(measured[0], measured[-1])), measured
    facts = json.loads((out / "pair.json").read_text())
    assert (
        facts["drafter"] == "lookahead" and facts["lookahead"]["parameters"] == 2 * facts["lookahead"]["size"]["width"]
    )


@torch.no_grad()
def test_what_runs_is_what_was_trained(out, folder, pair, monkeypatch):
    """The training's forward of many chains in many texts, in float32, and the run's of one say the same; between them lie embeddings
    in half precision."""
    monkeypatch.setattr(machine, "number_type", lambda device: torch.float32)
    weights = Weights(folder)
    size = cut.size_of(weights.config, weights.config["num_hidden_layers"])
    model = LookaheadModel.start(weights, size, torch.arange(5, dtype=torch.int32), 2, torch.device("cpu"))
    state = torch.load(out / "state" / "lookahead" / "checkpoint.pt", weights_only=False)["model"]
    model.embeddings.copy_(state["embeddings"])
    ids = pair.encode(QUESTION, "chat")
    places = torch.tensor([[2, 5, 3], [1, 4, len(ids) - 1]])
    states = model.states(torch.tensor([ids, ids]), places).flatten(0, 1)
    for place, state in zip(places.flatten().tolist(), states):
        expected = torch.softmax(state @ weights[HEAD].T, -1)
        seen = pair.verifier.session().forward([*ids[: place + 1], -1, -2], 2)
        assert (torch.softmax(seen.logits, -1) - expected).abs().max() < 3e-3


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
def test_they_hang_where_they_should_and_leave_nothing(out, pair, backend):
    """Behind every place of a draft they say what they say behind a text that ends there; settled, a session goes on as one that
    never had any. Alone, in a batch beside a text without, and by the library."""
    model = backends.load(pair.folders["verifier"], backend=backend)
    LookaheadTokens(out / "lookahead", model)
    ids, draft, more = pair.encode(QUESTION, "chat"), [9, 8, 7], [6, 5]
    tokens, parents = [*ids, *draft], list(range(-1, len(ids) + len(draft) - 1))
    for place in range(len(ids) - 1, len(ids) + len(draft)):
        parents += [place, len(tokens)]
        tokens += [-1, -2]
    together = model.batch(2, 80)
    for session in (model.session(), together.session()):
        seen = session.forward(tokens, 8, parents)
        for i in range(4):
            plain = model.session().forward([*ids, *draft[:i], -1, -2], 3)
            assert torch.allclose(seen.logits[2 * i : 2 * i + 2], plain.logits[1:], atol=1e-3)
        session.settle(range(len(ids) + 2))
        assert session.length == len(ids) + 2
        fresh = model.session().forward([*ids, *draft[:2], *more], 2)
        assert torch.allclose(session.forward(more).logits, fresh.logits, atol=1e-3)
    with pytest.raises(ValueError, match="has 2 look-ahead tokens; got token -3"):
        model.session().forward([1, -3])


def test_a_batch_and_a_trace_say_the_same(pair):
    """Lanes alone, in a batch and verified from their trace make the same choices, and say which token spoke; what a text drafts goes on
    to its end, and no cache ever holds more than the text."""
    lanes = [settings_of(spec, drafter=DRAFTER, max_new_tokens=30, seed=5) for spec in ("sps", "block", "plain")]
    prompt = pair.encode(QUESTION, "chat")
    together = {i: [] for i in range(len(lanes))}
    for i, result in batch.decode(pair, [(prompt, lane) for lane in lanes]):
        together[i].append(result)
    for i, lane in enumerate(lanes):
        assert [*map(choices, rounds_of(pair, prompt, lane))] == [*map(choices, together[i])]
    trace = run(pair, QUESTION, lanes, style="chat").finish()
    assert trace.models["lookahead"].revision == pair.lookahead.revision and verify(trace, pair)[0]
    rounds = together[0]
    assert [known.ahead for known in rounds[0].draft.provenance] == [1, 2]
    end = len(prompt) + 30 - 1  # where nothing is drafted: the last round adds it
    assert all(len(r.draft) == min(2, end - r.start) for r in rounds if r.start <= end)
    decoding = Decoding(pair, prompt, lanes[0], pair.verifier.session(), None)
    while not decoding.finished:
        alone(decoding.round())
        assert decoding.verifier.length == len(decoding.text) - 1


def test_what_cannot_be_is_said(out, folder, tmp_path, pair):
    """A pair without look-ahead tokens, some of another width, a folder without any, options that make no sense."""
    small = backends.load_pair("small")
    assert DRAFTER.refusal(None, small) == (
        "The drafter lookahead needs look-ahead tokens trained for its verifier, and small/verifier comes without: "
        "see `specviz train --lookahead`."
    )
    odd = tmp_path / "lookahead"
    shutil.copytree(out / "lookahead", odd)
    (file,) = odd.glob("*.safetensors")
    save_file({"lookahead.weight": load_file(file)["lookahead.weight"][:, :-1].contiguous()}, file)
    with pytest.raises(ModelError, match=r"have the shape \(2, \d+\), and"):
        LookaheadTokens(odd, pair.verifier)
    with pytest.raises(ModelError, match="lack"):
        LookaheadTokens(folder, pair.verifier)
    for options, words in (
        (["--lookahead", 1, "--head"], "--head and --lookahead are two trainings"),
        (["--lookahead", 0], "must be above 0"),
        (["--lookahead", 1, "--layers", "0"], "--layers is for"),
    ):
        with pytest.raises(ValueError, match=words):
            training.run(arguments("--verifier", folder, *options, "--out", tmp_path / "new"))
