"""The verb: from models, a prompt and lanes to a trace that is being filled."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from specviz.backends import Pair
from specviz.engine import batch
from specviz.engine.probe import Probe
from specviz.engine.race import Step, race
from specviz.engine.settings import Settings
from specviz.record.trace import Added, Trace, begin


class Running:
    """A run under way. Iterate for what each step adds to `trace`; `close` stops the compute within a round."""

    def __init__(self, pair: Pair, trace: Trace, steps: Generator[Step, None, None], probe: Probe | None):
        self.trace = trace
        self._tokenizer, self._steps, self._probe = pair.tokenizer, steps, probe

    def __iter__(self) -> Iterator[Added]:
        return self

    def __next__(self) -> Added:
        if self._probe is None:
            return self.trace.add(next(self._steps), self._tokenizer)
        step = self._probe.counting("loop", next, self._steps)
        return self._probe.counting("record", self.trace.add, step, self._tokenizer)

    def finish(self) -> Trace:
        """Runs to the end, and returns the trace."""
        for _ in self:
            pass
        return self.trace

    def close(self) -> None:
        """Ends the run where it stands: lanes that have not ended are marked as stopped."""
        self._steps.close()
        self.trace.stop()


def run(
    pair: Pair,
    prompt: str,
    lanes: Sequence[Settings],
    *,
    style: str | None = None,
    system: str | None = None,
    kept: Sequence[int] = (),
    forced: int | None = None,
    measured: bool = True,
    probe: Probe | None = None,
    samples: Sequence[Sequence[int]] | None = None,
) -> Running:
    """Begins a run of `lanes` over a prompt. Nothing is computed until it is iterated, or finished, but for other samples of the
    prompt where a drafter wants some and no `samples` are given.

    `style`: how the prompt is put to the models; `system`: the system message of a chat (None: what the template itself
    puts, "": none); `kept` and `forced`: see `trace.begin`; `measured` False leaves the exact
    measures out; `probe` learns where the time goes. ValueError, in a sentence, if this cannot run; ModelError, while it
    runs, if a model fails.
    """
    trace = begin(pair, prompt, style, lanes, kept, forced, system)
    if any(settings.drafting.wants_samples for settings in lanes):
        trace.sampled(batch.samples(pair, trace.prompt_tokens, lanes) if samples is None else samples, pair.tokenizer)
        lanes = [replace(settings, samples=tuple(map(tuple, trace.samples))) for settings in lanes]
    return Running(pair, trace, race(pair, trace.prompt_tokens, lanes, measured, probe), probe)
