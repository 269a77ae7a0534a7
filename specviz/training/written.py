"""Stories the verifier itself writes, for the draft to learn from.

A draft is asked to agree with the verifier on what the verifier says, not on its books; a small corpus read again and
again shows it little of that. Distilling on sampled text is the remedy of Kim & Rush 2016 (sequence-level distillation)
and Zhou et al. 2024 (DistillSpec).
"""

from __future__ import annotations

import random

import torch
from tokenizers import Tokenizer

from specviz.backends.weights import EMBEDDING, HEAD
from specviz.prob import dists
from specviz.training import data, tokenizer
from specviz.training.model import Llama
from specviz.training.teachers import InStep
from specviz.training.writing import ENDED

ROWS = 256  # texts written at a time
LONGEST = 240  # tokens of one text, its opening included
BEGINNINGS = (0, 0, 1, 2, 4, 8, 12, 16, 24)  # tokens of a real story it goes on from: one of these for each batch


@torch.no_grad()
def stories(verifier: Llama, words: Tokenizer, texts: data.Texts, count: int, seed: int) -> list[list[int]]:
    """At least `count` tokens of tiny stories, sampled at temperature 1; one list of ids for each, without its opening.

    A text that came to its end carries the end token as its last id.
    """
    rng, written, total = random.Random(f"written {seed}"), [], 0
    rows = min(ROWS, len(texts.train["tiny"]), -(-count // LONGEST))
    device, state = verifier.model.embed_tokens.weight.device, verifier.state_dict()
    noise = torch.Generator(device).manual_seed(seed)
    teacher = InStep({**state, HEAD: state[EMBEDDING]}, verifier.size, device)
    while total < count:
        begin = rng.choice(BEGINNINGS)
        starts = [words.encode(text).ids[:begin] for text in rng.sample(texts.train["tiny"], rows)]
        batch = write(teacher, tokenizer.opening(words, "tiny"), [ids for ids in starts if len(ids) == begin], noise)
        written += batch
        total += sum(map(len, batch))
    return written


@torch.no_grad()
def write(teacher: InStep, opening: list[int], starts: list[list[int]], noise: torch.Generator) -> list[list[int]]:
    """What the verifier makes of the beginnings, all of one length: `starts` and what follows, up to LONGEST tokens."""
    texts, begun = [list(ids) for ids in starts], torch.tensor([opening + ids for ids in starts])
    rows, ended = torch.arange(len(starts)), torch.zeros(len(starts), dtype=torch.bool)
    tokens = begun[:, 0]
    teacher.begin(len(starts), LONGEST, ())
    for place in range(1, LONGEST + 1):
        logits, _ = teacher.step(tokens)
        if place < begun.shape[1]:
            tokens = begun[:, place]
            continue
        probs = torch.softmax(logits, dim=-1)
        tokens = dists.draw(probs, torch.empty_like(probs).exponential_(generator=noise)).cpu()
        for row, token, over in zip(rows.tolist(), tokens.tolist(), ended.tolist()):
            if not over:
                texts[row].append(token)
        ended |= tokens == opening[0]
        if ended.sum() > len(rows) * ENDED:  # rows that ended go on unread until they are worth the copy of the cache
            open_ = (~ended).nonzero()[:, 0]
            teacher.keep(open_)
            rows, tokens, ended = rows[open_], tokens[open_], ended[open_]
        if not len(rows):
            break
    return texts
