"""Models that really run. One file per way to run one; this room alone knows of weights, caches and tokenizers.

    pair = backends.load_pair()                          # the first of backends.pairs(), which come with the project
    pair = backends.load_pair(draft="Qwen/Qwen3-0.6B", verifier="Qwen/Qwen3-14B", device="cuda", dtype="bfloat16")
    tokens = pair.encode("Once upon a time", style="tiny")
    session = pair.verifier.session()                    # one text: its own cache
    seen = session.forward(tokens)                       # seen.logits: [len(tokens), V]
    session.rollback(3)                                  # as if only the first 3 tokens had been seen
    seen = session.forward([5, 6, 7], parents=[-1, 0, 0], features=[2])   # two words to choose from behind one
    session.settle([0, 2])                               # as if only the first and the last of these had been seen
    batch = pair.verifier.batch(rows=8, positions=300)   # many texts: one forward for all, see `Batch`

Nothing here changes the process but `dedicate_process`, which is for programs. Everything a person can cause raises
ModelError or ValueError with a sentence for people.
"""

from __future__ import annotations

from specviz.backends import memory
from specviz.backends.facts import PairFacts, pairs
from specviz.backends.pair import (
    Pair,
    PairSource,
    check_placement,
    dedicate_process,
    load,
    load_pair,
    pair_of,
    use_threads,
)
from specviz.backends.session import (
    Batch,
    Exit,
    ExitSession,
    Forward,
    Head,
    HeadSession,
    Lookahead,
    Model,
    Seen,
    Session,
)

__all__ = [
    "Batch",
    "Exit",
    "ExitSession",
    "Forward",
    "Head",
    "HeadSession",
    "Lookahead",
    "Model",
    "Pair",
    "PairFacts",
    "PairSource",
    "Seen",
    "Session",
    "check_placement",
    "dedicate_process",
    "load",
    "load_pair",
    "memory",
    "pair_of",
    "pairs",
    "use_threads",
]
