"""One command from texts and generators to both models.

    1. tokenizer   byte-level BPE over the texts and a sample of questions
    2. verifier    cross-entropy on stories and questions
    3. written     stories sampled from the finished verifier
    4. draft       distilled from the verifier on those stories, questions and tales

Each finished part is kept in OUT/state, so a run that was stopped goes on with --resume.
On Linux processors, large allocations are the bottleneck; this about doubles the speed:

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:\
glibc.malloc.top_pad=268435456 python -m specviz train ...
"""

from __future__ import annotations

import argparse
import datetime
import random
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from specviz import tasks
from specviz.training import data, export, loop, machine, tokenizer, written
from specviz.training.model import Llama, Size, inherit

MINUTES = 90.0
VERIFIER_SHARE = 0.8  # of the minutes
SOFT = 0.9  # share of the verifier's soft targets in the draft's loss; the rest is cross-entropy
QUESTIONS_FOR_TOKENIZER = 8000
TALES_FOR_TOKENIZER = 3  # one tale in so many: the vocabulary is for the tiny stories first
QUICK_WRITTEN, WRITTEN = 5_000, 1_500_000  # tokens the verifier writes for the draft to read
VOCABULARY = 4096
POSITIONS = 1024
HELD_OUT_ROWS = 64  # per style, for the losses in the log


def settings(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments with every default filled in."""
    args = argparse.Namespace(**vars(args))
    if args.quick:
        args.verifier_size, args.draft_size = "2x64", "1x32"
        args.rows, args.length, args.no_compile = 8, 96, True
        args.steps = args.steps or 40
    if args.steps is None and args.minutes is None:
        args.minutes = MINUTES
    if args.draft_steps is None:
        args.draft_steps = args.steps
    args.verifier_size, args.draft_size = args.verifier_size or "6x256", args.draft_size or "2x128"
    loop.above_zero(args, "minutes", "steps", "draft_steps", "rows", "length")
    if args.length >= POSITIONS:
        raise ValueError(f"--length must be below {POSITIONS}, not {args.length}")
    return args


def train_pair(args: argparse.Namespace) -> int:
    args = settings(args)
    out = Path(args.out)
    state, device = loop.prepared(args)
    texts = data.read(args.data)
    state.mkdir(parents=True, exist_ok=True)
    if not (state / "tokenizer.json").exists():
        tokenizer.train(reading(texts, args.seed), VOCABULARY).save(str(state / "tokenizer.json"))
    words = tokenizer.load(state / "tokenizer.json")
    size = dict(vocabulary=words.get_vocab_size(), positions=POSITIONS)
    held_out = {
        style: rows for style in data.MIX if (rows := data.held_out(texts, words, style, HELD_OUT_ROWS, args.length))
    }
    compiled = partial(machine.compiled, device=device, wanted=not args.no_compile)

    def part(
        name: str,
        model: Llama,
        loss,
        budget: loop.Budget,
        rows: int,
        seed: int,
        texts: data.Texts,
        mix: dict[str, float],
    ) -> loop.Run:
        reader = data.Reader(texts, words, seed, args.length, mix)
        run = loop.Run(
            state / name,
            model.to(device),
            reader,
            loss,
            budget,
            rows=rows,
            measure=partial(loop.losses_on, model, held_out, device),
            device=device,
        )
        run.resume()
        return run

    torch.manual_seed(args.seed)
    verifier = Llama(Size.parse(args.verifier_size, **size))
    budget = loop.Budget(args.steps, args.minutes and args.minutes * VERIFIER_SHARE)
    first = part("verifier", verifier, compiled(loop.language_loss), budget, args.rows, args.seed, texts, data.MIX)
    if not first.train():
        return 1
    export.save(out / "verifier", verifier, words)

    torch.manual_seed(args.seed + 1)
    draft = Llama(Size.parse(args.draft_size, **size))
    inherit(draft.model.embed_tokens.weight, verifier.model.embed_tokens.weight)
    verifier.eval().requires_grad_(False)
    texts = with_written(
        state / "written.pt", verifier, words, texts, QUICK_WRITTEN if args.quick else WRITTEN, args.seed
    )
    budget = loop.Budget(args.draft_steps, args.minutes and args.minutes * (1 - VERIFIER_SHARE))
    distill = compiled(loop.distill_loss)
    second = part(
        "draft",
        draft,
        lambda model, *batch: distill(model, verifier, *batch, SOFT),
        budget,
        max(1, args.rows // 2),
        args.seed + 1,
        texts,
        data.DRAFT_MIX,
    )  # soft targets are less noisy: more steps, smaller ones
    if not second.train():
        return 1
    export.save(out / "draft", draft, words)
    export.save_facts(out, facts(args, {"verifier": first, "draft": second}))
    return 0


def with_written(file: Path, verifier: Llama, words, texts: data.Texts, count: int, seed: int) -> data.Texts:
    """The texts with the verifier's own stories in place of the tiny ones; written once and kept in `file`."""
    if not texts.train.get("tiny"):
        return texts
    if not file.exists():
        loop.save_whole(written.stories(verifier, words, texts, count, seed), file)
    return data.Texts({**texts.train, "tiny": torch.load(file)}, texts.test)


def reading(texts: data.Texts, seed: int):
    """What the tokenizer learns its merges from."""
    yield from texts.train.get("tiny", [])
    yield from texts.train.get("tale", [])[::TALES_FOR_TOKENIZER]
    questions = tasks.stream(tasks.names(), random.Random(f"tokenizer {seed}"), "train")
    yield from (question.text for question in islice(questions, QUESTIONS_FOR_TOKENIZER))


def facts(args: argparse.Namespace, runs: dict[str, loop.Run]) -> dict:
    """What pair.json says: names, tags, sizes, tokens read and held-out losses (nats per token)."""
    return {
        "name": Path(args.out).resolve().name,
        "title": "Small stories and questions",
        "knows": "Simple stories for small children, old fairy tales, and questions that have one right answer.",
        "made_of": "Trained from nothing on the texts it was given, and on questions generated by specviz itself.",
        "licence": "not chosen yet",
        "date": datetime.date.today().isoformat(),
        "opening": tokenizer.END,
        "styles": tokenizer.STYLES,
        "tags": dict(zip(tokenizer.STYLES, tokenizer.TAGS)),
        "families": list(tasks.names()),
        "mix": data.MIX,
        "draft_mix": data.DRAFT_MIX,
        "seed": args.seed,
        **{
            name: {
                "size": asdict(run.model.size),
                "parameters": sum(p.numel() for p in run.model.parameters()),
                "parameters_outside_embedding": run.model.parameters_outside_embedding(),
                "steps": run.step,
                "tokens_read": run.tokens,
                "training_seconds": round(run.seconds),
                "held_out_loss": {style: round(loss, 4) for style, loss in run.measure().items()},
            }
            for name, run in runs.items()
        },
    }
