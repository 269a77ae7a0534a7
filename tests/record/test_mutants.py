"""What `check` lets in, everything else can use: a recorded trace, changed anywhere, is refused in a sentence or works."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.record.trace import Trace
from tests.conftest import run
from tests.support.mutants import is_sentence, mutant, use
from tests.support.runs import settings_of


@pytest.fixture(scope="module")
def short(pair):
    """The data of a short run of two lanes."""
    lanes = [settings_of(rule, max_new_tokens=6, seed=3) for rule in ("sps", "cactus:delta=0.5")]
    return json.loads(run(pair, "One day", "tiny", lanes).to_json())


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32))
def test_a_changed_trace_is_refused_in_a_sentence_or_works_everywhere(short, pair, tmp_path_factory, seed):
    try:
        trace = Trace.from_json(mutant(random.Random(seed), short))
    except ValueError as error:
        assert is_sentence(str(error)), error
        return
    use(trace, pair, tmp_path_factory.getbasetemp() / "mutant.html")
