"""Ways to decode a prompt, and their tokens per second, measured in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import comb
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from specviz import drafters, registry, rules
from specviz.backends import Pair, Session
from specviz.backends.weights import Weights, is_partial, partial_model
from specviz.engine import batch
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.record.running import run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from specviz.engine.workers import Workers

Prompt = tuple[str, str | None]  # the words, and the style in which they are put
Rounds = list[tuple[list[int], list[int]]]  # of each round the drafted and the emitted tokens


class Spent(NamedTuple):
    """Tokens drafted and kept, and seconds in the drafter and in the verifier's forwards."""

    drafted: int
    kept: int
    draft_seconds: float
    verify_seconds: float


class Timed(NamedTuple):
    """A decoded prompt: tokens written, seconds, and, where they are counted, the verifier's calls and what was spent."""

    tokens: int
    seconds: float
    rounds: int | None = None
    spent: Spent | None = None


@dataclass
class Way:
    """One way to decode: `run(prompt, seed)`."""

    name: str
    run: Callable[[Prompt, int], Timed]
    against: str | None = None  # the way that its ratio is taken to
    rates: list[float] = field(default_factory=list)  # tokens per second
    written: list[float] = field(default_factory=list)  # tokens per call of the verifier
    timed: list[Timed] = field(default_factory=list)


class Rates(TypedDict):
    """What `time_ways` says of a way. `rate`, `low` and `high` are the median and the quartiles of `rates`, tokens per
    second of each run; `ratio` is the median over the runs of the ratio to that of `against` on the same prompt and seed,
    and `ratio_low` and `ratio_high` are its interval, see `interval`."""

    name: str
    rate: float
    low: float
    high: float
    against: str | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    written_per_round: float | None
    rates: list[float]


def time_ways(ways: Sequence[Way], prompts: Sequence[Prompt], repeats: int) -> list[Rates]:
    """Runs all ways in turns on each prompt, `repeats` times, with another seed each time."""
    for way in ways:  # once unmeasured, to warm up
        way.run(prompts[0], 0)
    for seed in range(repeats):
        for prompt in prompts:
            for way in ways:
                timed = way.run(prompt, seed)
                way.timed.append(timed)
                way.rates.append(timed.tokens / timed.seconds)
                if timed.rounds:
                    way.written.append(timed.tokens / timed.rounds)
    by_name = {way.name: way for way in ways}
    rows: list[Rates] = []
    for way in ways:
        other = None if way.against is None else by_name[way.against]
        ratios = [a / b for a, b in zip(way.rates, other.rates)] if other else []
        ratio_low, ratio_high = interval(ratios) if ratios else (None, None)
        low, _, high = statistics.quantiles(way.rates, n=4, method="inclusive") if len(way.rates) > 1 else way.rates * 3
        written = statistics.median(way.written) if way.written else None
        rows.append(
            {
                "name": way.name,
                "rate": statistics.median(way.rates),
                "low": low,
                "high": high,
                "against": way.against,
                "ratio": statistics.median(ratios) if ratios else None,
                "ratio_low": ratio_low,
                "ratio_high": ratio_high,
                "written_per_round": written,
                "rates": way.rates,
            }
        )
    return rows


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The narrowest two of the values, as far from one end as from the other, between which the median of what they are
    drawn from lies at least 95 times in 100, whatever its law; of fewer than six, the least and the largest."""
    ordered, count = sorted(values), len(values)
    outside = next(k for k in range(count + 1) if sum(comb(count, i) for i in range(k + 1)) > 0.025 * 2**count)
    first = max(0, outside - 1)
    return ordered[first], ordered[count - 1 - first]


def for_pair(pair: Pair, models: Sequence[PreTrainedModel], sps: Settings, few: bool = False) -> list[Way]:
    """What one would compare on a pair: transformers' ways, with `models`, its draft and its verifier, and specviz's.

    `sps`: the settings of speculative sampling with the draft model, which all other ways share. `few` leaves out all but
    the main ways.
    """
    draft, verifier = models
    plain, lookup = replace(sps, rule=None), replace(sps, drafter=drafters.make("ngram"))
    sampled = Specviz(pair, sps)
    ways = [
        Way("transformers plain", Transformers(pair, verifier, sps)),
        Way("transformers assisted", Transformers(pair, verifier, sps, assisted_by(draft, sps)), "transformers plain"),
        Way("specviz plain", Specviz(pair, plain), "transformers plain"),
        Way("specviz sps", sampled, "transformers assisted"),
        Way("its forwards alone, the limit", Forwards(pair, sampled), "specviz sps"),
    ]
    if not few:
        ways += [
            Way("specviz plain, tracing off", Specviz(pair, plain, traced=False), "specviz plain"),
            Way("specviz sps, tracing off", Specviz(pair, sps, traced=False), "specviz sps"),
            Way("specviz sps, auto length", Specviz(pair, replace(sps, draft_length="auto")), "specviz sps"),
            Way("specviz cactus", Specviz(pair, replace(sps, rule=rules.make("cactus"))), "transformers assisted"),
            Way(
                "transformers prompt lookup",
                Transformers(pair, verifier, sps, looked_up(sps, lookup.drafter)),
                "transformers plain",
            ),
            Way("specviz sps, drafter ngram", Specviz(pair, lookup), "transformers prompt lookup"),
        ]
    if pair.head is not None:
        head = Specviz(pair, replace(sps, drafter=drafters.make("head")))
        ways.append(Way("specviz sps, drafter head", head, "specviz plain"))
    return ways


def by_length(pair: Pair, sps: Settings) -> list[Way]:
    """sps by draft length."""
    return [Way(str(n), Specviz(pair, replace(sps, draft_length=n))) for n in (*range(1, 9), "auto")]


def one_and_many(
    pair: Pair, workers: Workers | None, prompts: Sequence[Prompt], sps: Settings, count: int = 32
) -> list[Way]:
    """`count` texts of sps, tracing off: one after the other, all at once, and all at once shared out to `workers` (or
    None). Each text has a seed of its own."""
    single = Specviz(pair, sps, traced=False)

    def one_at_a_time(_: Prompt, seed: int) -> Timed:
        texts = [single(prompts[i % len(prompts)], count * seed + i) for i in range(count)]
        return Timed(sum(text.tokens for text in texts), sum(text.seconds for text in texts))

    def at_once(workers: Workers | None, seed: int) -> Timed:
        jobs = [(pair.encode(*prompts[i % len(prompts)]), replace(sps, seed=count * seed + i)) for i in range(count)]
        began = perf_counter()
        texts = batch.write(pair, jobs, rows=count, workers=workers)
        return Timed(sum(len(text.tokens) for text in texts), perf_counter() - began)

    alone = "specviz sps, one at a time"
    ways = [
        Way(alone, one_at_a_time),
        Way(f"specviz sps, {count} at once", lambda _, seed: at_once(None, seed), alone),
    ]
    if workers is not None:
        ways.append(Way(f"the same in {len(workers)} processes", lambda _, seed: at_once(workers, seed), alone))
    return ways


class Specviz:
    """Decoding by specviz. `traced`: with the exact measures, and a record of it all. `rounds`: those of the last run."""

    def __init__(self, pair: Pair, settings: Settings, traced: bool = True):
        self._pair, self._settings, self._traced = pair, settings, traced
        self.rounds: Rounds = []

    def __call__(self, prompt: Prompt, seed: int) -> Timed:
        words, style = prompt
        lane = replace(self._settings, seed=seed)
        if self._traced:
            running = run(self._pair, words, [lane], style=style)
            began = perf_counter()
            rounds = running.finish().lanes[0].rounds
            seconds = perf_counter() - began
            self.rounds = [(round_.drafted, round_.emitted) for round_ in rounds]
            each = [(len(r.drafted), r.kept, r.draft_seconds, r.verify_seconds) for r in rounds]
        else:
            tokens = self._pair.encode(words, style)
            began = perf_counter()
            results = [step.result for step in race(self._pair, tokens, [lane], measured=False)]
            seconds = perf_counter() - began
            self.rounds = [(list(result.draft.tokens), list(result.emitted)) for result in results]
            each = [(len(r.draft), len(r.walk.path), r.draft_seconds, r.verify_seconds) for r in results]
        spent = Spent(*(sum(column) for column in zip(*each)))
        return Timed(sum(len(emitted) for _, emitted in self.rounds), seconds, len(self.rounds), spent)


class Forwards:
    """The forwards of the last run of `other`, and nothing else: what no bookkeeping could be faster than."""

    def __init__(self, pair: Pair, other: Specviz):
        self._pair, self._other = pair, other

    def __call__(self, prompt: Prompt, seed: int) -> Timed:
        pair, rounds = self._pair, self._other.rounds
        assert pair.draft is not None
        seconds = forwards(pair.draft.session(), pair.verifier.session(), pair.encode(*prompt), rounds)
        return Timed(sum(len(emitted) for _, emitted in rounds), seconds, len(rounds))


def forwards(draft: Session, verifier: Session, prompt: Sequence[int], rounds: Rounds) -> float:
    """Seconds of the two sessions' forwards over rounds that were decoded behind `prompt`, tokens."""
    text = list(prompt)
    began = perf_counter()
    for drafted, emitted in rounds:
        unseen = text[draft.length :]
        for token in drafted:
            draft.forward(unseen, keep=1)
            unseen = [token]
        verifier.forward(text[verifier.length :] + drafted, keep=len(drafted) + 1)
        text += emitted
        draft.rollback(len(text) - 1)
        verifier.rollback(len(text) - 1)
    return perf_counter() - began


class Transformers:
    """transformers' generation by the verifier; `more`: arguments for `generate` that say who drafts."""

    def __init__(self, pair: Pair, verifier: PreTrainedModel, settings: Settings, more: dict[str, Any] | None = None):
        sampling = settings.sampling
        self._pair, self._verifier = pair, verifier
        self._more: dict[str, Any] = {"max_new_tokens": settings.max_new_tokens, "pad_token_id": 0, **(more or {})}
        if sampling.temperature:
            self._more |= dict(
                do_sample=True, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p
            )
        else:
            self._more |= dict(do_sample=False)

    def __call__(self, prompt: Prompt, seed: int) -> Timed:
        import torch

        tokens = torch.tensor([self._pair.encode(*prompt)], device=self._verifier.device)
        torch.manual_seed(seed)
        calls: list[int] = []
        hook = self._verifier.register_forward_hook(lambda *_: calls.append(1))
        began = perf_counter()
        with torch.inference_mode():
            text = self._verifier.generate(tokens, attention_mask=torch.ones_like(tokens), **self._more)  # type: ignore[operator]
        seconds = perf_counter() - began
        hook.remove()
        return Timed(text.shape[1] - tokens.shape[1], seconds, len(calls))


def assisted_by(draft: PreTrainedModel, settings: Settings) -> dict[str, Any]:
    """Arguments for `generate`: `draft` writes ahead, as many tokens as specviz drafts."""
    config = draft.generation_config
    config.num_assistant_tokens = settings.draft_length
    config.num_assistant_tokens_schedule = "constant"
    config.assistant_confidence_threshold = 0.0  # whatever it thinks of them
    return {"assistant_model": draft}


def looked_up(settings: Settings, drafter: drafters.Drafter) -> dict[str, Any]:
    """Arguments for `generate`: tokens are copied from earlier in the text, found as `drafter` finds them."""
    longest = registry.values(drafter)["longest"]
    return {"prompt_lookup_num_tokens": settings.draft_length, "max_matching_ngram_size": longest}


def transformers_models(folders: Sequence[str], pair: Pair) -> list[PreTrainedModel]:
    """Draft and verifier as transformers loads them, in the dtype and on the device of `pair`, whose verifier lends the draft
    what that borrows."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    device = pair.verifier.session().forward([0]).logits.device
    dtype = getattr(torch, pair.verifier.dtype)

    def load(folder: str) -> Any:
        if is_partial(Path(folder)):
            return partial_model(Weights(Path(folder), pair.verifier), dtype)
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    return [load(folder).to(device) for folder in folders]
