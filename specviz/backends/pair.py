"""A draft model and a verifier over one vocabulary: those that come with the project, and any others."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypedDict, cast

from specviz import registry
from specviz.assets import ASSETS
from specviz.backends import memory
from specviz.backends.session import Model
from specviz.backends.tokenizer import Tokenizer, differences
from specviz.types import ModelError

PAIRS = ASSETS / "pairs"  # a folder for each
ROLES = ("draft", "verifier")
RENAMED = {"shipped": "small"}  # what recorded traces call a pair, and its name today
MAX_PROMPT_CHARACTERS = 50_000


@dataclass(frozen=True)
class PairFacts:
    """What the pair.json of a folder says about the two models in it, which are in its folders draft/ and verifier/."""

    name: str
    title: str
    knows: str  # one sentence on what one can ask of it
    made_of: str  # one sentence on the texts it has learnt from
    licence: str
    parameters: dict[str, int]  # role -> how many
    styles: dict[str, str]  # name of a way to put a prompt -> what it is for
    tags: dict[str, str]  # style -> the special token that it begins with; a style without one is the tokenizer's own
    opening: str  # the special token that every text begins with; "" for what the tokenizer itself puts there
    order: int  # pairs with lower numbers are listed first
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> PairFacts:
        """The facts in a folder's pair.json. ModelError if they are not there or not whole."""
        path = folder / "pair.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            named = {name: str(data[name]) for name in ("name", "title", "knows", "made_of", "licence")}
            styles, tags = dict(data["styles"]), dict(data.get("tags", {}))
            parameters = {role: int(data[role]["parameters"]) for role in ROLES}
            opening, order = str(data.get("opening", "")), int(data.get("order", 0))
        except KeyError as error:
            raise ModelError(f"{str(path)!r} lacks {error}.") from error
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{str(path)!r} could not be read: {error}") from error
        return cls(
            **named, parameters=parameters, styles=styles, tags=tags, opening=opening, order=order, folder=folder
        )


class PairSource(TypedDict, total=False):
    """The arguments of `load_pair`."""

    pair: str | None
    draft: str | None
    verifier: str | None
    device: str
    dtype: str | None
    backend: str | None


@dataclass(eq=False)
class Pair:
    """A verifier and, unless it has to do without, a draft model, over one vocabulary."""

    draft: Model | None
    verifier: Model
    tokenizer: Tokenizer
    styles: dict[str, str]  # name of a way to put a prompt -> what it is for
    facts: PairFacts | None = None  # of a pair with a pair.json
    source: PairSource | None = None  # the arguments of `load_pair`, if that made it
    notice: str = ""  # why it is not the pair that was to be expected, in a sentence

    @property
    def models(self) -> list[Model]:
        """The models there are, the verifier last."""
        return [self.verifier] if self.draft is None else [self.draft, self.verifier]

    @cached_property
    def vocabulary(self) -> int:
        """The width of all distributions: that of the wider model's logits."""
        return max(model.vocabulary for model in self.models)

    @cached_property
    def max_positions(self) -> int:
        """The most tokens that a text can have."""
        return min(model.max_positions for model in self.models)

    @property
    def threads(self) -> int | None:
        """The number of torch threads that suits all its models; None: as many as torch itself would take."""
        threads = [model.threads for model in self.models if model.threads is not None]
        return max(threads) if len(threads) == len(self.models) else None

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end the text."""
        return self.tokenizer.stop_tokens

    def encode(self, prompt: str, style: str | None = None, system: str | None = None) -> list[int]:
        """Token ids of a prompt, as both models expect them. ValueError if it is empty, too long, or of an unknown style."""
        if not prompt.strip():
            raise ValueError("The prompt is empty. Write at least one word.")
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            raise ValueError(
                f"The prompt has {len(prompt):,} characters; at most {MAX_PROMPT_CHARACTERS:,} are allowed."
            )
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise ValueError(
                "The prompt holds half a character (a surrogate without its partner). Delete it and write it anew."
            )
        if style is not None and style not in self.styles:
            known = ", ".join(self.styles) or "none"
            raise ValueError(f"There is no style {style!r}. There are: {known}.")
        tokens = self.tokenizer.encode(prompt, style, system)
        if len(tokens) >= self.max_positions:
            raise ValueError(
                f"The prompt is {len(tokens):,} tokens long; these models hold {self.max_positions:,}, and some must be left to write."
            )
        return tokens


def pairs() -> dict[str, PairFacts]:
    """The pairs that come with the project, by name, the default first. ModelError if one's pair.json is damaged."""
    facts = [PairFacts.read(path.parent) for path in sorted(PAIRS.glob("*/pair.json"))]
    return {pair.name: pair for pair in sorted(facts, key=lambda pair: (pair.order, pair.name))}


def pair_of(ids: Sequence[str | None]) -> PairSource:
    """The arguments of `load_pair` that load the models with these ids, the draft's (None: there is none) and the
    verifier's, as a trace records them."""
    draft, verifier = ids
    if draft is None and verifier is not None and Path(verifier).is_dir():  # it was loaded alone, by its folder
        return {"verifier": verifier}
    named = {_pair_named(role, model) for role, model in zip(ROLES, ids) if model is not None}
    if len(named) == 1 and None not in named:
        return {"pair": named.pop()}
    return {"verifier": verifier} if draft is None else {"draft": draft, "verifier": verifier}


def _pair_named(role: str, model: str) -> str | None:
    """The pair whose `role` a model id names: by its name, or by its folder."""
    path = Path(model)
    name = RENAMED.get(str(path.parent), str(path.parent))
    is_pair = (path.parent / "pair.json").is_file() or name in pairs()
    return name if path.name == role and is_pair else None


def load_pair(
    pair: str | Path | None = None,
    *,
    draft: str | None = None,
    verifier: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    backend: str | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Pair:
    """Loads a pair by its name among `pairs()` or by a folder with a pair.json (default: the first of `pairs()`); or a
    draft and a verifier, each by its folder or Hub id; or a verifier alone, for drafters that need no model.

    ModelError if a model cannot be had, or says how the two tokenizers differ if they do.
    """
    source = PairSource(
        pair=None if pair is None else str(pair), draft=draft, verifier=verifier,
        device=device, dtype=dtype, backend=backend,
    )  # fmt: skip
    facts = None
    if draft is None and verifier is None:
        facts = _facts(pair)
        folders = {role: str(facts.folder / role) for role in ROLES}
    elif pair is not None:
        raise ValueError("Give a pair, or models of your own, but not both.")
    elif verifier is None:
        raise ValueError("Give both models, the draft and the verifier; only a verifier can do without the other.")
    else:
        folders = {"verifier": verifier} if draft is None else {"draft": draft, "verifier": verifier}
    first = ("", {}) if facts is None else (facts.opening, facts.tags)
    tokenizer, *others = [Tokenizer(folder, *first) for folder in reversed(folders.values())]
    for other in others:
        if how := differences(other, tokenizer):
            raise ModelError(f"These two models cannot work together, because their tokenizers differ: {how}")
    styles = tokenizer.styles if facts is None else facts.styles
    if facts is not None and (odd := set(styles) - set(facts.tags) - set(tokenizer.styles)):
        raise ModelError(f"The pair {facts.name!r} names a style {odd.pop()!r}, but no tag for it.")
    models = {role: load(folder, device=device, dtype=dtype, backend=backend) for role, folder in folders.items()}
    if facts is not None and pairs().get(facts.name) == facts:
        for role, model in models.items():
            model.id = f"{facts.name}/{role}"  # a folder's path says nothing on another machine
    return Pair(models.get("draft"), models["verifier"], tokenizer, styles, facts, source)


def _facts(pair: str | Path | None) -> PairFacts:
    known = pairs()
    if pair is None:
        if not known:
            raise ModelError(
                f"There is no pair of models in {str(PAIRS)!r}. Give a verifier, or a draft and a verifier."
            )
        return next(iter(known.values()))
    if str(pair) in known:
        return known[str(pair)]
    if (Path(pair) / "pair.json").is_file():
        return PairFacts.read(Path(pair))
    raise ValueError(
        f"There is no pair called {str(pair)!r}, and no folder of that name with a pair.json. There are: {', '.join(known)}."
    )


class _Backend(Protocol):
    """The class of a backend's models."""

    speed: int  # of those that can run a model, the one with the highest is taken

    def can_run(self, model: str, device: str, dtype: str | None) -> bool: ...

    def __call__(self, model: str, *, device: str, dtype: str | None) -> Model: ...


def load(model: str, *, device: str = "cpu", dtype: str | None = None, backend: str | None = None) -> Model:
    """Loads one model by local folder or Hub id. The first backend that can run it is used, unless one is named."""
    known = cast("dict[str, _Backend]", registry.variants("specviz.backends"))
    if backend is not None and backend not in known:
        raise ValueError(f"There is no backend called {backend!r}. There are: {', '.join(known)}.")
    device = memory.placed(model, device, dtype)
    candidates = [known[backend]] if backend else sorted(known.values(), key=lambda cls: -cls.speed)
    for cls in candidates:
        if cls.can_run(model, device, dtype):
            with memory.explained(f"{model!r} does not fit into the memory of {device}."):
                return cls(model, device=device, dtype=dtype)
    raise ModelError(f"No backend can run {model!r} on {device} in {dtype or 'its own dtype'}.")


def use_threads(pair: Pair) -> None:
    """Makes this thread, and those that begin later, compute in as many threads as suit the models of `pair`. For programs
    with several pairs."""
    import torch

    if pair.threads is not None:
        torch.set_num_threads(pair.threads)


def dedicate_process(pair: Pair) -> None:
    """Makes this whole process one that runs `pair`: as many torch threads as suit its models, and what was loaded so far
    left alone by the garbage collector, which otherwise goes through it now and then, a tenth of a second in the midst of
    some text. For programs; a library leaves the process it is imported into as it was."""
    use_threads(pair)
    gc.collect()
    gc.freeze()
