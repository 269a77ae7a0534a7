"""A pair of ordinary models with random weights, to measure what the shipped pair is too small for."""

from __future__ import annotations

import random
import shutil
import statistics
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

from specviz.bench.ways import forwards, rounds_of
from specviz.engine.settings import Settings

SHAPES = {
    "draft": (128, 352, 2, 2),
    "verifier": (512, 1408, 9, 8),
}  # hidden, intermediate, layers, heads: 1 M and 31 M parameters
POSITIONS = 4608
CONTEXTS = (100, 1000, 4000)  # tokens
WRITTEN = 32  # tokens at each


def make(folder: Path) -> list[str]:
    """Writes a draft and a verifier that share the shipped pair's tokenizer; returns their folders.

    Their weights are random, as a model's are before training: both distributions are nearly flat, and what is kept
    of a draft is what two nearly flat distributions have in common. The cost of a round is that of any such pair.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from specviz import backends

    shipped = next(iter(backends.pairs().values())).folder
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


def text(pair) -> list[int]:
    """Random tokens, as many as the pair holds; none of them ends a text."""
    chooser = random.Random(0)
    return [chooser.randrange(10, pair.vocabulary) for _ in range(pair.max_positions)]


def by_context(pair, tokens: list[int], settings: dict, repeats: int) -> list[dict]:
    """sps after the first 100, 1,000 and 4,000 of `tokens`, as far as the pair holds them, beside its bare forwards.

    Per context: seconds per token of both and their ratio (medians over runs in turns), tokens written per round.
    """
    from specviz import rules

    most = pair.max_positions - WRITTEN
    sessions = pair.draft.session(), pair.verifier.session()  # the text before is read once; each run begins behind it
    rows = []
    for context in sorted({min(context, most) for context in CONTEXTS}):
        before = tokens[:context]
        for session in sessions:
            session.rollback(context - 1)
            session.forward(before[session.length : -1], keep=1)
        standing = SimpleNamespace(
            draft=SimpleNamespace(session=lambda: sessions[0]), verifier=SimpleNamespace(session=lambda: sessions[1]),
            vocabulary=pair.vocabulary, stop_tokens=frozenset(),
        )  # fmt: skip
        runs = [
            _once(pair, standing, sessions, before, settings | {"max_new_tokens": WRITTEN}, rules.make("sps"), seed)
            for seed in range(2 * repeats + 1)
        ][1:]
        rows.append({"context": context} | {name: statistics.median(run[name] for run in runs) for name in runs[0]})
    return rows


def _once(pair, standing, sessions, before: list[int], settings: dict, rule, seed: int) -> dict:
    from specviz.engine import race
    from specviz.record import trace

    def back() -> None:
        for session in sessions:
            session.rollback(len(before) - 1)

    back()
    lane = Settings(rule=rule, seed=seed, **settings)
    record, steps = trace.begin(pair, "A prompt", None, [lane]), []
    began = perf_counter()
    for step in race.race(standing, before, [lane]):
        steps.append(step)
        record.add(step)
    seconds = perf_counter() - began
    rounds = rounds_of(steps)
    written = sum(len(emitted) for _, emitted in rounds)
    back()
    alone = forwards(*sessions, before, rounds)
    return {
        "seconds_per_token": seconds / written,
        "forward_seconds_per_token": alone / written,
        "ratio": seconds / alone,
        "written_per_round": written / len(rounds),
    }
