"""Stories the verifier itself writes, for the draft to learn from.

A draft is asked to agree with the verifier on what the verifier says, not on its books; a small corpus read again and
again shows it little of that. Distilling on sampled text is the remedy of Kim & Rush 2016 (sequence-level distillation)
and Zhou et al. 2024 (DistillSpec).
"""

from __future__ import annotations

import random

import torch
from tokenizers import Tokenizer

from specviz.prob import dists
from specviz.training import data, tokenizer
from specviz.training.model import Cache, Llama

ROWS = 256  # texts written at a time
LONGEST = 240  # tokens of one text, its opening included
DEAD = 0.2  # share of ended rows at which they are dropped
BEGINNINGS = (0, 0, 1, 2, 4, 8, 12, 16, 24)  # tokens of a real story it goes on from: one of these for each batch


@torch.no_grad()
def stories(verifier: Llama, words: Tokenizer, texts: data.Texts, count: int, seed: int) -> list[list[int]]:
    """At least `count` tokens of tiny stories, sampled at temperature 1; one list of ids for each, without its opening.

    A text that came to its end carries the end token as its last id.
    """
    rng, written, total = random.Random(f"written {seed}"), [], 0
    rows = min(ROWS, len(texts.train["tiny"]), -(-count // LONGEST))
    noise = torch.Generator(verifier.model.embed_tokens.weight.device).manual_seed(seed)
    while total < count:
        begin = rng.choice(BEGINNINGS)
        starts = [words.encode(text).ids[:begin] for text in rng.sample(texts.train["tiny"], rows)]
        batch = write(verifier, tokenizer.opening(words, "tiny"), [ids for ids in starts if len(ids) == begin], noise)
        written += batch
        total += sum(map(len, batch))
    return written


@torch.no_grad()
def write(verifier: Llama, opening: list[int], starts: list[list[int]], noise: torch.Generator) -> list[list[int]]:
    """What the verifier makes of the beginnings, all of one length: `starts` and what follows, up to LONGEST tokens."""
    device, end = verifier.model.embed_tokens.weight.device, opening[0]
    texts = [list(ids) for ids in starts]
    tokens = torch.tensor([opening + ids for ids in starts], device=device)
    cache = Cache(verifier.size, len(starts), LONGEST, device)
    rows, ended = torch.arange(len(starts)), torch.zeros(len(starts), dtype=torch.bool, device=device)
    while len(rows) and cache.length < LONGEST:
        probs = torch.softmax(verifier(tokens, cache)[:, -1].float(), dim=-1)
        drawn = dists.draw(probs, torch.empty_like(probs).exponential_(generator=noise))
        for row, token, over in zip(rows.tolist(), drawn.tolist(), ended.tolist()):
            if not over:
                texts[row].append(token)
        ended |= drawn == end
        if ended.sum() > len(rows) * DEAD:  # rows that ended go on unread until they are worth the copy of the cache
            cache.keep(~ended)
            rows, drawn, ended = rows[~ended.cpu()], drawn[~ended], ended[~ended]
        tokens = drawn[:, None]
    return texts
