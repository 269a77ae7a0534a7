"""Speed, side by side in one run with what one would use instead: `python -m specviz bench`.

Every way decodes the same prompts with the same sampling and length, one after the other, again and again, so that
whatever else the machine does hits all of them alike. Reported are medians, and medians of the ratios of neighbours:
two ways on one prompt with one seed, measured within seconds of each other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specviz.assets import ASSETS
from specviz.options import add_models

if TYPE_CHECKING:
    from specviz.backends import Pair
    from specviz.bench.ways import Prompt

PROMPTS = ASSETS / "prompts.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m specviz bench`."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer prompts, repeats and tokens: a minute with a small pair, five with smollm2",
    )
    parser.add_argument("--repeats", type=int, help="times each way decodes each prompt (default 3, with --quick 1)")
    parser.add_argument("--max-new-tokens", type=int, help="tokens per text (default 150, with --quick 60)")
    parser.add_argument("--draft-length", type=int, default=4, help="tokens drafted per round (default 4)")
    parser.add_argument(
        "--lengths",
        action="store_true",
        help="also find the draft length that is fastest for sps, from 1 to 8, and see what auto makes of it",
    )
    parser.add_argument(
        "--trees",
        action="store_true",
        help="hold chains, static and dynamic trees of as many nodes against each other, time a look at so many, and nothing else",
    )
    parser.add_argument(
        "--drafters",
        action="store_true",
        help="compare all drafters of the pair, and what transformers has of the kind, and nothing else",
    )
    parser.add_argument("--temperature", type=float, help="of the sampling (default: the pair's own)")
    parser.add_argument("--top-k", type=int, help="keep only the k likeliest tokens (default: the pair's own)")
    parser.add_argument(
        "--top-p", type=float, help="keep the likeliest with this much probability (default: the pair's own)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="torch threads, for all ways alike (default: 1 for a small pair on static_llama, else torch's own choice)",
    )
    add_models(parser)
    parser.add_argument(
        "--backend", help="run specviz on this backend: static_llama or transformers (default: the fastest that can)"
    )
    parser.add_argument("--json", metavar="FILE", help="save every measurement")
    parser.add_argument("--plot", metavar="FILE.html", help="save the tables as a page of plots")


def prompts_for(pair: Pair) -> list[Prompt]:
    """The example prompts, those made for this pair first; in their style, or the first one that the pair has."""
    every = json.loads(PROMPTS.read_text(encoding="utf-8"))
    name = None if pair.facts is None else pair.facts.name
    usual = next(iter(pair.styles), None)
    return [
        (prompt["text"], prompt["style"] if prompt["style"] in pair.styles else usual)
        for prompt in sorted(every, key=lambda prompt: bool(prompt["pair"] != name))
    ]


def run(options: argparse.Namespace) -> int:
    """Measures and prints; returns 0."""
    import tempfile

    import torch

    from specviz import backends, rules
    from specviz.bench import generated, parts, proposing, report, trees, ways
    from specviz.engine.settings import Settings
    from specviz.engine.workers import Workers, cores

    if options.plot:
        import plotly  # noqa: F401 - if it is not there, the measurements need not be made first

    repeats = options.repeats or (1 if options.quick else 3)
    length = options.max_new_tokens or (60 if options.quick else 150)
    placing = dict(device=options.device, dtype=options.dtype)
    pair = backends.load_pair(
        options.pair, draft=options.draft, verifier=options.verifier, backend=options.backend, **placing
    )
    if pair.draft is None:
        raise ValueError("The benchmark needs a draft model as well: give both, or a pair.")
    backends.dedicate_process(pair)
    if options.threads:
        torch.set_num_threads(options.threads)
    sampling = pair.sampled(temperature=options.temperature, top_k=options.top_k, top_p=options.top_p)
    sps = Settings(rules.make("sps"), sampling, options.draft_length, length)
    prompts = prompts_for(pair)[: 3 if options.quick else None]
    folders = [options.draft, options.verifier]
    if pair.facts is not None:
        folders = [pair.folders[role] for role in ("draft", "verifier")]
    tables: dict[str, Any] = {
        "about": f"{len(prompts)} prompts x {repeats} repeats, up to {length} new tokens, temperature {sampling.temperature:g}, top-k {sampling.top_k}, top-p {sampling.top_p:g}, {options.draft_length} drafted per round; {pair.verifier.name}, {pair.verifier.dtype}, {torch.get_num_threads()} threads."
    }
    print(tables["about"] + "\n")

    def show(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        tables[name] = rows
        report.show(name, rows)

    models = ways.transformers_models(folders, pair)
    if options.drafters:
        show("drafters", proposing.by_drafter(pair, models, sps, prompts, repeats))
        _save(options, tables)
        return 0
    if options.trees:
        looked = trees.looks(pair, prompts[0], 10 * repeats)
        show("looks", looked)
        show("trees", ways.time_ways(trees.by_shape(pair, prompts, sps, looked), prompts, repeats))
        _save(options, tables)
        return 0
    show("pair", ways.time_ways(ways.for_pair(pair, models, sps), prompts, repeats))
    if options.lengths:
        show("lengths", ways.time_ways(ways.by_length(pair, sps), prompts, repeats))
    show("parts", parts.breakdown(pair, prompts, sps, repeats))
    show("first", parts.first_tokens(pair, prompts, sps, repeats))
    twice = replace(sps, max_new_tokens=2 * length)
    show("page", ways.time_ways(parts.page_and_command_line(pair, twice), prompts[:1], 2 * repeats))
    show("context", generated.by_context(pair, pair.encode(*prompts[0]) * pair.max_positions, sps, repeats))
    with Workers(pair) if cores(pair) > 1 else nullcontext() as workers:
        count = 32 if pair.threads == 1 else 8  # a larger pair takes as long for fewer
        show("batch", ways.time_ways(ways.one_and_many(pair, workers, prompts, sps, count), prompts[:1], repeats))
    with tempfile.TemporaryDirectory() as folder:
        draft, verifier = folders = generated.make(Path(folder))
        long = backends.load_pair(draft=draft, verifier=verifier, **placing)
        show("context of the generated pair", generated.by_context(long, generated.text(long), sps, repeats))
        del long
        plain = backends.load_pair(draft=draft, verifier=verifier, **placing, backend="transformers")
        models = ways.transformers_models(folders, plain)
        few = ways.for_pair(plain, models, replace(sps, max_new_tokens=min(length, 40)), few=True)
        show("generated", ways.time_ways(few, [(words, None) for words, _ in prompts[:2]], repeats))
    _save(options, tables)
    return 0


def _save(options: argparse.Namespace, tables: Mapping[str, Any]) -> None:
    from specviz.bench import report

    if options.json:
        Path(options.json).write_text(json.dumps(tables, indent=1))
    if options.plot:
        report.plot(tables, options.plot)
        print(f"Plots saved to {options.plot}")
