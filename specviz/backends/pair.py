"""A draft model and a verifier over one vocabulary: those that come with the project, and any others."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol, TypedDict, cast

from specviz import registry
from specviz.backends import memory, places
from specviz.backends.facts import ROLES, TRAINED, PairFacts, facts_of, pairs
from specviz.backends.places import Located, Progress
from specviz.backends.session import Exit, Head, Lookahead, Model
from specviz.backends.tokenizer import Tokenizer, differences
from specviz.types import ModelError, Sampling

RENAMED = {"shipped": "small"}  # what recorded traces call a pair, and its name today
MAX_PROMPT_CHARACTERS = 50_000


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
    head: Head | None = None  # on the verifier's states
    exit: Exit | None = None  # behind one of its layers
    lookahead: Lookahead | None = None  # tokens behind its texts
    facts: PairFacts | None = None  # of a pair with a pair.json
    source: PairSource | None = None  # the arguments of `load_pair` that load the same again, if that made it
    folders: dict[str, str] = field(default_factory=dict)  # role -> the folder, or Hub id, that transformers reads
    notice: str = ""  # a sentence for people on how this came to be the pair, or where it is kept; "": nothing to say

    @property
    def models(self) -> list[Model]:
        """The models there are, the verifier last."""
        return [self.verifier] if self.draft is None else [self.draft, self.verifier]

    @property
    def parts(self) -> dict[str, Model | Head | Exit | Lookahead]:
        """All that has weights, by role: the verifier, and what else there is."""
        parts = {"draft": self.draft, "verifier": self.verifier} | {role: getattr(self, role) for role in TRAINED}
        return {role: part for role, part in parts.items() if part is not None}

    @cached_property
    def vocabulary(self) -> int:
        """The width of all distributions: that of the wider model's logits."""
        return max(model.vocabulary for model in self.models)

    @cached_property
    def max_positions(self) -> int:
        """The most tokens that a text can have."""
        return min(model.max_positions for model in self.models)

    @property
    def sampling(self) -> Sampling:
        """That suits its models, where nobody asks for another."""
        return Sampling() if self.facts is None else self.facts.sampling

    @property
    def drafter(self) -> str:
        """The spec of the drafter that suits its models, where nobody asks for another."""
        return "model" if self.facts is None else self.facts.drafter

    def sampled(self, **wanted: float | None) -> Sampling:
        """The pair's `sampling`, but for what is `wanted` by name (None: nothing). ValueError if that is out of its range."""
        return Sampling(**asdict(self.sampling) | {name: value for name, value in wanted.items() if value is not None})

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
        """Token ids of a prompt, as both models expect them. `system` is the system message of a chat: None is what the
        chat template itself puts, "" none. ValueError if something is too long or empty, or not to be had in this style."""
        if not prompt.strip():
            raise ValueError("The prompt is empty. Write at least one word.")
        for what, text in (("prompt", prompt), ("system message", system or "")):
            if len(text) > MAX_PROMPT_CHARACTERS:
                raise ValueError(
                    f"The {what} has {len(text):,} characters; at most {MAX_PROMPT_CHARACTERS:,} are allowed."
                )
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError(
                    f"The {what} holds half a character (a surrogate without its partner). Delete it and write it anew."
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


def pair_of(ids: Sequence[str | None]) -> PairSource:
    """The arguments of `load_pair` that load the models with these ids, the draft's (None: there is none) and the
    verifier's, as a trace records them."""
    draft, verifier = ids
    if draft is None and verifier is not None and os.path.isdir(verifier):  # it was loaded alone, by its folder
        return {"verifier": verifier}
    named = {_pair_named(role, model) for role, model in zip(ROLES, ids) if model is not None}
    if len(named) == 1 and None not in named:
        return {"pair": named.pop()}
    return {"verifier": verifier} if draft is None else {"draft": draft, "verifier": verifier}


def _pair_named(role: str, model: str) -> str | None:
    """The pair whose `role` a model id names: by its name, or by its folder."""
    path = Path(model)
    name = RENAMED.get(str(path.parent), str(path.parent))
    is_pair = os.path.isfile(path.parent / "pair.json") or name in pairs()  # not Path's, which raises for a long name
    return name if path.name == role and is_pair else None


def check_placement(device: str, dtype: str | None) -> None:
    """ValueError unless models can be asked to run on this device and in this dtype (None: the model's own)."""
    if not re.fullmatch(r"cpu|mps|auto|cuda(:\d{1,3})?", device):
        raise ValueError(f"There is no device {device!r}. Use cpu, cuda, cuda:1 (or another number), mps or auto.")
    if dtype is not None and dtype not in memory.BYTES:
        raise ValueError(f"There is no dtype {dtype!r}. Use float32, bfloat16 or float16.")


def load_pair(
    pair: str | Path | None = None,
    *,
    draft: str | None = None,
    verifier: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
) -> Pair:
    """Loads a pair by its name among `pairs()` or by a folder with a pair.json; or a draft and a verifier, each by its
    folder, its Hub id, a GGUF file or one of the Hub (hub:owner/repository/file.gguf); or a verifier alone, for drafters
    that need no model. By default the first of `pairs()` that can be had, whose `notice` says why it is not the first.

    `progress(share, sentence)` is told how far it is, from 0 to 1 within each sentence's work.

    ModelError if a model cannot be had, or says how the two tokenizers differ if they do.
    """
    check_placement(device, dtype)
    source = PairSource(
        pair=None if pair is None else str(pair), draft=draft, verifier=verifier,
        device=device, dtype=dtype, backend=backend,
    )  # fmt: skip
    if draft is None and verifier is None:
        return _load_known(pair, source, progress)
    if pair is not None:
        raise ValueError("Give a pair, or models of your own, but not both.")
    if verifier is None:
        raise ValueError("Give both models, the draft and the verifier; only a verifier can do without the other.")
    named = {"verifier": verifier} if draft is None else {"draft": draft, "verifier": verifier}
    located = {role: places.locate(model, device, dtype, progress) for role, model in named.items()}
    return _assembled(located, named, None, source, progress)


def _load_known(pair: str | Path | None, source: PairSource, progress: Progress | None) -> Pair:
    """A pair with a pair.json; without a name the first that can be had."""
    refusal: ModelError | None = None
    tried = facts_of(pair)
    for facts in tried:
        try:
            made = _load_facts(facts, source | {"pair": facts.name if pair is None else str(pair)}, progress)
        except ModelError as error:
            refusal = refusal or error
        else:
            if refusal is not None:
                made.notice = f"The pair {facts.name!r} runs in place of {tried[0].name!r}: {refusal}"
            return made
    assert refusal is not None
    raise refusal


def _load_facts(facts: PairFacts, source: PairSource, progress: Progress | None) -> Pair:
    device, dtype = source["device"], source["dtype"]
    roles = [role for role in ROLES if role in facts.parameters]
    facts.check_weights()
    located = {
        role: places.locate_published(facts.weights[role], device, dtype, progress)
        if role in facts.weights
        else places.locate(facts.models.get(role, str(facts.folder / role)), device, dtype, progress)
        for role in roles
    }
    registered = pairs().get(facts.name) == facts
    own = facts.name if registered else str(facts.folder)
    ids = {role: facts.models.get(role, f"{own}/{role}") for role in roles}
    pair = _assembled(located, ids, facts, source, progress)
    if "head" in facts.parameters:
        from specviz.backends.head import LlamaHead  # torch comes with it

        head = LlamaHead(facts.folder / "head", pair.verifier)
        head.id, pair.head = f"{own}/head", head
    if "exit" in facts.parameters:
        from specviz.backends.exit import LlamaExit

        exit_ = LlamaExit(facts.folder / "exit", pair.verifier)
        exit_.id, pair.exit = f"{own}/exit", exit_
    if "lookahead" in facts.parameters:
        from specviz.backends.lookahead import LookaheadTokens

        lookahead = LookaheadTokens(facts.folder / "lookahead", pair.verifier)
        lookahead.id, pair.lookahead = f"{own}/lookahead", lookahead
    return pair


def _assembled(
    located: dict[str, Located], ids: dict[str, str], facts: PairFacts | None, source: PairSource, progress: Progress | None
) -> Pair:  # fmt: skip
    """The pair of the models at these places, which call themselves by `ids`."""
    from specviz.backends.weights import borrows

    folders = {role: place.folder for role, place in located.items()}
    first = ("", {}) if facts is None else (facts.opening, facts.tags)
    borrowing = "draft" in folders and borrows(Path(folders["draft"]))
    tokenizer = Tokenizer(folders["verifier"], *first)
    if "draft" in folders and not (borrowing and not (Path(folders["draft"]) / "tokenizer.json").is_file()):
        if how := differences(Tokenizer(folders["draft"], *first), tokenizer):
            raise ModelError(f"These two models cannot work together, because their tokenizers differ: {how}")
    styles = tokenizer.styles if facts is None else facts.styles
    if facts is not None and (odd := set(styles) - set(facts.tags) - set(tokenizer.styles)):
        raise ModelError(f"The pair {facts.name!r} names a style {odd.pop()!r}, but no tag for it.")
    models: dict[str, Model] = {}
    for number, role in enumerate(reversed(folders)):  # the verifier first: a draft may borrow of it
        if progress is not None:
            progress(number / len(folders), f"Loading {ids[role]}")
        lender = models["verifier"] if role == "draft" and borrowing else None
        models[role] = _load(folders[role], ids[role], source["device"], source["dtype"], source["backend"], lender)
    notices = dict.fromkeys(place.notice for place in located.values() if place.notice)
    return Pair(
        models.get("draft"),
        models["verifier"],
        tokenizer,
        styles,
        facts=facts,
        source=source,
        folders=folders,
        notice=" ".join(notices),
    )


class _Backend(Protocol):
    """The class of a backend's models."""

    speed: int  # of those that can run a model, the one with the highest is taken

    def can_run(self, model: str, device: str, dtype: str | None) -> bool: ...

    def __call__(self, model: str, *, device: str, dtype: str | None, lender: Model | None = ...) -> Model: ...


def load(
    model: str,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    backend: str | None = None,
    lender: Model | None = None,
) -> Model:
    """Loads one model by local folder, GGUF file or Hub id. The first backend that can run it is used, unless one is named.
    `lender`: the model that it takes the tensors from which it borrows."""
    return _load(places.locate(model, device, dtype).folder, model, device, dtype, backend, lender)


def _load(folder: str, name: str, device: str, dtype: str | None, backend: str | None, lender: Model | None) -> Model:
    """The model in a folder, or of a Hub id, which people call by `name`: the path of a converted one says nothing."""
    known = cast("dict[str, _Backend]", registry.variants("specviz.backends"))
    if backend is not None and backend not in known:
        raise ValueError(f"There is no backend called {backend!r}. There are: {', '.join(known)}.")
    device = memory.placed(folder, device, dtype, name)
    candidates = [known[backend]] if backend else sorted(known.values(), key=lambda cls: -cls.speed)
    for cls in candidates:
        if cls.can_run(folder, device, dtype):
            with memory.explained(f"{name!r} does not fit into the memory of {device}."):
                lent = {} if lender is None else {"lender": lender}
                made = cls(folder, device=device, dtype=dtype, **lent)
                made.id = name
                return made
    raise ModelError(f"No backend can run {name!r} on {device} in {dtype or 'its own dtype'}.")


def use_threads(pair: Pair) -> None:
    """Makes this thread, and those that begin later, compute in as many threads as suit the models of `pair`. For programs
    with several pairs."""
    import torch

    usual = _usual_threads()
    torch.set_num_threads(pair.threads or usual)


@cache
def _usual_threads() -> int:
    """As many threads as torch takes by itself; asked before they are changed here."""
    import torch

    return torch.get_num_threads()


def dedicate_process(pair: Pair) -> None:
    """Makes this whole process one that runs `pair`: as many torch threads as suit its models, and what was loaded so far
    left alone by the garbage collector, which otherwise goes through it now and then, a tenth of a second in the midst of
    some text. For programs; a library leaves the process it is imported into as it was."""
    use_threads(pair)
    gc.collect()
    gc.freeze()
