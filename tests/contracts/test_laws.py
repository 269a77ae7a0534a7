"""Conformance of the whole loop: for every rule, drafter and shape of draft, what is written has exactly the law that the
rule promises, over whole texts and with all that noise may do. Rules and drafters are found, not named.

A rule that calls itself lossless writes what the verifier alone would; any other, given what was written before, its own
`output_law` where a draft was judged, and the verifier's distribution where none was. The loop is run through every way
that its random numbers can fall (see `tests.support.laws`), so nothing here is a matter of luck.
"""

from __future__ import annotations

import pytest
import torch

from specviz import drafters, rules
from specviz.drafters import Draft
from specviz.engine import batch
from specviz.engine.decode import Decoding
from specviz.engine.settings import Settings
from specviz.prob import dists
from specviz.record.running import run
from specviz.rules.base import SiblingVerdict
from specviz.rules.member import MemberRule
from specviz.types import Sampling, Walk
from tests.support import drafters as test_drafters
from tests.support.drafters import WAY_DRAWN, WAYS, Candidates
from tests.support.laws import law
from tests.support.pairs import table_pair
from tests.support.rule_cases import settings as rule_settings
from tests.support.runs import SAMPLES, choices, ended, rounds_of, settings_of, written

EXACT, BROKEN = 1e-12, 1e-3  # largest deviation of a right loop, least of a broken one
SHAPES = {"three": (3, 1), "tree": (2, 2)}  # candidates for one place, places


def judges(name, way):
    """Whether the law of a rule is stated for candidates that come so. What a member rule writes depends on all candidates,
    so that its law is stated for chosen ones that do not depend on a draw."""
    rule = rules.make(name)
    return WAY_DRAWN[way] in rule.drawings and not (way == "drawn_first" and isinstance(rule, MemberRule))


SEVERAL = [(name, way) for name in rules.names() for way in WAYS if judges(name, way)]
DRAWN = [name for name in rules.names() if judges(name, "drawn")]
LOSSLESS = [name for name in rules.names() if rules.get(name).lossless]
every_way = pytest.mark.parametrize("way", WAYS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def law_of(pair, rule, drafter, length, prompt=(0, 1, 0), draft_length=None, **options):
    """The law of `length` tokens, for drafts that reach up to the last but one."""
    rule = settings_of(rule).rule if isinstance(rule, str) else rule
    draft_length = draft_length or max(1, length - 1)
    options |= {"draft_length": draft_length, "max_new_tokens": length, "samples": SAMPLES}
    return law(pair, prompt, Settings(rule, drafter=drafter, **options))


def assert_exact(found):
    assert abs(found.written[()] - 1) < EXACT and found.deviation < EXACT


def works(name, drafter):
    return drafters.make(drafter).refusal(settings_of(name).rule, table_pair(3)) is None


@pytest.mark.parametrize(
    "name,drafter", [(n, d) for n in ["plain", *rules.names()] for d in drafters.names() if works(n, d)]
)
def test_every_rule_and_drafter(name, drafter):
    """Three tokens of three, at all settings of the rule; four tokens in drafts of two, so that rounds follow each other."""
    made = drafters.make(drafter)
    for rule in [None] if name == "plain" else rule_settings(name):
        if not made.branches:  # trees, whose draws have many more ways to fall, come below
            assert_exact(law_of(table_pair(3, exact=True), rule, made, 3))
    found = law_of(table_pair(2, exact=True), name, made, 4, draft_length=2)
    assert_exact(found)
    if name in ("plain", *LOSSLESS):
        verifier = table_pair(2).verifier
        verifier.logits = verifier.logits.double()
        for text, chance in verifier.law((0, 1, 0), 4).items():
            assert abs(found.written[text] - chance) < EXACT


@every_shape
@pytest.mark.parametrize("name,way", SEVERAL)
def test_every_rule_that_judges_several_candidates(name, way, shape):
    """Three candidates for one place (of four tokens), and two candidates for each of two places, however they came."""
    width, levels = SHAPES[shape]
    size, block = 4 if shape == "three" else 3, rules.get(name).scope == "block"
    if name != "sps" and (way == "drawn" or (shape == "tree" and (way == "apart" or block))):
        size -= 1  # so many draws of so many tokens have too many ways to go through them for every rule
    found = law_of(table_pair(size, exact=True), name, Candidates(width=width, levels=levels, way=way), levels + 1)
    assert found.runs > 1
    assert_exact(found)


@pytest.mark.parametrize("way", ["drawn", "apart", "chosen", "drawn_last"])
@pytest.mark.parametrize(
    "rule", ["top_k:k=1", "top_k:k=2", "tas:epsilon=0.3,alpha=10", "tas:epsilon=0.3,fallback=sample"]
)
def test_member_rules_that_refuse(rule, way):
    """At values that keep only some of four tokens: two candidates for one place, of which often none is a member."""
    found = law_of(table_pair(4, exact=True), rules.parse(rule), Candidates(width=2, levels=1, way=way), 2)
    assert way != "drawn" or 0.05 < found.accepted < 0.98
    assert_exact(found)


@every_way
def test_noise_left_over_from_a_tree_is_fresh(way):
    """Four tokens in trees of two places: what was drawn in a round and not looked at is drawn upon again in the next."""
    assert_exact(law_of(table_pair(2, exact=True), "sps", Candidates(2, 2, way), 4, draft_length=2))


@pytest.mark.parametrize("sampling", [Sampling(0.6), Sampling(0), Sampling(1.2, top_k=2), Sampling(top_p=0.7)], ids=str)
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_under_every_sampling_and_end_of_text(name, sampling):
    """Temperature, top-k and top-p, with a token that ends the text: the law of plain decoding."""
    several = [
        Candidates(2, 2, way)
        for way in ("apart", "drawn_first")
        if judges(name, way) and (way == "apart" or rules.get(name).scope != "block")
    ]
    chains = (drafters.make(d) for d in drafters.names() if works(name, d) and not drafters.make(d).branches)
    for drafter in [*chains, *several]:
        pair = table_pair(3, exact=True, stop=frozenset({2}))
        plain, found = (law_of(pair, rule, drafter, 3, sampling=sampling) for rule in ("plain", name))
        assert_exact(found)
        assert max(abs(plain.written[t] - found.written[t]) for t in plain.written | found.written) < EXACT
        if sampling == Sampling(0.6):
            assert any(text[-1] == 2 and len(text) < 3 for text in found.written if text)


def test_the_enumeration_agrees_with_the_tables():
    """The instrument itself: plain decoding has the law of the verifier's table, also of texts that end early."""
    pair = table_pair(3, exact=True, stop=frozenset({2}))
    table = ended(pair.verifier.law((0, 1, 0), 3), 2)
    found = law_of(pair, "plain", drafters.make("nothing"), 3)
    whole = {text: chance for text, chance in found.written.items() if len(text) == 3 or (text and text[-1] == 2)}
    assert whole.keys() == table.keys() and max(abs(whole[text] - table[text]) for text in table) < EXACT
    assert abs(sum(whole.values()) - 1) < EXACT and found.runs == len(table)


# How many are accepted


def row(model, prompt=(0, 1, 0)):
    return model.probs(prompt)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_independent_candidates_are_accepted_as_the_closed_forms_say(width):
    """`sps`: one minus the product of all refusals, each of the draft against what the one before left over (SpecInfer, Alg.
    2). `sampler_match`: the verifier's own draw is among the candidates, sum q (1 - (1 - p)^k)."""
    pair = table_pair(4, exact=True)
    draft, verifier = row(pair.draft), row(pair.verifier)
    refused, left = 1.0, verifier
    for _ in range(width):
        refused *= 1 - float(torch.minimum(draft, left).sum())
        left = dists.normalise((left - draft).clamp_min(0))
    among = float((verifier * (1 - (1 - draft) ** width)).sum())
    for name, expected in (("sps", 1 - refused), ("sampler_match", among)):
        assert abs(law_of(pair, name, Candidates(width=width), 2).accepted - expected) < EXACT


@pytest.mark.parametrize("name", sorted({name for name, _ in SEVERAL}))
def test_acceptance_rises_with_the_number_of_candidates(name):
    """One more candidate behind the same elders never loses, and gains where an elder can be refused."""
    pair = table_pair(4, exact=True)
    for way in (way for way in ("drawn", "apart", "chosen", "drawn_first") if judges(name, way)):
        accepted = [law_of(pair, name, Candidates(width=width, way=way), 2).accepted for width in (1, 2, 3)]
        assert all(more >= fewer - EXACT for fewer, more in zip(accepted, accepted[1:]))
        if accepted[0] < 1 - 1e-9:
            assert accepted[2] > accepted[0] + 1e-6


@pytest.mark.parametrize("name", DRAWN)
def test_one_candidate_for_each_place_is_the_chain_to_the_bit(name):
    """A tree without branches is what `model` drafts: the same tokens, numbers and text."""
    pair = table_pair(5)
    for seed in range(10):
        lanes = [
            settings_of(name, seed=seed, max_new_tokens=40, drafter=d)
            for d in (drafters.make("model"), Candidates(1, 4))
        ]
        chain, tree = (rounds_of(pair, (0, 1), lane) for lane in lanes)
        assert list(map(choices, chain)) == list(map(choices, tree))
        for one, other in zip(chain, tree):
            assert one.uniforms == other.uniforms
            if one.judgement is not None:
                assert one.judgement.accept_prob == other.judgement.accept_prob
                assert torch.equal(one.judgement.residual_probs, other.judgement.residual_probs)


# What must be caught


def all_alike(rule, verifier_probs, draft_probs, token):
    """Judges siblings as if each were the only one."""
    against = verifier_probs.unsqueeze(-2).expand_as(draft_probs)
    verdict = rule.verdict(against, draft_probs, token)
    return SiblingVerdict(verdict.accept_prob, against, verdict.residual_probs, (rule,) * token.shape[-1])


@pytest.mark.parametrize("way", ["drawn", "apart", "chosen", "drawn_first"])
def test_an_elders_residual_that_is_not_carried_on_is_caught(monkeypatch, way):
    """All candidates judged against the verifier's own distribution."""
    monkeypatch.setattr(rules.TokenRule, "judge_siblings", all_alike)
    assert law_of(table_pair(4, exact=True), "sps", Candidates(width=3, way=way), 2).deviation > BROKEN


@pytest.mark.parametrize(
    "name", [name for name in DRAWN if issubclass(rules.get(name), rules.TargetRule) and judges(name, "chosen")]
)
@pytest.mark.parametrize("way", ["chosen", "drawn_last", "drawn_first"])
def test_a_chosen_candidate_judged_with_a_soft_distribution_is_caught(monkeypatch, name, way):
    """A picked token was not drawn from the distribution that it was picked from. (Rules that never read the draft's
    distribution cannot go wrong here.)"""

    def choose(draft, token, parent, probs):
        draft._add(token, parent, *draft._place(parent), probs)

    pair, drafter = table_pair(4, exact=True), Candidates(width=2, way=way)
    before = law_of(pair, name, drafter, 2)
    monkeypatch.setattr(test_drafters, "choose", choose)
    broken = law_of(pair, name, drafter, 2)
    assert_exact(before)
    if way == "drawn_first" and before.accepted > 1 - EXACT and broken.accepted > 1 - EXACT:
        return  # the candidate drawn first is always kept
    assert broken.deviation > BROKEN


@pytest.mark.parametrize(
    "drafter", [drafters.make("model"), drafters.make("ngram"), Candidates(3), Candidates(2, 1, "apart")]
)
def test_resampling_from_the_verifier_is_caught(monkeypatch, drafter):
    """Instead of from the residual."""
    monkeypatch.setattr(dists, "residual", lambda target, draft: target)
    assert law_of(table_pair(3, exact=True), "sps", drafter, 2).deviation > BROKEN


def test_a_block_rule_that_reuses_its_noise_is_caught(monkeypatch):
    """It let later drafts decide earlier ones, so its attempts need noise of their own."""
    empty = Decoding._empty_draft

    def first_attempt(self):
        draft = empty(self)
        draft.attempt = 0
        return draft

    pair = table_pair(2, exact=True)
    assert_exact(law_of(pair, "block", drafters.make("model"), 5))
    monkeypatch.setattr(Decoding, "_empty_draft", first_attempt)
    assert law_of(pair, "block", drafters.make("model"), 5).deviation > BROKEN


@pytest.mark.parametrize("way", ["drawn", "apart"])
def test_siblings_that_share_their_noise_are_caught(monkeypatch, way):
    """All candidates of a depth draw, and are tested, with the noise of the first."""
    place = Draft._place
    monkeypatch.setattr(Draft, "_place", lambda self, parent: (place(self, parent)[0], 0))
    assert law_of(table_pair(4, exact=True), "sps", Candidates(width=3, way=way), 2).deviation > BROKEN


def test_siblings_that_share_their_uniform_are_caught(monkeypatch):
    """Drawn each by itself, but tested with one number."""
    monkeypatch.setattr(
        Draft,
        "uniforms",
        lambda self: [self._source.uniforms(self.start + d, 1, self.attempt)[0] for d in self._depths],
    )
    assert law_of(table_pair(4, exact=True), "sps", Candidates(width=3), 2).deviation > BROKEN


def test_a_bonus_from_another_branch_is_caught(monkeypatch):
    """The verifier's token behind a kept path comes from the row of the path's last node."""
    monkeypatch.setattr(Walk, "end", property(lambda self: len(self.path) - 1))
    assert law_of(table_pair(3, exact=True), "sps", Candidates(2, 1), 2).deviation > BROKEN


def test_a_cache_that_keeps_another_branch_is_caught():
    """After a round the verifier must have seen the path that was kept, not as many nodes from the first on."""
    pair = table_pair(3, exact=True)
    assert_exact(law_of(pair, "sps", Candidates(2, 1), 3))
    session = pair.verifier.session

    def careless():
        made, shown = session(), []
        forward, settle = made.forward, made.settle

        def forward_noted(tokens, *rest):
            shown[:] = tokens
            return forward(tokens, *rest)

        def settle_first(path):
            settle(path)
            made.seen[len(made.seen) - len(path) :] = shown[: len(path)]

        made.forward, made.settle = forward_noted, settle_first
        return made

    pair.verifier.session = careless
    assert law_of(pair, "sps", Candidates(2, 1), 3).deviation > BROKEN


@pytest.mark.parametrize("drafter", [drafters.make("model"), drafters.make("ngram")])
def test_a_rule_that_lies_about_its_law_is_caught(monkeypatch, drafter):
    """A lossy rule that calls itself lossless."""
    monkeypatch.setattr(rules.get("lenience"), "lossless", True)
    assert law_of(table_pair(3, exact=True), "lenience", drafter, 3).deviation > BROKEN


# Which combinations there are


@pytest.mark.parametrize("name", rules.names())
def test_refusals_are_sentences_for_exactly_the_rules_that_judge_one_candidate(name):
    """A drafter with several candidates works under every token rule that takes them as they come; the others refuse it,
    before anything runs, wherever it is asked for."""
    pair, rule = table_pair(3), rules.make(name)
    refusal = Candidates().refusal(rule, pair)
    assert (refusal is None) == ("iid" in rule.drawings)
    if not rule.drawings:
        assert refusal == f"The drafter candidates offers several candidates for one place, and {name} judges only one."
        lane = Settings(rule, drafter=Candidates())
        for start in (
            lambda: rounds_of(pair, [0, 1], lane),
            lambda: batch.write(pair, [([0, 1], lane)]),
            lambda: run(pair, "ab", [lane]),
        ):
            with pytest.raises(ValueError, match="several candidates for one place"):
                start()
    for drafter in map(drafters.make, drafters.names()):
        expected = drafter.branches and (drafter.drawing not in rule.drawings or rule.even > drafter.even)
        assert (drafter.refusal(rule, pair) is not None) == expected


def test_refusals_for_want_of_a_model_or_its_abilities(monkeypatch):
    """No draft model; a verifier that cannot look at trees, or show its states: each has its sentence."""
    alone, sps = table_pair(3, drafting=False), rules.make("sps")
    assert "needs a draft model, and only a verifier is loaded" in Candidates().refusal(sps, alone)
    assert drafters.make("ngram").refusal(sps, alone) is None
    pair = table_pair(3)
    monkeypatch.setattr(pair.verifier, "can", frozenset(), raising=False)
    assert (
        Candidates().refusal(sps, pair).endswith("look at several candidates for one place at once, and table cannot.")
    )
    assert drafters.make("model").refusal(sps, pair) is None
    monkeypatch.setattr(Candidates, "reads", lambda drafter, pair: (1,))
    monkeypatch.setattr(pair.verifier, "can", frozenset({"tree"}))
    assert Candidates().refusal(sps, pair).endswith("show the states of its layers, and table cannot.")
    with pytest.raises(ValueError, match="show the states"):
        written(rounds_of(pair, [0, 1], settings_of("sps", drafter=Candidates())))
