"""How often the advisor's interval holds on prompts it has not seen: python -m tests.advisor_coverage. Not a test; prints counts.

A trial is one fresh prompt. The advisor reads runs of `sps` on LEARNED other prompts of the same kind (held-out questions,
or story openings), advises a setting of each rule for a budget, and predicts an interval of kept tokens per round. Then the
advised setting runs on the fresh prompt with a seed of its own, and counts if what it keeps lies inside. The fresh prompts
are all different; TRIALS of them share what was learned.
"""

from __future__ import annotations

import argparse
import itertools
import random
from dataclasses import replace

from specviz import backends, rules, tasks
from specviz.engine.settings import Settings
from specviz.prob.stats import wilson
from specviz.record import trace
from specviz.study import advise
from specviz.types import Sampling
from tests.conftest import run

LEARNED, TRIALS = 8, 10  # prompts read, and fresh ones tried, for one piece of advice
RULES = ("sps", "cactus", "tas", "lenience", "interpolation", "mentored")
SAMPLING = Sampling(temperature=0.8, top_p=0.95)
OPENING = "Once upon a time there was a {} {} named {}. One day {} wanted to {}"
WORDS = (
    ("little", "big", "brave", "shy", "happy", "sleepy"),
    ("cat", "dog", "bear", "bird", "fish", "girl", "boy", "frog"),
    ("Tim", "Lily", "Max", "Sue", "Ben"),
    ("play", "find", "make", "go"),
)


def questions(count: int, seed: int) -> list[str]:
    """Held-out questions, all families in turn, in random order."""
    prompts = [item.prompt for item in tasks.items(tasks.names(), count, seed)]
    random.Random(seed).shuffle(prompts)
    return prompts


def openings(count: int, seed: int) -> list[str]:
    """Different story openings."""
    chosen = random.Random(seed).sample(list(itertools.product(*WORDS)), count)
    return [OPENING.format(kind, animal, name, name, wish) for kind, animal, name, wish in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="fresh prompts, half of them questions (default 100)")
    parser.add_argument("--tokens", type=int, default=60, help="tokens written per run (default 60)")
    parser.add_argument("--spend", type=float, default=0.1, help="budget of the advice, nats per token (default 0.1)")
    parser.add_argument("--draft-length", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pair = backends.load_pair("small")
    backends.dedicate_process(pair)
    kinds = (("task", questions), ("tiny", openings))
    sets = max(1, round(args.trials / (len(kinds) * TRIALS)))
    inside: dict[tuple[str, str], list[bool]] = {}
    for style, prompts in kinds:
        fresh = prompts(sets * (LEARNED + TRIALS), args.seed)
        for n in range(sets):
            mine = fresh[n * (LEARNED + TRIALS) : (n + 1) * (LEARNED + TRIALS)]
            lane = Settings(
                rule=rules.make("sps"),
                sampling=SAMPLING,
                draft_length=args.draft_length,
                max_new_tokens=args.tokens,
                seed=args.seed + n,
            )
            learned = [run(pair, prompt, style, [lane]) for prompt in mine[:LEARNED]]
            advised = advise.advise(learned, pair, spend=args.spend, names=RULES, draft_length=args.draft_length)
            for i, prompt in enumerate(mine[LEARNED:]):
                unseen = trace.begin(pair, prompt, style, [replace(lane, seed=args.seed + 1000 * n + i)])
                for advice in advised:
                    name = advice.rule.partition(":")[0]
                    inside.setdefault((name, style), []).append(advise.check(advice, [unseen], pair)[2])
            intervals = (f"{advice.rule} {advice.interval[0]:.2f} to {advice.interval[1]:.2f}" for advice in advised)
            print(f"{style} {n + 1}/{sets}: {', '.join(intervals)}", flush=True)
    print(f"\n{'rule':16}{'kind':8}{'inside':>8}{'of':>6}{'share':>8}   95 % interval of the share")
    total = []
    for (rule, style), hits in sorted(inside.items()):
        total += hits
        print(_row(rule, style, hits))
    print(_row("all", "", total))


def _row(rule: str, style: str, hits: list[bool]) -> str:
    low, high = wilson(sum(hits), len(hits))
    return f"{rule:16}{style:8}{sum(hits):8}{len(hits):6}{100 * sum(hits) / len(hits):7.1f}%   {100 * low:.1f} to {100 * high:.1f} %"


if __name__ == "__main__":
    main()
