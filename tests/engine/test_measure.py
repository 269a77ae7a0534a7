"""What is judged and measured over the tokens that have mass is what it is over the whole vocabulary, for every rule."""

from __future__ import annotations

import pytest
import torch

from specviz import rules
from specviz.drafters import asks
from specviz.drafters.draft import Draft
from specviz.engine.measure import Measures, Rows, measure
from specviz.prob import dists, noise
from specviz.types import Sampling

SIZE, TOKENS = 2000, 4  # vocabulary, and drafted tokens


def laws(rows: int, seed: int) -> torch.Tensor:
    """[rows, SIZE] with mass at some twelve of 40 tokens, float64."""
    logits = 2 * torch.randn(rows, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    probs = torch.zeros(rows, SIZE, dtype=torch.float64)
    probs[:, 7 : 7 + 40 * 47 : 47] = dists.to_probs(logits, Sampling(1.0, top_k=12))
    return probs


def judged(rule: rules.Rule) -> tuple[asks.Judgement, list[Measures]]:
    """The verdict on a draft, and the measures of all of its tokens."""
    verifier, draft_probs = laws(TOKENS + 1, 1), laws(TOKENS, 2)
    draft = Draft(5, TOKENS, Sampling(), noise.Noise(3), SIZE)
    for row in draft_probs:
        draft.draw(row)
    (judgement,) = asks.judge([asks.Judge(rule, draft, verifier, Sampling())])
    uniforms = torch.tensor(draft.uniforms(), dtype=torch.float64)
    rows = Rows(verifier[:-1], draft_probs, judgement.tokens, judgement.residual_probs, uniforms)
    return judgement, measure(rule, rows)


@pytest.mark.parametrize("name", rules.names())
def test_narrowing_changes_nothing(name, monkeypatch):
    """Acceptance, residuals, every measure and every probability of the slices; a slice may name fewer tokens, of those
    without mass."""
    rule = rules.make(name)
    narrowed, calls = dists.narrowed, []
    monkeypatch.setattr(dists, "narrowed", lambda *probs: calls.append(narrowed(*probs)) or calls[-1])
    few, few_measures = judged(rule)
    assert len(calls) == 2 and None not in calls
    monkeypatch.setattr(dists, "narrowed", lambda *probs: None)
    whole, whole_measures = judged(rule)
    assert few.accept_prob == pytest.approx(whole.accept_prob, abs=1e-9)
    torch.testing.assert_close(few.residual_probs, whole.residual_probs, atol=1e-9, rtol=1e-9)
    for one, other in zip(few_measures, whole_measures, strict=True):
        assert one.columns.keys() == other.columns.keys()
        for column, value in one.columns.items():
            expected = other.columns[column]
            assert (value is None and expected is None) or value == pytest.approx(expected, rel=1e-6, abs=1e-9), column
        shown, wanted = (by_token(measures.slice) for measures in (one, other))
        assert {token for token, numbers in wanted.items() if any(numbers)} <= shown.keys() <= wanted.keys()
        for token, numbers in shown.items():
            assert numbers == pytest.approx(wanted[token], abs=1e-9)


def by_token(slice_) -> dict[int, tuple[float, ...]]:
    columns = [column for column in slice_[1:] if column is not None]
    return dict(zip(slice_.tokens, zip(*columns, strict=True), strict=True))
