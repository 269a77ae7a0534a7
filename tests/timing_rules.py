"""How long the exact quantities take: python -m tests.timing_rules [curves]. Not a test; prints the best of several tries."""

import sys
import time
import tracemalloc
from functools import partial

import numpy as np
import torch

from specviz import registry, rules, sets
from specviz.sets.list_coupling import at_least
from specviz.study import exact


def best(function, tries=20):
    """Shortest wall time in milliseconds."""
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def rows(count, size):
    """(verifier_probs, draft_probs) [count, size], float32, as unlike as a small and a large model are."""
    generator = torch.Generator().manual_seed(0)
    verifier = torch.softmax(3 * torch.randn(count, size, generator=generator), -1)
    return verifier, torch.softmax(verifier.log() + torch.randn(count, size, generator=generator), -1)


def over_its_knob(name):
    """(rule, knob, 50 values) across the range of a rule's first knob."""
    for info in registry.knobs(rules.get(name)):
        if not info["choices"]:
            low, high = info["low"], info["high"]
            values = (
                np.geomspace(max(low, high / 1000), high, 50) if info["scale"] == "log" else np.linspace(low, high, 50)
            )
            return name, info["name"], np.unique(values.round()) if info["type"] == "int" else values
    return name, None, [None]


def main():
    """Prints four tables: single rules, curves, frontiers, rules over siblings; the first is left out if the word `curves` is
    given, all but the last if the word `sets` is."""
    if "sets" in sys.argv:
        return over_siblings()
    for count, size in () if "curves" in sys.argv else ((5, 4096), (1, 151_936)):
        verifier, draft = rows(count, size)
        tokens = draft.argmax(-1)
        print(f"{count} positions, {size:,} tokens{'judge':>18}{'output_law':>14}{'acceptance':>14}  ms")
        for spec in [*rules.names(), "cactus:solver=exact"]:
            rule = rules.parse(spec)
            asked = (
                (rule.judge, verifier, draft, tokens),
                (rule.output_law, verifier, draft),
                (rule.acceptance, verifier, draft),
            )
            print(f"{spec:30}" + "".join(f"{best(partial(*ask)):14.2f}" for ask in asked))
    verifier, draft = rows(1000, 4096)
    names = [name for name in rules.names() if name not in ("block", "cactus_law")]
    asked = [over_its_knob(name) for name in names]
    cpu = time.process_time()
    took = best(lambda: exact.curves(asked, verifier, draft), 3)
    cpu = (time.process_time() - cpu) / 3
    tracemalloc.start()
    exact.curves(asked, verifier, draft)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(
        f"\n{len(names)} rules, up to 50 values, 1,000 positions, 4,096 tokens, in one pass on {torch.get_num_threads()} threads"
    )
    print(f"{took:14.0f} ms, {1000 * cpu:.0f} ms of processor time, at most {peak:.0f} MB beyond the inputs")
    for divergence in exact.DIVERGENCES:
        for pooled in (False, True):
            took = best(lambda: exact.frontier(verifier, draft, np.geomspace(1e-3, 3, 50), divergence, pooled), 2)  # noqa: B023
            print(f"{took:14.0f} ms  frontier, 50 values, {divergence}{', pooled' if pooled else ''}")
    over_siblings()


def over_siblings():
    """What 1,000 places cost the rules over siblings, in rows of 50 places, and one place the optimum."""
    verifier, draft = rows(50, 4096)
    asked = [
        (name, drawing)
        for name in sets.names()
        for drawing in sets.make(name).drawings
        if drawing != "without_replacement"
    ]
    print(f"\n1,000 places, 4,096 tokens{'':16}" + "".join(f"{'k = ' + str(k):>10}" for k in (2, 3, 4, 8)) + "  s")
    whole = 0.0
    for name, drawing in asked:
        rule, took = sets.make(name), []
        for k in (2, 3, 4, 8):
            if name == "list_coupling":  # the bound: exact only for few tokens
                took.append(best(lambda: at_least(verifier.double().numpy(), draft.double().numpy(), k), 3) / 50)  # noqa: B023
            else:
                took.append(best(lambda: rule.acceptance(verifier, draft, k, drawing), 3) / 50)  # noqa: B023
        whole += sum(took)
        print(f"{name + ', ' + drawing:42}" + "".join(f"{seconds:10.2f}" for seconds in took))
    print(f"{'all':42}{whole:10.2f}")
    verifier, draft = rows(1, 49_152)
    for drawing in ("iid", "without_replacement", "greedy", "picked"):
        took = [best(lambda: sets.optimum(verifier, draft, k, drawing), 3) for k in (2, 4)]  # noqa: B023
        print(f"the optimum, {drawing}, 49,152 tokens: {took[0]:.1f} ms for two siblings, {took[1]:.1f} ms for four")


if __name__ == "__main__":
    main()
