"""For people with a Python prompt or a notebook: `specviz.compare` runs, and what it returns shows itself.

import specviz
run = specviz.compare("Why is the sky blue?", rules=["sps", "cactus:delta=1"])
run                       # in a notebook: the replay; elsewhere a table of figures
run.figures()             # the same as numbers
run.save("run.html")      # a replay that opens from a file; "run.json": the trace
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from specviz import backends, drafters
from specviz.backends import Pair
from specviz.drafters import Drafter
from specviz.engine.settings import Settings, parse_lane
from specviz.exports.replay import Replay, replay
from specviz.record import metrics
from specviz.record.running import run
from specviz.record.trace import Trace
from specviz.rules import Rule

FRAME_HEIGHT = 760  # CSS pixels
SHOWN = ("accepted_per_round", "emitted_per_round", "acceptance_rate", "mean_kl", "tokens_per_second", "speedup")


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run. `trace` is the whole record."""

    trace: Trace

    def figures(self) -> dict[str, dict[str, float | None]]:
        """The figures of `metrics.DEFINITIONS` for each lane, by the lane's spec ("plain": the verifier alone; with "@" and
        the drafter where lanes have several); None where there is nothing to divide by. A second lane of the same spec is
        "spec (2)"."""
        lanes: dict[str, dict[str, float | None]] = {}
        for spec, lane in zip(self.trace.specs(), self.trace.lanes):
            count = 1 + sum(key == spec or key.startswith(spec + " (") for key in lanes)
            key = spec if count == 1 else f"{spec} ({count})"
            lanes[key] = metrics.figures(lane, self.trace.plain())
        return lanes

    def text(self, lane: int = 0) -> str:
        """What a lane wrote."""
        return self.trace.text(lane)

    def save(self, path: str | Path) -> None:
        """Writes the trace, or a replay that opens from a file where the name ends in .html."""
        if str(path).endswith((".html", ".htm")):
            Replay().write([self.trace], Path(path))
        else:
            self.trace.save(path)

    def __repr__(self) -> str:
        return metrics.table(
            list(self.figures().items()), {name: metrics.DEFINITIONS[name]["label"] for name in SHOWN}
        )  # fmt: skip

    def _repr_html_(self) -> str:
        """The replay in a frame of its own, so that nothing of the notebook and of the page meet."""
        page = html.escape(replay(self.trace), quote=True)
        return (
            f'<iframe srcdoc="{page}" title="specviz replay" sandbox="allow-scripts allow-downloads allow-popups" '
            f'style="width: 100%; height: {FRAME_HEIGHT}px; border: 1px solid #cfcfc8; border-radius: 10px"></iframe>'
        )


def compare(
    prompt: str,
    rules: Sequence[str | Rule] = ("plain", "sps", "cactus"),
    *,
    drafter: str | Drafter | None = None,
    pair: str | Pair | None = None,
    style: str | None = None,
    system: str | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    draft_length: int | str = 4,
    max_new_tokens: int = 200,
    seed: int = 0,
) -> Run:
    """Decodes a prompt under several acceptance rules with the same randomness, and records everything.

    rules           a lane each: specs such as "sps" or "cactus:delta=0.5", or rules; "plain" is the verifier alone;
                    "sps@ngram" is a lane with a drafter of its own
    drafter         of the other lanes: a spec such as "model" or "ngram:longest=4", or a drafter (None: the pair's own, or else "model")
    pair            a registered pair by name (None: the one that comes with the project), a folder with a pair.json, or what
                    `backends.load_pair` made of any models
    style           how the prompt is put to the models (None: the pair's first way)
    system          the system message of a chat (None: what the chat template itself puts; "": none)
    draft_length    tokens drafted before the verifier looks, or "auto", "confidence:0.4", "thompson"
    max_new_tokens  tokens
    temperature, top_k, top_p  applied to both models alike (None: what the pair's pair.json says, or else 1, 0 and 1)

    While it runs, torch computes in the number of threads that suits the models; afterwards as before. ValueError, in a
    sentence, if something of this is not allowed; ModelError if a model cannot be had or fails.
    """
    if isinstance(rules, str) or not rules:
        raise ValueError("rules is a list of at least one rule, such as ['sps', 'cactus:delta=1'].")
    made = [parse_lane(rule) if isinstance(rule, str) else (rule, None) for rule in rules]
    models = pair if isinstance(pair, Pair) else _loaded(pair)
    drafter = models.drafter if drafter is None else drafter
    usual = drafters.parse(drafter) if isinstance(drafter, str) else drafter
    lanes = [
        Settings(
            rule=rule,
            drafter=own or usual,
            sampling=models.sampled(temperature=temperature, top_k=top_k, top_p=top_p),
            draft_length=draft_length,
            max_new_tokens=max_new_tokens,
            seed=seed,
        )
        for rule, own in made
    ]
    style = style if style is not None else next(iter(models.styles), None)
    with _threads(models.threads):
        return Run(run(models, prompt, lanes, style=style, system=system).finish())


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Torch computes in `count` threads (None: as it does) while this is open, and then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _loaded(name: str | None) -> Pair:
    pair = backends.load_pair(name)
    if pair.notice:
        warnings.warn(pair.notice, stacklevel=3)
    return pair
