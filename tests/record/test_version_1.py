"""Traces of version 1, which had neither drafters nor trees, as the code of that time wrote them: they open, are written
in version 2, and reproduce token for token with the shipped pair."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from specviz import drafters, rules
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.record.verify import verify
from tests.support.traces import signed

FILES = sorted((Path(__file__).parent / "data").glob("*.json.gz"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".json.gz"))


def text_of(path):
    return gzip.decompress(path.read_bytes()).decode()


def test_the_files_hold_what_version_1_could():
    """All rules of that time, both scopes, chosen lengths, runs that went on from others with and without a token put in,
    temperature 0, an end of text, infinite numbers."""
    texts = [text_of(path) for path in FILES]
    data = [json.loads(text) for text in texts]
    assert all(trace["version"] == 1 for trace in data)
    lanes = [lane for trace in data for lane in trace["lanes"]]
    assert all("drafter" not in lane for lane in lanes)
    assert {lane["name"] for lane in lanes} == {
        "plain", "block", "cactus", "cactus_law", "cascade_opt", "cascade_token", "exact_match", "fuzzy", "interpolation",
        "lenience", "mentored", "sampler_match", "sps", "tas", "top_k",
    }  # fmt: skip
    assert {lane["finished"] for lane in lanes} == {"length", "end of text"}
    assert "auto" in {lane["draft_length"] for lane in lanes}
    assert 0 in {trace["sampling"]["temperature"] for trace in data}
    forced = [trace["continued"]["forced"] for trace in data if trace.get("continued")]
    assert None in forced and any(token is not None for token in forced)
    assert any('"Infinity"' in text for text in texts)


@every_file
def test_a_trace_of_version_1_opens_and_becomes_one_of_version_2(path):
    """Nothing is lost: what the old file says, the new one says, and it opens as the same trace."""
    old, trace = json.loads(text_of(path)), Trace.from_json(text_of(path))
    new = json.loads(trace.to_json())
    assert new["version"] == 2 and Trace.from_json(trace.to_json()) == trace
    for lane, was in zip(trace.lanes, old["lanes"], strict=True):
        assert lane.drafter == drafters.make("model" if was["rule"] else "nothing")
        assert lane.rule == (rules.parse(was["rule"]) if was["rule"] else None)
        assert metrics.figures(lane, trace.plain())["accepted"] == sum(round_["kept"] for round_ in was["rounds"])
    for lane in new["lanes"]:
        del lane["drafter"]
    for data in (old, new):
        del data["version"], data["digest"]
        if data.get("continued") is None:
            data.pop("continued", None)
    assert old == new


@every_file
def test_a_trace_of_version_1_reproduces(pair, path):
    """Every draft, verdict and token, from the old file and from what became of it."""
    trace = Trace.from_json(text_of(path))
    for again in (trace, Trace.from_json(trace.to_json())):
        same, sentence = verify(again, pair)
        assert same and sentence.startswith("Reproduced: all"), sentence


@every_file
def test_an_edited_trace_of_version_1_is_refused(path):
    """An old trace is checked like a new one: its digest, and that its rounds agree with themselves."""
    data = json.loads(text_of(path))
    del data["digest"]
    rounds = data["lanes"][0]["rounds"]
    rounds[-1]["emitted"] = [data["prompt_tokens"][0], *rounds[-1]["emitted"][1:]]
    digest = json.loads(text_of(path))["digest"]
    with pytest.raises(ValueError, match="damaged|changed after it was saved"):
        Trace.from_json(json.dumps(data | {"digest": digest}))
    rounds[-1]["start"] += 1
    with pytest.raises(ValueError, match="damaged: .*start should be"):
        Trace.from_json(signed(data))
