"""What every drafter writes under every lossless rule, by sampling, on the small pair's real models."""

from __future__ import annotations

from collections.abc import Iterator

from specviz import backends, drafters, registry, rules
from specviz.backends import Pair
from specviz.backends.weights import EMBEDDING
from specviz.drafters import Drafter
from specviz.drafters.asks import next_probs
from specviz.engine import batch
from specviz.engine.settings import Settings
from specviz.rules import Rule
from specviz.types import Sampling

PROMPT = "The dog saw the cat. The cat saw the dog. The cat saw"  # repeats itself, for drafters that copy
NARROW = Sampling(temperature=1.5, top_k=3)  # so few tokens that the law of three can be written down
TOKENS, LENGTH = 3, 2  # written, and drafted in a round: rounds follow each other
SAMPLES_SEED = 2**40  # none of the texts has these


class Untrained:
    """Look-ahead tokens that have learnt nothing: they are common words of the verifier's own."""

    name, id, revision, parameters, dtype, count, kept = "untrained", "untrained", "0", 0, "float32", 2, None

    def __init__(self, verifier, words: list[int]):
        verifier.look_ahead(verifier.lend(EMBEDDING)[words])


def small() -> Pair:
    """The small pair, with something in the place of look-ahead tokens."""
    pair = backends.load_pair("small")
    pair.lookahead = Untrained(pair.verifier, pair.encode("the saw", "tiny")[-2:])
    return pair


def combinations(pair: Pair) -> Iterator[tuple[Rule, Drafter]]:
    """Every lossless rule with every drafter that it can judge."""
    for rule in [rules.make(name) for name in rules.names() if rules.get(name).lossless]:
        for drafter in map(eager, drafters.names()):
            if drafter.drafts and drafter.refusal(rule, pair) is None:
                yield rule, drafter


def eager(name: str) -> Drafter:
    """A drafter that drafts wherever it can: one that copies does so behind a single token, one that is unsure all the same."""
    known = {info["name"] for info in registry.knobs(type(drafters.make(name)))}
    wanted = {"shortest": 1, "confidence": 0.0}
    return drafters.make(name, **{knob: value for knob, value in wanted.items() if knob in known})


def law(pair: Pair) -> dict[tuple[int, ...], float]:
    """The verifier's exact law of what it writes behind the prompt."""
    prompt, laws = pair.encode(PROMPT, "tiny"), {(): 1.0}
    for _ in range(TOKENS):
        longer = {}
        for text, chance in laws.items():
            probs = next_probs(pair.verifier, [*prompt, *text], [0], NARROW, pair.vocabulary)[0]
            longer |= {(*text, token): chance * float(probs[token]) for token in probs.nonzero().flatten().tolist()}
        laws = longer
    assert not any(pair.stop_tokens.intersection(text) for text in laws), "no text ends early"
    return laws


def written(pair: Pair, texts: int) -> dict[tuple[str, str], list[batch.Written]]:
    """For each rule and drafter so many texts, all with different seeds."""
    prompt, each = pair.encode(PROMPT, "tiny"), list(combinations(pair))
    asking = Settings(rules.make("sps"), NARROW, LENGTH, TOKENS + 5, SAMPLES_SEED, eager("consensus"))
    samples = tuple(map(tuple, batch.samples(pair, prompt, [asking])))
    jobs = [
        (prompt, Settings(rule, NARROW, LENGTH, TOKENS, number * texts + seed, drafter, samples))
        for number, (rule, drafter) in enumerate(each)
        for seed in range(texts)
    ]
    made = batch.write(pair, jobs)
    return {
        (rule.name, drafter.name): made[number * texts : (number + 1) * texts]
        for number, (rule, drafter) in enumerate(each)
    }
