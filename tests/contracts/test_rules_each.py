"""What is special to single rules."""

import math

import pytest
import torch

from specviz import rules
from specviz.prob import dists
from specviz.sums.sorted_rows import SortedRows
from tests.support.rule_cases import all_pairs, hard_pairs, judge_every_token, law_by_brute_force, random_pairs

both_solvers = pytest.mark.parametrize("solver", ["taylor", "exact"])


def lifted_kl(prob, lifted):
    """KL of the lifted target against the verifier, which only depends on two numbers."""
    return torch.special.xlogy(lifted, lifted / prob) + torch.special.xlogy(1 - lifted, (1 - lifted) / (1 - prob))


@both_solvers
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cactus_without_a_budget_is_sps(solver, dtype):
    """delta = 0 gives bit for bit the verdicts of sps, on every pair and every token."""
    verifier, draft = all_pairs(dtype)
    strict = judge_every_token(rules.make("sps"), verifier, draft)
    cactus = judge_every_token(rules.make("cactus", delta=0, solver=solver), verifier, draft)
    assert torch.equal(strict[0], cactus[0]) and torch.equal(strict[1], cactus[1])
    full = rules.make("cactus", delta=0, solver=solver).accept_probs(verifier, draft)
    assert torch.equal(full, rules.make("sps").accept_probs(verifier, draft))


def test_cactus_worked_example():
    """The repository's example: verifier .35 is lifted to .66 for 0.20 nats, so acceptance goes from 44 % to 82 %."""
    verifier = torch.tensor([0.35, 0.30, 0.20, 0.15], dtype=torch.float64)
    draft = torch.tensor([0.80, 0.10, 0.05, 0.05], dtype=torch.float64)
    token = torch.tensor(0)
    assert float(rules.make("sps").judge(verifier, draft, token).accept_prob) == pytest.approx(0.44, abs=0.005)
    cost = float(lifted_kl(verifier[0], torch.tensor(0.66, dtype=torch.float64)))
    assert cost == pytest.approx(0.20, abs=0.005)
    rule = rules.make("cactus", delta=cost, solver="exact")
    assert float(rule.lifted(verifier[0])) == pytest.approx(0.66, abs=1e-12)
    assert float(rule.judge(verifier, draft, token).accept_prob) == pytest.approx(0.82, abs=0.006)
    target = rule.target_probs(verifier, draft, token)
    assert torch.allclose(target, torch.tensor([0.66, *(0.34 / 0.65 * verifier[1:])], dtype=torch.float64), atol=1e-12)
    assert float(rules.make("cactus", delta=cost).lifted(verifier[0])) == pytest.approx(0.65, abs=0.005)


def grid():
    """Probabilities across all magnitudes, with 0 and 1."""
    inside = torch.cat(
        [torch.logspace(-300, -1, 100, dtype=torch.float64), torch.linspace(0.1, 0.999, 200, dtype=torch.float64)]
    )
    near_one = 1 - torch.logspace(-15, -2, 40, dtype=torch.float64)
    return torch.cat(
        [torch.tensor([0.0, 5e-324, 1e-310], dtype=torch.float64), inside, near_one, torch.ones(1, dtype=torch.float64)]
    )


@pytest.mark.parametrize("delta", [0.0, 1e-15, 1e-9, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0])
def test_exact_cactus_spends_its_budget_exactly(delta):
    """The exact lift costs delta nats to 1e-12, or reaches 1 where even that costs no more; it never lowers a token."""
    prob = grid()
    lifted = rules.make("cactus", delta=delta, solver="exact").lifted(prob)
    whole = -prob.log() <= delta
    assert bool((lifted[whole] == 1).all()) and bool((lifted >= prob).all()) and bool((lifted <= 1).all())
    between = ~whole & (prob > 1e-300)
    assert (lifted_kl(prob[between], lifted[between]) - delta).abs().max() < 1e-12
    assert float(lifted[0]) == 0 and float(lifted[-1]) == 1


def test_taylor_cactus_overspends_only_above_one_half():
    """The approximated lift stays within delta wherever g <= 0.5 (Cactus, Cor. 6), and exceeds it somewhere above."""
    prob = grid()[1:-1]
    exceeded = False
    for delta in (1e-4, 0.01, 0.1, 0.3, 1.0, 3.0):
        lifted = rules.make("cactus", delta=delta).lifted(prob)
        cost = lifted_kl(prob, lifted)
        assert bool((cost[lifted <= 0.5] <= delta + 1e-12).all())
        exceeded |= bool((cost[lifted > 0.5] > delta + 1e-3).any())
    assert exceeded


@both_solvers
def test_cactus_can_diverge_by_more_than_delta(solver):
    """KL(output law || verifier) is not bounded by delta: the lifts of different tokens add up."""
    verifier, draft = random_pairs(300, 6, 1)
    law = law_by_brute_force(rules.make("cactus", delta=0.05, solver=solver), verifier, draft)
    assert dists.kl(law, verifier).max() > 0.06


@both_solvers
def test_cactus_law_on_a_large_vocabulary(solver):
    """The sorted sums agree with judging every token on 400 tokens, for small and large budgets."""
    verifier, draft = random_pairs(10, 400, 11)
    for delta in (1e-4, 0.01, 0.3):
        rule = rules.make("cactus", delta=delta, solver=solver)
        assert (rule.output_law(verifier, draft) - law_by_brute_force(rule, verifier, draft)).abs().max() < 1e-12


def test_mentored_meets_its_budget():
    """KL(target || verifier) is the budget to 1e-10, or that of the draft where the budget is more than enough."""
    for verifier, draft in (random_pairs(200, 6, 12), random_pairs(50, 300, 13), hard_pairs()):
        for budget in (1e-6, 1e-3, 0.05, 0.2, 1.0, 5.0):
            target = rules.make("mentored", budget=budget).output_law(verifier, draft)
            spent, needed = dists.kl(target, verifier), dists.kl(draft, verifier)
            assert spent.max() < budget + 1e-10
            assert torch.equal(target[needed <= budget * (1 - 1e-9)], draft[needed <= budget * (1 - 1e-9)])
            ruled_out = torch.where(verifier > 0, 0.0, draft).sum(-1) > 0
            assert (spent - needed.clamp_max(budget)).abs()[~ruled_out].max() < 1e-10
    assert torch.equal(rules.make("mentored", budget=0).output_law(verifier, draft), verifier)


def test_mentored_is_a_clip():
    """The target is the draft clipped between two multiples of the verifier, one at most 1 and one at least 1."""
    verifier, draft = (probs.numpy() for probs in random_pairs(100, 30, 14))
    for q, p in zip(verifier, draft, strict=True):
        path = SortedRows(q, p).clips
        for moved in (0.1 * path.most, 0.5 * path.most, 0.99 * path.most):
            _, _, low, high = path.bounds(moved)
            target = path.target(moved)[0]
            assert low <= 1 <= high
            assert abs(target - p.clip(low * q, high * q)).max() < 1e-15
            assert abs(target.sum() - 1) < 1e-12 and abs(abs(target - p).sum() / 2 - moved) < 1e-12


def test_mentored_where_the_verifier_rules_the_draft_out():
    """Draft mass on impossible tokens always goes; what is left is the best, even with no budget limit in reach."""
    verifier = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    draft = torch.tensor([0.6, 0.1, 0.3, 0.0], dtype=torch.float64)
    target = rules.make("mentored", budget=10).output_law(verifier, draft)
    assert torch.allclose(target, torch.tensor([0.6, 0.4, 0.0, 0.0], dtype=torch.float64))
    assert float(rules.make("mentored", budget=10).acceptance(verifier, draft)) == pytest.approx(0.7, abs=1e-12)


def test_sampler_match_accepts_the_overlap_of_two_draws():
    """It accepts sum draft verifier, the chance that two independent draws agree, which sps never falls below."""
    verifier, draft = all_pairs()
    acceptance = rules.make("sampler_match").acceptance(verifier, draft)
    assert torch.allclose(acceptance, (verifier * draft).sum(-1), atol=1e-15)
    assert bool((rules.make("sps").acceptance(verifier, draft) >= acceptance - 1e-12).all())


def test_sps_accepts_one_minus_total_variation():
    """Leviathan 2023, Thm 3.5 and Cor. 3.6."""
    verifier, draft = all_pairs()
    assert torch.allclose(rules.make("sps").acceptance(verifier, draft), 1 - dists.tv(verifier, draft), atol=1e-12)


@pytest.mark.parametrize(
    "spec", ["interpolation:alpha=0", "lenience:factor=1", "cactus:delta=0", "mentored:budget=0", "fuzzy:threshold=0"]
)
def test_the_strict_end_of_a_knob_is_sps(spec):
    """At the strict end of its knob a lossy rule judges as sps does."""
    verifier, draft = all_pairs()
    one, other = (judge_every_token(rules.parse(text), verifier, draft) for text in (spec, "sps"))
    assert torch.allclose(one[0], other[0], atol=1e-12) and torch.allclose(one[1], other[1], atol=1e-9)


@pytest.mark.parametrize(
    "spec", ["interpolation:alpha=1", "cascade_opt:alpha=1", "cascade_token:alpha=1", "fuzzy:threshold=1"]
)
def test_the_loose_end_of_a_knob_keeps_everything(spec):
    """At the loose end of its knob the draft is always kept, so the draft's own distribution is written."""
    verifier, draft = all_pairs()
    rule = rules.parse(spec)
    if spec == "cascade_opt:alpha=1":  # max verifier - max draft = TV is possible, and then rounding decides
        apart = (verifier.amax(-1) - draft.amax(-1) - dists.tv(verifier, draft)).abs() > 1e-12
        verifier, draft = verifier[apart], draft[apart]
    assert torch.allclose(rule.acceptance(verifier, draft), torch.ones(len(draft), dtype=torch.float64), atol=1e-12)
    assert torch.allclose(rule.output_law(verifier, draft), draft, atol=1e-12)


def test_tas_by_hand():
    """Entropy of (1/2, 1/4, 1/4) is 1.5 ln 2, so alpha = 0.8 puts the bar at 0.8 / 2^1.5 = 0.283, unless epsilon is lower."""
    verifier = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    draft = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    keeps = lambda **knobs: judge_every_token(rules.make("tas", **knobs), verifier, draft)[0].tolist()  # noqa: E731
    assert keeps(alpha=0.8, epsilon=1.0) == [1, 0, 0]
    assert keeps(alpha=0.7, epsilon=1.0) == [1, 1, 1]
    assert keeps(alpha=0.8, epsilon=0.25) == [1, 0, 0]  # the bar itself must be exceeded
    assert keeps(alpha=0.8, epsilon=0.24) == [1, 1, 1]
    greedy = rules.make("tas", alpha=0.8, epsilon=1.0).output_law(verifier, draft)
    drawn = rules.make("tas", alpha=0.8, epsilon=1.0, fallback="sample").output_law(verifier, draft)
    assert torch.allclose(greedy, torch.tensor([1.0, 0, 0], dtype=torch.float64))
    assert torch.allclose(drawn, torch.tensor([0.6, 0.2, 0.2], dtype=torch.float64))


def test_top_k_by_hand():
    """Ties at rank k are all kept; a refused token goes to the top k in proportion to 1 - draft; impossible tokens are never kept."""
    verifier = torch.tensor([0.4, 0.3, 0.3, 0.0], dtype=torch.float64)
    draft = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    accept, residual = judge_every_token(rules.make("top_k", k=2), verifier, draft)
    assert accept.tolist() == [1, 1, 1, 0]
    assert torch.allclose(residual[3], torch.tensor([0.9, 0.8, 0.7, 0.0], dtype=torch.float64) / 2.4)
    assert judge_every_token(rules.make("top_k", k=1000), verifier, draft)[0].tolist() == [1, 1, 1, 0]
    assert judge_every_token(rules.make("top_k", k=2.0), verifier, draft)[0].tolist() == [1, 1, 1, 0]


def test_cascades_by_hand():
    """OPT defers on confidence against alpha times TV; the token rule trusts the draft on the verifier's near favourites."""
    verifier = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    draft = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)  # TV 0.4, confidence 0.5 against 0.6
    assert torch.equal(rules.make("cascade_opt", alpha=0.2).output_law(verifier, draft), verifier)
    assert torch.equal(rules.make("cascade_opt", alpha=0.3).output_law(verifier, draft), draft)
    law = rules.make("cascade_token", alpha=0.5).output_law(verifier, draft)
    assert torch.allclose(law, torch.tensor([0.2 + 0.5 * 0.6, 0.3 + 0.5 * 0.3, 0.5 * 0.1], dtype=torch.float64))


def test_fuzzy_by_hand():
    """JS of two disjoint distributions is ln 2, the largest there is, so the draft is kept only above that threshold."""
    verifier, draft = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert torch.equal(rules.make("fuzzy", threshold=math.log(2) - 1e-9).output_law(verifier, draft), verifier)
    assert torch.equal(rules.make("fuzzy", threshold=math.log(2) + 1e-9).output_law(verifier, draft), draft)


def test_exact_match_by_hand():
    """Only the verifier's favourite is ever written, and a tie goes to the first."""
    verifier = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)
    draft = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64)
    assert rules.make("exact_match").output_law(verifier, draft).tolist() == [1, 0, 0]
    assert float(rules.make("exact_match").acceptance(verifier, draft)) == pytest.approx(0.3)
