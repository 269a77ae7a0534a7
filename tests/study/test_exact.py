"""Curves, frontiers, gaps and flip points: each against the definition it shortens, on random and adversarial pairs."""

import itertools

import numpy as np
import pytest
import torch

from specviz import registry, rules
from specviz.prob import dists
from specviz.study import exact
from specviz.sums.sorted_rows import SortedRows
from tests.support.rule_cases import all_pairs, hard_pairs, law_by_brute_force, random_pairs, settings, steps

every_rule = pytest.mark.parametrize("name", rules.names())
every_divergence = pytest.mark.parametrize("divergence", exact.DIVERGENCES)


def numeric_knobs(name):
    """[(knob, values)] of a rule; a rule without any has a single point."""
    found = [(info["name"], steps(info)) for info in registry.knobs(rules.get(name)) if not info["choices"]]
    return found or [(None, [None])]


def divergences(law, verifier):
    """(kl, tv, reverse_kl) of an output law, by definition."""
    return dists.kl(law, verifier), dists.tv(law, verifier), dists.kl(verifier, law)


def assert_close(first, second, tolerance=1e-9):
    """Equal up to `tolerance`, absolutely below 1 and relatively above, with infinities in the same places."""
    first, second = np.asarray(first), np.asarray(second)
    same = first == second
    scale = 1 + np.abs(np.where(np.isfinite(second), second, 0))
    assert bool((same | (np.abs(np.where(same, 0, first) - np.where(same, 0, second)) <= tolerance * scale)).all())


@every_rule
def test_curves_follow_the_definitions(name):
    """Acceptance and all three divergences of `curve` equal those of output_law, at each value of each knob."""
    for verifier, draft in (all_pairs(), random_pairs(12, 200, 21)):
        for knob, values in numeric_knobs(name):
            found = exact.curve(name, knob, values, verifier, draft)
            assert found.acceptance.shape == (len(verifier), len(values))
            for k, value in enumerate(values):
                rule = rules.make(name, **({} if knob is None else {knob: value}))
                law = rule.output_law(verifier, draft)
                assert_close(found.acceptance[:, k], rule.acceptance(verifier, draft))
                for kind, expected in zip(exact.DIVERGENCES, divergences(law, verifier), strict=True):
                    assert_close(getattr(found, kind)[:, k], expected)


@every_rule
def test_curves_follow_the_definitions_at_every_setting(name):
    """A rule's shortcut through many settings at once, words included, agrees with the one that goes through every law."""
    cls, chosen = rules.get(name), settings(name)
    for verifier, draft in (random_pairs(40, 6, 22), hard_pairs()):
        for one, other in zip(verifier[::3].numpy(), draft[::3].numpy(), strict=True):
            rows = SortedRows(one, other)
            long_way = rules.Rule.curve_at.__func__(cls, rows, chosen)
            for short, plain in zip(cls.curve_at(rows, chosen), long_way, strict=True):
                assert_close(short, plain)


@every_rule
def test_curves_over_a_larger_vocabulary(name):
    """Where the sums over tokens and laws are cut into parts, and the models rule tokens out, they still add up."""
    verifier, draft = (dists.normalise(probs * (probs > 1e-6)) for probs in random_pairs(3, 9000, 39))
    knob, values = numeric_knobs(name)[0]
    found = exact.curve(name, knob, values * 3, verifier, draft)
    for k, value in enumerate(values):
        rule = rules.make(name, **({} if knob is None else {knob: value}))
        law = rule.output_law(verifier, draft)
        expected = [rule.acceptance(verifier, draft), *divergences(law, verifier)]
        for kind, result in zip(("acceptance", *exact.DIVERGENCES), expected, strict=True):
            for repeat in range(3):
                assert_close(getattr(found, kind)[:, k + repeat * len(values)], result)


def test_sorted_rows_know_how_far_they_lie_apart():
    """tv and js of a pair of sorted rows are those of the distributions."""
    verifier, draft = all_pairs()
    rows = SortedRows(verifier.numpy(), draft.numpy())
    assert_close(rows.tv[:, 0], dists.tv(verifier, draft), 1e-14)
    assert_close(rows.js[:, 0], dists.js(verifier, draft), 1e-14)


def test_many_curves_in_one_pass():
    """`curves` returns what single calls return, other knobs can be fixed, and leading dimensions are kept."""
    verifier, draft = random_pairs(6, 30, 23)
    verifier, draft = verifier.reshape(2, 3, 30), draft.reshape(2, 3, 30)
    wanted = [("cactus", "delta", [0.1, 1.0], {"solver": "exact"}), ("sps", None, [None]), ("top_k", "k", [1, 5])]
    together = exact.curves(wanted, verifier, draft)
    assert together[0].acceptance.shape == (2, 3, 2) and together[1].kl.shape == (2, 3, 1)
    alone = exact.curve("cactus", "delta", [0.1, 1.0], verifier, draft, solver="exact")
    assert np.array_equal(together[0].kl, alone.kl) and np.array_equal(together[0].acceptance, alone.acceptance)
    expected = rules.make("cactus", delta=0.1, solver="exact").output_law(verifier, draft)
    assert_close(alone.kl[..., 0], dists.kl(expected, verifier))
    assert_close(alone.mean().kl, alone.kl.reshape(6, 2).mean(0))


def test_float32_rows_are_scaled_before_use():
    """A recorded run in float32 gives the curves of the same rows in float64, and no spurious divergence."""
    verifier, draft = random_pairs(10, 500, 24)
    single = exact.curve("cactus", "delta", [0.0, 0.01, 1.0], verifier.float(), draft.float())
    double = exact.curve("cactus", "delta", [0.0, 0.01, 1.0], verifier, draft)
    assert np.abs(single.acceptance - double.acceptance).max() < 1e-5 and np.abs(single.kl - double.kl).max() < 1e-5
    assert single.kl[:, 0].max() < 1e-12


def simplex(step):
    """All distributions over three tokens with probabilities in multiples of 1/step, [n, 3]."""
    rows = [(a, b, step - a - b) for a in range(step + 1) for b in range(step + 1 - a)]
    return torch.tensor(rows, dtype=torch.float64) / step


@every_divergence
def test_frontier_is_the_best_of_all_laws(divergence):
    """On three tokens, of all laws on a fine grid none accepts more than the frontier at its divergence, and some come near.

    A rule that emits a law accepts at most sum min(draft, law), and `sps` aimed at that law reaches it.
    """
    laws = simplex(120)
    verifiers = torch.tensor(
        [[0.5, 0.3, 0.2], [0.7, 0.3, 0.0], [0.05, 0.05, 0.9], [0.0, 1.0, 0.0]], dtype=torch.float64
    )
    drafts = torch.tensor([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5], [0.6, 0.4, 0.0]], dtype=torch.float64)
    for verifier, draft in itertools.product(verifiers, drafts):
        apart = divergences(laws, verifier)[exact.DIVERGENCES.index(divergence)].numpy()
        accepts = torch.minimum(laws, draft).sum(-1).numpy()
        bound = exact.frontier(verifier, draft, apart, divergence)
        assert bool((accepts <= bound + 1e-9).all())
        for value in (0.01, 0.1, 0.5, 2.0):
            reached = accepts[apart <= value].max(initial=0)
            most = float(exact.frontier(verifier, draft, [value], divergence)[0])
            assert reached <= most + 1e-9
            if divergence != "kl" or (verifier > 0).all():
                assert reached >= most - 0.03


@every_rule
def test_no_rule_crosses_the_frontier(name):
    """Neither at single positions nor on average, in any divergence, at any value of any knob."""
    for verifier, draft in (
        random_pairs(25, 6, 25),
        random_pairs(8, 60, 26),
        tuple(part[::5] for part in hard_pairs()),
    ):
        for knob, values in numeric_knobs(name):
            found = exact.curve(name, knob, values, verifier, draft)
            for divergence in exact.DIVERGENCES:
                apart = getattr(found, divergence)
                for row in range(len(verifier)):
                    bounds = exact.frontier(verifier[row], draft[row], apart[row], divergence)
                    # Near the verifier the frontier is a square root: an error e in the divergence counts as sqrt(e).
                    assert bool((found.acceptance[row] <= bounds + 1e-7).all()), (
                        name,
                        knob,
                        divergence,
                        verifier[row],
                        draft[row],
                    )
                mean = found.mean()
                pooled = exact.frontier(verifier, draft, getattr(mean, divergence), divergence, pooled=True)
                assert bool((mean.acceptance <= pooled + 1e-7).all()), (name, knob, divergence)


@every_divergence
def test_pooled_frontier_is_the_best_split(divergence):
    """For two positions it equals the best of all ways to split the divergence between them."""
    verifier, draft = random_pairs(2, 8, 28)
    for value in (1e-4, 0.01, 0.05, 0.2):
        near_zero = np.geomspace(1e-12, value, 4000)
        first = np.concatenate([near_zero, 2 * value - near_zero, np.linspace(0, 2 * value, 4001)])
        one = exact.frontier(verifier[0], draft[0], first, divergence)
        other = exact.frontier(verifier[1], draft[1], 2 * value - first, divergence)
        pooled = float(exact.frontier(verifier, draft, [value], divergence, pooled=True)[0])
        best = float(((one + other) / 2).max())
        assert best <= pooled + 1e-10
        assert best == pytest.approx(pooled, abs=1e-5)


@every_divergence
def test_pooled_frontier_of_equal_positions_is_theirs(divergence):
    """With the same pair at every position there is nothing to gain by splitting unevenly."""
    verifier, draft = random_pairs(1, 50, 29)
    values = np.array([0.0, 1e-12, 1e-6, 1e-3, 0.1, 1.0, 30.0, np.inf])
    alone = exact.frontier(verifier[0], draft[0], values, divergence)
    pooled = exact.frontier(verifier.expand(5, 50), draft.expand(5, 50), values, divergence, pooled=True)
    assert np.abs(alone - pooled).max() < 1e-7 and np.abs(alone - pooled)[3:].max() < 1e-9


def test_the_mean_of_frontiers_is_no_bound_on_averages():
    """A rule that spends unevenly beats the mean of the curves per position, but not the pooled frontier."""
    verifier = torch.tensor([[0.5, 0.5], [0.99, 0.01]], dtype=torch.float64)
    draft = torch.tensor([[0.95, 0.05], [0.95, 0.05]], dtype=torch.float64)
    found = exact.curve("fuzzy", "threshold", [0.2], verifier, draft).mean()
    separate = exact.frontier(verifier, draft, found.kl).mean(0)
    pooled = exact.frontier(verifier, draft, found.kl, pooled=True)
    assert separate < found.acceptance <= pooled + 1e-12


def test_the_frontier_ends():
    """From sum min(draft, verifier) at 0 it climbs to 1, but with finite KL only to the mass the verifier allows."""
    verifier = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    draft = torch.tensor([0.6, 0.1, 0.3], dtype=torch.float64)
    ends = [0.0, 1e6, np.inf]
    assert exact.frontier(verifier, draft, ends).tolist() == pytest.approx([0.6, 0.7, 1.0], abs=1e-12)
    assert exact.frontier(verifier, draft, ends, pooled=True).tolist() == pytest.approx([0.6, 0.7, 1.0], abs=1e-12)
    for divergence in ("tv", "reverse_kl"):
        assert exact.frontier(verifier, draft, ends, divergence).tolist() == pytest.approx([0.6, 1.0, 1.0], abs=1e-12)
        assert exact.frontier(verifier, draft, ends, divergence, pooled=True).tolist() == pytest.approx(
            [0.6, 1.0, 1.0], abs=1e-9
        )
    never = torch.tensor(
        [1.0, 0.0, 0.0], dtype=torch.float64
    )  # the draft lacks what the verifier says: reverse KL without end
    reach = exact.frontier(verifier, never, [0.0, 1.0, 10.0, np.inf], "reverse_kl")
    assert bool((np.diff(reach) > 0).all()) and reach[-1] == 1.0 and reach[2] > 0.999


@every_divergence
def test_frontiers_rise_and_are_concave(divergence):
    """More divergence never costs acceptance, and each unit of it buys less than the one before."""
    values = np.linspace(0, 1.5, 40)
    verifier, draft = random_pairs(20, 10, 30)
    for bound in [
        *exact.frontier(verifier, draft, values, divergence),
        exact.frontier(verifier, draft, values, divergence, pooled=True),
    ]:
        assert np.diff(bound).min() > -1e-9 and np.diff(bound, 2).max() < 1e-9


def test_gap():
    """The optimum has none, strict rules that waste nothing have none, and others fall short by what the frontier says."""
    verifier, draft = random_pairs(30, 12, 31)
    for spec in ("mentored:budget=0.1", "sps"):
        assert exact.gap(rules.parse(spec), verifier, draft).max() < 1e-9
    rule = rules.make("interpolation", alpha=0.4)
    short = exact.gap(rule, verifier, draft)
    apart = dists.kl(rule.output_law(verifier, draft), verifier)
    expected = [
        float(exact.frontier(*row, [value])[0]) - float(rule.acceptance(*row))
        for *row, value in zip(verifier, draft, apart.tolist(), strict=True)
    ]
    assert_close(short, expected)
    assert short.max() > 0.001 and short.min() >= 0
    assert float(exact.gap(rule, verifier, draft, pooled=True)) >= short.mean() - 1e-9
    assert exact.gap(rules.make("top_k"), verifier, draft, "reverse_kl").min() >= 0  # an infinite divergence


def test_cactus_law_meets_its_budget():
    """KL(output law || verifier) is the budget to 1e-9, or where the draft is closer than that, it is kept as it is."""
    for verifier, draft in (random_pairs(150, 6, 32), random_pairs(15, 300, 33), hard_pairs()):
        for budget in (0.0, 1e-4, 0.05, 0.2, 1.0):
            law = law_by_brute_force(rules.make("cactus_law", budget=budget), verifier, draft)
            spent, needed = dists.kl(law, verifier), dists.kl(draft, verifier)
            assert spent.max() <= budget + 1e-9
            allowed = torch.where(verifier > 0, 0.0, draft).sum(-1) == 0
            assert (spent - needed.clamp_max(budget)).abs()[allowed].max() < 1e-9
            assert torch.allclose(law[allowed & (needed <= budget)], draft[allowed & (needed <= budget)], atol=1e-12)


def test_cactus_law_is_cactus_at_its_own_delta():
    """With the delta it found at a position, plain cactus writes the same law and keeps as much."""
    verifier, draft = random_pairs(40, 8, 34)
    rule = rules.make("cactus_law", budget=0.03)
    for one, other, delta in zip(verifier, draft, rule.allowance(verifier, draft)[:, 0].tolist(), strict=True):
        if delta <= 10:
            plain = rules.make("cactus", delta=delta)
            assert torch.allclose(rule.output_law(one, other), plain.output_law(one, other), atol=1e-12)
            assert torch.allclose(rule.acceptance(one, other), plain.acceptance(one, other), atol=1e-12)


def main_knob(name):
    """A rule's first knob of numbers; None for a rule without one."""
    return next((info for info in registry.knobs(rules.get(name)) if not info["choices"]), None)


FLIPPING = [name for name in rules.names() if main_knob(name)]


@every_rule
def test_every_main_knob_has_flip_points(name):
    """A rule with a knob of numbers gives flip points of the first of them, and a rule without one gives none."""
    rule, info = rules.make(name), main_knob(name)
    assert rule.flips == (info and info["name"])
    flip = rule.flip_point([0.5, 0.5], [0.9, 0.1], [0], 0.99)
    assert flip is None if info is None else flip.dtype == torch.float64 and flip.shape == (1,)


@pytest.mark.parametrize("name", FLIPPING)
def test_flip_points_agree_with_judging_again(name):
    """Judged again all over the range of the knob, and within 1e-6 of its flip point, a token is kept on the loose side and
    refused on the other; under cascade_token it is kept again where the verifier likes it nearly as much as its favourite."""
    cls, info = rules.get(name), main_knob(name)
    others = [{}] + [
        {other["name"]: choice}
        for other in registry.knobs(cls)
        if other["name"] != cls.flips
        for choice in (other["choices"] or (0.05, 1.0))
    ]
    ruled_out = random_pairs(70, 7, 35)
    ruled_out[0][::7, 2] = 0.0
    checked = {True: 0, False: 0}
    for verifier, draft in (
        (dists.normalise(ruled_out[0]), ruled_out[1]),
        random_pairs(8, 300, 38),
        tuple(part[::5] for part in hard_pairs()),
    ):
        tokens = torch.multinomial(draft, 1, generator=torch.Generator().manual_seed(3)).squeeze(-1)
        uniforms = torch.rand(len(tokens), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        enters = 1 - dists.at(verifier, tokens) / verifier.amax(-1)  # the alpha at which cascade_token likes it
        for fixed in others:
            flips = rules.make(name, **fixed).flip_point(verifier, draft, tokens, uniforms)
            assert flips.shape == tokens.shape and not flips.isnan().any()
            around = [torch.full_like(flips, value) for value in np.linspace(info["low"], info["high"], 7)]
            around += [flips - 1e-6 * flips.abs() - 1e-12, flips + 1e-6 * flips.abs() + 1e-12, flips - 1, flips]
            around += [enters - 1e-9, enters + 1e-9]
            for row, value in itertools.product(range(len(tokens)), range(len(around))):
                value, flip = float(around[value][row]), float(flips[row])
                if info["type"] == "int":
                    value = round(value) if abs(value) < 1e6 else value
                elif value == flip != info["low"]:
                    continue  # there rounding decides
                if not info["low"] <= value <= info["high"] or (info["open_low"] and value == info["low"]):
                    continue
                wanted = value < flip if cls.loose_below else value >= flip
                if name == "cascade_token":
                    if abs(value - enters[row]) < 1e-12:
                        continue
                    wanted |= value > float(enters[row])
                rule = rules.make(name, **fixed, **{info["name"]: value})
                accept = rule.judge(verifier[row], draft[row], tokens[row]).accept_prob
                assert bool(uniforms[row] < accept) == wanted, (rule, flip, verifier[row], draft[row], tokens[row])
                checked[wanted] += 1
    assert min(checked.values()) > 100


def test_the_flip_of_cactus_by_hand():
    """delta* = (u draft - verifier)^2 / (2 verifier (1 - verifier)); a token kept by sps flips at 0, an impossible one never."""

    def flip(rule, draft, verifier, uniform):
        return float(rule.flip_point([verifier, 1 - verifier], [draft, 1 - draft], 0, uniform))

    rule = rules.make("cactus")
    assert flip(rule, 0.8, 0.2, 0.5) == pytest.approx(0.04 / 0.32)
    assert flip(rule, 0.8, 0.2, 0.25) == 0.0
    assert flip(rule, 0.8, 0.0, 0.25) == float("inf")
    exactly = rules.make("cactus", solver="exact")
    assert flip(exactly, 0.8, 0.2, 0.5) == pytest.approx(0.4 * np.log(2) + 0.6 * np.log(0.75))
    both = rule.flip_point([[0.2, 0.8], [0.3, 0.7]], [0.8, 0.2], 0, [0.5, 0.5])
    assert both.shape == (2,)


def test_wrong_questions_are_refused_in_words():
    """Unknown divergences, negative values, unknown rules and knobs, logits: ValueError that says what is allowed."""
    verifier, draft = random_pairs(2, 5, 36)
    for ask in (
        lambda kind: exact.frontier(verifier, draft, [0.1], kind),
        lambda kind: exact.gap(rules.make("sps"), verifier, draft, kind),
    ):
        with pytest.raises(ValueError, match="one of kl, tv, reverse_kl"):
            ask("js")
    for wrong in (-0.1, np.nan):
        with pytest.raises(ValueError, match="below 0"):
            exact.frontier(verifier, draft, [wrong])
    with pytest.raises(ValueError, match="no parameter 'typo'"):
        exact.curve("cactus", "typo", [1], verifier, draft)
    with pytest.raises(ValueError, match="no acceptance rule"):
        exact.curve("typo", "delta", [1], verifier, draft)
    with pytest.raises(ValueError, match="delta must be"):
        exact.curve("cactus", "delta", [11], verifier, draft)
    with pytest.raises(ValueError, match="logits"):
        exact.frontier(verifier.log(), draft, [0.1])
