"""A pair of ordinary models with random weights, to measure what the shipped pair is too small for."""

from __future__ import annotations

import random
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TypedDict

from specviz import backends
from specviz.backends import Pair, Session
from specviz.bench.ways import forwards
from specviz.engine.decode import Decoding
from specviz.engine.race import steps
from specviz.engine.settings import Settings
from specviz.record import trace

SHAPES = {
    "draft": (128, 352, 2, 2),
    "verifier": (512, 1408, 9, 8),
}  # hidden, intermediate, layers, heads: 1 M and 31 M parameters
POSITIONS = 4608
CONTEXTS = (100, 1000, 4000)  # tokens
WRITTEN = 32  # tokens at each


class Behind(TypedDict):
    """What decoding costs behind `context` tokens: seconds per token of sps, of its bare forwards, and their ratio."""

    context: int
    seconds_per_token: float
    forward_seconds_per_token: float
    ratio: float
    written_per_round: float


def make(folder: Path) -> list[str]:
    """Writes a draft and a verifier that share the tokenizer of the pair `small`; returns their folders.

    Their weights are random, as a model's are before training: both distributions are nearly flat, and what is kept
    of a draft is what two nearly flat distributions have in common. The cost of a round is that of any such pair.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shipped = backends.pairs()["small"].folder
    torch.manual_seed(0)
    for role, (hidden, intermediate, layers, heads) in SHAPES.items():
        config = LlamaConfig(
            vocab_size=4096, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=heads, max_position_embeddings=POSITIONS, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder / role)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(shipped / role / name, folder / role)
    return [str(folder / role) for role in SHAPES]


def text(pair: Pair) -> list[int]:
    """Random tokens, as many as the pair holds; none of them ends a text."""
    chooser = random.Random(0)
    return [chooser.randrange(10, pair.vocabulary) for _ in range(pair.max_positions)]


def by_context(pair: Pair, text: Sequence[int], sps: Settings, repeats: int) -> list[Behind]:
    """sps behind 100, 1,000 and 4,000 tokens, as far as the pair holds them, beside its bare forwards: medians over runs
    in turns. `text`: the tokens that make up the context, but for the first."""
    assert pair.draft is not None
    most = pair.max_positions - WRITTEN
    sessions = pair.draft.session(), pair.verifier.session()  # the text before is read once; each run begins behind it
    before = pair.encode("A")
    rows: list[Behind] = []
    text = [token for token in text if token not in pair.stop_tokens]
    for context in sorted({min(context, most) for context in CONTEXTS}):
        kept = text[: context - len(before)]
        for session in sessions:
            session.forward([*before, *kept][session.length : -1], keep=1)
        settings = replace(sps, max_new_tokens=WRITTEN)
        runs = [_run(pair, sessions, kept, replace(settings, seed=seed)) for seed in range(2 * repeats + 1)]
        seconds, alone, ratio, written = (statistics.median(column) for column in zip(*runs[1:]))  # the first warms up
        rows.append(
            {
                "context": len(before) + len(kept),
                "seconds_per_token": seconds,
                "forward_seconds_per_token": alone,
                "ratio": ratio,
                "written_per_round": written,
            }
        )
    return rows


def _run(pair: Pair, sessions: tuple[Session, Session], kept: Sequence[int], settings: Settings) -> tuple[float, ...]:
    """One run behind the context that `sessions` have read but for its last token: the last four of `Behind`."""
    record = trace.begin(pair, "A", None, [settings], kept)
    context = record.prompt_tokens
    draft, verifier = sessions
    decoding = Decoding(pair, context, settings, verifier, draft)
    decoding.stop_tokens = frozenset()  # every run writes as many tokens
    began = perf_counter()
    for step in steps([decoding]):
        record.add(step, pair.tokenizer)
    seconds = perf_counter() - began
    _back(sessions, len(context) - 1)
    rounds = [(round_.drafted, round_.emitted) for round_ in record.lanes[0].rounds]
    alone = forwards(draft, verifier, context, rounds)
    _back(sessions, len(context) - 1)
    written = sum(len(emitted) for _, emitted in rounds)
    return seconds / written, alone / written, seconds / alone, written / len(rounds)


def _back(sessions: Sequence[Session], length: int) -> None:
    for session in sessions:
        session.rollback(length)
