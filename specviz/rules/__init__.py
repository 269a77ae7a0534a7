"""Acceptance rules: pure functions of two distributions and a drafted token.

    rule = rules.make("cactus", delta=1.0)
    verdict = rule.judge(verifier_probs, draft_probs, token)     # verdict.accept_prob, verdict.residual_probs
    rule.output_law(verifier_probs, draft_probs)                 # what the position really emits, exactly
    rule.acceptance(verifier_probs, draft_probs)                 # how often it keeps the draft, exactly

    kept = rule.kept(accept_prob, uniforms)                      # how many tokens of a drafted block stay

One file per rule. A rule is a frozen dataclass whose fields are `knob`s; the class states `name`, `lossless`,
and the words of its page: `summary`, `formula`, `helps`, `hurts`, `source`. No models, no randomness, no text, no logits in here.
Probabilities are float tensors [..., V] that sum to 1; `token` is int64 [...]; leading dimensions broadcast;
float64 is computed in float64. A rule of scope "token" judges every drafted token by itself, one of scope
"block" a whole drafted block [..., m, V] at once. Inputs that are not distributions over one vocabulary, or
tokens outside it, raise ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from specviz import registry
from specviz.prob import dists
from specviz.sums.rows import few
from specviz.sums.sorted_rows import Outcome, Pair, Tally
from specviz.types import Verdict, Walk

PACKAGE, KIND = __name__, "acceptance rule"
_ONE = torch.ones(())


def names() -> list[str]:
    """The keys of all registered rules."""
    return list(registry.variants(PACKAGE))


def get(name: str) -> type[Rule]:
    """The class of a rule, to read its knobs and words."""
    return type(make(name))


def make(name: str, **params) -> Rule:
    """Builds a rule. ValueError says what is allowed if the name, a parameter or a value is not."""
    return registry.make(PACKAGE, KIND, name, **params)


def parse(spec: str) -> Rule:
    """Builds a rule from text: ``cactus``, ``cactus:delta=0.5,solver=exact``."""
    return registry.parse(PACKAGE, KIND, spec)


class Rule:
    """What every rule says about itself, and what it can be asked."""

    scope: ClassVar[Literal["token", "block"]]
    lossless: ClassVar[bool] = False  # output_law is the verifier's distribution, whatever the draft
    summary: ClassVar[str]  # one plain sentence
    source: ClassVar[str]  # the paper
    formula: ClassVar[str]  # n the drafted token, p the draft, q the verifier
    helps: ClassVar[str]  # one or two plain sentences: when to use it
    hurts: ClassVar[str]  # and when not to

    def __post_init__(self):
        registry.check_knobs(self)

    @property
    def spec(self) -> str:
        """Text that `parse` turns back into this rule."""
        return registry.spec(self)

    def judge(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """Judges drafted tokens: Verdict(accept_prob [...], residual_probs [..., V])."""
        raise NotImplementedError

    def output_law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """What one verified position really emits, [..., V], exact."""
        raise NotImplementedError

    def target_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor | None:
        """The distribution aimed at once `token` was drafted, [..., V]; None for a rule without a target."""
        return None

    def flip(self, draft_prob, verifier_prob, uniform, verifier_entropy=None, rank=None) -> Tensor | None:
        """The value of the knob `flips` at which the fate of a judged token changes, [...]; None without a closed form.

        The token, with its probabilities under both models, is kept on the loose side of that value: above it, or
        below it where `loose_below`. Infinity (0 where `loose_below`) means refused at any value. `uniform` is what
        was drawn for it (it is kept iff uniform < accept_prob), `verifier_entropy` is in nats, and `rank` counts from
        1, the verifier's favourite. Numbers or arrays [...]; a rule uses only those it needs.
        """
        return None

    def flip_within(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor | None:
        """The same for a rule whose flip point depends on both whole distributions [..., V]; None for all others."""
        return None

    def acceptance(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """Chance that a drafted token is kept, [...], exact."""
        raise NotImplementedError

    def kept(self, accept_prob: Sequence[float], uniforms: Sequence[float]) -> int:
        """How many tokens of a drafted block stay, given accept_prob and one uniform in [0, 1) per position."""
        raise NotImplementedError

    def walk(self, parents: Sequence[int], accept_prob: Sequence[float], uniforms: Sequence[float]) -> Walk:
        """Which nodes of a draft stay, given each node's parent (-1: the text), accept_prob, and one uniform in [0, 1)."""
        raise NotImplementedError

    def younger(self) -> Rule | None:
        """The rule that judges the next candidate for a place, against what the refusal of its elder left over; None if
        this rule cannot judge several candidates for one place."""
        return None

    @classmethod
    def sweep(cls, pair: Pair, settings: Sequence[Rule]) -> Outcome:
        """Acceptance and divergences of many `settings` of this rule at the positions of `pair`, exact (see `specviz.study.exact`).

        This one goes through every output law; a rule that knows a shorter way gives its own.
        """
        different = list(dict.fromkeys(settings))
        verifier, draft = torch.from_numpy(pair.verifier), torch.from_numpy(pair.draft)
        tally = Tally(pair, len(different))
        if cls.lossless:
            tally.scaled(1.0, np.ones(len(different)))
        else:
            tally.laws(torch.stack([rule.output_law(verifier, draft) for rule in different], 1).numpy())
        outcome = tally.outcome(torch.stack([rule.acceptance(verifier, draft) for rule in different], 1).numpy())
        where = [different.index(rule) for rule in settings]
        return Outcome(*(values[:, where] for values in outcome))


class TokenRule(Rule):
    """A rule that judges one drafted token at a time.

    A subclass gives `accept_probs` and `residual_probs`; one whose residual depends on the drafted token also
    gives `law`. These hooks get inputs that were checked and broadcast.
    """

    scope = "token"
    flips: ClassVar[str | None] = None  # the knob that `flip` speaks of
    loose_below: ClassVar[bool] = False  # a smaller value of it keeps more

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """phi for every token that could have been drafted, [..., V]. A token of draft probability 0 may get any value."""
        raise NotImplementedError

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        """The distribution drawn from when `token` [...] is refused, [..., V]."""
        raise NotImplementedError

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """`judge` without its checks."""
        accept = dists.at(self.accept_probs(verifier_probs, draft_probs), token)
        return Verdict(accept, self.residual_probs(verifier_probs, draft_probs, token))

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """`output_law` without its checks, for a residual that is the same whichever token was drafted."""
        accept = self.accept_probs(verifier_probs, draft_probs)
        refused = (draft_probs * (1 - accept)).sum(-1, keepdim=True)
        any_token = torch.zeros(accept.shape[:-1], dtype=torch.int64, device=accept.device)
        return draft_probs * accept + refused * self.residual_probs(verifier_probs, draft_probs, any_token)

    def judge(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """Judges drafted tokens, each by itself: accept_prob [...], residual_probs [..., V]."""
        return self.verdict(*checked(verifier_probs, draft_probs, token))

    def output_law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """sum over n of draft[n] (phi[n] 1_n + (1 - phi[n]) residual_n), [..., V], exact (Cactus paper, h_alg)."""
        return self.law(*checked(verifier_probs, draft_probs))

    def acceptance(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """Chance that a drafted token is kept, sum over n of draft[n] phi[n], [...], exact."""
        verifier_probs, draft_probs = checked(verifier_probs, draft_probs)
        return (draft_probs * self.accept_probs(verifier_probs, draft_probs)).sum(-1).clamp_max(1)

    def kept(self, accept_prob: Sequence[float], uniforms: Sequence[float]) -> int:
        """Left to right up to the first token whose uniform is not below its accept_prob."""
        for index, (accept, uniform) in enumerate(zip(accept_prob, uniforms, strict=True)):
            if not uniform < accept:
                return index
        return len(accept_prob)

    def walk(self, parents: Sequence[int], accept_prob: Sequence[float], uniforms: Sequence[float]) -> Walk:
        """From the text on, candidate by candidate: the first whose uniform is below its accept_prob is kept, and its own
        candidates come next."""
        path: list[int] = []
        judged: list[int] = []
        end, refused = -1, None
        for node, (parent, accept, uniform) in enumerate(zip(parents, accept_prob, uniforms, strict=True)):
            if parent != end:
                continue
            judged.append(node)
            if uniform < accept:
                path.append(node)
                end, refused = node, None
            else:
                refused = node
        return Walk(tuple(path), tuple(judged), refused)

    def younger(self) -> Rule | None:
        """A lossless token rule writes what it judges against, whatever that is: an elder's residual as well."""
        return self if self.lossless else None


class TargetRule(TokenRule):
    """A token rule with one target for all tokens: keep with min(1, target/draft), else norm(max(target - draft, 0)).

    Its output law is the target itself (Leviathan 2023, Thm 3.5), and its acceptance 1 - TV(draft, target).
    """

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """The target distribution, [..., V]."""
        raise NotImplementedError

    def target_probs(self, verifier_probs, draft_probs, token):
        return self.target(verifier_probs, draft_probs)

    def accept_probs(self, verifier_probs, draft_probs):
        return ratio(self.target(verifier_probs, draft_probs), draft_probs)

    def residual_probs(self, verifier_probs, draft_probs, token):
        return dists.residual(self.target(verifier_probs, draft_probs), draft_probs)

    def verdict(self, verifier_probs, draft_probs, token):
        target = self.target(verifier_probs, draft_probs)
        return Verdict(
            ratio(dists.at(target, token), dists.at(draft_probs, token)), dists.residual(target, draft_probs)
        )

    def law(self, verifier_probs, draft_probs):
        return self.target(verifier_probs, draft_probs)

    def younger(self) -> Rule | None:
        """Loosened once: the eldest is judged against the target, the younger strictly against its residual, so that the
        law stays the target."""
        return self if self.lossless else make("sps")


class BlockRule(Rule):
    """A rule that judges a whole drafted block of m tokens together. A subclass gives `verdict` and `law`.

    judge(verifier_probs [..., m, V], draft_probs [..., m, V], token [..., m]) returns accept_prob [..., m], and
    residual_probs [..., m, V] whose row i is drawn from when exactly i tokens were kept, i = 0 .. m-1 (after all
    m the verifier adds a bonus token). `output_law` and `acceptance` speak of a block of one token.
    """

    scope = "block"

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """`judge` without its checks."""
        raise NotImplementedError

    def judge(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """Judges drafted blocks: accept_prob [..., m], residual_probs [..., m, V]."""
        verifier_probs, draft_probs, token = checked(verifier_probs, draft_probs, token)
        if not token.ndim:
            raise ValueError("A block rule judges a block of tokens: token must have a dimension for the positions.")
        return self.verdict(verifier_probs, draft_probs, token)

    def kept(self, accept_prob: Sequence[float], uniforms: Sequence[float]) -> int:
        """Up to the last token whose own uniform is below its accept_prob; a later success rescues earlier tokens."""
        passed = [uniform < accept for accept, uniform in zip(accept_prob, uniforms, strict=True)]
        return max((index + 1 for index, ok in enumerate(passed) if ok), default=0)

    def walk(self, parents: Sequence[int], accept_prob: Sequence[float], uniforms: Sequence[float]) -> Walk:
        """Up to the last token whose own uniform is below its accept_prob; a later success rescues earlier tokens.
        ValueError unless the draft is a chain."""
        count = len(parents)
        if list(parents) != list(range(-1, count - 1)):
            raise ValueError(f"{self.spec} judges a draft of one candidate per place, and this one has several.")
        passed = [uniform < accept for accept, uniform in zip(accept_prob, uniforms, strict=True)]
        kept = max((index + 1 for index, ok in enumerate(passed) if ok), default=0)
        return Walk(tuple(range(kept)), tuple(range(count)), kept if kept < count else None)


def ratio(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """min(1, target/draft), and 1 where the draft has no mass."""
    return torch.fmin(target_probs / draft_probs, _ONE)  # of 1 and NaN (0/0) fmin takes the 1


def numbers(*values) -> list[Tensor]:
    """Numbers or arrays as float64 tensors that broadcast."""
    return [torch.as_tensor(value, dtype=torch.float64) for value in values]


def by_row(function: Callable[..., np.ndarray], *tensors: Tensor) -> Tensor:
    """`by_rows` for a function of single rows [V], which gives [n]."""
    return by_rows(lambda *parts: np.stack([function(*row) for row in zip(*parts, strict=True)]), *tensors)


def by_rows(function: Callable[..., np.ndarray], *tensors: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Applies `function` to a few rows of each tensor [..., V] at a time, as float64 arrays [b, V] on the CPU.

    Returns the arrays [b, n] it gives as [..., n], on the device and in the dtype of the first tensor, or in `dtype`.
    NumPy sorts and selects single rows many times faster than torch does on a CPU.
    """
    shape = tensors[0].shape
    for dim, size in enumerate(shape[:-1]):
        if size > 1 and all(tensor.stride(dim) == 0 for tensor in tensors):  # broadcast: every row is the same
            tensors = [tensor.narrow(dim, 0, 1) for tensor in tensors]
    distinct = tensors[0].shape
    arrays = [tensor.detach().to("cpu", torch.float64).reshape(-1, shape[-1]).numpy() for tensor in tensors]
    step = few(shape[-1])
    parts = [function(*(array[start : start + step] for array in arrays)) for start in range(0, len(arrays[0]), step)]
    rows = np.concatenate(parts) if parts else arrays[0]
    size = rows.shape[-1]
    return (
        torch.from_numpy(rows)
        .reshape(*distinct[:-1], size)
        .to(tensors[0].device, dtype or tensors[0].dtype)
        .expand(*shape[:-1], size)
    )


def by_token(
    function: Callable[..., float], verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor
) -> Tensor:
    """`function`(verifier row, draft row, token, uniform) for each judged token, float64 [...]; rows are float64 arrays [V]."""
    verifier_probs, draft_probs, token = checked(verifier_probs, draft_probs, token)
    uniform = torch.as_tensor(uniform, dtype=torch.float64).expand(token.shape)
    rows = [
        probs.detach().to("cpu", torch.float64).reshape(-1, probs.shape[-1]).numpy()
        for probs in (verifier_probs, draft_probs)
    ]
    found = [
        function(*row) for row in zip(*rows, token.reshape(-1).tolist(), uniform.reshape(-1).tolist(), strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64).reshape(token.shape)


def checked(verifier_probs: Tensor, draft_probs: Tensor, token: Tensor | None = None):
    """The inputs broadcast against each other, or ValueError if they cannot be judged."""
    if verifier_probs.ndim == 0 or draft_probs.ndim == 0 or verifier_probs.shape[-1] != draft_probs.shape[-1]:
        sizes = f"{tuple(verifier_probs.shape)} and {tuple(draft_probs.shape)}"
        raise ValueError(
            f"The two distributions must cover one vocabulary; their shapes are {sizes}. Pad with dists.pad."
        )
    dists.check(verifier_probs, "verifier_probs")
    dists.check(draft_probs, "draft_probs")
    if verifier_probs.dtype != draft_probs.dtype:
        raise ValueError(f"Both distributions must have one dtype; got {verifier_probs.dtype} and {draft_probs.dtype}.")
    size = verifier_probs.shape[-1]
    shapes = [verifier_probs.shape[:-1], draft_probs.shape[:-1]]
    if token is None:
        shape = torch.broadcast_shapes(*shapes)
        return verifier_probs.expand(*shape, size), draft_probs.expand(*shape, size)
    token = torch.as_tensor(token, dtype=torch.int64, device=verifier_probs.device)
    if token.numel() and not bool(((token >= 0) & (token < size)).all()):
        raise ValueError(f"Every token must be from 0 to {size - 1}.")
    shape = torch.broadcast_shapes(*shapes, token.shape)
    return verifier_probs.expand(*shape, size), draft_probs.expand(*shape, size), token.expand(shape)
