"""A verifier writes what its draft is to learn from: many texts in step, each by random numbers of its own.

With every token comes the verifier's whole law behind it, for nothing: its last hidden state and the logarithm of the sum over
the vocabulary, `log p(t) = head[t] @ state - log_sum`; and its states behind other layers, for a head to see. So no second pass
is paid.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.prob import dists
from specviz.training.prompts import Beginning, Frame
from specviz.types import Sampling

if TYPE_CHECKING:
    from specviz.training.teachers import Teacher

GIVEN, ASKED, SAID = range(3)  # a token's role: put there, written as the message, written as the answer
ASKING = Sampling(temperature=0.9)
HOT = Sampling(temperature=1.0)
COOL = Sampling(temperature=0.6, top_k=20, top_p=0.95)  # half of the answers each: as people sample
ENDED = 0.12  # share of the rows in step whose texts have ended at which these are dropped


class Text:
    """One text, and where it is at: `tokens` [n] and their `roles`. `lost`: a message did not end, so that there is no answer.
    Once it is written, of each token the verifier's `states` [n, layers, width], float16, and `log_sums` [n]; of the last one they
    may be 0."""

    states: Tensor
    log_sums: Tensor

    def __init__(self, beginning: Beginning, frame: Frame, longest: int, noise: random.Random):
        self.tokens, asks = list(beginning[0]), beginning[1]
        self.roles = [GIVEN] * len(self.tokens)
        self.role = ASKED if asks else SAID  # of the next token
        self.ended = self.lost = False
        self.noise = noise
        self.answering = noise.choice((HOT, COOL))
        self._frame, self._longest = frame, longest

    @property
    def sampling(self) -> Sampling:
        return ASKING if self.role == ASKED else self.answering

    def take(self, token: int) -> None:
        """The next token."""
        self.tokens.append(token)
        self.roles.append(self.role)
        closing, stops = self._frame.closing, self._frame.stops
        if self.role == SAID:
            self.ended = token in stops or len(self.tokens) >= self._longest
        elif token == closing[0]:
            self.tokens += closing[1:]
            self.roles += [GIVEN] * len(closing[1:])
            self.role = SAID
        else:
            self.ended = self.lost = token in stops or len(self.tokens) + len(closing) > self._longest // 2


@torch.inference_mode()
def write(teacher: Teacher, texts: Sequence[Text], longest: int, layers: Sequence[int]) -> None:
    """Writes the texts to their ends, all in step, those that are lost as well; the states of `layers` stay."""
    teacher.begin(len(texts), longest, layers)
    log_sums, states = torch.zeros(len(texts), longest), torch.empty(0)
    rows = list(range(len(texts)))  # of the texts that go on, their numbers
    for place in range(longest):
        next_tokens = [texts[i].tokens[place] if place < len(texts[i].tokens) else 0 for i in rows]
        logits, seen = teacher.step(torch.tensor(next_tokens))
        if not place:
            states = torch.zeros(len(texts), longest, *seen.shape[1:], dtype=seen.dtype)
        states[rows, place], log_sums[rows, place] = seen, logits.logsumexp(-1).cpu()
        waiting = [row for row, i in enumerate(rows) if not texts[i].ended and len(texts[i].tokens) == place + 1]
        drawing = [texts[rows[row]] for row in waiting]
        for text, token in zip(drawing, _drawn(logits[waiting], drawing)):
            text.take(token)
        open_ = [row for row, i in enumerate(rows) if not texts[i].ended]
        if not open_:
            break
        if len(open_) < (1 - ENDED) * len(rows):
            teacher.keep(torch.tensor(open_))
            rows = [rows[row] for row in open_]
    for text, of_text, sums in zip(texts, states, log_sums):
        text.states, text.log_sums = of_text[: len(text.tokens)], sums[: len(text.tokens)]


def _drawn(logits: Tensor, texts: Sequence[Text]) -> list[int]:
    """The next token of each text, from its row of logits [n, V] by one uniform number of its own."""
    tokens = [0] * len(texts)
    for sampling in (ASKING, HOT, COOL):
        alike = [i for i, text in enumerate(texts) if text.sampling is sampling]
        if not alike:
            continue
        sums = dists.to_probs(logits[alike], sampling).double().cumsum(-1)
        uniforms = torch.tensor([texts[i].noise.random() for i in alike], dtype=torch.float64, device=sums.device)
        drawn = torch.searchsorted(sums, uniforms[:, None] * sums[:, -1:], right=True)[:, 0]
        for i, token in zip(alike, drawn.clamp_max(logits.shape[-1] - 1).tolist()):
            tokens[i] = token
    return tokens
