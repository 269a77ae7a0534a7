"""Lanes run alone, and what tests look at in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scipy.stats import chi2

from specviz import rules
from specviz.backends import Pair
from specviz.engine.decode import RoundResult, alone
from specviz.engine.race import open_lane
from specviz.engine.settings import Settings

SAMPLES = ((1, 0, 0, 1, 1), (1, 0, 1, 1, 0), (0, 0, 1, 0, 1))  # of two tokens, for drafters that want samples
FALSE_ALARM = 1e-6  # odds that a correct loop fails one test by chi-square


def settings_of(spec: str, **options) -> Settings:
    """Settings of a rule by its spec, or of "plain"."""
    if (drafter := options.get("drafter")) is not None and drafter.wants_samples:
        options.setdefault("samples", SAMPLES)
    return Settings(None if spec == "plain" else rules.parse(spec), **options)


def rounds_of(pair: Pair, prompt: Sequence[int], settings: Settings) -> list[RoundResult]:
    """All rounds of one lane, on its own."""
    decoding, rounds = open_lane(pair, list(prompt), settings), []
    while not decoding.finished:
        rounds.append(alone(decoding.round()))
    return rounds


def written(rounds: Iterable[RoundResult]) -> tuple[int, ...]:
    """The tokens that rounds wrote."""
    return tuple(token for round_ in rounds for token in round_.emitted)


def choices(round_: RoundResult) -> tuple:
    """All that a round decided: the same for the same text, whatever computed it."""
    draft, walk = round_.draft, round_.walk
    return round_.start, draft.tokens, draft.parents, walk, round_.emitted, round_.origin, round_.finished


def odds(law: dict[tuple[int, ...], float], texts: Iterable[tuple[int, ...]]) -> float:
    """How likely texts that follow `law` are to look at least so unlike it: chi-square, texts too rare for it in one cell."""
    counts = dict.fromkeys(law, 0)
    for text in texts:
        counts[text] += 1
    total = sum(counts.values())
    rare = [text for text in law if law[text] * total < 5]
    cells = [(counts[text], law[text] * total) for text in law if text not in rare]
    cells.append((sum(counts[text] for text in rare), sum(law[text] for text in rare) * total))
    cells = [(seen, expected) for seen, expected in cells if expected or seen]
    return float(chi2.sf(sum((seen - expected) ** 2 / expected for seen, expected in cells), len(cells) - 1))


def ended(law: dict[tuple[int, ...], float], stop: int) -> dict[tuple[int, ...], float]:
    """The law of texts that end with the token `stop`, where they have it."""
    cut: dict[tuple[int, ...], float] = {}
    for text, chance in law.items():
        short = text[: text.index(stop) + 1] if stop in text else text
        cut[short] = cut.get(short, 0.0) + chance
    return cut
