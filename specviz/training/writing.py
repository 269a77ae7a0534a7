"""A verifier writes what its draft is to learn from: many texts in one batch, each a function of its number alone.

With every token comes the verifier's whole law behind what stands before it, for nothing: its last hidden state and
the logarithm of the sum over the vocabulary, `log p(t) = head[t] @ state - log_sum`. So no second pass is paid.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from specviz.backends import Forward, Model, Session
from specviz.prob import dists
from specviz.training.prompts import Beginning, Frame
from specviz.types import Sampling

GIVEN, ASKED, SAID = range(3)  # a token's role: put there, written as the message, written as the answer
ASKING = Sampling(temperature=0.9)
HOT = Sampling(temperature=1.0)
COOL = Sampling(temperature=0.6, top_k=20, top_p=0.95)  # half of the answers each: as people sample


class Text:
    """One text, and where it is at: `tokens`, their `roles`, and of those written the verifier's `states` [width], half
    precision, and `log_sums`. `lost`: a message did not end, so that there is no answer."""

    def __init__(self, beginning: Beginning, frame: Frame, longest: int, noise: random.Random):
        self.tokens, asks = list(beginning[0]), beginning[1]
        self.roles = [GIVEN] * len(self.tokens)
        self.states: list[Tensor] = []
        self.log_sums: list[float] = []
        self.role = ASKED if asks else SAID  # of the next token
        self.seen = 0
        self.ended = self.lost = False
        self.noise = noise
        self.answering = noise.choice((HOT, COOL))
        self._frame, self._longest = frame, longest

    @property
    def sampling(self) -> Sampling:
        return ASKING if self.role == ASKED else self.answering

    def unseen(self) -> list[int]:
        return self.tokens[self.seen :]

    def take(self, token: int, state: Tensor, log_sum: float) -> None:
        """The next token, the state [width] it was drawn from, and the logarithm of the sum there."""
        self.seen = len(self.tokens)
        self.tokens.append(token)
        self.roles.append(self.role)
        self.states.append(state)
        self.log_sums.append(log_sum)
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
def write(verifier: Model, texts: Iterable[Text], rows: int, longest: int) -> Iterator[Text]:
    """Writes the texts to their ends, `rows` at a time, and gives each one as it ends, those that are lost as well."""
    waiting, batch = iter(texts), verifier.batch(rows, longest)
    open_: list[tuple[Text, Session]] = []
    while True:
        while len(open_) < rows and (text := next(waiting, None)) is not None:
            open_.append((text, batch.session()))
        if not open_:
            return
        seen = batch.forward(
            [Forward(session, text.unseen(), 1, features=(verifier.layers,)) for text, session in open_]
        )
        logits = torch.cat([each.logits for each in seen]).float()
        states = torch.stack([each.features[verifier.layers][-1] for each in seen]).to("cpu", torch.float16)
        log_sums = logits.logsumexp(-1).tolist()
        for (text, _), token, state, log_sum in zip(open_, _drawn(logits, open_), states, log_sums):
            text.take(token, state, log_sum)
        for text, session in open_:
            if text.ended:
                batch.release(session)
                yield text
        open_ = [(text, session) for text, session in open_ if not text.ended]


def _drawn(logits: Tensor, texts: list[tuple[Text, Session]]) -> list[int]:
    """The next token of each text, from its row of logits [n, V] by one uniform number of its own."""
    tokens = [0] * len(texts)
    for sampling in (ASKING, HOT, COOL):
        alike = [i for i, (text, _) in enumerate(texts) if text.sampling is sampling]
        if not alike:
            continue
        sums = dists.to_probs(logits[alike], sampling).double().cumsum(-1)
        uniforms = torch.tensor([texts[i][0].noise.random() for i in alike], dtype=torch.float64, device=sums.device)
        drawn = torch.searchsorted(sums, uniforms[:, None] * sums[:, -1:], right=True)[:, 0]
        for i, token in zip(alike, drawn.clamp_max(logits.shape[-1] - 1).tolist()):
            tokens[i] = token
    return tokens
