"""What the pair.json of a folder says, and the pairs that come with the project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from specviz.assets import ASSETS
from specviz.backends import cached
from specviz.backends.places import Published
from specviz.types import ModelError, Sampling

PAIRS = ASSETS / "pairs"  # a folder for each
ROLES = ("draft", "verifier")
TRAINED = ("head", "exit", "lookahead")  # what is trained on a verifier's states, in folders of these names


@dataclass(frozen=True)
class PairFacts:
    """What the pair.json of a folder says about the two models in it, which are in its folders draft/ and verifier/ but
    for those whose `weights` are elsewhere, and those that it gives by name. It may do without a draft, and have folders of `TRAINED`."""

    name: str
    title: str
    knows: str  # one sentence on what one can ask of it
    made_of: str  # one sentence on the texts it has learnt from
    licence: str
    parameters: dict[str, int]  # role -> how many
    styles: dict[str, str]  # name of a way to put a prompt -> what it is for
    tags: dict[str, str]  # style -> the special token that it begins with; a style without one is the tokenizer's own
    opening: str  # the special token that every text begins with; "" for what the tokenizer itself puts there
    sampling: Sampling  # that suits its models, where nobody asks for another
    drafter: str  # the spec of that which suits them, where nobody asks for another
    order: int  # pairs with lower numbers are listed first
    weights: dict[str, Published]  # role -> the GGUF file of a model that is not in the folder
    models: dict[str, str]  # role -> a model that is not in the folder: another folder, a GGUF file or a Hub id
    sha256: dict[str, dict[str, str]]  # role -> the SHA-256 of each of its weight files, by their names
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> PairFacts:
        """The facts in a folder's pair.json. ModelError if they are not there or not whole."""
        path = folder / "pair.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            named = {name: str(data[name]) for name in ("name", "title", "knows", "made_of", "licence")}
            styles, tags = dict(data["styles"]), dict(data.get("tags", {}))
            roles = [role for role in (*ROLES, *TRAINED) if role in data or role == "verifier"]
            parameters = {role: int(data[role]["parameters"]) for role in roles}
            opening, order = str(data.get("opening", "")), int(data.get("order", 0))
            sampling, drafter = Sampling(**data.get("sampling", {})), str(data.get("drafter", "model"))
            weights = {role: Published(**data[role]["weights"]) for role in roles if "weights" in data[role]}
            models = {role: str(data[role]["model"]) for role in roles if "model" in data[role]}
            sha256 = {role: dict(data[role].get("sha256", {})) for role in roles}
        except KeyError as error:
            raise ModelError(f"{str(path)!r} lacks {error}. Restore it.") from error
        except json.JSONDecodeError as error:
            raise ModelError(
                f"{str(path)!r} could not be read: line {error.lineno} is not JSON. Restore it."
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{str(path)!r} could not be read: {error}.") from error
        return cls(
            **named, parameters=parameters, styles=styles, tags=tags, opening=opening, sampling=sampling, drafter=drafter,
            order=order, weights=weights, models=models, sha256=sha256, folder=folder,
        )  # fmt: skip

    def check_weights(self) -> None:
        """Holds the weight files in the folder against their SHA-256. ModelError if one is damaged or missing."""
        for role, files in self.sha256.items():
            for name, expected in files.items():
                path = self.folder / role / name
                if not path.is_file():
                    raise ModelError(f"The weights {str(path)!r} are missing. Restore them.")
                if cached.sha256_of(path) != expected:
                    raise ModelError(
                        f"The weights {str(path)!r} are damaged: their SHA-256 is not that in pair.json. Restore them."
                    )


def pairs() -> dict[str, PairFacts]:
    """The pairs that come with the project, by name, the default first. ModelError if one's pair.json is damaged."""
    facts = [PairFacts.read(path.parent) for path in sorted(PAIRS.glob("*/pair.json"))]
    return {pair.name: pair for pair in sorted(facts, key=lambda pair: (pair.order, pair.name))}


def facts_of(pair: str | Path | None) -> list[PairFacts]:
    """Those to try, the first first."""
    known = pairs()
    if pair is None:
        if not known:
            raise ModelError(
                f"There is no pair of models in {str(PAIRS)!r}. Give a verifier, or a draft and a verifier."
            )
        return list(known.values())
    if str(pair) in known:
        return [known[str(pair)]]
    if (Path(pair) / "pair.json").is_file():
        return [PairFacts.read(Path(pair))]
    raise ValueError(
        f"There is no pair called {str(pair)!r}, and no folder of that name with a pair.json. There are: {', '.join(known)}."
    )
