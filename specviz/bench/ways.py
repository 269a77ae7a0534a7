"""Ways to decode a prompt, and their tokens per second, measured in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from specviz.engine.settings import Settings
from specviz.types import Emitted


@dataclass
class Way:
    """One way to decode: `run(prompt tokens, seed)` returns tokens written and seconds. `rounds`, if it has any: of the last run."""

    name: str
    run: Callable
    against: str | None = None  # the way that its ratio is taken to
    rates: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)  # tokens per round


def measure(ways: Sequence[Way], prompts: Sequence[list[int]], repeats: int) -> list[dict]:
    """Runs all ways in turns on each prompt. Per way: name, rates (tokens per second, one per run), their median `rate`
    and quartiles, `against` and the median `ratio` to that way's run of the same prompt and seed, written per round."""
    for way in ways:  # once unmeasured, to warm up
        way.run(prompts[0], 0)
    for seed in range(repeats):
        for prompt in prompts:
            for way in ways:
                count, seconds = way.run(prompt, seed)
                way.rates.append(count / seconds)
                if rounds := getattr(way.run, "rounds", None):
                    way.written.append(count / len(rounds))
    by_name = {way.name: way for way in ways}
    rows = []
    for way in ways:
        other = by_name.get(way.against)
        ratio = statistics.median(a / b for a, b in zip(way.rates, other.rates)) if other else None
        low, _, high = statistics.quantiles(way.rates, n=4, method="inclusive") if len(way.rates) > 1 else way.rates * 3
        written = statistics.median(way.written) if way.written else None
        rows.append(
            {
                "name": way.name,
                "rate": statistics.median(way.rates),
                "low": low,
                "high": high,
                "against": way.against,
                "ratio": ratio,
                "written_per_round": written,
                "rates": way.rates,
            }
        )
    return rows


def for_pair(pair, models: list, settings: dict, few: bool = False) -> list[Way]:
    """What one would compare on a pair: transformers' ways and specviz's; `few` leaves out all but the main ones."""
    from specviz import rules

    draft, verifier = models
    sps = Specviz(pair, settings, rules.make("sps"))
    found = [
        Way("transformers plain", transformers(verifier, None, settings)),
        Way("transformers assisted", transformers(verifier, draft, settings), "transformers plain"),
        Way("specviz plain", Specviz(pair, settings, None), "transformers plain"),
        Way("specviz sps", sps, "transformers assisted"),
        Way("its forwards alone, the limit", Bare(pair, sps), "specviz sps"),
    ]
    if not few:
        found += [
            Way("specviz plain, tracing off", Specviz(pair, settings, None, traced=False), "specviz plain"),
            Way("specviz sps, tracing off", Specviz(pair, settings, rules.make("sps"), traced=False), "specviz sps"),
            Way(
                "specviz sps, auto length",
                Specviz(pair, settings | {"draft_length": "auto"}, rules.make("sps")),
                "specviz sps",
            ),
            Way("specviz cactus", Specviz(pair, settings, rules.make("cactus")), "transformers assisted"),
        ]
    return found


def by_length(pair, settings: dict) -> list[Way]:
    """sps by draft length."""
    from specviz import rules

    return [
        Way(str(n), Specviz(pair, settings | {"draft_length": n}, rules.make("sps"))) for n in [*range(1, 9), "auto"]
    ]


def one_and_many(pair, workers, prompts: Sequence[list[int]], settings: dict, count: int = 32) -> list[Way]:
    """`count` texts of sps, tracing off: one after the other, all at once, and all at once shared out to `workers` (or
    None). Each text has a seed of its own."""
    from specviz import rules
    from specviz.engine import batch

    rule = rules.make("sps")

    def one(_, seed: int) -> tuple[int, float]:
        run = Specviz(pair, settings, rule, traced=False)
        runs = [run(prompts[i % len(prompts)], count * seed + i) for i in range(count)]
        return sum(tokens for tokens, _ in runs), sum(seconds for _, seconds in runs)

    def many(_, seed: int, workers=None) -> tuple[int, float]:
        jobs = [
            (prompts[i % len(prompts)], Settings(rule=rule, seed=count * seed + i, **settings)) for i in range(count)
        ]
        began = perf_counter()
        texts = batch.texts(pair, jobs, rows=count, workers=workers)
        return sum(len(text.tokens) for text in texts), perf_counter() - began

    alone = "specviz sps, one at a time"
    found = [Way(alone, one), Way(f"specviz sps, {count} at once", many, alone)]
    if workers is not None:
        found.append(Way(f"the same in {len(workers)} processes", partial(many, workers=workers), alone))
    return found


class Specviz:
    """Decoding by specviz with `rule` (None: plain). `traced`: with the exact measures, and a record of it all.

    `rounds`: those of the last run, as (drafted, emitted) tokens.
    """

    def __init__(self, pair, settings: dict, rule, traced: bool = True):
        self._pair, self._settings, self._rule, self._traced = pair, settings, rule, traced
        self.rounds: list[tuple] = []

    def __call__(self, prompt: list[int], seed: int) -> tuple[int, float]:
        from specviz.engine import race
        from specviz.record import trace

        lane = Settings(rule=self._rule, seed=seed, **self._settings)
        record = trace.begin(self._pair, "A prompt", None, [lane])
        began = perf_counter()
        steps = []
        for step in race.race(self._pair, prompt, [lane], measured=self._traced):
            steps.append(step)
            if self._traced:
                record.add(step)
        seconds = perf_counter() - began
        self.rounds = rounds_of(steps)
        return sum(len(emitted) for _, emitted in self.rounds), seconds


class Bare:
    """The forwards of the last run of `other`, and nothing else: what no bookkeeping could be faster than."""

    def __init__(self, pair, other: Specviz):
        self._pair, self._other = pair, other

    def __call__(self, prompt: list[int], seed: int) -> tuple[int, float]:
        sessions = self._pair.draft.session(), self._pair.verifier.session()
        return sum(len(emitted) for _, emitted in self._other.rounds), forwards(*sessions, prompt, self._other.rounds)


def rounds_of(steps: Sequence) -> list[tuple]:
    """(drafted tokens, emitted tokens) of every round in race steps."""
    rounds = [
        (list(step.events[0].tokens), [event.token for event in step.events if isinstance(event, Emitted)])
        for step in steps
        if hasattr(step.events[0], "tokens")
    ]
    return [(drafted, emitted) for drafted, emitted in rounds if emitted]


def forwards(draft, verifier, prompt: list[int], rounds: list[tuple]) -> float:
    """Seconds of the two sessions' forwards over recorded rounds."""
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


def transformers_models(folders: Sequence, pair) -> list:
    """Draft and verifier as transformers loads them, in the dtype and on the device of `pair`."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    device = pair.verifier.session().forward([0]).logits.device
    return [
        AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, pair.verifier.dtype)).eval().to(device)
        for folder in folders
    ]


def transformers(verifier, draft, settings: dict) -> Callable:
    """transformers' generation, assisted by `draft` unless that is None."""
    import torch

    sampling = settings["sampling"]
    how = (
        dict(do_sample=True, temperature=sampling.temperature, top_k=0, top_p=1.0)
        if sampling.temperature
        else dict(do_sample=False)
    )
    if draft is not None:
        draft.generation_config.num_assistant_tokens = settings["draft_length"]
        draft.generation_config.num_assistant_tokens_schedule = "constant"
        draft.generation_config.assistant_confidence_threshold = 0.0  # draft as many as asked for, as specviz does
        how["assistant_model"] = draft

    def run(prompt: list[int], seed: int) -> tuple[int, float]:
        torch.manual_seed(seed)
        began = perf_counter()
        with torch.inference_mode():
            tokens = torch.tensor([prompt], device=verifier.device)
            out = verifier.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=settings["max_new_tokens"],
                pad_token_id=0,
                **how,
            )
        return out.shape[1] - len(prompt), perf_counter() - began

    return run
