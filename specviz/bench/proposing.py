"""All drafters of a pair in one run, beside plain decoding and what transformers has of the kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from specviz import drafters
from specviz.backends import Pair
from specviz.bench.ways import (
    Prompt,
    Rates,
    Specviz,
    Timed,
    Transformers,
    Way,
    assisted_by,
    looked_up,
    time_ways,
)
from specviz.engine.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = "plain"


class Drafted(Rates, total=False):
    """`ways.Rates`, and of specviz's ways over all runs together: the share of drafted tokens that was kept, seconds in the
    drafter for each, and the share of the time that neither drafter nor verifier took."""

    kept_share: float | None
    seconds_per_drafted: float | None
    outside: float | None


def by_drafter(
    pair: Pair, models: Sequence[PreTrainedModel], sps: Settings, prompts: Sequence[Prompt], repeats: int
) -> list[Drafted]:
    """Every drafter that can work with the pair, at its own defaults (but for one that wants other samples), under the rule and the
    sampling of `sps`, tracing off.
    `models`: draft and verifier as transformers loads them."""
    ways = every_way(pair, models, sps)
    rows = []
    for way, rates in zip(ways, time_ways(ways, prompts, repeats)):
        kept, each, outside = _spent(way.timed)
        rows.append(Drafted(**rates, kept_share=kept, seconds_per_drafted=each, outside=outside))
    return rows


def every_way(pair: Pair, models: Sequence[PreTrainedModel], sps: Settings) -> list[Way]:
    """A way for each of them; ratios are to plain decoding by the same program."""
    draft, verifier = models
    ways = [Way(PLAIN, Specviz(pair, replace(sps, rule=None), traced=False))]
    for drafter in drafters.of_text():
        if drafter.refusal(sps.rule, pair) is None:
            ways.append(Way(drafter.name, Specviz(pair, replace(sps, drafter=drafter), traced=False), PLAIN))
    theirs = "transformers plain"
    ways.append(Way(theirs, Transformers(pair, verifier, sps)))
    lookup = looked_up(sps, drafters.make("ngram"))
    ways.append(Way("transformers prompt lookup", Transformers(pair, verifier, sps, lookup), theirs))
    ways.append(Way("transformers assisted", Transformers(pair, verifier, sps, assisted_by(draft, sps)), theirs))
    return ways


def _spent(timed: Sequence[Timed]) -> tuple[float | None, float | None, float | None]:
    """The last three of `Drafted`."""
    spent = [run.spent for run in timed if run.spent is not None]
    if not spent:
        return None, None, None
    drafted, kept, drafting, verifying = map(sum, zip(*spent))
    outside = 1 - (drafting + verifying) / sum(run.seconds for run in timed)
    return (kept / drafted, drafting / drafted, outside) if drafted else (None, None, outside)
