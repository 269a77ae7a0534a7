from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specviz.drafters import TOKENS, TOKENS_HELP, Drafter, Proposer
from specviz.drafters.asks import Look, Looked, next_probs
from specviz.drafters.draft import Draft
from specviz.registry import knob
from specviz.types import Sampling, Walk

if TYPE_CHECKING:
    from specviz.backends import Pair, Session


@dataclass(frozen=True)
class Model(Drafter):
    """A small language model that writes ahead, token by token, each drawn from its own distribution."""

    name = "model"
    summary = "A small language model writes ahead; each token is drawn from its own distribution."
    source = "Leviathan et al. 2023 (arXiv 2211.17192); Chen et al. 2023 (arXiv 2302.01318)"
    as_there = "Autoregressive drafts under the verifier's own sampling; with an output layer cut to frequent tokens as in FR-Spec."
    left_out = "Nothing."
    uses_draft_model = True
    servers = {
        "vLLM": '"method": "draft_model", "model": "DRAFT", "draft_sample_method": "{tokens?drawn=probabilistic;chosen=greedy}"',
        "llama.cpp": "-md DRAFT.gguf{tokens?chosen=}",
        "transformers": 'assistant_model=draft{tokens?drawn=}, num_assistant_tokens_schedule="constant", assistant_confidence_threshold=0',
    }

    tokens: str = knob("drawn", TOKENS_HELP, choices=TOKENS)

    def open(self, pair: Pair, session: Session | None) -> ModelProposer:
        assert session is not None
        return ModelProposer(session, self.chooses)

    def laws(self, pair: Pair, prompt: list[int], written: list[int], sampling: Sampling) -> Tensor | None:
        assert pair.draft is not None
        probs = next_probs(pair.draft, prompt, written, sampling, pair.vocabulary)
        return torch.nn.functional.one_hot(probs.argmax(-1), pair.vocabulary).to(probs) if self.chooses else probs


class ModelProposer(Proposer):
    def __init__(self, session: Session, chooses: bool):
        self._session, self._chooses = session, chooses

    @property
    def seconds(self) -> float:
        return self._session.seconds

    async def propose(self, text: list[int], draft: Draft) -> None:
        unseen = text[self._session.length :]
        while draft.room():
            looked = await Look(self._session, unseen, 1, draft.sampling, draft.vocabulary)
            unseen = [draft.take(looked.probs[0], self._chooses)]

    def settled(self, length: int, draft: Draft, walk: Walk, seen: Looked) -> None:
        self._session.rollback(length + len(walk.path))
