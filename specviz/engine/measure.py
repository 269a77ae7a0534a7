"""The exact numbers recorded for every judged position, computed for a whole round at once; and those of every place that
had several candidates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vecdot

from specviz import sets
from specviz.engine.decode import RoundResult
from specviz.prob import dists
from specviz.rules import Rule, TargetRule
from specviz.types import Drawing

SLICE = 5  # tokens taken from the top of each distribution
COLUMNS = {  # name -> definition
    "draft_entropy": "entropy of the draft distribution, nats",
    "verifier_entropy": "entropy of the verifier distribution, nats",
    "draft_max": "largest draft probability",
    "verifier_max": "largest verifier probability",
    "verifier_rank": "rank of the drafted token under the verifier, 1 is the likeliest",
    "kl_draft_verifier": "KL(draft || verifier), nats",
    "tv": "total variation between draft and verifier",
    "js": "Jensen-Shannon divergence of draft and verifier, nats",
    "kl_target_verifier": "KL(target || verifier), nats: what the rule meant to spend on this drafted token",
    "kl_output_verifier": "KL(output law || verifier), nats: what the position really costs, exactly",
    "flip": "value of the rule's main knob at which this token's fate changes (see rules.Rule.flip_point); only for rules with such a knob",
}


class Rows(NamedTuple):
    """Judged positions under one rule, n of them: what was judged against, drafted, left over and drawn."""

    verifier_probs: Tensor  # [n, V]
    draft_probs: Tensor  # [n, V]
    tokens: Tensor  # [n]
    residual_probs: Tensor  # [n, V]
    uniforms: Tensor  # [n], float64
    laws: Tensor | None = None  # [n, V]: what the position emits, where it was judged together with its siblings


class Slice(NamedTuple):
    """The likeliest tokens of either distribution and the drafted one, with the probability of each under the draft, the
    verifier, the target (None for a rule without one), the residual and the output law."""

    tokens: list[int]
    draft: list[float]
    verifier: list[float]
    target: list[float] | None
    residual: list[float]
    output: list[float]


class Measures(NamedTuple):
    """The exact numbers of one judged position: `columns` by the names of COLUMNS (kl_target_verifier is None for a rule
    without a target), and a `slice` of its distributions."""

    columns: dict[str, float | int | None]
    slice: Slice


class Candidates(NamedTuple):
    """The exact numbers of a place that had several candidates and that the round came to.

    behind       the node that it follows, -1 for the text
    kept_chance  the chance that one of these candidates is kept, given them and all that was drafted behind them
    optimum      the chance that one is, before they are drawn, under the lossless rule that is best at candidates that come
                 so: the most that the mean of `kept_chance` can be under any lossless rule; None where nobody knows
    """

    behind: int
    kept_chance: float
    optimum: float | None


@torch.inference_mode()
def candidates(result: RoundResult) -> list[Candidates]:
    """The numbers of each place with several candidates along the path of a round, from the text on."""
    judgement, parents = result.judgement, result.draft.parents
    if judgement is None or result.rule is None or result.draft.is_chain:
        return []
    stays = [*result.rule.stays(parents, judgement.accept_prob), 1.0]  # that of -1, the text
    numbers = []
    for end in (-1, *result.walk.path):
        nodes = [node for node, parent in enumerate(parents) if parent == end]
        if len(nodes) > 1:
            kept = sum(stays[node] for node in nodes) / stays[end] if stays[end] else 0.0
            numbers.append(Candidates(end, min(kept, 1.0), _optimum(result, nodes)))
    return numbers


def _optimum(result: RoundResult, nodes: list[int]) -> float | None:
    """See `Candidates`. How the candidates came is seen from their laws."""
    judgement = result.judgement
    assert judgement is not None
    verifier, laws, tokens = judgement.verifier_probs[nodes[0]], judgement.draft_probs[nodes], judgement.tokens[nodes]
    narrow = dists.narrowed(verifier, laws)
    if narrow is not None:
        ids, (verifier, laws) = narrow
        tokens = torch.searchsorted(ids, tokens)
    picked = torch.tensor([result.draft.chosen[node] for node in nodes])
    if not picked.any():
        drawing: Drawing = "iid" if laws[1, tokens[0]] > 0 else "without_replacement"
        return float(sets.optimum(verifier, laws[0], len(nodes), drawing))
    fixed, drawn = tokens[picked], laws[~picked]
    if len(drawn) > 1 or bool(drawn[:, fixed].any()):
        return None
    kept = torch.zeros_like(verifier) if not len(drawn) else torch.minimum(verifier, drawn[0])
    kept[fixed] = verifier[fixed]
    return min(float(kept.sum()), 1.0)


@torch.inference_mode()
def measure(rule: Rule, rows: Rows) -> list[Measures]:
    """The measures of every position of `rows`, in their order."""
    narrow = dists.narrowed(rows.verifier_probs, rows.draft_probs, rows.residual_probs)
    if narrow is None:
        return _measure(rule, rows)
    ids, (q, p, residual_probs) = narrow
    laws = None if rows.laws is None else rows.laws.index_select(-1, ids)  # of tokens that one of the others has
    measures = _measure(rule, Rows(q, p, torch.searchsorted(ids, rows.tokens), residual_probs, rows.uniforms, laws))
    names = ids.tolist()
    return [
        Measures(columns, slice_._replace(tokens=[names[token] for token in slice_.tokens]))
        for columns, slice_ in measures
    ]


def _measure(rule: Rule, rows: Rows) -> list[Measures]:
    q, p, tokens, residual_probs, uniforms, laws = rows
    target = rule.target_of(q, p, tokens)
    if laws is not None:
        target, output = None if target is None else laws, laws
    elif rule.lossless:
        output = q
    elif target is not None and isinstance(rule, TargetRule):
        output = target
    else:
        output = rule.law(q, p)
    of_token, nothing = dists.at(q, tokens), torch.zeros_like(q[..., 0])
    log_q, log_p, middle = dists.log(q), dists.log(p), (p + q) / 2
    entropy_p, entropy_q = -vecdot(p, log_p), -vecdot(q, log_q)
    columns = {
        "draft_entropy": entropy_p,
        "verifier_entropy": entropy_q,
        "draft_max": p.amax(-1),
        "verifier_max": q.amax(-1),
        "verifier_rank": torch.count_nonzero(q > of_token.unsqueeze(-1), -1) + 1,
        "kl_draft_verifier": dists.kl(p, q, log_p, log_q),
        "tv": dists.tv(p, q),
        "js": (dists.entropy(middle) - (entropy_p + entropy_q) / 2).clamp_min(0),
        "kl_output_verifier": nothing if output is q else dists.kl(output, q, log_second=log_q),
    }
    if target is not None:
        spent = columns["kl_output_verifier"] if target is output else dists.kl(target, q, log_second=log_q)
        columns["kl_target_verifier"] = nothing if rule.lossless else spent
    flips = rule.flip_of(q, p, tokens, uniforms)
    if flips is not None:
        columns["flip"] = flips
    names = list(columns)
    values = [dict(zip(names, row)) for row in zip(*(column.tolist() for column in columns.values()))]
    for row in values:
        row.setdefault("kl_target_verifier", None)
    return [Measures(*both) for both in zip(values, _slices(q, p, target, residual_probs, output, tokens))]


def _slices(
    q: Tensor, p: Tensor, target: Tensor | None, residual: Tensor, output: Tensor, tokens: Tensor
) -> list[Slice]:
    """A slice of each row of the distributions [n, V]."""
    count = min(SLICE, q.shape[-1])
    shown = torch.cat([tokens.unsqueeze(-1), p.topk(count, -1).indices, q.topk(count, -1).indices], -1)
    columns: list[list[list[float]]] = [probs.gather(-1, shown).tolist() for probs in (p, q, residual, output)]
    targets: list[list[float]] | None = None if target is None else target.gather(-1, shown).tolist()
    slices = []
    for i, (ids, draft, verifier, left, law) in enumerate(zip(shown.tolist(), *columns)):
        first = [k for k, token in enumerate(ids) if ids.index(token) == k]  # a token may top both
        first.sort(key=lambda k: -max(draft[k], verifier[k]))
        aim = None if targets is None else _at(first, targets[i])
        tops = [ids[k] for k in first]
        slices.append(Slice(tops, _at(first, draft), _at(first, verifier), aim, _at(first, left), _at(first, law)))
    return slices


def _at(places: list[int], values: list[float]) -> list[float]:
    return [values[k] for k in places]
