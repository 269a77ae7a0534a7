"""Every drafter under every lossless rule, by sampling on the small pair: python -m tests.sampled_laws --texts 2000. Not a test.

Prints for each of them how many tokens were drafted and kept, and how likely texts that follow the verifier's exact law are to look at
least so unlike it (chi-square, three tokens). Of so many numbers some are small: 1 in 100 is below 0.01. Fails if one is below 1e-6.
"""

from __future__ import annotations

import argparse

from specviz import backends
from tests.support import sampled
from tests.support.runs import FALSE_ALARM, odds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000, help="of each rule with each drafter (default 1000)")
    args = parser.parse_args()
    pair = sampled.small()
    backends.dedicate_process(pair)
    law, least = sampled.law(pair), 1.0
    for (rule, drafter), texts in sampled.written(pair, args.texts).items():
        found = odds(law, (tuple(text.tokens) for text in texts))
        drafted, kept = sum(text.drafted for text in texts), sum(text.accepted for text in texts)
        print(f"{rule:14} {drafter:12} {drafted:7,} drafted {kept:7,} kept   odds {found:.4f}")
        least = min(least, found)
    return int(least < FALSE_ALARM)


if __name__ == "__main__":
    raise SystemExit(main())
