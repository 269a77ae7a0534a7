"""A head on a verifier's states: what is trained, what runs, and what the loop makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from specviz import backends, drafters, training
from specviz.backends.weights import HEAD, Weights
from specviz.engine import batch
from specviz.prob import dists
from specviz.record.running import run
from specviz.record.verify import verify
from specviz.training import agreement, distil_head, head, reading, shards, teachers, texts
from specviz.training.loss import disagreement
from specviz.training.model import rotate
from specviz.types import ModelError, Sampling
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import choices, rounds_of, settings_of
from tests.test_distilling import chatty, trained
from tests.test_training import arguments

DRAFTER = drafters.make("head", confidence=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatty(tmp_path_factory.mktemp("models") / "verifier")


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    """What one quick run of the recipe makes."""
    return trained(folder, tmp_path_factory.mktemp("head"), "--head", "--tokens", 2500, "--draft-steps", 40)


@pytest.fixture(scope="module")
def pair(out):
    return backends.load_pair(out)


def model_of(out, folder):
    """The trained head, as it was trained."""
    weights = Weights(folder)
    state = torch.load(out / "state" / "head" / "checkpoint.pt", weights_only=False)["model"]
    made = distil_head.start(weights, state["kept_tokens"], [1, 2], 1, weights[HEAD])
    made.load_state_dict(state)
    return made


def drafted_one_by_one(model, tokens, features, place, steps):
    """The state of a place with so many steps ahead of the verifier, place by place, as the sources describe it."""
    layer, states, keys, values = model.model.layers[0], None, [], []
    attention = layer.self_attn
    size, heads, groups = attention.head, attention.heads, attention.groups
    for at in range(place + 1):
        state = model.fused(features[at]) if at <= place - steps else states
        token = model.norm_token(model.embedding.weight[tokens[at]].to(state))
        x = model.mix(torch.cat([token, model.norm_state(state)]))
        y = layer.input_layernorm(x)
        turned = model.cos[at : at + 1], model.sin[at : at + 1]
        queries = rotate(attention.q_proj(y).view(heads, 1, size), *turned)
        keys.append(rotate(attention.k_proj(y).view(groups, 1, size), *turned))
        values.append(attention.v_proj(y).view(groups, 1, size))
        both = [torch.cat(part, 1).repeat_interleave(heads // groups, 0) for part in (keys, values)]
        x = x + attention.o_proj(F.scaled_dot_product_attention(queries, *both).reshape(-1))
        states = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.model.norm(states)


@torch.no_grad()
def test_training_sees_what_drafting_will(folder, out):
    """The states of all places and steps at once are those of a draft made token by token."""
    model = model_of(out, folder).double()
    tokens = torch.randint(0, 4096, (2, 10), generator=torch.Generator().manual_seed(1))
    features = torch.randn(2, 10, 2, 128, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    states = model.states(tokens, features, head.MEASURED)
    for steps in range(head.MEASURED):
        for place in (steps, 7, 9):
            alone = drafted_one_by_one(model, tokens[1], features[1], place, steps)
            assert torch.allclose(alone, states[steps][1, place], atol=1e-5)


def test_the_gradient_is_that_of_the_loss():
    """Against torch's own, of the divergence and the two total variations written out; by the states, and by the output rows where
    those are not the verifier's."""
    torch.manual_seed(3)
    states, weights = torch.randn(2, 70, 16, dtype=torch.double, requires_grad=True), torch.rand(2, 70).double()
    truth, rows = torch.randn(70, 12).double(), torch.randn(50, 12).double()
    own = torch.randn(30, 16, dtype=torch.double, requires_grad=True)
    log_sums, output = (truth @ rows.T).logsumexp(-1), rows[:30]
    theirs = truth @ output.T - log_sums[:, None]
    probs, mass = theirs.exp(), theirs.exp().sum(-1)
    logits = states @ own.T
    mine = torch.log_softmax(logits, -1)
    kl = (probs * (theirs - mine)).sum(-1) - mass * mass.log()
    tv = ((probs - mine.exp()).abs().sum(-1) + 1 - mass) / 2
    cool = (torch.softmax(theirs / 0.6, -1) - torch.softmax(logits / 0.6, -1)).abs().sum(-1) / 2
    expected = ((0.7 * kl + tv + 0.5 * cool) * weights).sum()
    total = disagreement(states, own, weights, truth, log_sums, output, 0.7)
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = [torch.autograd.grad(value, (states, own)) for value in (total, expected)]
    assert all(torch.allclose(*each, atol=1e-5) for each in zip(*gradients))


def test_a_quick_run_raises_the_overlap(out):
    """On held-out answers: least squares alone make a beginning, and training goes on from there, also for the last of the
    places that are reached without the verifier."""
    log = [json.loads(line) for line in (out / "state" / "head" / "log.jsonl").read_text().splitlines()]
    measured = [line for line in log if "overlap" in line]
    first, last = measured[0]["overlap"], measured[-1]["overlap"]
    assert first[0] > 0.4 and last[0] > first[0] and last[-1] > first[-1] + 0.02
    facts = json.loads((out / "pair.json").read_text())
    assert facts["drafter"] == "head" and "draft" not in facts and facts["head"]["kept_tokens"] == 400


@torch.no_grad()
def test_what_runs_is_what_was_trained(out, folder, pair):
    """Over places read and places gone on to from its own state; half precision lies between."""
    model, ids = model_of(out, folder), pair.encode("What is 3 + 4?", "chat")
    seen = pair.verifier.session().forward(ids, features=(1, 2))
    session, features = pair.head.session(), {layer: states[:-1] for layer, states in seen.features.items()}
    session.read(ids[1:6], {layer: states[:5] for layer, states in features.items()})
    logits = session.read(ids[6:-1], {layer: states[5:-1] for layer, states in features.items()})
    whole = torch.stack([features[layer] for layer in (1, 2)], 1)[None]
    states = model.states(torch.tensor([ids[1:]]), whole, 2)
    for state, mine in ((states[0][0, -2], logits), (states[1][0, -1], session.go_on(ids[-1]))):
        expected = torch.softmax(model.lm_head.weight @ state, -1)
        assert (expected - torch.softmax(mine, -1)).abs().max() < 3e-3


def test_forgetting_is_as_if_it_had_not_been(pair):
    """What follows a refused draft is what follows the text alone."""
    tokens = pair.encode("Tom has 3 apples.", "chat")
    states = pair.verifier.session().forward(tokens, features=pair.head.reads).features
    fresh, used = pair.head.session(), pair.head.session()
    used.read(tokens[1:5], {layer: part[:4] for layer, part in states.items()})
    for token in (7, 8, 9):
        used.go_on(token)
    used.rollback(4)
    again = used.read(tokens[5:], {layer: part[4:-1] for layer, part in states.items()})
    assert torch.allclose(
        again, fresh.read(tokens[1:], {layer: part[:-1] for layer, part in states.items()}), atol=1e-4
    )
    assert used.length == fresh.length == len(tokens) - 1


def test_a_batch_and_a_trace_say_the_same(pair, folder):
    """Lanes alone, in a batch and verified from their trace make the same choices, with a block rule among them; and the
    exact laws can be had again."""
    lanes = [settings_of(spec, drafter=DRAFTER, max_new_tokens=30, seed=5) for spec in ("sps", "block", "plain")]
    prompt = pair.encode("What is 3 + 4?", "chat")
    alone = [rounds_of(pair, prompt, lane) for lane in lanes]
    together = {i: [] for i in range(len(lanes))}
    for i, result in batch.decode(pair, [(prompt, lane) for lane in lanes]):
        together[i].append(result)
    for i, rounds in enumerate(alone):
        assert [*map(choices, rounds)] == [*map(choices, together[i])]
    assert len(alone[0][0].draft) == 4, "the first round drafts as well"
    trace = run(pair, "What is 3 + 4?", lanes, style="chat").finish()
    assert trace.models["head"].revision == pair.head.revision
    assert verify(trace, pair)[0]


def test_it_stops_where_it_is_unsure(pair):
    """A draft goes on behind a place only where the likeliest token had the probability asked for, and stops otherwise."""
    sure = replace(DRAFTER, confidence=0.3)
    prompt = pair.encode("What is 3 + 4?", "chat")
    asked = {"sampling": Sampling(), "max_new_tokens": 80, "draft_length": 6}
    rounds = rounds_of(pair, prompt, settings_of("sps", drafter=sure, **asked))
    lengths = set()
    for round_ in rounds[:-2]:
        peaks = [float(law.max()) for law in round_.draft.probs]
        lengths.add(len(peaks))
        assert all(peak >= 0.3 for peak in peaks[:-1])
        assert len(peaks) == 6 or peaks[-1] < 0.3 or round_.draft.tokens[-1] in pair.stop_tokens
    assert len(lengths) > 1


@pytest.mark.parametrize("rule", ["sps", "block"])
@pytest.mark.parametrize("confidence", [0.0, 0.5])
def test_texts_follow_the_verifiers_law(rule, confidence):
    """Exactly, over all that the random numbers may do, whether drafts are whole or stop where the head is unsure."""
    drafter = replace(DRAFTER, confidence=confidence)
    settings = settings_of(rule, drafter=drafter, draft_length=2, max_new_tokens=3)
    made = law(table_pair(3, exact=True), (0, 1, 0), settings)
    assert made.deviation < 1e-9 and made.accepted > 0.4


def test_a_pair_without_a_head_says_so():
    pair = replace(backends.load_pair("small"), head=None)
    refusal = DRAFTER.refusal(None, pair)
    assert refusal == (
        "The drafter head needs a head trained for its verifier, and small/verifier comes without one: "
        "see `specviz train --head`."
    )
    with pytest.raises(ValueError, match="comes without one"):
        run(pair, "Once", [settings_of("sps", drafter=DRAFTER)])


def test_a_head_of_another_verifier_is_refused(out, folder, tmp_path):
    """One that reads layers which are not there, or lacks a tensor: a sentence."""
    import shutil

    from specviz.backends.head import LlamaHead

    verifier = backends.load(str(folder))
    odd = tmp_path / "head"
    shutil.copytree(out / "head", odd)
    config = json.loads((odd / "config.json").read_text())
    config["specviz"]["reads"] = [1, 9]
    (odd / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="reads layer 9"):
        LlamaHead(odd, verifier)
    with pytest.raises(ModelError, match="lacks"):
        LlamaHead(folder, verifier)


def test_texts_are_had_again(out, folder, tmp_path):
    """Saved as words alone and read again by the verifier they give the shards that they came from."""
    file, known = tmp_path / "written.npz", shards.Shards(out / "state" / "written")
    assert texts.main([str(out / "state" / "written"), str(file)]) == 0
    again = shards.Shards(tmp_path / "written", known.revision or "any")
    readings = reading.Readings(again, (1, 2), tmp_path / "states")
    teacher = teachers.of(backends.load(str(folder)), Weights(folder), torch.device("cpu"))
    texts.add([file], teacher, again, readings)
    assert [entry.tokens.tolist() for entry in again.entries] == [entry.tokens.tolist() for entry in known.entries]
    some = slice(3, 8)
    kept = reading.Readings(known, (1, 2), out / "state" / "states")
    for one, other in ((again, known), (readings, kept)):
        for mine, theirs in zip(one.batch(one.entries[some]), other.batch(other.entries[some])):
            assert (mine.float() - theirs.float()).norm() < 0.02 * theirs.float().norm()  # bfloat16 where that is fast
    with pytest.raises(ValueError, match="holds no texts"):
        texts.load(out / "pair.json")


def test_a_head_goes_on(out, folder, tmp_path, monkeypatch):
    """Begun with a head that was trained, on the texts that it was measured on: it agrees as that did at its end, and learns from
    there, with its tokens and layers. What the folder says is not said again, and what is no head, or one for another kind, is told."""
    monkeypatch.setattr(shards, "HELD_OUT", 5)
    assert texts.main([str(out / "state" / "written"), str(tmp_path / "written.npz")]) == 0
    more = ["--verifier", folder, "--quick", "--texts", tmp_path / "written.npz", "--tokens", 100, "--draft-steps", 2]
    begun, new = ["--begin", out / "head"], ["--out", tmp_path / "new"]
    for options, words in (
        ([*begun, "--head", "--layers", 0], "leave it out"),
        (begun, "is of a training by --head"),
        (["--begin", folder, "--head"], "holds no draft, head or exit"),
    ):
        with pytest.raises(ValueError, match=words):
            training.run(arguments(*more, *options, *new))
    assert training.run(arguments(*more, *begun, "--head", *new)) == 0
    curves = [json.loads((made / "pair.json").read_text())["head"]["curve"] for made in (out, tmp_path / "new")]
    assert curves[1][0]["overlap"] == pytest.approx(curves[0][-1]["overlap"], abs=0.02)
    kept = [Weights(made / "head", backends.load(str(folder))).kept for made in (out, tmp_path / "new")]
    assert torch.equal(*kept) and curves[1][-1]["step"] == 2
    assert (tmp_path / "new" / "head" / "config.json").read_text() == (out / "head" / "config.json").read_text()


def test_agreement_is_measured_of_any_drafter(pair, tmp_path, capsys, monkeypatch):
    """The overlap that is printed is that of the laws at every place, and the places of a draft each have their own."""
    monkeypatch.setattr(agreement, "LONGEST", 12)
    monkeypatch.setattr(agreement, "LENGTHS", (2,))
    (tmp_path / "asked.txt").write_text("What is 3 + 4?\nSort 5 2 9.\n")
    monkeypatch.setattr(backends, "load_pair", lambda name: pair)
    monkeypatch.setattr(backends, "dedicate_process", lambda pair: None)
    assert agreement.main(["--prompts", str(tmp_path / "asked.txt")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("head:confidence=0.4,tokens=drawn: 2 prompts") and "A drafted token costs " in said
    settings = settings_of("plain", max_new_tokens=12)
    jobs = agreement.jobs(pair, ["What is 3 + 4?"], settings)
    prompt, text = jobs[0][0], batch.write(pair, jobs)[0].tokens
    seen = pair.verifier.session().forward([*prompt, *text[:-1]], features=pair.head.reads)
    laws, session = [], pair.head.session()
    for place in range(len(text)):
        first, last = session.length, len(prompt) + place - 1
        states = {layer: part[first:last] for layer, part in seen.features.items()}
        logits = session.read([*prompt, *text][first + 1 : last + 1], states)
        laws.append(torch.zeros(4096).index_copy_(0, pair.head.kept, dists.to_probs(logits, Sampling())))
    truth = torch.softmax(seen.logits[-len(text) :], -1)
    expected = torch.minimum(truth, torch.stack(laws)).sum(-1).mean().item()
    assert agreement.overlap(pair, jobs, DRAFTER)[0].value == pytest.approx(expected, abs=1e-4)
