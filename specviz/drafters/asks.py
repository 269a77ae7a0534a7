"""What decoding asks for and waits for: a model's look at tokens, a rule's verdict on a draft.

A coroutine awaits an ask; whoever drives the coroutine gets the ask, and sends the answer back: at once for a lane alone,
or together with the asks of other lanes. There is no event loop, and no asyncio, in this.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from specviz.backends import Forward, Model, Seen, Session
from specviz.drafters.draft import Draft
from specviz.prob import dists
from specviz.rules import BlockRule, Rule, TokenRule
from specviz.types import Sampling

Answer = TypeVar("Answer")
NONE_AHEAD = torch.empty(0)


class Ask(Generic[Answer]):
    """Something to wait for."""

    __slots__ = ()

    def __await__(self) -> Generator[Ask[Answer], Answer, Answer]:
        return (yield self)

    def answer(self) -> Answer:
        """The answer, for this ask alone."""
        raise NotImplementedError


class Looked(NamedTuple):
    """probs [keep, V]: the distributions behind the tokens asked about. features: layer -> [n, width], see `Session.forward`.
    ahead [keep, L, V]: the logits behind the look-ahead tokens that hung at each of those tokens."""

    probs: Tensor
    features: dict[int, Tensor]
    ahead: Tensor = NONE_AHEAD


@dataclass(slots=True, eq=False)
class Look(Ask[Looked]):
    """Lets `session` see `tokens`, and asks for the distributions, over `vocabulary` tokens and under `sampling`, that
    follow each of the last `keep`. `parents` and `features` as in `Session.forward`. Behind each of the last `keep` hang so
    many look-ahead tokens, one behind the other: a `Session.settle` or `rollback` is to forget them."""

    session: Session
    tokens: list[int]
    keep: int
    sampling: Sampling
    vocabulary: int
    parents: Sequence[int] | None = None
    features: Sequence[int] = ()
    ahead: int = 0

    def answer(self) -> Looked:
        seen = self.session.forward(*self.forward[1:])
        return self.looked(seen, dists.to_probs(seen.logits[: self.keep], self.sampling))

    @property
    def forward(self) -> Forward:
        """What the session is asked."""
        tokens, parents = self.tokens, self.parents
        if self.ahead:
            count = len(tokens)
            tokens, parents = list(tokens), list(range(-1, count - 1) if parents is None else parents)
            for place in range(count - self.keep, count):
                tokens += range(-1, -1 - self.ahead, -1)
                parents += [place, *range(len(parents), len(parents) + self.ahead - 1)]
        return Forward(self.session, tokens, self.keep * (1 + self.ahead), parents, self.features)

    def looked(self, seen: Seen, probs: Tensor) -> Looked:
        """The answer, from what was seen and the distributions [keep, any] behind the tokens themselves."""
        features = {layer: states[: len(self.tokens)] for layer, states in seen.features.items()}
        ahead = seen.logits[self.keep :].unflatten(0, (self.keep, self.ahead)) if self.ahead else NONE_AHEAD
        return Looked(dists.pad(probs, self.vocabulary), features, ahead)


@dataclass(slots=True, eq=False)
class Begin(Ask[Tensor]):
    """Lets the first `layer` layers of a verifier alone see `tokens` [n] behind its text, and asks for their states [n, width]; see
    `Session.begin`."""

    session: Session
    tokens: list[int]
    layer: int

    def answer(self) -> Tensor:
        return self.session.begin(self.tokens, self.layer)


def next_probs(model: Model, prompt: list[int], written: list[int], sampling: Sampling, vocabulary: int) -> Tensor:
    """[N, vocabulary]: a model's distribution at the place of each of N tokens written behind a prompt."""
    return Look(model.session(), [*prompt, *written[:-1]], len(written), sampling, vocabulary).answer().probs


class Judgement(NamedTuple):
    """What a rule says about m nodes. `verifier_probs` is what each was judged against: the verifier's distribution at its
    place, or what the refusal of its elder sibling left of it. `judges`: the rule that judged it, see `TokenRule.younger`."""

    accept_prob: list[float]
    draft_prob: list[float]  # of the token
    verifier_prob: list[float]  # of the token
    tokens: Tensor  # [m]
    verifier_probs: Tensor  # [m, V]
    draft_probs: Tensor  # [m, V]
    residual_probs: Tensor  # [m, V]
    judges: tuple[Rule, ...]


@dataclass(slots=True, eq=False)
class Judge(Ask[Judgement]):
    """Asks `rule` about every node of a draft. probs [m + 1, V]: the verifier's distribution behind the text, then behind
    each node, under the draft's own sampling."""

    rule: Rule
    draft: Draft
    probs: Tensor
    sampling: Sampling

    def answer(self) -> Judgement:
        return judge([self])[0]


def judge(asked: Sequence[Judge]) -> list[Judgement]:
    """All answers. Drafts of one shape under one rule are judged in one call."""
    groups: dict[tuple[Rule, tuple[int, ...]], list[int]] = {}
    for i, ask in enumerate(asked):
        if ask.sampling != ask.draft.sampling:
            raise ValueError(
                f"The draft was sampled with {ask.draft.sampling} and the verifier with {ask.sampling}; they must be the same."
            )
        groups.setdefault((ask.rule, ask.draft.parents), []).append(i)
    judgements: dict[int, Judgement] = {}
    for (rule, parents), group in groups.items():
        probs = _stacked([asked[i].probs for i in group])
        draft = _stacked([asked[i].draft.probs for i in group]).to(probs)
        tokens = torch.tensor([asked[i].draft.tokens for i in group], device=probs.device)
        dists.check(probs, "verifier_probs")
        dists.check(draft, "draft_probs")
        judges, verifier, accept, residual = _verdicts(rule, parents, probs, draft, tokens)
        numbers = (accept.tolist(), dists.at(draft, tokens).tolist(), dists.at(verifier, tokens).tolist())
        judgements |= zip(group, map(Judgement, *numbers, tokens, verifier, draft, residual, [judges] * len(group)))
    return [judgements[i] for i in range(len(asked))]


class Verdicts(NamedTuple):
    """Of n drafts with m nodes: who judges each node, what it is judged against [n, m, V], accept_prob [n, m],
    and residual_probs [n, m, V]."""

    judges: tuple[Rule, ...]
    verifier_probs: Tensor
    accept_prob: Tensor
    residual_probs: Tensor


def _verdicts(rule: Rule, parents: tuple[int, ...], probs: Tensor, draft: Tensor, tokens: Tensor) -> Verdicts:
    """The verdicts on n drafts of one shape; places with as many candidates are judged together."""
    if parents == tuple(range(-1, len(parents) - 1)):  # a chain
        verifier = probs[:, :-1]
        narrow = dists.narrowed(verifier, draft)
        if narrow is None:
            verdict = rule.verdict(verifier, draft, tokens)
            return Verdicts((rule,) * len(parents), verifier, verdict.accept_prob, verdict.residual_probs)
        ids, (few_verifier, few_draft) = narrow
        verdict = rule.verdict(few_verifier, few_draft, torch.searchsorted(ids, tokens))
        residual = torch.zeros_like(draft).index_copy_(-1, ids, verdict.residual_probs)
        return Verdicts((rule,) * len(parents), verifier, verdict.accept_prob, residual)
    verifier = probs[:, [parent + 1 for parent in parents]]
    if isinstance(rule, BlockRule):
        verdict = rule.judge_tree(parents, verifier, draft, tokens)
        return Verdicts((rule,) * len(parents), verifier, verdict.accept_prob, verdict.residual_probs)
    assert isinstance(rule, TokenRule)
    accept, residual = torch.empty_like(draft[..., 0]), torch.empty_like(draft)
    judges: list[Rule] = [rule] * len(parents)
    for nodes in _places(parents):
        judged = rule.judge_siblings(verifier[:, nodes[:, 0]], draft[:, nodes], tokens[:, nodes])
        accept[:, nodes], residual[:, nodes] = judged.accept_prob, judged.residual_probs
        verifier[:, nodes] = judged.verifier_probs
        for rank, judge in enumerate(judged.judges):
            for node in nodes[:, rank].tolist():
                judges[node] = judge
    return Verdicts(tuple(judges), verifier, accept, residual)


def _places(parents: tuple[int, ...]) -> list[Tensor]:
    """The nodes by place: for each number k of candidates [places, k], the eldest of a place first."""
    places: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        places.setdefault(parent, []).append(node)
    sizes: dict[int, list[list[int]]] = {}
    for nodes in places.values():
        sizes.setdefault(len(nodes), []).append(nodes)
    return [torch.tensor(alike) for alike in sizes.values()]


def _stacked(rows: list[Tensor]) -> Tensor:
    return torch.stack(rows) if len(rows) > 1 else rows[0].unsqueeze(0)
