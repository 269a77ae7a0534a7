"""Where a draft, a head or an exit begins that goes on from one that a training made (`--begin FOLDER`)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from specviz.backends.weights import KEPT

ASKED_BY = {"draft": "--verifier alone", "head": "--head", "exit": "--exit {layer}"}


def settle(args: argparse.Namespace) -> None:
    """Fills in the arguments that say what is trained from the folder `args.begin`. ValueError if it holds no such model, another
    kind than is asked for, or if it is given what the folder says."""
    try:
        config = json.loads((args.begin / "config.json").read_text(encoding="utf-8"))
        own = config["specviz"]
        kind = "head" if "reads" in own else "exit" if "layer" in own else "draft"
        copied = own["copied_layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--begin: {str(args.begin)!r} holds no draft, head or exit of a training: {error}") from error
    if args.lookahead:
        raise ValueError("--begin is for a draft, a head or an exit; look-ahead tokens go on with --resume")
    asked = "head" if args.head else "draft" if args.exit is None else "exit"
    if kind != asked or (kind == "exit" and own["layer"] != args.exit):
        raise ValueError(f"--begin: {str(args.begin)!r} is of a training by {ASKED_BY[kind].format(**own)}: give that")
    said: dict[str, Any] = {"layers": ",".join(map(str, copied)) or None, "kept_tokens": None, "draft_size": None}
    if kind == "head":
        said["reads"] = ",".join(map(str, own["reads"]))
    elif kind == "draft" and not copied:
        said["draft_size"] = f"{config['num_hidden_layers']}x{config['hidden_size']}"
    for name, value in said.items():
        if getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is what the folder of --begin says: leave it out")
        setattr(args, name, value)


def weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, in float32 but for `kept_tokens`."""
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    return {name: tensor if name == KEPT else tensor.float() for name, tensor in tensors.items()}


def load(model: nn.Module, folder: Path) -> None:
    """Has the model go on from a folder's weights. ValueError if they are of another shape."""
    try:
        model.load_state_dict(weights(folder))
    except RuntimeError as error:
        raise ValueError(f"--begin: what {str(folder)!r} holds is not for this verifier: {error}") from error
