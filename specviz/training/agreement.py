"""Measures how well a draft agrees with its verifier, on what the verifier says to prompts that nobody trained on.

    python -m specviz.training.agreement --pair smollm2 --prompts questions.jsonl

Prints markdown. Overlap is the mean of sum(min(verifier, draft)) over the tokens of answers that the verifier itself
wrote, both models sampled alike: what strict speculative sampling accepts there (Leviathan et al. 2023). Tokens per
verifier call are counted in `sps` runs over the same prompts. Intervals of 95 % take the texts as units.
With --show, instead, each prompt and what `sps` answers to it, as it comes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from specviz import backends, rules
from specviz.backends import Pair
from specviz.drafters.asks import next_probs
from specviz.engine import batch
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.prob.stats import Estimate
from specviz.training.prompts import read
from specviz.training.writing import COOL, HOT
from specviz.types import Sampling

COUNT, LONGEST = 64, 160  # prompts, and tokens of an answer
MOST = 1200  # letters of a prompt; longer ones are left out
LENGTHS = (1, 2, 3, 4, 6)  # drafted per round


def jobs(pair: Pair, prompts: Sequence[str], settings: Settings) -> list[batch.Job]:
    """Each prompt in the pair's first style, with the same seed whatever the settings."""
    style = next(iter(pair.styles), None)
    return [(pair.encode(prompt, style), replace(settings, seed=seed)) for seed, prompt in enumerate(prompts)]


def overlap(pair: Pair, begun: Sequence[batch.Job]) -> tuple[Estimate, int]:
    """On what the verifier alone writes in these jobs; and how many tokens that is."""
    assert pair.draft is not None
    sums, counts = [], []
    for (prompt, settings), text in zip(begun, batch.write(pair, begun)):
        law = next_probs(pair.verifier, prompt, text.tokens, settings.sampling, pair.vocabulary)
        draft = next_probs(pair.draft, prompt, text.tokens, settings.sampling, pair.vocabulary)
        sums.append(torch.minimum(law, draft).sum().item())
        counts.append(len(text.tokens))
    return stats.ratio(sums, counts), sum(counts)


def per_call(pair: Pair, prompts: Sequence[str], sampling: Sampling, length: int) -> Estimate:
    """Tokens that `sps` writes per forward of the verifier."""
    settings = Settings(rules.make("sps"), sampling, draft_length=length, max_new_tokens=LONGEST)
    texts = batch.write(pair, jobs(pair, prompts, settings))
    return stats.ratio([len(text.tokens) for text in texts], [text.rounds for text in texts])


def chosen(files: list[Path], count: int) -> list[str]:
    """So many of the prompts in files that are not too long, spread evenly over them. ValueError if there are none."""
    fit = [prompt for prompt in read(files) if len(prompt) <= MOST]
    if not fit:
        raise ValueError(f"Every prompt is longer than {MOST:,} letters.")
    return [fit[i * len(fit) // count] for i in range(count)] if count < len(fit) else fit


def words(sampling: Sampling) -> str:
    """A sampling as a person would say it."""
    cuts = [f"top-p {sampling.top_p:g}"] * (sampling.top_p < 1) + [f"top-k {sampling.top_k}"] * bool(sampling.top_k)
    return ", ".join([f"temperature {sampling.temperature:g}", *(cuts or ["untruncated"])])


def cell(estimate: Estimate, digits: int) -> str:
    value, *ends = (f"{number:.{digits}f}" if number is not None else "?" for number in estimate)
    return f"{value} ({' to '.join(ends)})"


def show(pair: Pair, prompts: Sequence[str]) -> None:
    settings = Settings(rules.make("sps"), pair.sampling, max_new_tokens=LONGEST)
    for prompt, text in zip(prompts, batch.write(pair, jobs(pair, prompts, settings))):
        answer = pair.tokenizer.decode(text.tokens).strip()
        end = "" if text.finished == "end of text" else f" [... cut after {LONGEST} tokens]"
        print("\n".join([f"**{line}**" if line else "" for line in prompt.split("\n")]) + "\n")
        print("\n".join(f"> {line}".rstrip() for line in (answer + end).split("\n")) + "\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specviz.training.agreement", description=__doc__.split("\n\n")[0])
    parser.add_argument("--pair", help="a pair by its name, or a folder with a pair.json (default: the first)")
    parser.add_argument("--prompts", type=Path, nargs="+", required=True, help="files as `specviz train` reads them")
    parser.add_argument("--count", type=int, default=COUNT, help=f"how many of the prompts (default {COUNT})")
    parser.add_argument("--show", action="store_true", help="print the answers instead")
    options = parser.parse_args(arguments)
    pair = backends.load_pair(options.pair)
    backends.dedicate_process(pair)
    prompts = chosen(options.prompts, options.count)
    if options.show:
        show(pair, prompts)
        return 0
    samplings = list(dict.fromkeys([HOT, COOL, pair.sampling]))
    print(
        f"{len(prompts)} prompts, answers of at most {LONGEST} tokens.\n\n| sampling | overlap | tokens |\n|---|---|---|"
    )
    for sampling in samplings:
        plain = Settings(sampling=sampling, max_new_tokens=LONGEST)
        estimate, count = overlap(pair, jobs(pair, prompts, plain))
        print(f"| {words(sampling)} | {cell(estimate, 3)} | {count:,} |", flush=True)
    print("\n| drafted per round | " + " | ".join(map(words, samplings)) + " |\n|---|" + "---|" * len(samplings))
    for length in LENGTHS:
        row = [cell(per_call(pair, prompts, sampling, length), 2) for sampling in samplings]
        print(f"| {length} | " + " | ".join(row) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
