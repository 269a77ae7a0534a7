"""How many tokens to draft in the next round: a fixed number, or one of WAYS.

A choice made before a round rests on the past alone, and only on noise that is used up, so a lossless rule stays lossless:
how often drafts were kept counts at once, what a round cost once the text has passed everything drafted in it (a draft that
ends early says something about noise that will be drawn on again). A stop within a round rests on tokens that stay in the
draft: see `Draft.room`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median, median_low
from time import perf_counter
from typing import Protocol

from specviz.prob import noise
from specviz.registry import shown

WAYS = {
    "auto": "the length that should write the most tokens per second, from what drafts were worth and cost so far",
    "confidence:0.4": "goes on while the drafter gave the token before at least so much, up to 16 tokens",
    "thompson": "goes on with the chance that a drafted token is kept, as learnt so far, up to 16 tokens",
}  # words of a draft length; behind "confidence:" any number from 0 to 1
LONGEST = 32  # tokens
MOST = 16  # tokens, of those that decide token by token
START = (4, 2, 6)  # the first rounds: lengths apart enough to see what a token costs
EXPLORE = 10  # every so many rounds half or twice the best length has its turn
MEMORY = 0.97  # weight of the acceptance seen so far after one more round: the last 30 or so count
PRIOR, STRENGTH = 0.7, 3.0  # acceptance before any was seen, and the observations an estimate from elsewhere weighs
RECENT = 15  # timings of a kind; their median holds


def best(accept: Sequence[float], draft: float, verify: Sequence[float], rest: float) -> int:
    """The draft length n >= 1 that maximises expected tokens per second.

    accept [N]: chance that draft k is kept if all before it were; draft: seconds per drafted token; verify [N]: seconds
    of the verifier's forward in a round that drafts 1, 2, ..., N tokens; rest: seconds of a round besides.
    A round of n drafts writes 1 + sum over k <= n of accept_1 ... accept_k tokens (Leviathan 2023, eq. 1, by position).
    """
    length, fastest, written, reach = 1, 0.0, 1.0, 1.0
    for n, (chance, seconds) in enumerate(zip(accept, verify), 1):
        reach *= chance
        written += reach
        rate = written / (n * draft + seconds + rest)
        if rate > fastest:
            length, fastest = n, rate
    return length


class Chooser(Protocol):
    """`least`: a draft ends behind a token that its drafter gave less than that."""

    least: float

    def choose(self, position: int, most: int) -> int:
        """Tokens to draft from `position` on, at most `most`."""

    def observe(self, drafted: int, kept: int, draft_seconds: float, verify_seconds: float) -> None:
        """What became of the round, and what it cost."""


def chooser(draft_length: int | str | tuple[int, ...], source: noise.Noise) -> Chooser:
    """What chooses the lengths for a lane's `draft_length` (see `Settings`), with the lane's noise. ValueError, in a
    sentence, for words that are none of WAYS."""
    if draft_length == "auto":
        return Adaptive()
    if draft_length == "thompson":
        return Thompson(source)
    if isinstance(draft_length, str):
        return Confidence(_least(draft_length))
    return Fixed(draft_length)


def _least(words: str) -> float:
    way, _, number = words.partition(":")
    try:
        least = float(number) if way == "confidence" else -1.0
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:
        raise ValueError(
            f"draft_length must be from 1 to {LONGEST} tokens, auto, thompson, or confidence: with a number from 0 to 1, as in "
            f"confidence:0.4; got {shown(words)}."
        )
    return least


class Fixed:
    """Always the same number, or those of a recorded run, one per round."""

    least = 0.0

    def __init__(self, draft_length: int | tuple[int, ...]):
        recorded = draft_length if isinstance(draft_length, tuple) else ()
        self._recorded, self._length = iter(recorded), START[0] if isinstance(draft_length, tuple) else draft_length

    def choose(self, position: int, most: int) -> int:
        return min(next(self._recorded, self._length), most)

    def observe(self, drafted: int, kept: int, draft_seconds: float, verify_seconds: float) -> None:
        pass


class Confidence:
    """Drafts on while the token before was given at least `least` by its drafter. The token at which that shows stays."""

    def __init__(self, least: float):
        self.least = least

    def choose(self, position: int, most: int) -> int:
        return min(MOST, most)

    def observe(self, drafted: int, kept: int, draft_seconds: float, verify_seconds: float) -> None:
        pass


class Thompson:
    """Thompson sampling of the chance theta that a drafted token is kept (Liu et al. 2024, EESD, arXiv 2406.03853): before
    each token behind the first one draws theta ~ Beta(kept + 1, refused + 1), and goes on with chance theta. Drawn anew for
    each token, that is to go on with chance (kept + 1) / (kept + refused + 2), which is how it is done here.

    A round refuses at most one token, the first that is not kept; those behind it say nothing. The coins are of a purpose
    and a round of their own, so that they tell nothing of the tokens.
    """

    least = 0.0

    def __init__(self, source: noise.Noise):
        self._source = source
        self._kept = self._refused = 1

    def choose(self, position: int, most: int) -> int:
        longest, theta = min(MOST, most), self._kept / (self._kept + self._refused)
        for n, number in enumerate(self._source.uniforms(position, longest - 1, position, purpose=noise.LENGTH), 1):
            if not number < theta:
                return n
        return longest

    def observe(self, drafted: int, kept: int, draft_seconds: float, verify_seconds: float) -> None:
        self._kept += kept
        self._refused += kept < drafted


class Adaptive:
    """Learns what drafts are worth, by position in the round, and what forwards cost, by number of tokens."""

    least = 0.0

    def __init__(self) -> None:
        self._reached, self._kept = [0.0] * LONGEST, [0.0] * LONGEST  # faded counts by position in the round
        self._draft: deque[float] = deque(maxlen=RECENT)  # seconds per drafted token
        self._rest: deque[float] = deque(maxlen=RECENT)  # seconds of a round besides the models
        self._verify: dict[int, deque[float]] = {}  # draft length -> seconds of the verifier's forward
        self._waiting: list[tuple[int, int, float, float, float]] = []  # costs that may not count yet
        self._rounds = self._length = self._end = 0
        self._began = 0.0

    def choose(self, position: int, most: int) -> int:
        while self._waiting and self._waiting[0][0] <= position:
            self._count(*self._waiting.pop(0)[1:])
        length = START[min(self._rounds, len(START) - 1)]
        if self._rounds >= len(START) and len(self._verify) > 1:
            length = self._best()
            if self._rounds % EXPLORE == 0:
                beside = [length // 2 or 4, length - 1 or 2, min(2 * length, LONGEST)]
                length = beside[self._rounds // EXPLORE % len(beside)]
        self._rounds += 1
        self._length = min(length, most)
        self._end, self._began = position + self._length, perf_counter()
        return self._length

    def observe(self, drafted: int, kept: int, draft_seconds: float, verify_seconds: float) -> None:
        for i in range(LONGEST):
            self._reached[i] *= MEMORY
            self._kept[i] *= MEMORY
        for i in range(min(kept + 1, drafted)):
            self._reached[i] += 1
            self._kept[i] += i < kept
        rest = perf_counter() - self._began - draft_seconds - verify_seconds
        if self._rounds > 1 and drafted:  # the first round reads the prompt
            self._waiting.append((self._end, drafted, draft_seconds / drafted, verify_seconds, max(rest, 0.0)))

    def _count(self, drafted: int, draft: float, verify: float, rest: float) -> None:
        self._draft.append(draft)
        self._rest.append(rest)
        self._verify.setdefault(drafted, deque(maxlen=RECENT)).append(verify)

    def _best(self) -> int:
        most = min(LONGEST, 2 * max(self._verify))  # what lies far beyond the lengths tried is a guess
        return best(self.acceptance()[:most], median(self._draft), self.verify_seconds()[:most], median(self._rest))

    def acceptance(self) -> list[float]:
        """[LONGEST]: each position's chance to be kept once reached, drawn towards that of all positions together."""
        overall = (sum(self._kept) + PRIOR * STRENGTH) / (sum(self._reached) + STRENGTH)
        return [(kept + overall * STRENGTH) / (reached + STRENGTH) for kept, reached in zip(self._kept, self._reached)]

    def verify_seconds(self) -> list[float]:
        """[LONGEST]: the verifier's seconds by draft length, drawn towards a straight line through all that were timed.

        The line is robust (Theil 1950, Sen 1968, weighted): its slope is a median of those between lengths. Of few
        timings the lower counts, and a single one only for the line: what else ran on the machine only adds.
        """
        known = {n: (median_low(times), len(times)) for n, times in self._verify.items()}
        pairs = [
            ((known[n][0] - known[m][0]) / (n - m), min(known[m][1], known[n][1]) * (n - m))
            for m in known
            for n in known
            if m < n
        ]
        slope = max(_weighted_median(pairs), 0.0) if pairs else 0.0
        level = _weighted_median([(seconds - slope * n, count) for n, (seconds, count) in known.items()])
        drawn = []
        for n in range(1, LONGEST + 1):
            seconds, count = known.get(n, (0.0, 1))
            drawn.append((seconds * (count - 1) + max(level + slope * n, 0.0) * STRENGTH) / (count - 1 + STRENGTH))
        return drawn


def _weighted_median(pairs: Sequence[tuple[float, float]]) -> float:
    """The value at which half the weight is reached, of (value, weight) pairs."""
    pairs = sorted(pairs)
    half, so_far = sum(weight for _, weight in pairs) / 2, 0.0
    for value, weight in pairs:
        so_far += weight
        if so_far >= half:
            return value
    raise ValueError("There is no median of nothing.")
