"""Rules over the siblings of one place. Every registered rule goes through all of this without being named: its law and its
acceptance are held to the sum over all ways in which siblings can come, and to the linear program over all that any rule
could do with them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from specviz import registry, sets
from specviz.sets import best, recursive
from specviz.sets.base import drawn, likeliest
from specviz.sets.list_coupling import ListCoupling, at_least
from specviz.sets.two_step import selected
from specviz.sums.arrivals import Arrivals
from specviz.sums.sorted_rows import SortedRows
from specviz.types import DRAWINGS

EXACT, PROGRAM, BROKEN = 1e-12, 1e-9, 1e-3
LOSSLESS = [name for name in sets.names() if sets.make(name).lossless]
every_rule = pytest.mark.parametrize("name", sets.names())


def settings(name):
    """A rule at its defaults, and at other values of its knobs."""
    found = [sets.make(name)]
    for info in registry.knobs(type(found[0])):
        for value in info["choices"] or (info["low"], 0.05, info["high"]):
            found.append(sets.make(name, **{info["name"]: value}))
    return found


def pair(seed, size=4, spread=1.0):
    """(verifier, draft) [V], every third with tokens that one of them rules out."""
    rng = np.random.default_rng(seed)
    both = np.exp(spread * rng.standard_normal((2, size)))
    if seed % 3 == 2:
        both[0, 0] = both[1, 1] = 0.0
    return both / both.sum(-1, keepdims=True)


def summed(rule, verifier, draft, k, drawing):
    """(law [V], acceptance): the sum over all siblings that may come."""
    ways, chances = drawn(draft, k, drawing)
    rows = (np.tile(part, (len(ways), 1)) for part in (verifier, draft))
    emitted = rule.emits(*rows, ways, drawing)
    among = np.zeros(emitted.shape, dtype=bool)
    np.put_along_axis(among, ways, True, -1)
    return chances @ emitted, float(chances @ (emitted * among).sum(-1))


def program(verifier, draft, k, drawing):
    """The most that a lossless rule can accept: each way of siblings gives its chance away to its own tokens, and no token
    gets more than the verifier gives it."""
    ways, chances = drawn(draft, k, drawing)
    flows = [(way, token) for way, tokens in enumerate(ways) for token in set(tokens.tolist())]
    limits = np.zeros((len(ways) + len(verifier), len(flows)))
    for i, (way, token) in enumerate(flows):
        limits[way, i] = limits[len(ways) + token, i] = 1.0
    solved = linprog(-np.ones(len(flows)), limits, np.concatenate([chances, verifier]), method="highs")
    return -solved.fun


@every_rule
def test_law_and_acceptance_are_the_sums_over_all_siblings(name):
    """For every way in which they may come; a lossless rule writes the verifier's distribution. (Rules whose outcome depends
    on more than the siblings have tests of their own below.)"""
    for seed, rule in itertools.product(range(6), settings(name)):
        verifier, draft = pair(seed)
        for drawing, k in itertools.product(rule.drawings, (1, 2, 3)):
            law, acceptance = rule.law(verifier, draft, k, drawing), rule.acceptance(verifier, draft, k, drawing)
            assert abs(law.sum() - 1) < EXACT and law.min() >= 0 and 0 <= acceptance <= 1
            if rule.lossless:
                assert np.abs(law - verifier).max() < EXACT
            try:
                expected, among = summed(rule, verifier, draft, k, drawing)
            except NotImplementedError:
                assert name in ("list_coupling", "two_step")
                continue
            assert np.abs(law - expected).max() < EXACT and abs(acceptance - among) < EXACT, (rule, drawing, k)


@hypothesis_settings(max_examples=25, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sets.names()),
    weights=st.lists(st.tuples(*[st.sampled_from((0.0, 1e-9, 0.1, 1.0, 3.0, 3.0, 40.0))] * 2), min_size=2, max_size=5),
    k=st.integers(1, 3),
    which=st.integers(0, 3),
)
def test_no_lossless_rule_beats_the_linear_program(name, weights, k, which):
    """And `optimum` is that program's, for any distributions, ties, impossible and nearly impossible tokens included."""
    both = np.array(weights).T
    both[:, 0] += (both.sum(-1) == 0) * 1.0
    verifier, draft = both / both.sum(-1, keepdims=True)
    rule = sets.make(name)
    drawing = rule.drawings[which % len(rule.drawings)]
    best = float(sets.optimum(verifier, draft, k, drawing))
    assert abs(best - program(verifier, draft, k, drawing)) < PROGRAM
    acceptance = float(rule.acceptance(verifier, draft, k, drawing))
    if rule.lossless:
        assert acceptance <= best + PROGRAM
        assert abs(float(sets.gap(rule, verifier, draft, k, drawing)) - max(0.0, best - acceptance)) < EXACT
    assert np.abs(rule.law(verifier, draft, k, drawing).sum() - 1) < EXACT


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_the_optimum_is_the_linear_program(drawing):
    """On random pairs of five tokens, with up to four siblings; without replacement up to as many as there are tokens."""
    for seed, k in itertools.product(range(9), (1, 2, 3, 4)):
        verifier, draft = pair(seed, size=5, spread=1.5)
        if k == 4 and (drawing == "iid" or seed > 2):
            continue
        assert abs(sets.optimum(verifier, draft, k, drawing) - program(verifier, draft, k, drawing)) < PROGRAM


def held(draft, k):
    """[V + 1]: the chance that all of k draws without replacement are among the tokens from i on."""
    return Arrivals(draft, k).held(np.arange(len(draft) + 1))


def test_the_chance_that_all_draws_without_replacement_are_in_a_set():
    """Which is an integral, against the sum over all ways; nearly certain and nearly impossible tokens included."""
    rows = [pair(seed, size=6, spread=spread)[1] for seed, spread in ((0, 0.5), (1, 3.0), (2, 8.0), (4, 15.0))]
    for draft, k in itertools.product(rows, (1, 2, 3, 4)):
        ways, chances = drawn(draft, k, "without_replacement")
        expected = [float(chances[(ways >= i).all(-1)].sum()) for i in range(7)]
        assert np.abs(held(draft, k) - expected).max() < EXACT


@pytest.mark.parametrize("size,k", [(80, 5), (80, 64), (5000, 3), (5000, 16), (1000, 64)])
def test_many_draws_from_many_tokens_are_in_a_set(size, k):
    """Of equally likely tokens it is a quotient of binomials, exactly known for any number of tokens and draws."""
    left = np.arange(size, -1, -1)[:, None]
    expected = np.clip((left - np.arange(k)) / (size - np.arange(k)), 0, 1).prod(-1)
    assert np.abs(held(np.full(size, 1 / size), k) - expected).max() < EXACT


def test_the_optimum_without_replacement_leaves_no_set_out():
    """What is not looked at, since it cannot be the least, is not the least: 300 tokens, every beginning, in parts of 128 and
    of 4; tokens that weigh from 1e-9 to most of the mass."""
    for seed, spread, k in itertools.product(range(4), (0.5, 2.0, 6.0), (2, 3, 5)):
        verifier, draft = pair(seed, size=300, spread=spread)
        rows = SortedRows(verifier, draft)
        least = (1 + rows.verifier_above[0] - held(rows.draft_sorted[0], k)).min()
        for parts in (128, 4):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(best, "PARTS", parts)
                assert abs(sets.optimum(verifier, draft, k, "without_replacement") - least) < 1e-14


@pytest.mark.parametrize("k", [2, 3])
def test_the_selection_of_two_steps_is_possible_and_optimal(k):
    """p_I gives every set of tokens at least the chance that all siblings are in it, which is all it takes to be the law of
    a selection; judged strictly, it accepts the optimum."""
    for seed in range(12):
        verifier, draft = pair(seed, size=6, spread=1.5)
        law = selected(verifier[None], draft[None], k)[0]
        assert abs(law.sum() - 1) < EXACT
        for some in itertools.product([False, True], repeat=6):
            inside = np.array(some)
            assert law[inside].sum() >= draft[inside].sum() ** k - EXACT
        assert abs(np.minimum(law, verifier).sum() - sets.optimum(verifier, draft, k, "iid")) < EXACT


def test_two_steps_for_two_siblings_are_the_papers_linear_program():
    """Maximise sum z with z_i <= q_i and z_i <= p_I(i) = p_i^2 + sum over j of 2 w_ij p_i p_j, w_ij + w_ji = 1 (Khisti et al.,
    importance weights): the acceptance that is stated."""
    for seed in range(6):
        verifier, draft = pair(seed, size=5, spread=1.5)
        pairs = list(itertools.combinations(range(5), 2))  # the variables: z [5], then w_ij for i < j
        limits, bounds = np.zeros((5, 5 + len(pairs))), draft**2
        limits[:, :5] = np.eye(5)
        for column, (i, j) in enumerate(pairs, 5):
            limits[i, column] -= 2 * draft[i] * draft[j]
            limits[j, column] += 2 * draft[i] * draft[j]
            bounds[j] += 2 * draft[i] * draft[j]
        ends = [*((0, q) for q in verifier), *((0, 1) for _ in pairs)]
        aim = np.append(-np.ones(5), np.zeros(len(pairs)))
        solved = linprog(aim, limits, bounds, bounds=ends, method="highs")
        assert abs(-solved.fun - float(sets.make("two_step").acceptance(verifier, draft, 2))) < PROGRAM


@every_rule
def test_every_rule_says_what_it_is_good_for(name):
    """In sentences, for its page."""
    rule = sets.make(name)
    for words in (rule.summary, rule.helps, rule.hurts):
        assert words[0].isupper() and words.endswith(".")
    assert rule.formula and rule.source


def test_list_coupling_is_what_shared_noise_does():
    """20,000 races of four tokens for each k: law and acceptance within 4.5 standard errors (odds of a false alarm below
    1 in 8,000 for all 18 numbers), and never below its bound."""
    rng = np.random.default_rng(5)
    verifier, draft = pair(3)
    for k in (1, 2, 3):
        noise = rng.exponential(size=(20_000, k, 4))
        siblings, written = (noise / draft).argmin(-1), (noise.min(1) / verifier).argmin(-1)
        law = np.bincount(written, minlength=4) / 20_000
        acceptance = float(ListCoupling().acceptance(verifier, draft, k))
        observed = [*law, (siblings == written[:, None]).any(-1).mean()]
        for seen, stated in zip(observed, [*verifier, acceptance]):
            assert abs(seen - stated) < 4.5 * np.sqrt(stated * (1 - stated) / 20_000)
        assert acceptance >= at_least(verifier[None], draft[None], k)[0] - EXACT


def test_one_sibling_is_the_single_draft_rule():
    """With one sibling: 1 - TV for every rule that judges strictly, and for the optimum."""
    for seed in range(6):
        verifier, draft = pair(seed, size=7)
        strict = np.minimum(verifier, draft).sum()
        for name in ("recursive", "k_seq", "two_step", "greedy_multi"):
            assert abs(sets.make(name).acceptance(verifier, draft, 1) - strict) < EXACT
        assert abs(sets.optimum(verifier, draft, 1, "iid") - strict) < EXACT
        if draft.all() and verifier.all():
            shares = [1 / np.maximum(draft / draft[x], verifier / verifier[x]).sum() for x in range(7)]
            assert abs(sets.make("list_coupling").acceptance(verifier, draft, 1) - sum(shares)) < EXACT


def test_recursive_at_scale_is_recursive_one_by_one():
    """Two siblings without replacement by sorted sums, against the sum over all first tokens; float32 rows as they come."""
    rng = np.random.default_rng(0)
    verifier, draft = rng.dirichlet(np.full(40, 0.3), size=(2, 8))
    rule = sets.make("recursive")
    fast = rule.acceptance(verifier, draft, 2, "without_replacement")
    for row in range(8):
        _, among = summed(rule, verifier[row], draft[row], 2, "without_replacement")
        assert abs(fast[row] - among) < EXACT
    narrow = rule.acceptance(verifier.astype(np.float32), draft.astype(np.float32), 2, "without_replacement")
    assert np.abs(narrow - fast).max() < 1e-5


MEANS = {  # of another dozen pairs: the rule, how many siblings, how they came
    (None, 1, "iid"): 0.787, ("naive", 2, "iid"): 0.383, ("recursive", 2, "iid"): 0.849, ("k_seq", 2, "iid"): 0.873,
    (None, 2, "iid"): 0.931, ("recursive", 2, "without_replacement"): 0.875, (None, 2, "without_replacement"): 0.958,
    ("greedy_multi", 2, "greedy"): 0.931, ("naive", 2, "picked"): 0.570,
}  # fmt: skip


def test_mean_acceptances_of_a_good_draft():
    """Twelve pairs of ten tokens, a draft whose logits are 0.7 off the verifier's: the means over a dozen other such pairs,
    to 4.5 standard errors of their difference (odds of a false alarm below 1 in 1,000 for all nine by Student's t), and in
    their order. None stands for the optimum."""
    rng = np.random.default_rng(1)
    logits = 1.5 * rng.standard_normal((12, 10))
    both = np.exp([logits, logits + 0.7 * rng.standard_normal((12, 10))])
    verifier, draft = both / both.sum(-1, keepdims=True)
    means = {}
    for (name, k, drawing), mean in MEANS.items():
        ask = sets.optimum if name is None else sets.make(name).acceptance
        accepted = ask(verifier, draft, k, drawing)
        means[name, drawing] = accepted.mean()
        assert abs(accepted.mean() - mean) < 4.5 * accepted.std(ddof=1) * np.sqrt(2 / 12)
    assert means["naive", "picked"] < MEANS[None, 1, "iid"]  # two picked siblings accept less than one that was drawn
    assert means["recursive", "iid"] < means["k_seq", "iid"] < means[None, "iid"] < means[None, "without_replacement"]


# What must be caught


@pytest.mark.parametrize("drawing", ["iid", "without_replacement", "picked"])
def test_an_elders_residual_that_is_not_carried_is_caught(monkeypatch, drawing):
    """Every sibling judged against the verifier itself, and the last refusal answered from it."""
    verifier, draft = pair(1)
    rule = sets.make("recursive")
    assert np.abs(summed(rule, verifier, draft, 2, drawing)[0] - verifier).max() < EXACT
    monkeypatch.setattr(recursive, "residual", lambda verifier, draft: verifier)
    assert np.abs(summed(rule, verifier, draft, 2, drawing)[0] - verifier).max() > BROKEN


@pytest.mark.parametrize("name,drawing", [("recursive", "picked"), ("greedy_multi", "greedy")])
def test_a_chosen_sibling_judged_as_if_drawn_is_caught(monkeypatch, name, drawing):
    """Its law is all on one token, whatever distribution it was picked from."""
    verifier, draft = pair(1)
    monkeypatch.setattr(recursive, "sibling_laws", lambda draft, tokens, drawing: [draft] * tokens.shape[1])
    assert np.abs(summed(sets.make(name), verifier, draft, 2, drawing)[0] - verifier).max() > BROKEN


@pytest.mark.parametrize("drawing", ["iid", "without_replacement"])
def test_beginnings_in_the_wrong_order_are_caught(monkeypatch, drawing):
    """The minimum over sets is not attained on the beginnings of the falling order of verifier/draft."""

    def turned(verifier, draft, k, drawing):
        rows = SortedRows(verifier, draft)
        within = rows.draft_below**k if drawing == "iid" else held(rows.draft_sorted[0][::-1], k)[::-1][None]
        return (1 + rows.verifier_below - within).min(-1).clip(0, 1)

    verifier, draft = pair(1)
    monkeypatch.setattr(sets, "least", turned)
    assert abs(sets.optimum(verifier, draft, 2, drawing) - program(verifier, draft, 2, drawing)) > BROKEN


def test_what_cannot_be_is_refused_in_words():
    """An unknown drawing, one that a rule does not take, no siblings, too many ways, a gap of a lossy rule."""
    verifier, draft = pair(1, size=200)
    for call, says in (
        (lambda: sets.optimum(verifier, draft, 2, "sorted"), "drawing must be one of iid, without_replacement"),
        (lambda: sets.optimum(verifier, draft, 0, "iid"), "k must be a whole number from 1 to 64; got 0"),
        (
            lambda: sets.make("k_seq").law(verifier, draft, 2, "picked"),
            "k_seq takes siblings that come iid; got picked",
        ),
        (
            lambda: sets.make("recursive").acceptance(verifier, draft, 4, "without_replacement"),
            "more than 200,000 ways",
        ),
        (lambda: sets.make("list_coupling").acceptance(verifier, draft, 2), "for up to 128 tokens"),
        (lambda: sets.gap(sets.make("cactus_set"), verifier, draft, 2), "cactus_set is not lossless"),
        (lambda: sets.make("best"), "no rule over siblings called 'best'"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_a_set_that_is_lifted_keeps_its_budget():
    """KL(law || verifier) is the budget with the exact solver, or what it takes to write nothing but siblings; taylor spends
    a little more where it lifts far. Single-draft Cactus makes no such promise."""
    for seed, delta in itertools.product(range(20), (0.02, 0.05, 0.3)):
        verifier, draft = pair(3 * seed, size=5)
        for k in (1, 2, 3):
            rule = sets.make("cactus_set", delta=delta, solver="exact")
            law, mass = rule.law(verifier, draft, k), float(rule.acceptance(verifier, draft, k))
            spent = float(np.sum(law * np.log(np.where(law > 0, law, 1) / verifier)))
            assert spent <= delta + EXACT and (mass == 1 or abs(spent - delta) < 1e-10)
            assert law[likeliest(draft[None], k)[0]].sum() == pytest.approx(mass, abs=EXACT)
