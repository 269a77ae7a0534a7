"""Records the runs that the page shows before anyone presses Run: `python -m specviz.ui.recorded`, or with `--sweeps`
only the sweeps.

One trace per example of assets/prompts.json, made by the project's own engine with the pair that it names, into
assets/recorded/, and the sweeps of `regimes` into assets/sweeps/. An example is

    name, pair, style, text, why (what to look for)
    expected?  the answer, where there is one that is right
    system?    the system message of a chat, where it is not the template's own
    sampling?, draft_length?, max_new_tokens?, seed?  as in `Settings`; without a seed the run with the most to see is taken
    lanes?     a list of lanes as on the command line, such as sps@ngram; null is plain decoding

Examples of pairs that are not here keep the run that they have.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from specviz import backends, drafters
from specviz.assets import ASSETS
from specviz.backends import Pair
from specviz.engine.settings import Settings, parse_lane
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.study import sweep
from specviz.types import Sampling
from specviz.ui import regimes, sweeping

LANES = ("sps", "tas", "cactus", None)  # None is plain decoding: what the speed-up is measured against
LENGTH = 100  # new tokens, at most
LIMIT = 250_000  # bytes of one recorded run
SEEDS = range(24)


def settings(pair: Pair, example: dict[str, Any], seed: int) -> list[Settings]:
    """The lanes of an example, drafted as suits the pair where it does not say."""
    common = dict(
        sampling=Sampling(**example.get("sampling", {})),
        draft_length=example.get("draft_length", 4),
        max_new_tokens=example.get("max_new_tokens", LENGTH),
        seed=seed,
    )
    lanes = []
    for lane in example.get("lanes", LANES):
        rule, drafter = parse_lane(lane or "plain")
        lanes.append(Settings(rule, drafter=drafter or drafters.parse(pair.drafter), **common))
    return lanes


def record(pair: Pair, example: dict[str, Any], seed: int) -> Trace:
    """One run of an example."""
    asked = {"style": example["style"], "system": example.get("system")}
    return run(pair, example["text"], settings(pair, example, seed), **asked).finish()


def telling(trace: Trace, example: dict[str, Any]) -> int:
    """How much there is to see in a run: tokens kept by leniency, refusals in every lane, the right answer in the strict one."""
    drafting = [lane for lane in trace.lanes if lane.rule is not None]
    fates = [{fate for round_ in lane.rounds for fate in round_.fates(lane.lossless)} for lane in drafting]
    expected = example.get("expected")
    right = not expected or str(expected) in trace.text(0).rpartition("answer is")[2]
    return 4 * ("relaxed" in fates[-1]) + 2 * right + all("rejected" in seen for seen in fates)


def path_of(number: int, example: dict[str, Any]) -> Path:
    """The file of the recorded run of an example, the one of that number in the list."""
    name = re.sub("[^a-z0-9]+", "-", example["name"].lower()).strip("-")
    return ASSETS / "recorded" / f"{number:02d}-{name}.json"


def text_of(pair: Pair, example: dict[str, Any]) -> tuple[int, str]:
    """The seed of an example's run, and the run as JSON text of at most LIMIT bytes."""
    given = example.get("seed")
    seed = max(SEEDS, key=lambda seed: telling(record(pair, example, seed), example)) if given is None else given
    record(pair, example, seed)  # once more to warm the caches, so that the clocks recorded are fair
    text = record(pair, example, seed).to_json()
    while len(text.encode()) > LIMIT:
        example["max_new_tokens"] = example.get("max_new_tokens", LENGTH) - 10
        text = record(pair, example, seed).to_json()
    return seed, text


def record_examples() -> None:
    """The runs of all examples whose pairs are here."""
    examples = list(enumerate(json.loads((ASSETS / "prompts.json").read_text(encoding="utf-8"))))
    (ASSETS / "recorded").mkdir(exist_ok=True)
    for path in {*(ASSETS / "recorded").glob("*.json")} - {path_of(*one) for one in examples}:
        path.unlink()
    for name in backends.pairs():
        pair = backends.load_pair(name)
        backends.dedicate_process(pair)
        for number, example in examples:
            if example["pair"] == name:
                seed, text = text_of(pair, example)
                path_of(number, example).write_text(text, encoding="utf-8")
                print(f"{path_of(number, example).name}: seed {seed}, {len(text.encode()):,} bytes", flush=True)


def record_sweeps() -> None:
    """The sweeps of all regimes."""
    pair = backends.load_pair(sweep.PAIR)
    backends.dedicate_process(pair)
    regimes.FOLDER.mkdir(exist_ok=True)
    for regime in regimes.REGIMES:
        text = sweeping.record(pair, regime)
        regime.path.write_text(text, encoding="utf-8")
        print(f"{regime.path.name}: {len(text.encode()):,} bytes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m specviz.ui.recorded", description="Records what the page opens with."
    )
    parser.add_argument("--sweeps", action="store_true", help="only the sweeps")
    if not parser.parse_args().sweeps:
        record_examples()
    record_sweeps()


if __name__ == "__main__":
    main()
