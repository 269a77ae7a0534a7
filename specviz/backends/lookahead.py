"""Look-ahead tokens of a verifier: behind a text they have its own forward say what comes further on (PaSS: Monea et al. 2023,
arXiv 2311.13581).

A folder `lookahead/` beside a pair's pair.json: config.json, which says {"specviz": {"lookahead": L}}, and safetensors with

    lookahead.weight      [L, width], the embeddings of the tokens that a forward of the verifier knows as -1, -2, ..., -L
    kept_tokens           [K], the tokens that they have learnt to tell, as those of a cut output layer
"""

from __future__ import annotations

from pathlib import Path

from specviz.backends.session import Model
from specviz.backends.static_llama import weights_hash
from specviz.backends.weights import EMBEDDING, Weights
from specviz.types import ModelError


class LookaheadTokens:
    """A folder as above, whose embeddings the verifier gets where it can take them."""

    def __init__(self, folder: Path, verifier: Model):
        weights = Weights(folder)
        try:
            rows = weights["lookahead.weight"]
        except KeyError as error:
            raise ModelError(
                f"The look-ahead tokens in {str(folder)!r} lack {error}; the folder is damaged or holds none."
            ) from error
        width = verifier.lend(EMBEDDING).shape[1]
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ModelError(
                f"The look-ahead tokens in {str(folder)!r} have the shape {tuple(rows.shape)}, and {verifier.id!r} is {width:,} wide."
            )
        self.name, self.id, self.dtype, self.count = "lookahead", str(folder), "float32", len(rows)
        self.revision = weights_hash(sorted(folder.glob("*.safetensors")))
        self.parameters, self.kept = weights.parameters, weights.kept
        if "ahead" in verifier.can:
            verifier.look_ahead(rows)
