"""The exact law of what the loop writes, by running the loop through every way that its random numbers can fall."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import pytest
import torch
from torch import Tensor

from specviz.backends import Pair
from specviz.engine.decode import RoundResult, alone
from specviz.engine.race import open_lane
from specviz.engine.settings import Settings
from specviz.prob import dists, noise
from specviz.rules import Rule, TokenRule

ALMOST_NOTHING = 1e-14  # parts of [0, 1) narrower than this come from rounding, and are not gone through


class Choices:
    """Goes through all ways depth first: every run follows a script of choices, and takes the first way behind its end."""

    def __init__(self) -> None:
        self._script: list[int] = []
        self._ways: list[int] = []  # how many there were at each place of the script
        self.rewind()

    def rewind(self) -> None:
        self._at, self.weight = 0, 1.0

    def choose(self, chances: Sequence[float]) -> int:
        possible = [i for i, chance in enumerate(chances) if chance > 0]
        if self._at == len(self._script):
            self._script.append(0)
            self._ways.append(len(possible))
        chosen = possible[self._script[self._at]]
        self._at += 1
        self.weight *= chances[chosen]
        return chosen

    def next(self) -> bool:
        """Sets the script to the next way; False if there is none left."""
        while self._script and self._script[-1] + 1 == self._ways[-1]:
            self._script.pop()
            self._ways.pop()
        if self._script:
            self._script[-1] += 1
        self.rewind()
        return bool(self._script)


class OpenNoise:
    """Stands in for `noise.Noise`. Behind each key is one number in [0, 1), of which only that is fixed which was asked: a
    draw or an acceptance test divides what is left of the interval, and each part is a way to go on. What is asked of one
    key twice is answered by one number, as the real noise does, so that noise used up early shows."""

    def __init__(self, choices: Choices):
        self._choices = choices
        self._left: dict[tuple[int, ...], tuple[float, float]] = {}

    def exponentials(self, purpose: int, position: int, size: int, attempt: int = 0, branch: int = 0) -> OpenDraw:
        return OpenDraw(self, (purpose, position, attempt, branch))

    def uniforms(
        self, start: int, count: int, attempt: int = 0, branch: int = 0, purpose: int = noise.ACCEPT
    ) -> list[OpenUniform]:
        return [OpenUniform(self, (purpose, start + i, attempt, branch)) for i in range(count)]

    def part(self, key: tuple[int, ...], edges: Sequence[float]) -> int:
        """In which part between the rising `edges`, from 0 to 1, the number lies."""
        low, high = self._left.get(key, (0.0, 1.0))
        parts = [(max(low, first), min(high, last)) for first, last in zip(edges, edges[1:])]
        widths = [last - first if last - first > ALMOST_NOTHING else 0.0 for first, last in parts]
        chosen = self._choices.choose([width / (high - low) for width in widths])
        self._left[key] = parts[chosen]
        return chosen


@dataclass(frozen=True)
class OpenDraw:
    source: OpenNoise
    key: tuple[int, ...]

    def to(self, device: object) -> OpenDraw:
        return self


@dataclass(frozen=True)
class OpenUniform:
    source: OpenNoise
    key: tuple[int, ...]

    def __lt__(self, accept_prob: float) -> bool:
        return self.source.part(self.key, [0.0, min(max(accept_prob, 0.0), 1.0), 1.0]) == 0


def draw_token(probs: Tensor, number: OpenDraw) -> int:
    """Stands in for `dists.draw_token`: the token in whose share of [0, 1) the number lies."""
    sums = list(accumulate(probs.tolist()))
    return number.source.part(number.key, [0.0, *(value / sums[-1] for value in sums)])


def draw_tokens(probs: Tensor, number: OpenDraw, count: int) -> list[int]:
    """Stands in for `dists.draw_tokens`: each draw divides what the one before left of the interval, in the shares of the
    tokens that are left."""
    low, width, left, tokens = 0.0, 1.0, probs.tolist(), []
    while len(tokens) < count and sum(left) > 0:
        edges = [low + width * value / sum(left) for value in accumulate(left, initial=0.0)]
        part = number.source.part(number.key, [0.0, *edges, 1.0]) - 1
        tokens.append(part)
        low, width, left[part] = edges[part], edges[part + 1] - edges[part], 0.0
    return tokens


def every_run(pair: Pair, prompt: Sequence[int], settings: Settings) -> Iterator[tuple[float, list[RoundResult]]]:
    """All runs that can be, each with its probability."""
    choices, more = Choices(), True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "Noise", lambda seed: OpenNoise(choices))
        patch.setattr(dists, "draw_token", draw_token)
        patch.setattr(dists, "draw_tokens", draw_tokens)
        while more:
            decoding, rounds = open_lane(pair, list(prompt), settings), []
            while not decoding.finished:
                rounds.append(alone(decoding.round()))
            yield choices.weight, rounds
            more = choices.next()


@dataclass
class Law:
    """Of all texts and their beginnings: the probability that they are `written`, and what the rule `says` it is. `runs`:
    how many there were; `accepted`: expected tokens accepted in the first round."""

    written: defaultdict[tuple[int, ...], float] = field(default_factory=lambda: defaultdict(float))
    stated: defaultdict[tuple[int, ...], float] = field(default_factory=lambda: defaultdict(float))
    runs: int = 0
    accepted: float = 0.0

    @property
    def deviation(self) -> float:
        """The largest difference between the two."""
        return max(abs(self.written[text] - self.stated[text]) for text in self.written | self.stated)


def law(pair: Pair, prompt: Sequence[int], settings: Settings) -> Law:
    """The law of everything that these settings may write behind a prompt.

    What the rule states, at every place, given the text before it: the verifier's distribution, if nothing was judged there
    or the rule is lossless; else the rule's own output law of the verifier's distribution and the eldest candidate's, or of
    all candidates, where it has one for them together.
    """
    result = Law()
    places: dict[object, list[float]] = {}
    for weight, rounds in every_run(pair, prompt, settings):
        result.runs += 1
        result.accepted += weight * len(rounds[0].walk.path)
        text: tuple[int, ...] = ()
        result.written[text] += weight
        result.stated[text] += weight
        for round_ in rounds:
            for depth, token in enumerate(round_.emitted):
                eldest = first_candidate(round_, depth)
                known = (text, None if eldest is None else tuple(round_.draft.probs[eldest].tolist()))
                if known not in places:
                    places[known] = place_law(pair, (*prompt, *text), settings, round_, eldest).tolist()
                for other, chance in enumerate(places[known]):
                    result.stated[(*text, other)] += weight * chance
                text = (*text, token)
                result.written[text] += weight
    return result


def first_candidate(round_: RoundResult, depth: int) -> int | None:
    """The eldest candidate for the place so deep in what a round wrote; None if there was none."""
    parent = round_.walk.path[depth - 1] if depth else -1
    return next((node for node, other in enumerate(round_.draft.parents) if other == parent), None)


def place_law(pair: Pair, text: tuple[int, ...], settings: Settings, round_: RoundResult, eldest: int | None) -> Tensor:
    """[V]: what the rule says is written behind `text`."""
    rule: Rule | None = settings.rule
    verifier = verifier_probs(pair, text, settings)
    if rule is None or rule.lossless or eldest is None:
        return verifier
    parents = round_.draft.parents
    siblings = [node for node, parent in enumerate(parents) if parent == parents[eldest]]
    if len(siblings) > 1 and isinstance(rule, TokenRule):
        tokens = torch.tensor(round_.draft.path(siblings))
        law = rule.law_of_siblings(verifier, round_.draft.probs[siblings].to(verifier), tokens)
        if law is not None:
            return law
    return rule.output_law(verifier, round_.draft.probs[eldest].to(verifier))


def verifier_probs(pair: Pair, text: tuple[int, ...], settings: Settings) -> Tensor:
    """[V]: the verifier's distribution behind a text, as it is sampled from."""
    table, nobody = pair.verifier.logits, pair.verifier.vocabulary
    second, last = (nobody, nobody, *text)[-2:]
    return dists.pad(dists.to_probs(table[second, last], settings.sampling), pair.vocabulary)
