"""Records the runs that the page shows before anyone presses Run: `python -m specviz.ui.recorded`.

One trace per prompt of assets/prompts.json (a list of {name, text, style, ...}), made by the project's own engine
with the shipped pair, into assets/recorded/, and the sweep of assets/sweep.json. A prompt may bring its own "sampling", "seed",
"max_new_tokens", "draft_length" and "lanes".
"""

from __future__ import annotations

import json
import re
from typing import Any

from specviz import backends, rules
from specviz.assets import ASSETS
from specviz.backends import Pair
from specviz.engine.settings import Settings
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.types import Sampling
from specviz.ui import sweeping

LANES = ("sps", "tas", "cactus", None)  # None is plain decoding: what the speed-up is measured against
LENGTH = 100  # new tokens, at most
LIMIT = 300_000  # bytes of one recorded run
SEEDS = range(24)  # of these the run with the most to see is shown, where a prompt names no seed


def record(pair: Pair, prompt: dict[str, Any], seed: int) -> Trace:
    """One run of the lanes of a prompt."""
    common = dict(
        sampling=Sampling(**prompt.get("sampling", {})),
        draft_length=prompt.get("draft_length", 4),
        max_new_tokens=prompt.get("max_new_tokens", LENGTH),
        seed=seed,
    )
    lanes = [
        Settings(rule=None if spec is None else rules.parse(spec), **common) for spec in prompt.get("lanes", LANES)
    ]
    return run(pair, prompt["text"], lanes, style=prompt.get("style")).finish()


def telling(trace: Trace, prompt: dict[str, Any]) -> int:
    """How much there is to see in a run: tokens kept on budget, refusals in every lane, the right answer in the strict one."""
    drafting = [lane for lane in trace.lanes if lane.rule is not None]
    fates = [{fate for round_ in lane.rounds for fate in round_.fates(lane.lossless)} for lane in drafting]
    expected = prompt.get("expected")
    right = not expected or str(expected) in trace.text(0).rpartition("answer is")[2]
    return 4 * ("relaxed" in fates[-1]) + 2 * right + all("rejected" in seen for seen in fates)


def main() -> None:
    pair = backends.load_pair()
    backends.dedicate_process(pair)
    folder = ASSETS / "recorded"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for i, prompt in enumerate(json.loads((ASSETS / "prompts.json").read_text(encoding="utf-8"))):
        seed = (
            prompt["seed"]
            if "seed" in prompt
            else max(SEEDS, key=lambda seed: telling(record(pair, prompt, seed), prompt))
        )
        record(pair, prompt, seed)  # once more to warm the caches, so that the clocks recorded are fair
        text = record(pair, prompt, seed).to_json()
        while len(text.encode()) > LIMIT:
            prompt["max_new_tokens"] = prompt.get("max_new_tokens", LENGTH) - 10
            text = record(pair, prompt, seed).to_json()
        path = folder / f"{i:02d}-{re.sub('[^a-z0-9]+', '-', prompt['name'].lower()).strip('-')}.json"
        path.write_text(text, encoding="utf-8")
        print(f"{path.name}: seed {seed}, {len(text.encode()):,} bytes")
    sweeping.RECORDED.write_text(sweeping.record(pair), encoding="utf-8")


if __name__ == "__main__":
    main()
