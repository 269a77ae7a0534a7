"""What several commands take: settings, models, a prompt; and what is made of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from specviz import drafters, registry, rules
from specviz.backends import Pair
from specviz.engine.settings import Settings, parse_drafter, parse_lane
from specviz.options import add_models
from specviz.record.trace import Trace
from specviz.types import Sampling


def add_run(parser: argparse.ArgumentParser) -> None:
    """A run: its prompt, how it is decoded, where its trace goes, and the models."""
    parser.add_argument("--prompt", required=True, help="the text to go on from")
    parser.add_argument(
        "--style", help="how the prompt is put to the models: chat, text, or a pair's own way (default: its first)"
    )
    parser.add_argument(
        "--system", help="the system message of a chat (default: what the model's template puts; empty: none)"
    )
    add_settings(parser)
    parser.add_argument(
        "--json", metavar="FILE", help="save the trace; - writes it to the standard output and nothing else"
    )
    add_models(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Sampling, drafter, draft length and the other numbers of `Settings`; what there is to choose stands below the options."""
    for cls in (Sampling, Settings):
        for info in registry.knobs(cls):
            usual = (
                f"default: the pair's own, or else {info['default']}"
                if cls is Sampling
                else f"default {info['default']}"
            )
            kind = _length if info["name"] == "draft_length" else int if info["type"] == "int" else float
            parser.add_argument(
                "--" + info["name"].replace("_", "-"),
                type=kind,
                default=None if cls is Sampling else info["default"],
                metavar=info["name"].split("_")[-1].upper(),
                help=f"{info['help']} ({registry.allowed(info)}; {usual})",
            )
    parser.add_argument(
        "--drafter",
        metavar="DRAFTER[:NAME=VALUE,...]",
        help="who proposes the tokens where a lane does not say (see below), for example ngram:longest=4 (default: the "
        "pair's own, or else model)",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(
        [
            "acceptance rules:", *_listed(rules.get(name) for name in rules.names()), "",
            "drafters:", *_listed(type(drafters.make(name)) for name in drafters.names() if drafters.make(name).drafts),
        ]
    )  # fmt: skip


def lanes(options: argparse.Namespace, specs: Iterable[str], pair: Pair | None = None) -> list[Settings]:
    """Settings of a lane for each text, see `parse_lane`. What neither it nor the options say of sampling and drafter is as
    suits the pair; without one, which is enough to see whether they can be, as usual. ValueError says what is allowed."""
    given = _given(options, Sampling)
    sampling = Sampling(**given) if pair is None else pair.sampled(**given)
    drafter = parse_drafter(options.drafter or ("model" if pair is None else pair.drafter))
    shared = _given(options, Settings) | {"sampling": sampling}
    made = [parse_lane(spec) for spec in specs]
    return [Settings(rule=rule, drafter=own or drafter, **shared) for rule, own in made]


def load(options: argparse.Namespace) -> Pair:
    """The models that the options name. On the error stream stands what given models take before they are loaded, how far
    that is if it is a terminal, and why the pair is not the usual one if it is not."""
    from specviz import backends
    from specviz.backends import memory
    from specviz.cli import terminal

    for model in (options.draft, options.verifier):
        if model and (estimate := memory.estimate(model, options.device, options.dtype)):
            print(estimate.sentence, file=sys.stderr)
    with terminal.progress(sys.stderr) as progress:
        pair = backends.load_pair(
            options.pair, draft=options.draft, verifier=options.verifier, device=options.device, dtype=options.dtype,
            progress=progress,
        )  # fmt: skip
    if pair.notice:
        print(pair.notice, file=sys.stderr)
    backends.dedicate_process(pair)
    return pair


def load_for(trace: Trace, options: argparse.Namespace) -> Pair:
    """The models that the options name, or else those that made a trace."""
    from specviz import backends

    if options.pair is None and options.draft is None and options.verifier is None:
        ids = [trace.models[role].id if role in trace.models else None for role in ("draft", "verifier")]
        options = argparse.Namespace(**(vars(options) | backends.pair_of(ids)))
    return load(options)


def _given(options: argparse.Namespace, cls: type) -> dict[str, Any]:
    """The knobs of a class that the options give a value."""
    values = {info["name"]: getattr(options, info["name"]) for info in registry.knobs(cls)}
    return {name: value for name, value in values.items() if value is not None}


def _length(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _listed(variants: Iterable[Any]) -> list[str]:
    """Rules or drafters, each with its knobs and its summary."""
    lines = []
    for cls in variants:
        knobs = ", ".join(f"{info['name']}={info['default']}" for info in registry.knobs(cls))
        lines.append(f"  {cls.name:<15}{knobs}".rstrip() + f"\n{'':17}{cls.summary}")
    return lines
