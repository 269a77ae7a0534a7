"""One command from a verifier to a draft for it.

    1. written   the verifier writes: messages in its own taste, or those of --prompts, and its answers
    2. draft     learns the laws that the verifier had while it wrote, and is measured on texts that it does not learn

or, with --head, a head on the verifier's states, or with --exit E an exit behind its layer E, for which its states after several
layers are kept while it writes, or with --lookahead L so many look-ahead tokens for its own forward:

    2. head      learns as the draft does; or exit, or lookahead

With --begin FOLDER it goes on from a draft, a head or an exit that such a training made.

Each shard of 1. and each checkpoint of 2. is kept in OUT/state, so a run that was stopped goes on with --resume; with
--tokens and --draft-steps it comes to the same draft as one that was not. `state/draft/log.jsonl` has the overlap
sum(min(verifier, draft)) on the held-out answers, now and then: at temperature 1, and as `overlap_cool` sampled as people do;
of a head or look-ahead tokens for the first, second, ... drafted token. The settings of the allocator that `recipe` names make it
a fifth faster.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specviz import backends
from specviz.backends import Model, places
from specviz.backends.cached import write_json
from specviz.backends.tokenizer import Tokenizer, why_not
from specviz.backends.weights import HEAD, KEPT, Weights
from specviz.training import (
    begin,
    cut,
    distil_draft,
    distil_exit,
    distil_head,
    distil_lookahead,
    export,
    loop,
    machine,
    teachers,
    texts,
    writing,
)
from specviz.training.exit import ExitModel
from specviz.training.learning import SAMPLINGS, Options
from specviz.training.optimizer import Both, ForAhead, ForBegun, ForCopies, ForHead, Scaled
from specviz.training.prompts import Source
from specviz.training.reading import Readings
from specviz.training.shards import Shards, words
from specviz.training.teachers import Teacher
from specviz.training.writing import Text
from specviz.types import ModelError

MINUTES = 90.0
WRITING_SHARE = 0.5  # of the minutes
QUICK_TOKENS = 5_000
KEPT_TOKENS = 8192
ROWS = {torch.float32: 48, torch.bfloat16: 160}  # texts written in step, and of a shard
ROWS_OF_GPU = 256
WRONG = 0.02  # total variation between the verifier's law and that of its states, beyond rounding
TRAININGS: dict[str, Any] = {
    "draft": distil_draft,
    "head": distil_head,
    "exit": distil_exit,
    "lookahead": distil_lookahead,
}
DRAFTERS = {"draft": "model", "head": "head", "exit": "early_exit", "lookahead": "lookahead"}  # by what is trained
TITLES = {"draft": "A draft", "head": "A head", "exit": "An exit", "lookahead": "Look-ahead tokens"}


def settings(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments with every default filled in."""
    args = argparse.Namespace(**vars(args))
    if args.begin:
        begin.settle(args)
    if args.quick:
        args.rows, args.length, args.no_compile = 8, 96, True
        args.tokens, args.draft_steps = args.tokens or QUICK_TOKENS, args.draft_steps or 40
    args.minutes = args.minutes or MINUTES
    args.kept_tokens = args.kept_tokens or KEPT_TOKENS
    loop.above_zero(args, "minutes", "draft_steps", "tokens", "rows", "length", "kept_tokens", "lookahead")
    if args.layers and args.draft_size:
        raise ValueError("--draft-size is for a draft without copies of --layers: give one of the two")
    asked = [
        name
        for name in ("head", "exit", "lookahead")
        if getattr(args, name) is not None and getattr(args, name) is not False
    ]
    if len(asked) > 1:
        names = " and ".join(f"--{name}" for name in asked)
        raise ValueError(
            f"{names} are {('two', 'three')[len(asked) - 2]} trainings: give one, and another with --resume later"
        )
    if on_states(args) and args.draft_size:
        raise ValueError("--draft-size is for a draft; all others have the width of their verifier")
    if args.reads and not (args.head or args.exit is not None):
        raise ValueError("--reads is for a --head or an --exit")
    if args.lookahead and args.layers:
        raise ValueError("--layers is for what copies some; look-ahead tokens go through all of the verifier's")
    return args


def on_states(args: argparse.Namespace) -> bool:
    """Whether what is trained learns from states of all tokens: not a draft."""
    return role_of(args) != "draft"


def train_draft(args: argparse.Namespace) -> int:
    """The recipe, by the arguments of the command. 0: the draft is written; 1: stopped early, can be resumed."""
    args = settings(args)
    state, device = loop.prepared(args)
    folder = folder_of(args.verifier, device.type)
    weights, tokenizer = Weights(folder), Tokenizer(str(folder))
    layers, reads = copied_layers(args, weights), read_layers(args, weights)
    source = Source.of(tokenizer, args.prompts or [], args.length // 2)
    verifier = backends.load(str(folder), device=device.type)
    facts = {"model": args.verifier, "revision": verifier.revision, "parameters": verifier.parameters}
    check(verifier, weights[HEAD], source)
    teacher = teachers.of(verifier, weights, device)
    shards = Shards(state / "written", verifier.revision)
    del verifier
    readings = Readings(shards, reads, state / "states") if on_states(args) else None
    texts.add(args.texts or [], teacher, shards, readings)
    write(teacher, source, shards, readings, args, rows_of(device))
    if readings:
        readings.complete(teacher)
    torch.manual_seed(args.seed)
    kept = kept_tokens(state / "kept_tokens.json", shards, source, args, weights.config["vocab_size"])
    model = started(args, weights, kept, layers, reads, teacher, shards, device)
    del teacher
    role = role_of(args)
    options = Options(
        state / role, budget(args, shards), max(1, args.rows // 2), args.seed, device, rates(args), not args.no_compile
    )
    run, ended = TRAININGS[role].train(model, readings or shards, weights[HEAD], options)
    if not ended:
        return 1
    if role == "draft":
        export.save_draft(args.out / role, model, folder, layers)
    elif role == "lookahead":
        export.save_lookahead(args.out / role, model)
    else:
        export.save_on_states(args.out / role, model, folder, layers[-1])
    export.save_facts(args.out, pair_facts(args, facts, tokenizer, shards, run, role))
    return 0


def role_of(args: argparse.Namespace) -> str:
    if args.lookahead:
        return "lookahead"
    return "head" if args.head else "draft" if args.exit is None else "exit"


def started(
    args: argparse.Namespace,
    weights: Weights,
    kept: Tensor,
    layers: list[int],
    reads: list[int],
    teacher: Teacher,
    shards: Shards,
    device: torch.device,
) -> Any:
    """The model before it learns: as --begin left it, or copies of layers, and in front of them what least squares make."""
    if args.lookahead:
        return distil_lookahead.start(weights, kept, args.lookahead, device)
    head = weights[HEAD]
    model: Any
    if args.head:
        model = distil_head.start(weights, kept, reads, layers[-1], head)
    elif args.exit is not None:
        model = distil_exit.start(weights, kept, args.exit, reads, layers[-1], head)
    else:
        model = distil_draft.start(weights, kept, layers, args.draft_size, head)
    if args.begin:
        begin.load(model, args.begin)
    elif args.head:
        distil_head.fit(model, teacher, shards.entries, layers[-1])
    elif args.exit is not None:
        distil_exit.fit(model, teacher, shards.entries, layers[-1])
    return model


def rates(args: argparse.Namespace) -> type[Scaled]:
    """The optimizer that suits what is known already."""
    if args.begin:
        return ForBegun
    if args.lookahead:
        return ForAhead
    if on_states(args):
        return ForHead
    return Both if args.draft_size else ForCopies


def folder_of(verifier: str, device: str) -> Path:
    """The folder with a verifier's files, fetched from the Hub if need be. ModelError if they cannot be had."""
    folder = Path(places.locate(verifier, device, None).folder)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(verifier, allow_patterns=["*.json", "*.jinja", "*.safetensors", "tokenizer.model"])
        )
    except Exception as error:  # the Hub fails in many ways
        raise ModelError(why_not(verifier, error)) from error


def copied_layers(args: argparse.Namespace, weights: Weights) -> list[int]:
    """The verifier's layers that the draft begins with, none if it has a size of its own; or the one that a head or an exit does."""
    count = weights.config["num_hidden_layers"]
    if args.draft_size or args.lookahead:
        return []
    layers = numbers("--layers", args.layers) or ([count - 1] if on_states(args) else spread(count))
    if on_states(args) and len(layers) > 1:
        raise ValueError(f"a head or an exit is one block: --layers names one layer, not {args.layers}")
    if odd := [layer for layer in layers if not 0 <= layer < count]:
        raise ValueError(f"the verifier has layers 0 to {count - 1}; got {odd[0]}")
    cut.size_of(weights.config, len(layers))  # says so if they cannot be copied
    return layers


def read_layers(args: argparse.Namespace, weights: Weights) -> list[int]:
    """Those whose states a head reads, or are kept for an exit, the last of all among them: state 0 is the embedding, the others
    are behind layers."""
    count = weights.config["num_hidden_layers"]
    if args.lookahead:
        return [count]
    reads = numbers("--reads", args.reads) or distil_head.spread(count)
    if odd := [layer for layer in reads if not 0 <= layer <= count]:
        raise ValueError(f"the verifier has the states 0 to {count}; got {odd[0]}")
    reads = sorted({*reads, count})
    if args.exit is not None and (args.exit not in reads or not 1 <= args.exit < count):
        allowed = ", ".join(str(layer) for layer in reads if 1 <= layer < count)
        raise ValueError(
            f"--exit is behind a layer whose states are kept, one of {allowed}, not {args.exit}: --reads says which are"
        )
    return reads


def numbers(option: str, text: str | None) -> list[int]:
    """Of N,N,...; none of nothing."""
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise ValueError(f"{option} reads N,N,..., such as 0,1,28,29, not {text!r}") from None


def spread(count: int) -> list[int]:
    """Of so many layers the first, and three of the last quarter, where a model decides what it says."""
    return sorted({round(share * (count - 1)) for share in (0, 0.75, 0.9, 1)})


@torch.inference_mode()
def check(verifier: Model, head: Tensor, source: Source) -> None:
    """ValueError unless the verifier's logits are those of its last hidden state and its output layer: its whole law is
    then known from that state."""
    if "features" not in verifier.can:
        raise ValueError(f"{verifier.id!r} does not give its hidden states, from which a draft learns.")
    seen = verifier.session().forward(source.frame.opening, 1, features=(verifier.layers,))
    law = torch.softmax(seen.logits[0].float().cpu(), -1)
    if len(law) == len(head):
        known = torch.softmax(head @ seen.features[verifier.layers][-1].float().cpu(), -1)
        if (law - known).abs().sum() / 2 < WRONG:
            return
    raise ValueError(
        f"{verifier.id!r} does more to its logits than multiply its last state by {HEAD}; this recipe cannot follow it."
    )


def rows_of(device: torch.device) -> int:
    """Texts written in step, and of a shard."""
    return ROWS_OF_GPU if device.type == "cuda" else ROWS[machine.number_type(device)]


def write(
    teacher: Teacher, source: Source, shards: Shards, readings: Readings | None, args: argparse.Namespace, rows: int
) -> None:
    """Adds shards until there are as many tokens, or minutes of writing, as the arguments say."""
    layers = readings.layers if readings else (teacher.layers,)
    if args.tokens:
        rows = min(rows, -(-args.tokens // args.length) + 1)
    while shards.written < args.tokens if args.tokens else shards.seconds < 60 * args.minutes * WRITING_SHARE:
        began, number = time.monotonic(), len(shards)
        answers, made = shards.answers(number - 1), []
        for index in range(rows):
            rng = random.Random(f"{args.seed} {number} {index}")
            made.append(Text(source.draw(rng, answers), source.frame, args.length, rng))
        writing.write(teacher, made, args.length, layers)
        made = [text for text in made if not text.lost]
        if not made:
            raise ValueError("The verifier ended none of the messages it was to write: give it --prompts to answer.")
        states, log_sums = torch.cat([text.states for text in made]), torch.cat([text.log_sums for text in made])
        texts.keep(words(made), states, log_sums, shards, readings, time.monotonic() - began)
        print(json.dumps({"written": shards.written, "seconds": round(shards.seconds)}), flush=True)


def budget(args: argparse.Namespace, shards: Shards) -> loop.Budget:
    if args.draft_steps:
        return loop.Budget(steps=args.draft_steps)
    return loop.Budget(minutes=max(args.minutes - shards.seconds / 60, args.minutes * (1 - WRITING_SHARE)))


def kept_tokens(file: Path, shards: Shards, source: Source, args: argparse.Namespace, vocabulary: int) -> Tensor:
    """The ids that the draft knows, [K] int32, as they were chosen when the training began. ValueError if --begin chose others."""
    chosen = begin.weights(args.begin)[KEPT].tolist() if args.begin else None
    if not file.exists():
        always = source.frame.stops | set(source.frame.closing[:1])
        write_json(file, chosen or shards.frequent(args.kept_tokens, frozenset(always), vocabulary).tolist())
    known = json.loads(file.read_text())
    if max(known) >= vocabulary:
        raise ValueError("--begin knows tokens that this verifier does not have: it is for another one.")
    if chosen not in (None, known):
        raise ValueError("--begin knows other tokens than the training in --out: choose another --out.")
    return torch.tensor(known, dtype=torch.int32)


def pair_facts(
    args: argparse.Namespace, verifier: dict, tokenizer: Tokenizer, shards: Shards, run: loop.Run, role: str
) -> dict[str, object]:
    """What pair.json says: the models, and where the draft's, the head's or the exit's knowledge comes from. What another training put
    there stays."""
    file = args.out / "pair.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"drafter": DRAFTERS[role]}
    model = run.model
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    curve = [{name: line[name] for name in ("step", "tokens", *SAMPLINGS) if name in line} for line in log]
    return before | {
        "name": args.out.resolve().name,
        "title": f"{TITLES[role]} for {verifier['model']}",
        "knows": "What its verifier knows.",
        "made_of": "Distilled on what the verifier itself wrote.",
        "licence": "that of the verifier",
        "date": datetime.date.today().isoformat(),
        "styles": tokenizer.styles,
        "verifier": verifier,
        role: {
            "size": asdict(model.size),
            "parameters": sum(p.numel() for p in model.parameters()),
            "kept_tokens": len(model.kept_tokens),
            **({"layer": model.layer} if isinstance(model, ExitModel) else {}),
            "steps": run.step,
            "training_seconds": round(run.seconds),
            "passes": round(run.step / run.reader.per_pass(run.rows), 2),
            "texts": len(shards.entries),
            "tokens_written": shards.written,
            "writing_seconds": round(shards.seconds),
            "prompts": [file.name for file in args.prompts or []],
            "seed": args.seed,
            **({"began_with": export.sums(args.begin)} if args.begin else {}),
            "curve": [line for line in curve if any(name in line for name in SAMPLINGS)],
        },
    }
