"""Measures a finished pair on held-out questions and stories, through the engine itself.

    python -m specviz.training.evaluate --pair assets/pairs/small --data DIR
    python -m specviz.training.evaluate --pair assets/pairs/small --rules --speed --skip accuracy overlap losses

Prints markdown tables; --json keeps every figure. Right answers are counted with 95 % Wilson intervals. Overlap is the
mean of sum(min(verifier, draft)) over the tokens of texts the verifier itself wrote at temperature 1: what strict
speculative sampling accepts there (Leviathan et al. 2023). Losses are nats per token. With --rules the same questions
with the same seeds are answered under each acceptance rule; with --speed the engine's speculative sampling is timed
beside its plain decoding. Without --data, stories are begun from the tag alone and losses of stories are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from specviz import backends, drafters, rules, tasks
from specviz.engine import batch
from specviz.engine.race import race
from specviz.engine.settings import Settings
from specviz.prob import stats
from specviz.rules import Rule
from specviz.training import data, export, loop, tokenizer
from specviz.training.agreement import overlap, words
from specviz.training.writing import COOL, HOT
from specviz.types import Sampling

LONGEST_ANSWER = 320  # tokens
LONGEST_STORY = 200
STORY_START = 12  # tokens of a held-out story given as the prompt
RULES = (
    "sps",
    "tas",
    "cactus:delta=0.01",
    "cactus:delta=0.1",
    "cactus:delta=0.5",
    "cactus:delta=1",
    "top_k",
    "interpolation",
    "lenience",
    "mentored",
)
LENGTHS = (1, 2, 3, 4, 5, 6, 8)  # draft lengths that are timed
TIMED = 100  # tokens of each timed text, at most


class Pair:
    """A pair of one folder, on the engine; `seed` decides all texts it writes."""

    def __init__(self, folder: Path, seed: int = 0):
        self.folder, self.seed = Path(folder), seed
        self.engine = backends.load_pair(draft=str(self.folder / "draft"), verifier=str(self.folder / "verifier"))
        self.words = tokenizer.load(self.folder / "verifier" / "tokenizer.json")
        self.draft_alone = backends.Pair(None, self.engine.draft, self.engine.tokenizer, {})

    def write(
        self,
        prompts: list[list[int]],
        sampling: Sampling,
        longest: int,
        rule: Rule | None = None,
        *,
        by_draft: bool = False,
    ) -> list[batch.Written]:
        """What follows each prompt. The i-th prompt has the same seed under any rule."""
        return batch.write(self.draft_alone if by_draft else self.engine, self.jobs(prompts, sampling, longest, rule))

    def jobs(
        self, prompts: list[list[int]], sampling: Sampling, longest: int, rule: Rule | None = None
    ) -> list[batch.Job]:
        return [
            (prompt, Settings(rule=rule, sampling=sampling, max_new_tokens=longest, seed=1_000_000 * self.seed + i))
            for i, prompt in enumerate(prompts)
        ]

    def question_prompts(self, items: list[tasks.Question]) -> list[list[int]]:
        opening = tokenizer.opening(self.words, "task")
        return [opening + self.words.encode(item.prompt).ids for item in items]

    def story_prompts(self, texts: list[str], count: int) -> list[list[int]]:
        opening = tokenizer.opening(self.words, "tiny")
        return [opening + self.words.encode(text).ids[:STORY_START] for text in (texts or [""] * count)[:count]]

    def answers(
        self, items: list[tasks.Question], sampling: Sampling, rule: Rule | None = None, *, by_draft: bool = False
    ) -> tuple[list[bool], list[batch.Written]]:
        """Which answers are right, and the texts they were read from."""
        texts = self.write(self.question_prompts(items), sampling, LONGEST_ANSWER, rule, by_draft=by_draft)
        return [tasks.grade(self.words.decode(text.tokens), item.answer) for text, item in zip(texts, items)], texts

    def accuracy(self, items: list[tasks.Question], sampling: Sampling, *, by_draft: bool = False) -> dict:
        """Right, asked and interval, for every family and for all."""
        marks, _ = self.answers(items, sampling, by_draft=by_draft)
        by_level: dict[str, dict[int, list[bool]]] = {}
        for mark, item in sorted(zip(marks, items), key=lambda pair: (pair[1].family, pair[1].difficulty)):
            by_level.setdefault(item.family, {}).setdefault(item.difficulty, []).append(mark)
        return {
            "all": tally(marks),
            **{name: tally([mark for level in levels.values() for mark in level]) for name, levels in by_level.items()},
            "by difficulty": {
                name: [tally(level)["share"] for level in levels.values()] for name, levels in by_level.items()
            },
        }

    def by_rule(self, items: list[tasks.Question], sampling: Sampling) -> dict:
        """Every rule on the same questions with the same seeds: right answers, tokens kept per round, and the questions
        that only it or only sps got right, with the odds of so uneven a split by chance."""
        found, strict = {}, None
        for name in ("plain", *RULES):
            marks, texts = self.answers(items, sampling, None if name == "plain" else rules.parse(name))
            rounds, accepted = sum(text.rounds for text in texts), sum(text.accepted for text in texts)
            strict = marks if name == "sps" else strict
            found[name] = tally(marks) | {
                "rounds": rounds,
                "accepted_per_round": None if name == "plain" else round(accepted / rounds, 3),
            }
            if strict is not None and name != "sps":
                gained, lost = (sum(a and not b for a, b in zip(*pair)) for pair in ((marks, strict), (strict, marks)))
                found[name]["against_sps"] = {
                    "only_this": gained,
                    "only_sps": lost,
                    "p": round(stats.sign_test(gained, lost), 4),
                }
            print(f"{name} at temperature {sampling.temperature:g} done", file=sys.stderr)
        return found

    def overlap(self, prompts: list[list[int]], longest: int) -> dict:
        """Mean of sum(min(verifier, draft)) over what the verifier writes after the prompts at temperature 1."""
        estimate, count = overlap(self.engine, self.jobs(prompts, HOT, longest), drafters.make("model"))
        return {"mean": round(estimate.value, 4), "tokens": count, "texts": len(prompts)}

    def losses(self, texts: data.Texts | None, rows: int, length: int = 384) -> dict:
        models = {name: export.load(self.folder / name) for name in ("verifier", "draft")}
        found = {}
        for style in tokenizer.STYLES:
            kept = data.held_out(texts or data.Texts({}, {}), self.words, style, rows, length)
            if kept:
                found[style] = {
                    name: round(loop.loss_on(model, kept, torch.device("cpu")), 4) for name, model in models.items()
                }
        return found

    def speed(self, prompts: list[list[int]], sampling: Sampling, repeats: int) -> dict:
        """Median of sps' tokens per second over plain's, for each draft length: one text at a time, all
        ways of a prompt right after each other. Sampled texts differ in length, so rates are compared, not times."""
        ratios: dict[int, list[float]] = {length: [] for length in LENGTHS}
        plain = []
        for seed in range(repeats):
            for prompt in prompts:
                plain.append(self._rate(prompt, Settings(sampling=sampling, max_new_tokens=TIMED, seed=seed)))
                for length in LENGTHS:
                    settings = Settings(
                        rule=rules.make("sps"), sampling=sampling, max_new_tokens=TIMED, seed=seed, draft_length=length
                    )
                    ratios[length].append(self._rate(prompt, settings) / plain[-1])
        quartiles = {
            length: [round(x, 3) for x in statistics.quantiles(found, n=4, method="inclusive")]
            for length, found in ratios.items()
        }
        return {
            "plain_tokens_per_second": round(statistics.median(plain), 1),
            "runs": len(plain),
            "ratio_quartiles": quartiles,
        }

    def _rate(self, prompt: list[int], settings: Settings) -> float:
        """Tokens per second of one lane without measures."""
        began = time.perf_counter()
        count = sum(len(step.result.emitted) for step in race(self.engine, prompt, [settings], measured=False))
        return count / (time.perf_counter() - began)


def tally(marks: list[bool]) -> dict:
    """Right, asked, share and its interval."""
    low, high = stats.wilson(sum(marks), len(marks))
    return {
        "right": sum(marks),
        "asked": len(marks),
        "share": round(sum(marks) / len(marks), 3),
        "interval": [round(low, 3), round(high, 3)],
    }


def markdown(report: dict) -> str:
    """The figures as tables."""
    parts = []
    if verifier := report.get("verifier"):
        draft = report.get("draft", {})
        rows = [
            [
                name,
                share(verifier[name]),
                " · ".join(f"{100 * s:.0f}" for s in verifier["by difficulty"].get(name, [])),
                share(draft.get(name)),
            ]
            for name in verifier
            if name != "by difficulty"
        ]
        parts.append(table(["family", "verifier right", "by difficulty, easiest first, %", "draft alone"], rows))
    if overlap := report.get("overlap"):
        parts.append(
            table(
                ["overlap at temperature 1", "mean", "tokens"],
                [[style, f"{o['mean']:.3f}", f"{o['tokens']:,}"] for style, o in overlap.items()],
            )
        )
    if losses := report.get("held_out_loss"):
        parts.append(
            table(
                ["held-out loss, nats per token", "verifier", "draft"],
                [[style, f"{o['verifier']:.3f}", f"{o['draft']:.3f}"] for style, o in losses.items()],
            )
        )
    for sampled, found in report.get("rules", {}).items():
        rows = []
        for name, cell in found.items():
            against = cell.get("against_sps")
            paired = f"{against['only_this']} : {against['only_sps']} ({chance(against['p'])})" if against else ""
            rows.append(
                [
                    f"`{name}`",
                    share(cell),
                    "" if cell["accepted_per_round"] is None else f"{cell['accepted_per_round']:.2f}",
                    f"{cell['rounds']:,}",
                    paired,
                ]
            )
        parts.append(
            f"Rules, {sampled}:\n\n"
            + table(["rule", "right", "accepted per round", "rounds", "only this right : only `sps` right"], rows)
        )
    for sampled, found in report.get("speed", {}).items():
        cells = [f"{middle:.2f} ({low:.2f} to {high:.2f})" for low, middle, high in found["ratio_quartiles"].values()]
        parts.append(
            f"`sps` against plain, {sampled}; median and quartiles of {found['runs']} runs, plain {found['plain_tokens_per_second']:.0f} tokens per second:\n\n"
            + table(["draft length", *map(str, found["ratio_quartiles"])], [["speed-up", *cells]])
        )
    parts += [f"{number}. {story}" for number, story in enumerate(report.get("stories", []), 1)]
    return "\n\n".join(parts)


def share(cell: dict | None) -> str:
    """Right of asked, in words."""
    if cell is None:
        return ""
    low, high = (f"{100 * end:.0f}" for end in cell["interval"])
    return f"{cell['right']} / {cell['asked']} = {100 * cell['share']:.0f} % ({low} to {high})"


def chance(p: float) -> str:
    return f"p = {p:.2f}" if p >= 0.01 else "p < 0.01"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m specviz.training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--pair", type=Path, required=True, help="folder with verifier/ and draft/")
    add("--data", type=Path, help="the text folder of the training, for held-out stories")
    add("--families", nargs="*", default=list(tasks.names()), help="task families (default: all)")
    add("--count", type=int, default=560, help="held-out questions in all (default 560)")
    add("--stories", type=int, default=64, help="stories for the overlap (default 64)")
    add("--seed", type=int, default=0)
    add("--samples", type=int, default=0, help="print so many stories, as they come")
    add("--rules", action="store_true", help="answer the questions under each acceptance rule, at both samplings")
    add(
        "--speed",
        type=int,
        nargs="?",
        const=3,
        default=0,
        metavar="REPEATS",
        help="time sps against plain decoding (default 3 repeats)",
    )
    add("--skip", nargs="*", default=[], choices=("accuracy", "draft", "overlap", "losses"))
    add("--json", type=Path, help="write the figures here as well")
    args = parser.parse_args(arguments)
    begun = time.monotonic()
    pair = Pair(args.pair, args.seed)
    backends.dedicate_process(pair.engine)
    texts = data.read(args.data) if args.data else None
    tiny = texts.test.get("tiny", []) if texts else []
    items = tasks.items(args.families, args.count, args.seed)
    report: dict = {"seed": args.seed, "questions": len(items)}
    if "accuracy" not in args.skip:
        report["verifier"] = pair.accuracy(items, COOL)
        if "draft" not in args.skip:
            report["draft"] = pair.accuracy(items, COOL, by_draft=True)
    if "overlap" not in args.skip:
        few = pair.question_prompts(items[: args.stories])
        report["overlap"] = {
            "task": pair.overlap(few, LONGEST_ANSWER),
            "tiny": pair.overlap(pair.story_prompts(tiny, args.stories), LONGEST_STORY),
        }
    if "losses" not in args.skip:
        report["held_out_loss"] = pair.losses(texts, 128)
    if args.rules:
        report["rules"] = {words(sampling): pair.by_rule(items, sampling) for sampling in (COOL, HOT)}
    if args.speed:
        kinds = {
            "questions": pair.question_prompts(items[: len(args.families)]),
            "stories": pair.story_prompts(tiny, 8),
        }
        report["speed"] = {
            f"{kind}, {words(HOT)}": pair.speed(prompts, HOT, args.speed) for kind, prompts in kinds.items()
        }
    if args.samples:
        stories = pair.write(pair.story_prompts([], args.samples), COOL, 300)
        report["stories"] = [pair.words.decode(text.tokens) for text in stories]
    report["seconds"] = round(time.monotonic() - begun)
    print(markdown(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
