"""A draft that throws away what it drew: its exact law, by the loop run through everything, and what is exact instead."""

from __future__ import annotations

import pytest
import torch

from specviz.drafters import model as drafter
from specviz.drafters.asks import Look
from specviz.prob import dists
from specviz.study import stopping
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.runs import settings_of

DRAFT, VERIFIER = (torch.tensor(p, dtype=torch.float64) for p in ((0.5, 0.3, 0.15, 0.05), (0.3, 0.2, 0.2, 0.3)))


def test_the_example_of_the_docs():
    """Tokens below 0.2 are thrown away: the law is (.36, .24, .09, .31), 0.11 away from the verifier's."""
    biased = stopping.discarding(DRAFT, VERIFIER, 0.2)
    assert biased.tolist() == pytest.approx([0.36, 0.24, 0.09, 0.31], abs=1e-12)
    assert stopping.bias(DRAFT, VERIFIER, 0.2).tv == pytest.approx(0.11, abs=1e-12)
    assert stopping.bias(DRAFT, VERIFIER, 0.2).thrown_away == pytest.approx(0.2, abs=1e-12)
    for exact in (stopping.kept(DRAFT, VERIFIER), stopping.repaired(DRAFT, VERIFIER, 0.2)):
        assert torch.allclose(exact, VERIFIER, atol=1e-12)


def test_what_is_exact_is_exact_for_any_two_laws():
    """500 random pairs and thresholds; with nothing to throw away discarding is exact too, and with all of it."""
    generator = torch.Generator().manual_seed(0)
    laws = torch.distributions.Dirichlet(torch.full((7,), 0.5, dtype=torch.float64))
    torch.manual_seed(0)
    draft, verifier = laws.sample((500,)), laws.sample((500,))
    for least in torch.rand(5, generator=generator).tolist():
        assert torch.allclose(stopping.repaired(draft, verifier, least), verifier, atol=1e-12)
        biased = stopping.discarding(draft, verifier, least)
        assert torch.allclose(biased.sum(-1), torch.ones(500, dtype=torch.float64)) and biased.min() >= 0
        assert dists.tv(biased, verifier).max() > 0.01
    assert torch.allclose(stopping.kept(draft, verifier), verifier, atol=1e-12)
    for least in (0.0, 1.01):
        assert torch.allclose(stopping.discarding(draft, verifier, least), verifier, atol=1e-12)


@pytest.mark.parametrize("tokens", ["drawn", "chosen"])
def test_the_loop_writes_that_law_if_its_drafter_discards(monkeypatch, tokens):
    """A drafter that draws, looks and discards gives the first token the law of `discarding`, to the last digits; one that
    chooses its tokens may discard them, since nothing was drawn."""

    async def propose(self, text, draft):
        looked = await Look(self._session, text[self._session.length :], 1, draft.sampling, draft.vocabulary)
        before = len(draft)
        draft.take(looked.probs[0], tokens == "chosen")
        if draft._confidence[-1] < 0.25:
            for column in (draft._tokens, draft._parents, draft._depths, draft._branches, draft._probs):
                del column[before:]
            del draft._provenance[before:], draft._confidence[before:]

    monkeypatch.setattr(drafter.ModelProposer, "propose", propose)
    pair, prompt = table_pair(4, exact=True), (0, 1, 0)
    found = law(pair, prompt, settings_of("sps", max_new_tokens=2, draft_length=1))
    draft, verifier = pair.draft.probs(prompt), pair.verifier.probs(prompt)
    expected = stopping.discarding(draft, verifier, 0.25) if tokens == "drawn" else verifier
    for token in range(4):
        assert found.written[(token,)] == pytest.approx(float(expected[token]), abs=1e-12)
    assert (dists.tv(expected, verifier) > 0.01) == (tokens == "drawn")
