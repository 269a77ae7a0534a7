"""`specviz advise`: from recorded runs to a knob value for each rule."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from specviz import drafters
from specviz.backends import Pair
from specviz.cli import options as shared
from specviz.options import add_models
from specviz.record import trace
from specviz.study import advise, shapes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace", nargs="+", help="traces of prompts like those to come; the more, the narrower the intervals"
    )
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--spend",
        type=float,
        metavar="D",
        help="the fastest setting that spends at most D nats of KL(output law || verifier) per judged token",
    )
    goal.add_argument(
        "--accept",
        type=float,
        metavar="A",
        help="the least divergent setting that keeps at least A drafted tokens per round",
    )
    goal.add_argument(
        "--drafters", action="store_true", help="the fastest draft length of every drafter of the models, under sps"
    )
    goal.add_argument(
        "--shapes", action="store_true", help="the fastest shape of draft under sps: chain, static tree, dynamic tree"
    )
    parser.add_argument(
        "--rule", action="append", default=[], metavar="RULE", help="only this rule; may be repeated (default: all)"
    )
    parser.add_argument(
        "--drafter", metavar="DRAFTER[:NAME=VALUE,...]", help="who is to propose the tokens (default: as in the traces)"
    )
    parser.add_argument(
        "--draft-length", type=int, metavar="N", help="tokens drafted per round (default: each rule's fastest, 1 to 8)"
    )
    parser.add_argument("--check", action="store_true", help="also run the first of them for real, with fresh seeds")
    add_models(parser)


def run(options: argparse.Namespace) -> int:
    traces = [trace.load(path) for path in options.trace]
    drafter = None if options.drafter is None else drafters.parse(options.drafter)
    pair = shared.load_for(traces[0], options)
    if options.shapes:
        advices = _shapes(traces, pair)
    elif options.drafters:
        advices = advise.by_drafter(traces, pair, draft_length=options.draft_length)
    else:
        advices = advise.advise(
            traces,
            pair,
            spend=options.spend,
            accept=options.accept,
            names=options.rule,
            draft_length=options.draft_length,
            drafter=drafter,
        )
    if not advices:
        print("No rule reaches that goal on these texts.")
        return 1
    by_drafter = options.drafters or options.shapes
    names = [advice.drafter if by_drafter else advice.rule for advice in advices]
    wide = max(44, *(len(name) + 2 for name in names))
    print(
        f"{'drafter' if by_drafter else 'rule':{wide}}{'draft length':>13}{'kept per round':>16}{'95 % interval':>16}{'KL, nats':>11}{'speed-up':>10}{'95 % interval':>18}"
    )
    for name, advice in zip(names, advices):
        kept, speed = ("{:.2f} to {:.2f}".format(*interval) for interval in (advice.interval, advice.speedup_interval))
        print(
            f"{name:{wide}}{advice.draft_length:>13}{advice.accepted_per_round:>16.2f}{kept:>16}{advice.kl:>11.4g}{advice.speedup:>9.2f}x{speed:>17}x"
        )
    print(
        f"\n{'Rule: sps' if by_drafter else f'Drafter: {advices[0].drafter}'}. Kept per round and speed-up are estimated: as if the text stayed the same. KL(output law || verifier) per judged token is exact on these texts."
    )
    if options.check:
        kept_per_round, kl, inside = advise.check(advices[0], traces, pair)
        print(
            f"A real run of {advices[0].rule} with {advices[0].drafter}, {advices[0].draft_length} drafted, on the same prompts kept {kept_per_round:.2f} per round ({'inside' if inside else 'outside'} the interval) at {kl:.4g} nats (measured)."
        )
    return 0


def _shapes(traces: list[trace.Trace], pair: Pair) -> Sequence[advise.Advice]:
    """Says how often candidates are kept, and what a look at them costs."""
    answer = shapes.by_shape(traces, pair)
    print("Kept, by rank of the candidate:")
    for rank, (chance, (low, high)) in enumerate(zip(answer.chances, answer.intervals), 1):
        print(f"{rank:5}  {chance:.3f}  ({low:.3f} to {high:.3f})")
    looks = ", ".join(f"{nodes}: {1000 * seconds:.3g}" for nodes, seconds in answer.clock.verify.items())
    print(f"A look of the verifier in ms, by tokens: {looks}\n")
    for row in answer.advices:
        how = "measured" if row.measured else "estimated"
        print(f"{row.kind}: {row.nodes} nodes on {row.levels} levels, {how}: {row.drafter}")
    print()
    return answer.advices
