"""An exit behind a verifier's layer: what is trained, what runs, and what the loop makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch

from specviz import backends, drafters, training
from specviz.backends.exit import LlamaExit
from specviz.backends.weights import HEAD, Weights
from specviz.engine import batch
from specviz.record.running import run
from specviz.record.verify import verify
from specviz.training import distil_exit
from specviz.types import ModelError
from tests.support.runs import choices, rounds_of, settings_of
from tests.test_distilling import chatty, trained
from tests.test_training import arguments

DRAFTER = drafters.make("early_exit", confidence=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatty(tmp_path_factory.mktemp("models") / "verifier")


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    """What one quick run of the recipe makes."""
    more = ["--tokens", 1500, "--draft-steps", 20, "--reads", "1,2", "--layers", 0]
    return trained(folder, tmp_path_factory.mktemp("exit"), "--exit", 1, *more)


@pytest.fixture(scope="module")
def pair(out):
    return backends.load_pair(out)


def test_a_quick_run_raises_the_overlap(out):
    """On held-out answers: least squares make a beginning, here with the first layer, which knows little, and training goes on from
    there."""
    log = [json.loads(line) for line in (out / "state" / "exit" / "log.jsonl").read_text().splitlines()]
    measured = [line["overlap"] for line in log if "overlap" in line]
    assert measured[0] > 0.2 and measured[-1] > measured[0] + 0.1
    facts = json.loads((out / "pair.json").read_text())
    assert facts["drafter"] == "early_exit" and facts["exit"]["layer"] == 1 and facts["exit"]["kept_tokens"] == 400


@torch.no_grad()
def test_what_runs_is_what_was_trained(out, folder, pair):
    """The states of all places at once are those read one by one; half precision lies between. What is forgotten was not."""
    weights = Weights(folder)
    state = torch.load(out / "state" / "exit" / "checkpoint.pt", weights_only=False)["model"]
    model = distil_exit.start(weights, state["kept_tokens"], 1, [1, 2], 1, weights[HEAD])
    model.load_state_dict(state)
    ids = pair.encode("What is 3 + 4?", "chat")
    states = pair.verifier.session().begin(ids, 1)
    expected = torch.softmax(model.states(states[None])[0] @ model.lm_head.weight.T, -1)
    session = pair.exit.session()
    session.read(states[:3])
    session.read(states[:2])
    session.rollback(3)
    for place in range(3, len(ids)):
        law = torch.softmax(session.read(states[place : place + 1]), -1)
        assert (law - expected[place]).abs().max() < 3e-3
    assert session.length == len(ids)


def test_a_batch_and_a_trace_say_the_same(pair):
    """Lanes alone, in a batch and verified from their trace make the same choices, and say the layer."""
    lanes = [settings_of(spec, drafter=DRAFTER, max_new_tokens=30, seed=5) for spec in ("sps", "block", "plain")]
    prompt = pair.encode("What is 3 + 4?", "chat")
    together = {i: [] for i in range(len(lanes))}
    for i, result in batch.decode(pair, [(prompt, lane) for lane in lanes]):
        together[i].append(result)
    for i, lane in enumerate(lanes):
        assert [*map(choices, rounds_of(pair, prompt, lane))] == [*map(choices, together[i])]
    trace = run(pair, "What is 3 + 4?", lanes, style="chat").finish()
    assert trace.models["exit"].revision == pair.exit.revision and verify(trace, pair)[0]
    drafted = rounds_of(pair, prompt, lanes[0])[0].draft
    assert len(drafted) == 4 and {known.layer for known in drafted.provenance} == {1}


@pytest.mark.parametrize("backend", ["static_llama", "transformers"])
def test_what_is_begun_changes_nothing_that_is_seen(folder, backend):
    """States behind a layer are those of a whole forward; so is what a forward says of tokens that were begun before it, whether
    all of them were, some, or others; rolled back, branching, or with the states of a lower layer asked for."""
    model = backends.load(str(folder), backend=backend)
    text, draft = [3, 7, 11, 5], [9, 8, 7, 6, 5]
    whole = model.session().forward([*text, *draft], features=(0, 1, 2))

    def session():
        made = model.session()
        made.forward(text)
        return made

    def same(seen, features):
        assert torch.allclose(seen.logits, whole.logits[-len(seen.logits) :], atol=1e-4)
        for layer in features:
            assert torch.allclose(seen.features[layer], whole.features[layer][len(text) :], atol=1e-4)

    for begun in ([9], [9, 8, 7], draft, [9, 8, 1, 2], [1, 2, 3], [*draft, 4]):
        for layers in ((1,), (0, 1, 2), ()):
            made = session()
            made.begin(begun[:1], 1)
            states = made.begin(begun, 1)
            if begun == draft:
                assert torch.allclose(states, whole.features[1][len(text) :], atol=1e-4)
            same(made.forward(draft, features=layers), layers)
            assert made.length == len(text) + len(draft) and made.begin_seconds > 0
    made = session()
    made.begin([9, 8, 7], 1)
    made.rollback(len(text) + 1)
    assert torch.allclose(made.begin([9, 8], 1), whole.features[1][4:6], atol=1e-4)
    made.rollback(2)
    made.begin([11], 1)
    same(made.forward([11, 5, *draft], 5), ())
    made = session()
    made.begin(draft, 1)
    tree = made.forward([9, 9, 8], parents=[-1, -1, 1])
    assert torch.allclose(tree.logits[2], whole.logits[5], atol=1e-4)
    together = model.batch(2, 40)
    one, _ = together.session(), together.session()
    one.forward(text)
    assert torch.allclose(one.begin(draft, 1), whole.features[1][len(text) :], atol=1e-4)
    same(one.forward(draft, features=(1,)), (1,))


def test_what_cannot_be_is_said(out, folder, tmp_path, pair):
    """A pair without an exit, one behind a layer that is not there, a folder without one, layers and options that make no sense."""
    without = replace(backends.load_pair("small"), exit=None)
    assert DRAFTER.refusal(None, without) == (
        "The drafter early_exit needs an exit trained for its verifier, and small/verifier comes without one: "
        "see `specviz train --exit`."
    )
    odd = tmp_path / "exit"
    shutil.copytree(out / "exit", odd)
    config = json.loads((odd / "config.json").read_text())
    config["specviz"]["layer"] = 2
    (odd / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is behind layer 2"):
        LlamaExit(odd, pair.verifier)
    with pytest.raises(ModelError, match="lacks"):
        LlamaExit(folder, pair.verifier)
    with pytest.raises(ValueError, match="stop behind layer 1 to 1"):
        pair.verifier.session().begin([1], 2)
    for options, words in ((["--exit", 2], "one of 1, not 2"), (["--exit", 1, "--head"], "two trainings")):
        with pytest.raises(ValueError, match=words):
            training.run(arguments("--verifier", folder, *options, "--out", tmp_path / "new"))
    with pytest.raises(ValueError, match="holds the states of the layers"):
        more = ["--quick", "--tokens", 1500, "--resume", "--reads", "0,1,2"]
        training.run(arguments("--verifier", folder, "--exit", 1, "--out", out, *more))
