"""Probabilities from logits, and the distances between them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.prob import dists
from specviz.types import ModelError, Sampling

INF = float("inf")


def normalised(weights):
    total = sum(weights)
    return [weight / total for weight in weights]


def by_hand(logits, sampling):
    """Temperature, top-k, top-p in plain Python on one row."""
    if sampling.temperature == 0:
        best = max(range(len(logits)), key=lambda i: logits[i])
        return [float(i == best) for i in range(len(logits))]
    top = max(logits)
    weights = [math.exp((x - top) / sampling.temperature) if x > -INF else 0.0 for x in logits]
    probs = normalised(weights)
    if 0 < sampling.top_k < len(probs):
        kth = sorted(probs, reverse=True)[sampling.top_k - 1]
        probs = [p if p >= kth else 0.0 for p in probs]
        probs = normalised(probs)
    if sampling.top_p < 1:
        order, total, floor = sorted(probs, reverse=True), 0.0, 0.0
        for p in order:
            if total >= sampling.top_p:
                break
            floor, total = p, total + p
        probs = [p if p >= floor else 0.0 for p in probs]
        probs = normalised(probs)
    return probs


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(2, 400),
    temperature=st.sampled_from([0.0, 1e-6, 0.3, 0.6, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 2, 20, 1000]),
    top_p=st.sampled_from([1e-9, 0.3, 0.95, 0.999, 1.0]),
    masked=st.booleans(),
)
def test_to_probs_is_the_definition(seed, size, temperature, top_k, top_p, masked):
    """The vectorised transforms equal the definition, row by row, -inf logits included."""
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(3, size, generator=generator)).double()
    if masked:
        logits[:, 1::2] = -INF
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    probs = dists.to_probs(logits, sampling)
    for row, given_logits in zip(probs.tolist(), logits.tolist()):
        assert row == pytest.approx(by_hand(given_logits, sampling), abs=1e-9)


def test_half_precision_logits_become_float32():
    """Probabilities are float32 or better whatever the model computes in."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert dists.to_probs(torch.randn(4).to(dtype), Sampling()).dtype == torch.float32
    assert dists.to_probs(torch.randn(4).double(), Sampling()).dtype == torch.float64


@pytest.mark.parametrize("row", [[0.0, float("nan")], [0.0, INF], [-INF, -INF]])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.6), Sampling(1.0, top_k=1), Sampling(0.6, 1, 0.9)])
def test_broken_logits_raise(row, sampling):
    """NaN, +inf and rows without any finite logit are refused with a sentence."""
    with pytest.raises(ModelError, match="not finite"):
        dists.to_probs(torch.tensor(row), sampling)


@pytest.mark.parametrize("top_k, top_p", [(20, 1.0), (20, 0.95), (300, 0.95), (0, 0.95), (0, 0.9999)])
def test_long_rows_are_the_definition(top_k, top_p):
    """Rows of 20,032 logits: those whose top-p takes a few, hundreds and most of the tokens, and with ties at the edge of
    top-k, which are all kept."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 20_032, generator=generator).double() * torch.tensor([[12.0], [4.0], [2.0], [0.5]])
    logits[0, logits[0].topk(30).indices[10:]] = logits[0].topk(15).values[-1]
    sampling = Sampling(0.6, top_k, top_p)
    probs = dists.to_probs(logits, sampling)
    for row, given_logits in zip(probs, logits.tolist()):
        wanted = torch.tensor(by_hand(given_logits, sampling), dtype=torch.float64)
        torch.testing.assert_close(row.double(), wanted, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1000, 6400, 6401, 49_152]),
    levels=st.sampled_from([3, 40, 10**6]),
    count=st.sampled_from([1, 2, 21, 65, 256]),
)
def test_the_likeliest_of_long_rows(seed, size, levels, count):
    """By blocks as by `topk`: the same values, falling, each found where it is said to be and no place twice, however many are tied."""
    rows = torch.randint(levels, (2, 2, size), generator=torch.Generator().manual_seed(seed)).float()
    values, places = dists.likeliest(rows, count)
    assert torch.equal(values, rows.topk(count, -1).values)
    assert torch.equal(rows.gather(-1, places), values)
    assert all(len(set(row)) == count for row in places.flatten(0, 1).tolist())


def test_rows_over_the_tokens_with_mass_alone():
    """Narrowed rows are the same numbers at the tokens that any row has mass at; wide ones and short ones are left alone."""
    probs = torch.zeros(2, 3, 5000)
    probs[0, 1, 7] = probs[1, 2, 4999] = 1.0
    other = torch.zeros(3, 5000)
    other[:, 42] = 1.0
    tokens, rows = dists.narrowed(probs, other)
    assert tokens.tolist() == [7, 42, 4999]
    assert torch.equal(rows[0], probs[..., tokens]) and torch.equal(rows[1], other[..., tokens])
    assert dists.narrowed(torch.full((1, 5000), 1 / 5000)) is None
    assert dists.narrowed(other, torch.full((1, 5000), 1 / 5000)) is None
    assert dists.narrowed(torch.eye(3)) is None


def test_divergences_of_known_pairs():
    """KL, TV, JS and entropy of pairs worked out by hand, zeros and disjoint supports included."""
    half, one = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.0, 0.0]).double()
    assert float(dists.kl(one, half)) == pytest.approx(math.log(2))
    assert float(dists.kl(half, one)) == INF
    assert float(dists.kl(half, half)) == 0
    assert float(dists.tv(one, 1 - one)) == 1
    assert float(dists.js(one, 1 - one)) == pytest.approx(math.log(2))
    assert float(dists.entropy(half)) == pytest.approx(math.log(2)) and float(dists.entropy(one)) == 0


def test_residual_falls_back_to_the_target():
    """norm(max(target - draft, 0)), and the target itself where that has no mass."""
    draft, target = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.5, 0.3])
    assert dists.residual(target, draft).tolist() == pytest.approx([0, 0.6, 0.4])
    assert torch.equal(dists.residual(target, target), target)


def test_the_race_draws_from_the_distribution():
    """Frequencies of 40,000 draws lie within 5 standard errors of the probabilities; false alarm below 4e-6."""
    probs = torch.tensor([0.5, 0.25, 0.2, 0.05, 0.0])
    noise = torch.empty(40_000, 5).exponential_(generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(dists.draw(probs, noise), minlength=5) / 40_000
    error = (probs * (1 - probs) / 40_000).sqrt()
    assert bool(((counts - probs).abs() <= 5 * error).all()) and counts[4] == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"top_k": 2.5},
        {"temperature": "hot"},
    ],
)
def test_sampling_out_of_range_says_what_is_allowed(bad):
    """Out-of-range sampling knobs raise a ValueError that names the knob and its range."""
    name = next(iter(bad))
    with pytest.raises(ValueError, match=f"{name} must be"):
        Sampling(**bad)


def test_a_cool_cut_by_the_likeliest_is_that_by_all():
    """At a low temperature top-p is cut by way of the few likeliest tokens: the same tokens stay, with the same probabilities, as by
    way of them all; where the others' mass could matter, all are looked at."""
    generator, taken = torch.Generator().manual_seed(5), 0
    for spread in (1.0, 3.0):
        logits = spread * torch.randn(12, 5000, generator=generator, dtype=torch.float64)
        for top_p, temperature in ((0.3, 0.3), (0.9, 0.2), (0.9, 0.3), (0.999, 0.05)):
            sampling = Sampling(temperature, top_p=top_p)
            probs = torch.softmax(logits / temperature, -1)
            ordered = probs.sort(-1, descending=True).values
            least = ordered.gather(-1, (ordered.cumsum(-1) - ordered < top_p).sum(-1, keepdim=True) - 1)
            expected = dists.normalise(probs.where(probs >= least, 0.0))
            for row, wanted in zip(logits, expected):
                assert torch.allclose(dists.to_probs(row, sampling), wanted, atol=1e-12)
                taken += dists._few_probs(row, sampling, dists.LIKELIEST) is not None
    assert 20 < taken < 90, "both ways were gone"
