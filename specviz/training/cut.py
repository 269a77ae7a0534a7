"""A draft for a verifier: a small Llama whose output layer knows the verifier's most frequent tokens alone.

    borrowing   as wide as the verifier: its embedding and the kept rows of its output layer are the verifier's own, so
                they are neither trained nor shipped, and its layers may start as copies of the verifier's
    its own     narrower: embedding and output rows are its own, and start as the nearest picture of the verifier's

Sources: Zhao et al. 2025 (FR-Spec, the cut output layer), Zhou et al. 2024 (DistillSpec, total variation as a loss).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from specviz.prob import dists
from specviz.training.loop import weighted
from specviz.training.model import Body, Size, normal
from specviz.training.shards import Batch
from specviz.training.writing import COOL
from specviz.types import Sampling

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
COOL_SHARE = 0.5  # of the total variation at the temperature of COOL in the loss; that at 1 has 1


class Weights:
    """What a verifier's folder holds, read tensor by tensor in float32. ValueError if it is no such folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._files = {}
        try:
            self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.safetensors")):
                file = safe_open(path, "pt")
                self._files.update(dict.fromkeys(file.keys(), file))
        except Exception as error:  # the library raises no class of its own
            raise ValueError(f"The weights in {str(folder)!r} could not be read: {error}") from error
        if EMBEDDING not in self._files:
            raise ValueError(f"The weights in {str(folder)!r} hold no {EMBEDDING}, of which a draft is to be made.")

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor.float()

    def embedding(self) -> Tensor:
        """[V, width]."""
        return self[EMBEDDING]

    def head(self) -> Tensor:
        """The output layer, [V, width]."""
        return self[HEAD if HEAD in self._files else EMBEDDING]

    def size(self, layers: int) -> Size:
        """Of a Llama with so many layers like the verifier's. ValueError if those are no plain Llama's."""
        facts = self.config
        heads, width = facts.get("num_attention_heads", 1), facts["hidden_size"]
        head = facts.get("head_dim") or width // heads
        rope = facts.get("rope_parameters") or facts.get("rope_scaling") or {}
        plain = (
            facts.get("model_type") == "llama"
            and head * heads == width
            and not (facts.get("attention_bias") or facts.get("mlp_bias"))
            and rope.get("rope_type", "default") == "default"
        )
        if not plain:
            raise ValueError(
                "Only the layers of a plain Llama can be copied: give the draft a --draft-size of its own."
            )
        return Size(
            layers=layers,
            width=width,
            head=head,
            hidden=facts["intermediate_size"],
            vocabulary=facts["vocab_size"],
            positions=facts["max_position_embeddings"],
            theta=rope.get("rope_theta") or facts.get("rope_theta", 10000.0),
            epsilon=facts["rms_norm_eps"],
            groups=facts.get("num_key_value_heads") or heads,
        )


class Lent(nn.Module):
    """Rows [n, width] of another model: neither trained nor saved."""

    def __init__(self, rows: Tensor):
        super().__init__()
        self.register_buffer("weight", rows, persistent=False)


class CutLlama(nn.Module):
    """tokens [B, T] and which of them are `wanted` [B, T] bool, M of them -> logits [M, K] of the kept tokens.

    embedding, output  [V, width] and [K, width] that it borrows; None: its own
    """

    def __init__(self, size: Size, kept_tokens: Tensor, embedding: Tensor | None = None, output: Tensor | None = None):
        super().__init__()
        self.size, self.borrows = size, embedding is not None
        self.model = Body(size)
        self.lm_head: nn.Module = nn.Linear(size.width, len(kept_tokens), bias=False)
        normal(self)
        if embedding is not None and output is not None:
            self.model.embed_tokens, self.lm_head = Lent(embedding), Lent(output)
        self.register_buffer("kept_tokens", kept_tokens)

    def forward(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        embedded = F.embedding(tokens, self.model.embed_tokens.weight)
        return F.linear(self.model.through(embedded)[wanted], self.lm_head.weight)

    def copy(self, weights: Weights, layers: Sequence[int]) -> None:
        """Takes these layers of the verifier, and its last norm, for a start."""
        state = {"model.norm.weight": weights["model.norm.weight"]}
        for mine, theirs in enumerate(layers):
            for name in self.model.layers[mine].state_dict():
                state[f"model.layers.{mine}.{name}"] = weights[f"model.layers.{theirs}.{name}"]
        self.load_state_dict(state, strict=False)


def distill_loss(
    model: CutLlama, tokens: Tensor, weights: Tensor, states: Tensor, log_sums: Tensor, *, output: Tensor
) -> Tensor:
    """KL(verifier || draft) within the kept tokens, times the verifier's mass there, and the total variation over the
    whole vocabulary, which is what strict speculative sampling refuses. `output` [K, width]: the verifier's rows."""
    wanted = weights > 0
    logits = model(tokens, wanted).float()
    mine = F.log_softmax(logits, -1)
    theirs = kept_law(states, log_sums, output)
    probs, cool = theirs.exp(), torch.softmax(theirs / COOL.temperature, -1)
    mass = probs.sum(-1).clamp(1e-6, 1.0)
    kl = (probs * (theirs - mine)).sum(-1) - mass * mass.log()
    tv = ((probs - mine.exp()).abs().sum(-1) + 1 - mass) / 2
    cool_tv = (cool - torch.softmax(logits / COOL.temperature, -1)).abs().sum(-1) / 2
    return weighted(kl + tv + COOL_SHARE * cool_tv, weights[wanted])


def kept_law(states: Tensor, log_sums: Tensor, output: Tensor) -> Tensor:
    """ln of the verifier's probabilities [M, K] of the tokens whose output rows [K, width] these are: they sum to less
    than 1. Exact in float32 on any device, but for the half precision of the states [M, width]."""
    with torch.autocast(states.device.type, enabled=False), torch.no_grad():
        return F.linear(states.float(), output) - log_sums[:, None]


@torch.inference_mode()
def overlap(model: CutLlama, batches: Sequence[Batch], head: Tensor, sampling: Sampling) -> float:
    """The mean of sum(min(verifier, draft)) behind all tokens of answers, both sampled alike: what strict speculative
    sampling keeps there. `head` [V, width]: the verifier's whole output layer."""
    device, kept = head.device, model.kept_tokens.long()
    total, count = 0.0, 0
    for tokens, weights, states, _ in batches:
        answers = (weights == 1).to(device)
        law = dists.to_probs(F.linear(states.to(device).float()[weights[weights > 0] == 1], head), sampling)
        draft = dists.to_probs(model(tokens.to(device), answers).float(), sampling)
        total += torch.minimum(law[:, kept], draft).sum().item()
        count += len(draft)
    return total / max(count, 1)
