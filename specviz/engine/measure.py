"""The exact numbers recorded for every judged position, computed for a whole round at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vecdot

from specviz.prob import dists
from specviz.rules import TargetRule

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


class Meter:
    """Measures judged positions many at a time, since most of what a few rows cost is not arithmetic.

    `add` takes one round and returns a dict per position, all of them empty until `flush` fills them.
    """

    def __init__(self):
        self._waiting: list[tuple] = []
        self.rows = 0  # positions added and not measured yet

    def add(
        self,
        rule,
        verifier_probs: Tensor,
        draft_probs: Tensor,
        tokens: Tensor,
        residual_probs: Tensor,
        uniforms: Tensor,
    ) -> list[dict]:
        """verifier_probs, draft_probs, residual_probs [m, V], tokens and uniforms [m] -> m dicts."""
        rows: list[dict] = [{} for _ in range(len(tokens))]
        self._waiting.append((rule, rows, verifier_probs, draft_probs, tokens, residual_probs, uniforms))
        self.rows += len(rows)
        return rows

    def flush(self) -> None:
        """Fills the dicts of all positions added since the last call, as `measure` describes them."""
        waiting, self._waiting, self.rows = self._waiting, [], 0
        by_rule: dict = {}
        for rule, *round_ in waiting:
            by_rule.setdefault(rule, []).append(round_)
        for rule, rounds in by_rule.items():
            rows, *tensors = zip(*rounds)
            filled = measure(rule, *(torch.cat(parts) for parts in tensors))
            for row, measures in zip((row for part in rows for row in part), filled):
                row |= measures


@torch.inference_mode()
def measure(
    rule, verifier_probs: Tensor, draft_probs: Tensor, tokens: Tensor, residual_probs: Tensor, uniforms: Tensor
) -> list[dict]:
    """One dict per row of verifier_probs [m, V], draft_probs [m, V], tokens [m], residual_probs [m, V] and the numbers drawn for
    the tokens, uniforms [m]: the COLUMNS, and `slice`.

    `slice` holds the likeliest tokens of either distribution and the drafted one, with the probability of each
    under the draft, the verifier, the target (None for a rule without one), the residual and the output law.
    """
    q, p = verifier_probs, draft_probs
    target = rule.target_of(q, p, tokens)
    output = q if rule.lossless else target if isinstance(rule, TargetRule) else rule.law(q, p)
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
    rows = [dict(zip(columns, values)) for values in zip(*(column.tolist() for column in columns.values()))]
    for row in rows:
        row.setdefault("kl_target_verifier", None)

    count = min(SLICE, q.shape[-1])
    shown = torch.cat(
        [tokens.unsqueeze(-1), p.topk(count, -1).indices, q.topk(count, -1).indices], -1
    )  # [m, 1 + 2 SLICE]
    picked = {"draft": p, "verifier": q, "target": target, "residual": residual_probs, "output": output}
    values = {name: None if probs is None else probs.gather(-1, shown).tolist() for name, probs in picked.items()}
    for i, (row, ids) in enumerate(zip(rows, shown.tolist())):
        first = [k for k, token in enumerate(ids) if ids.index(token) == k]  # a token may top both
        first.sort(key=lambda k: -max(values["draft"][i][k], values["verifier"][i][k]))
        row["slice"] = {"tokens": [ids[k] for k in first]} | {
            name: None if rows_ is None else [rows_[i][k] for k in first] for name, rows_ in values.items()
        }
    return rows
