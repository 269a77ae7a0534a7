"""What a verifier writes behind the tags of its pair."""

from __future__ import annotations

import pytest
import torch

from specviz import tasks
from specviz.backends.weights import HEAD, Weights
from specviz.drafters.asks import next_probs
from specviz.training import machine, tagged, teachers
from specviz.training.shards import GIVEN, SAID, Shards
from specviz.types import Sampling

SHARES = {"task": 0.5, "tiny": 0.5}
COUNT = 1200


@pytest.fixture(scope="module")
def texts(pair):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tagged, "ROWS", 8)
        patch.setattr(tagged, "LONGEST", 64)
        teacher = teachers.of(pair.verifier, Weights(pair.facts.folder / "verifier"), torch.device("cpu"))
        return tagged.Writer(pair, teacher, SHARES, "test").write(COUNT)


def test_texts_begin_as_prompts_do(pair, texts):
    """With a tag; questions are of those that training may see, and stories go on from what was written before, or from the tag
    alone. Each style has its share of the tokens, but for the last texts."""
    opening = {style: pair.encode("a", style)[:2] for style in SHARES}
    begun = {style: [text for text in texts if text.tokens[:2] == opening[style]] for style in SHARES}
    assert sum(map(len, begun.values())) == len(texts) and min(map(len, begun.values())) > 5
    for text in begun["task"]:
        prompt = pair.tokenizer.decode(text.tokens[2 : text.roles.count(GIVEN)])
        assert not tasks.held_out(prompt) and text.roles.count(GIVEN) > 10
    stories = [text.tokens[2:] for text in begun["tiny"]]
    beginnings = [text.tokens[2 : text.roles.count(GIVEN)] for text in begun["tiny"]]
    assert [] in beginnings and max(map(len, beginnings)) > 3
    for own, given in zip(stories, beginnings):
        assert not given or any(story[: len(given)] == given for story in stories if story is not own)
    written = {style: sum(text.roles.count(SAID) for text in some) for style, some in begun.items()}
    assert abs(written["task"] - written["tiny"]) < COUNT / 4 and sum(written.values()) > COUNT / 2


def test_shards_hold_the_verifiers_law_and_a_run_goes_on(pair, tmp_path, monkeypatch):
    """What is kept of a token is the verifier's law there; a folder that has enough is left as it is, and one seed gives one text."""
    monkeypatch.setattr(machine, "number_type", lambda device: torch.float32)
    monkeypatch.setattr(tagged, "ROWS", 4)
    monkeypatch.setattr(tagged, "LONGEST", 96)
    monkeypatch.setattr(tagged.backends, "load_pair", lambda name: pair)
    monkeypatch.setattr(tagged.backends, "dedicate_process", lambda pair: None)
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        for _ in range(2):
            assert tagged.main(["small", str(folder), "--tokens", "250"]) == 0
    one, other = map(Shards, folders)
    assert [entry.tokens.tolist() for entry in one.entries] == [entry.tokens.tolist() for entry in other.entries]
    assert one.written >= 250 and one.revision is None and len(one) <= 3
    entry = one.entries[0]
    tokens, _, states, log_sums = one.batch([entry])
    given = int((entry.roles == GIVEN).sum())
    laws = next_probs(
        pair.verifier, tokens[0, :given].tolist(), entry.tokens[given:].tolist(), Sampling(), pair.vocabulary
    )
    head = Weights(pair.facts.folder / "verifier")[HEAD]
    kept = (states.float() @ head.T - log_sums[:, None]).exp()
    assert torch.allclose(kept, laws, atol=1e-2)
