"""Measures how well a draft agrees with its verifier, on what the verifier says to prompts that nobody trained on.

    python -m specviz.training.agreement --pair smollm2 --prompts questions.jsonl

Prints markdown. Overlap is the mean of sum(min(verifier, draft)) over the tokens of answers that the verifier itself
wrote, each as the first of a draft, both sampled alike: what strict speculative sampling accepts there (Leviathan et al.
2023). In `sps` runs over the same prompts it is taken of each place in a draft that was reached, and tokens per verifier
call are counted. Intervals of 95 % take the texts as units. What a drafted token costs is timed beside a forward of the
verifier over one token. With --show, instead, each prompt and what `sps` answers to it, as it comes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from specviz import backends, drafters, rules
from specviz.backends import Pair
from specviz.drafters import Drafter
from specviz.drafters.asks import next_probs
from specviz.engine import batch
from specviz.engine.decode import alone
from specviz.engine.race import open_lane
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.prob.stats import Estimate
from specviz.study.reading import Playing
from specviz.training.prompts import read
from specviz.training.writing import COOL, HOT
from specviz.types import Sampling

COUNT, LONGEST = 64, 160  # prompts, and tokens of an answer
MOST = 1200  # letters of a prompt; longer ones are left out
LENGTHS = (1, 2, 3, 4, 5)  # drafted per round


def jobs(pair: Pair, prompts: Sequence[str], settings: Settings) -> list[batch.Job]:
    """Each prompt in the pair's first style, with the same seed whatever the settings."""
    style = next(iter(pair.styles), None)
    return [(pair.encode(prompt, style), replace(settings, seed=seed)) for seed, prompt in enumerate(prompts)]


@torch.inference_mode()
def overlap(pair: Pair, begun: Sequence[batch.Job], drafter: Drafter) -> tuple[Estimate, int]:
    """On what the verifier alone writes in these jobs; and how many tokens that is."""
    sums, counts = [], []
    for (prompt, settings), text in zip(begun, batch.write(pair, begun)):
        law = next_probs(pair.verifier, prompt, text.tokens, settings.sampling, pair.vocabulary)
        draft = drafter.laws(pair, prompt, text.tokens, settings.sampling)
        if draft is None:
            draft = first_laws(pair, prompt, text.tokens, settings, drafter).to(law)
        sums.append(torch.minimum(law, draft).sum().item())
        counts.append(len(text.tokens))
    return stats.ratio(sums, counts), sum(counts)


def first_laws(pair: Pair, prompt: list[int], written: list[int], settings: Settings, drafter: Drafter) -> Tensor:
    """[N, V]: what the first token of a draft is drawn from at each place of a text; zeros where nothing is drafted."""
    playing = Playing(prompt, written, pair, drafter, settings.sampling, settings.seed)
    drafts = [playing.draft(place, 1) for place in range(len(written))]
    return torch.stack([draft.probs[0] if len(draft) else torch.zeros(pair.vocabulary) for draft in drafts])


def drafted(pair: Pair, begun: Sequence[batch.Job]) -> tuple[Estimate, list[float]]:
    """Of jobs of `sps`: tokens written per forward of the verifier, and the overlap at each place of a draft, of those that
    were reached."""
    written, rounds = [0] * len(begun), [0] * len(begun)
    length = max(int(settings.draft_length) for _, settings in begun)
    sums, counts = np.zeros(length), np.zeros(length)
    for i, result in batch.decode(pair, begun):
        written[i] += len(result.emitted)
        rounds[i] += 1
        if result.judgement is not None:
            reached = min(len(result.walk.path) + 1, len(result.draft))
            verifier, draft = result.judgement.verifier_probs[:reached], result.judgement.draft_probs[:reached]
            sums[:reached] += torch.minimum(verifier, draft).sum(-1).cpu().numpy()
            counts[:reached] += 1
    return stats.ratio(written, rounds), (sums / np.maximum(counts, 1)).tolist()


def cost(pair: Pair, begun: Sequence[batch.Job]) -> float:
    """Seconds of a drafted token in these jobs, each alone, over those of a forward of the verifier over one token."""
    seconds, tokens, plain = 0.0, 0, []
    for prompt, settings in begun:
        for settings_ in (settings, replace(settings, rule=None)):
            decoding = open_lane(pair, prompt, settings_)
            while not decoding.finished:
                result = alone(decoding.round())
                if result.start == len(prompt):
                    continue
                if settings_.rule is None:
                    plain.append(result.verify_seconds)
                else:
                    seconds, tokens = seconds + result.draft_seconds, tokens + len(result.draft)
    return seconds / max(tokens, 1) / median(plain)


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
    parser.add_argument("--drafter", help="who drafts (default: the pair's own)")
    parser.add_argument("--count", type=int, default=COUNT, help=f"how many of the prompts (default {COUNT})")
    parser.add_argument("--show", action="store_true", help="print the answers instead")
    options = parser.parse_args(arguments)
    pair = backends.load_pair(options.pair)
    backends.dedicate_process(pair)
    prompts = chosen(options.prompts, options.count)
    if options.show:
        show(pair, prompts)
        return 0
    drafter = drafters.parse(options.drafter or pair.drafter)
    samplings = list(dict.fromkeys([HOT, COOL, pair.sampling]))
    print(f"{drafter.spec}: {len(prompts)} prompts, answers of at most {LONGEST} tokens.\n")
    print("| sampling | overlap | tokens |\n|---|---|---|")
    for sampling in samplings:
        plain = Settings(sampling=sampling, max_new_tokens=LONGEST)
        estimate, count = overlap(pair, jobs(pair, prompts, plain), drafter)
        print(f"| {words(sampling)} | {cell(estimate, 3)} | {count:,} |", flush=True)
    sps = Settings(rules.make("sps"), max_new_tokens=LONGEST, drafter=drafter)
    for sampling in samplings:
        head = [f"| {words(sampling)}: drafted per round", "tokens per call", "overlap by place"]
        print("\n" + " | ".join(head) + " |\n|---|---|---|")
        for length in LENGTHS:
            tokens, places = drafted(pair, jobs(pair, prompts, replace(sps, sampling=sampling, draft_length=length)))
            by_place = ", ".join(f"{place:.2f}" for place in places)
            print(f"| {length} | {cell(tokens, 2)} | {by_place} |", flush=True)
    share = cost(pair, jobs(pair, prompts[:4], replace(sps, sampling=pair.sampling)))
    print(f"\nA drafted token costs {share:.3f} of the verifier's forward over one token.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
