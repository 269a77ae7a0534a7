"""Recorded texts, read again: the exact distributions of the verifier, and what a drafter offers, at each place of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specviz.backends import Exit, Head, Lookahead, Model, Pair
from specviz.drafters import Drafter
from specviz.drafters.asks import next_probs
from specviz.engine.playing import Playing
from specviz.record.lane import Lane
from specviz.record.round import Round
from specviz.record.trace import Trace


@dataclass(frozen=True)
class Offers:
    """What a drafter drafts in a round that begins at place s of a text of N tokens, if its earlier tokens are kept.

    laws   [R, V]: the distributions that drafted tokens come from; `places` [R]: where in the text each belongs
    at     [N, L]: the row of the (k + 1)-th token drafted from place s; -1 beyond the text, or if no such token is drafted
    count  [N]: tokens drafted from place s, as if the text went on
    seconds  of drafting one token, where that is not the time of a draft model's forward
    """

    laws: Tensor
    places: NDArray[np.int64]
    at: NDArray[np.int64]
    count: NDArray[np.int64]
    seconds: float | None


@dataclass(frozen=True)
class Reading:
    """One text of N tokens: verifier_probs [N, V] at each place, and what the drafter offers there."""

    verifier_probs: Tensor
    offers: Offers


def drafter_of(traces: Sequence[Trace]) -> Drafter:
    """The drafter of all drafting lanes of these traces. ValueError if they are several, or none."""
    used = {lane.drafter for trace in traces for lane in trace.lanes if lane.drafter.drafts}
    if len(used) != 1:
        names = ", ".join(sorted(drafter.spec for drafter in used)) or "none"
        raise ValueError(
            f"The lanes of these runs have several drafters, or none: {names}. Name the one that is meant."
        )
    return used.pop()


def read(trace: Trace, pair: Pair, drafter: Drafter, length: int, most: int) -> list[Reading]:
    """The texts of a trace's lanes, the first `most` tokens of each, for drafts of up to `length` tokens: one forward of the
    verifier over each. ValueError if other models wrote them, or if the drafter cannot work here."""
    if refusal := drafter.refusal(None, pair):
        raise ValueError(refusal)
    readings = []
    for lane in trace.lanes:
        if written := lane.tokens[:most]:
            verifier = verifier_probs(trace, written, pair)
            readings.append(Reading(verifier, offers(trace, written, pair, drafter, length)))
    return readings


def verifier_probs(trace: Trace, written: list[int], pair: Pair) -> Tensor:
    """[N, V]: the verifier's distribution at the place of each of the N tokens written behind the prompt of a trace."""
    check_fit(trace, [*trace.prompt_tokens, *written], pair)
    return next_probs(pair.verifier, trace.prompt_tokens, written, trace.sampling, pair.vocabulary)


def check_fit(trace: Trace, tokens: list[int], pair: Pair) -> None:
    """ValueError if another verifier made this trace, or these tokens of it are too many or none of the pair's."""
    _same(trace, "verifier", pair.verifier)
    if max(tokens) >= pair.vocabulary or len(tokens) > pair.max_positions:
        raise ValueError(
            f"This run has token {max(tokens):,} and {len(tokens):,} positions; these models have {pair.vocabulary:,} tokens "
            f"and {pair.max_positions:,} positions."
        )


def draft_laws(trace: Trace, written: list[int], pair: Pair, drafter: Drafter) -> Tensor | None:
    """[N, V]: what a token drafted at each of these places is drawn from; None where that depends on more than the place."""
    if drafter.uses_draft_model and pair.draft is not None:
        _same(trace, "draft", pair.draft)
    for role in drafter.trained:
        if role in pair.parts and role in trace.models:
            _same(trace, role, pair.parts[role])
    return drafter.laws(pair, trace.prompt_tokens, written, trace.sampling)


def offers(trace: Trace, written: list[int], pair: Pair, drafter: Drafter, length: int) -> Offers:
    """What a drafter would offer along a text, in drafts of up to `length` tokens."""
    count = len(written)
    if drafter.branches:
        raise ValueError(f"The drafter {drafter.name} offers several candidates for one place; this reads chains only.")
    laws = draft_laws(trace, written, pair, drafter)
    if laws is not None:
        at = np.arange(count)[:, None] + np.arange(length)
        return Offers(laws, np.arange(count), np.where(at < count, at, -1), np.full(count, length), None)
    return _played(trace, written, pair, drafter, length)


def _played(trace: Trace, written: list[int], pair: Pair, drafter: Drafter, length: int) -> Offers:
    """The same by drafting from every place, for a drafter whose laws depend on where the round began."""
    playing = Playing(trace.prompt_tokens, written, pair, drafter, trace.sampling, trace.seed)
    rows: dict[tuple[int, int], int] = {}  # (place, chosen token) -> row, so that equal laws are one
    laws: list[Tensor] = []
    places: list[int] = []
    at, drafted = np.full((len(written), length), -1), np.zeros(len(written), dtype=np.int64)
    for s in range(len(written)):
        draft = playing.draft(s, length)
        drafted[s] = len(draft)
        for k in range(min(len(draft), len(written) - s)):
            key = (s + k, draft.tokens[k] if draft.chosen[k] else -1 - len(laws))
            if key not in rows:
                rows[key] = len(laws)
                laws.append(draft.probs[k].float())
                places.append(s + k)
            at[s, k] = rows[key]
    stacked = torch.stack(laws) if laws else torch.zeros(0, pair.vocabulary)
    return Offers(stacked, np.array(places, dtype=np.int64), at, drafted, playing.seconds / max(1, int(drafted.sum())))


def judged(trace: Trace, lane: int, pair: Pair, most: int) -> tuple[Tensor, Tensor]:
    """The exact distributions [N, V] of verifier and drafter at the first `most` judged places of a lane whose context is the
    text as it was written. ValueError, in a sentence, where they cannot be had."""
    if not 0 <= lane < len(trace.lanes):
        raise ValueError("There is no such lane in this run.")
    record = trace.lanes[lane]
    nodes = _read_again(record, len(trace.prompt_tokens), most)
    if not nodes:
        raise ValueError("No drafted token was judged in this lane.")
    written = record.tokens[: 1 + max(place for place, _ in nodes)]
    nodes = [(place, token) for place, token in nodes if 0 <= place < len(written)]
    if not nodes:
        raise ValueError("The positions in this trace do not fit its text.")
    places = [place for place, _ in nodes]
    verifier = verifier_probs(trace, written, pair)[places]
    laws = draft_laws(trace, written, pair, record.drafter)
    if laws is not None:
        return verifier, laws[places]
    if not record.drafter.chooses:
        return verifier, _drawn_again(trace, record, written, pair)[: len(nodes)]
    chosen = torch.tensor([token for _, token in nodes])
    return verifier, torch.nn.functional.one_hot(chosen, pair.vocabulary).to(verifier)


def _drawn_again(trace: Trace, lane: Lane, written: list[int], pair: Pair) -> Tensor:
    """[N, V]: what the nodes of `_read_again` were drawn from, by drafting every round again."""
    playing = Playing(trace.prompt_tokens, written, pair, lane.drafter, trace.sampling, trace.seed)
    place, laws = 0, []
    for round_ in lane.rounds:
        if place >= len(written):
            break
        is_block = lane.rule is not None and lane.rule.scope == "block"
        draft = playing.draft(place, round_.depth, round_.start if is_block else 0)
        if list(draft.tokens) != list(round_.drafted):
            raise ValueError(f"The drafter {lane.drafter.name} drafts other tokens here than in this run.")
        laws += [draft.probs[node] for node, _ in _eldest(round_)]
        place += len(round_.emitted)
    return torch.stack(laws)


def _read_again(lane: Lane, first: int, most: int) -> list[tuple[int, int]]:
    """(place in the text from 0, drafted token) of judged nodes that follow the text as it was written; of siblings the
    eldest, which alone was judged against the verifier's own distribution."""
    nodes: list[tuple[int, int]] = []
    for round_ in lane.rounds:
        nodes += [(place - first, round_.drafted[node]) for node, place in _eldest(round_)]
        if len(nodes) >= most:
            break
    return nodes[:most]


def _eldest(round_: Round) -> list[tuple[int, int]]:
    """(node, place in the whole text) of those in a round."""
    kept, parents, eldest = {-1, *round_.path}, set(), []
    for node, place in zip(round_.nodes, round_.places()):
        parent = round_.parents[node]
        if parent in kept and parent not in parents:
            parents.add(parent)
            eldest.append((node, place))
    return eldest


def _same(trace: Trace, role: str, model: Model | Head | Exit | Lookahead) -> None:
    facts = trace.models.get(role)
    if facts is None or facts.revision != model.revision:
        other = "another" if facts is None else f"another {role} ({facts.id})"
        raise ValueError(f"This run was made with {other} than the one loaded here, so its text cannot be read again.")
