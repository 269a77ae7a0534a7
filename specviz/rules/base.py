"""What every rule says about itself and can be asked, and the kinds of rules there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from specviz import registry
from specviz.prob import dists
from specviz.rules.inputs import Numbers, checked, checked_tokens, ratio, tensor_of
from specviz.sums.sorted_rows import SortedRows
from specviz.sums.tally import Outcome, Tally
from specviz.types import DRAWINGS, Drawing, Verdict, Walk


class Rule:
    """What every rule says about itself, and what it can be asked."""

    name: ClassVar[str]
    scope: ClassVar[Literal["token", "block"]]
    lossless: ClassVar[bool] = False  # output_law is the verifier's distribution, whatever the draft
    even: ClassVar[bool] = False  # it judges trees only if every node of a level has as many candidates
    searches: ClassVar[bool] = False  # its exact curve needs a search at every value of its knob, most at small ones
    flips: ClassVar[str | None] = None  # the main knob, of which `flip_point` speaks
    loose_below: ClassVar[bool] = False  # a smaller value of it keeps more
    spends: ClassVar[str | None] = None  # the knob that is a budget of divergence, in nats
    summary: ClassVar[str]  # one plain sentence
    source: ClassVar[str]  # the paper
    formula: ClassVar[str]  # n the drafted token, p the draft, q the verifier
    helps: ClassVar[str]  # one or two plain sentences: when to use it
    hurts: ClassVar[str]  # and when not to
    servers: ClassVar[
        Mapping[str, str]
    ] = {}  # servers that have it, each with its own options for it (docs/SERVERS.md)

    def __post_init__(self) -> None:
        registry.check_knobs(self)

    @property
    def spec(self) -> str:
        """Text that `parse` turns back into this rule."""
        return registry.spec(self)

    def judge(self, verifier_probs: Numbers, draft_probs: Numbers, token: Numbers) -> Verdict:
        """Judges drafted tokens: Verdict(accept_prob [...], residual_probs [..., V])."""
        raise NotImplementedError

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """`judge` without its checks."""
        raise NotImplementedError

    def output_law(self, verifier_probs: Numbers, draft_probs: Numbers) -> Tensor:
        """What one verified position really emits, [..., V], exact."""
        return self.law(*checked(verifier_probs, draft_probs))

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """`output_law` without its checks."""
        raise NotImplementedError

    def acceptance(self, verifier_probs: Numbers, draft_probs: Numbers) -> Tensor:
        """Probability that a drafted token is kept, [...], exact."""
        raise NotImplementedError

    def target_probs(self, verifier_probs: Numbers, draft_probs: Numbers, token: Numbers) -> Tensor | None:
        """The distribution aimed at once `token` was drafted, [..., V]; None for a rule without a target."""
        return self.target_of(*checked_tokens(verifier_probs, draft_probs, token))

    def target_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor | None:
        """`target_probs` without its checks."""
        return None

    def flip_point(
        self, verifier_probs: Numbers, draft_probs: Numbers, token: Numbers, uniform: Numbers
    ) -> Tensor | None:
        """The value of the knob `flips` at which the fate of a judged token changes, float64 [...]; None without such a knob.

        `uniform` [...] is what was drawn for the token, which is kept iff uniform < accept_prob. With the same draw it is
        kept at values of the knob from the flip point on, or, where `loose_below`, at values below it. So a flip point at
        an end of the knob's range or beyond, infinity included, says that no value changes its fate. `cascade_token`
        alone keeps a token on the other side as well, see there.
        """
        if self.flips is None:
            return None
        verifier_probs, draft_probs, token = checked_tokens(verifier_probs, draft_probs, token)
        uniform = tensor_of(uniform, "uniform", "numbers from 0 to 1", torch.float64).to(token.device)
        shape, size = dists.common(token.shape, uniform.shape), verifier_probs.shape[-1]
        verifier_probs, draft_probs = verifier_probs.expand(*shape, size), draft_probs.expand(*shape, size)
        return self.flip_of(verifier_probs, draft_probs, token.expand(shape), uniform.expand(shape))

    def flip_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor, uniform: Tensor) -> Tensor | None:
        """`flip_point` without its checks."""
        return None

    def walk(self, parents: Sequence[int], accept_prob: Sequence[float], uniforms: Sequence[float]) -> Walk:
        """Which nodes of a draft stay, given each node's parent (-1: the text), accept_prob, and one uniform in [0, 1)."""
        raise NotImplementedError

    def stays(self, parents: Sequence[int], accept_prob: Sequence[float]) -> list[float]:
        """The chance that each node of a draft is kept, over all uniforms that `walk` may be given."""
        raise NotImplementedError

    @property
    def drawings(self) -> frozenset[Drawing]:
        """The ways in which several candidates for one place may come, for this rule to judge them; none if it judges one."""
        return frozenset()

    @classmethod
    def curve_at(cls, rows: SortedRows, settings: Sequence[Rule]) -> Outcome:
        """Acceptance and divergences of many `settings` [K] of this rule at the positions of `rows` [B], exact (see
        `specviz.study.exact`): arrays [B, K].

        This one goes through every output law; a rule that knows a shorter way gives its own.
        """
        different = list(dict.fromkeys(settings))
        verifier, draft = torch.from_numpy(rows.verifier), torch.from_numpy(rows.draft)
        tally = Tally(rows, len(different))
        if not cls.lossless:
            tally.laws(torch.stack([rule.output_law(verifier, draft) for rule in different], 1).numpy())
        outcome = tally.outcome(torch.stack([rule.acceptance(verifier, draft) for rule in different], 1).numpy())
        where = np.array([different.index(rule) for rule in settings])
        return Outcome(*(values[:, where] for values in outcome))


class TokenRule(Rule):
    """A rule that judges one drafted token at a time.

    A subclass gives `accept_probs` and `residual_probs`; one whose residual depends on the drafted token also gives `law`.
    These hooks get inputs that were checked and broadcast.
    """

    scope = "token"

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """phi for every token that could have been drafted, [..., V]. A token of draft probability 0 may get any value."""
        raise NotImplementedError

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        """The distribution drawn from when `token` [...] is refused, [..., V]."""
        raise NotImplementedError

    def judge(self, verifier_probs: Numbers, draft_probs: Numbers, token: Numbers) -> Verdict:
        """Judges drafted tokens, each by itself: accept_prob [...], residual_probs [..., V]."""
        return self.verdict(*checked_tokens(verifier_probs, draft_probs, token))

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        accept = dists.at(self.accept_probs(verifier_probs, draft_probs), token)
        return Verdict(accept, self.residual_probs(verifier_probs, draft_probs, token))

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """sum over n of draft[n] (phi[n] 1_n + (1 - phi[n]) residual), [..., V], for a residual that is the same whichever
        token was drafted (Hao & Mou 2026, h_alg)."""
        accept = self.accept_probs(verifier_probs, draft_probs)
        refused = (draft_probs * (1 - accept)).sum(-1, keepdim=True)
        any_token = torch.zeros(accept.shape[:-1], dtype=torch.int64, device=accept.device)
        return draft_probs * accept + refused * self.residual_probs(verifier_probs, draft_probs, any_token)

    def acceptance(self, verifier_probs: Numbers, draft_probs: Numbers) -> Tensor:
        """Probability that a drafted token is kept, sum over n of draft[n] phi[n], [...], exact."""
        verifier_probs, draft_probs = checked(verifier_probs, draft_probs)
        return (draft_probs * self.accept_probs(verifier_probs, draft_probs)).sum(-1).clamp_max(1)

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

    def stays(self, parents: Sequence[int], accept_prob: Sequence[float]) -> list[float]:
        reached = {-1: 1.0}  # the chance that a node's next candidate is looked at
        kept = []
        for node, (parent, accept) in enumerate(zip(parents, accept_prob, strict=True)):
            kept.append(reached[parent] * accept)
            reached[parent] -= kept[-1]
            reached[node] = kept[-1]
        return kept

    def younger(self) -> TokenRule:
        """The rule that judges the next candidate for a place, against what the refusal of its elder left over. A lossless
        token rule writes what it judges against, whatever that is: an elder's residual as well. Any other is loosened once:
        behind the eldest all are judged strictly, so that the law stays what it is with the eldest alone."""
        from specviz.rules.sps import Sps

        return self if self.lossless else Sps()

    @property
    def drawings(self) -> frozenset[Drawing]:
        return frozenset(DRAWINGS)

    def judge_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> SiblingVerdict:
        """Judges the k candidates of each place together: verifier_probs [..., V], draft_probs [..., k, V] the law of each,
        given its elders, token [..., k].

        Here each is judged by itself, against what the refusal of its elder left over.
        """
        against, verdicts, judges = verifier_probs, [], []
        judging: TokenRule = self
        for i in range(token.shape[-1]):
            verdict = judging.verdict(against, draft_probs[..., i, :], token[..., i])
            verdicts.append((verdict.accept_prob, against, verdict.residual_probs))
            judges.append(judging)
            judging, against = judging.younger(), verdict.residual_probs
        accept, judged, residual = zip(*verdicts)
        return SiblingVerdict(
            torch.stack(accept, -1), torch.stack(judged, -2), torch.stack(residual, -2), tuple(judges)
        )

    def law_of_siblings(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor | None:
        """What one place with k candidates emits, [V], exact, whatever was drawn of them; those chosen are as they are.
        verifier_probs [V], draft_probs [k, V], token [k]. None where that is `law` of the eldest, as it is where all behind
        it are judged strictly."""
        return None


class SiblingVerdict(NamedTuple):
    """What a rule says about k candidates for each place, the eldest first.

    accept_prob     [..., k], given that all elders were refused
    verifier_probs  [..., k, V]: what each was judged against
    residual_probs  [..., k, V]: what the refusal of each leaves over
    judges          [k]: by which rule each was judged
    """

    accept_prob: Tensor
    verifier_probs: Tensor
    residual_probs: Tensor
    judges: tuple[TokenRule, ...]


class TargetRule(TokenRule):
    """A token rule with one target for all tokens: keep with min(1, target/draft), else norm(max(target - draft, 0)).

    Its output law is the target itself (Leviathan 2023, Thm 3.5), and its acceptance 1 - TV(draft, target).
    """

    def target(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """The target distribution, [..., V]."""
        raise NotImplementedError

    def target_of(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return self.target(verifier_probs, draft_probs)

    def accept_probs(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return ratio(self.target(verifier_probs, draft_probs), draft_probs)

    def residual_probs(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Tensor:
        return dists.residual(self.target(verifier_probs, draft_probs), draft_probs)

    def verdict(self, verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        target = self.target(verifier_probs, draft_probs)
        return Verdict(
            ratio(dists.at(target, token), dists.at(draft_probs, token)), dists.residual(target, draft_probs)
        )

    def law(self, verifier_probs: Tensor, draft_probs: Tensor) -> Tensor:
        return self.target(verifier_probs, draft_probs)


class BlockRule(Rule):
    """A rule that judges a whole drafted block of m tokens together. A subclass gives `verdict` and `law`.

    judge(verifier_probs [..., m, V], draft_probs [..., m, V], token [..., m]) returns accept_prob [..., m], and
    residual_probs [..., m, V] whose row i is drawn from when exactly i tokens were kept, i = 0 .. m-1 (after all
    m the verifier adds a bonus token). `output_law` and `acceptance` speak of a block of one token.
    """

    scope = "block"

    def judge(self, verifier_probs: Numbers, draft_probs: Numbers, token: Numbers) -> Verdict:
        """Judges drafted blocks: accept_prob [..., m], residual_probs [..., m, V]."""
        verifier_probs, draft_probs, token = checked_tokens(verifier_probs, draft_probs, token)
        if not token.ndim:
            raise ValueError("A block rule judges a block of tokens: token must have a dimension for the positions.")
        return self.verdict(verifier_probs, draft_probs, token)

    def judge_tree(self, parents: Sequence[int], verifier_probs: Tensor, draft_probs: Tensor, token: Tensor) -> Verdict:
        """Judges drafts of m nodes, each with its parent: verifier_probs [..., m, V] is that of the node's own place, and
        row i of residual_probs what is drawn from where node i is the last refused. ValueError unless it judges trees."""
        raise ValueError(f"{self.spec} cannot judge several candidates for one place.")

    def walk(self, parents: Sequence[int], accept_prob: Sequence[float], uniforms: Sequence[float]) -> Walk:
        """Up to the last token whose own uniform is below its accept_prob; a later success rescues earlier tokens.
        ValueError unless the draft is a chain."""
        count = len(parents)
        if list(parents) != list(range(-1, count - 1)):
            raise ValueError(f"{self.spec} judges a draft of one candidate per place, and this one has several.")
        passed = [uniform < accept for accept, uniform in zip(accept_prob, uniforms, strict=True)]
        kept = max((index + 1 for index, ok in enumerate(passed) if ok), default=0)
        return Walk(tuple(range(kept)), tuple(range(count)), kept if kept < count else None)

    def stays(self, parents: Sequence[int], accept_prob: Sequence[float]) -> list[float]:
        """The nodes are gone through from the leaves on, each after all below it, and the first that passes is kept with its
        path."""
        kept, left = [0.0] * len(parents), 1.0
        for node in post_order(children(parents)):
            kept[node] += left * accept_prob[node]
            left *= 1 - accept_prob[node]
            if parents[node] >= 0:
                kept[parents[node]] += kept[node]
        return kept


def children(parents: Sequence[int]) -> dict[int, list[int]]:
    """The children of each node that has some, the eldest first; -1 is the text."""
    behind: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        behind.setdefault(parent, []).append(node)
    return behind


def post_order(behind: dict[int, list[int]], node: int = -1) -> Iterator[int]:
    """The nodes below `node`, each after all that are below it."""
    for child in behind.get(node, ()):
        yield from post_order(behind, child)
        yield child
