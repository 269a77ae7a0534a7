"""A run for the page, told in small messages while it goes on.

    {"kind": "start" | "delta", "trace"?, "deltas": [{"seq", "rounds": [[lane, round], ...], "pieces", "special", "finished"}]}
    {"kind": "end", "deltas", "finished": how each lane ended, "final": the whole trace as JSON text, "message"?}
    {"kind": "error", "field", "message", "final"?}
    {"kind": "verified", "same", "message"}     of a trace that was run again
`trace` is the trace's data before its first round. The page may miss a message, so each one repeats the last few deltas,
`trace` comes with the first few, and the end brings everything.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from specviz.engine.probe import Probe
from specviz.record.running import run
from specviz.record.trace import Added, Trace
from specviz.record.verify import verify
from specviz.stopping import Stopped
from specviz.types import ModelError
from specviz.ui.line import Message, Turn, failed
from specviz.ui.requests import MAX_LANES, Refused, read, refusing

EVERY = 0.05  # seconds between messages: 20 a second
REPEATED = 3  # deltas that every message carries
HEADERS = 3  # messages that carry the trace's data


class Telling:
    """Puts what a run adds into messages."""

    def __init__(self, trace: Trace):
        self._header = {**trace.to_data(), "pieces": dict(trace.pieces), "special": list(trace.special)}
        self._recent: deque[Message] = deque(maxlen=REPEATED)
        self._delta: Message | None = None  # what the next message will bring
        self._deltas = self._sent = 0
        self._began, self._lanes = time.monotonic(), trace.lanes
        self._tokens, self._most = [0] * len(trace.lanes), trace.max_new_tokens

    def add(self, added: Added) -> None:
        if self._delta is None:
            self._deltas += 1
            self._delta = {"seq": self._deltas, "rounds": [], "pieces": {}, "special": [], "finished": {}}
        self._delta["rounds"].append([added.lane, added.round.to_json()])
        self._delta["pieces"] |= added.pieces
        self._delta["special"] += added.special
        if added.finished:
            self._delta["finished"][str(added.lane)] = added.finished
        self._tokens[added.lane] += len(added.round.emitted)

    def left(self) -> float:
        """Seconds that the run still takes if it goes on as so far, and no text ends early."""
        rest = sum(self._most - count for count, lane in zip(self._tokens, self._lanes) if not lane.finished)
        return (time.monotonic() - self._began) * rest / max(1, sum(self._tokens))

    def message(self, kind: str) -> Message:
        """What was added since the last message, and what that may have failed to bring."""
        self._sent += 1
        if self._delta is not None:
            self._recent.append(self._delta)
            self._delta = None
        header = {"trace": self._header} if self._sent <= HEADERS else {}
        return {"kind": kind, "deltas": list(self._recent), **header}


def compute(turn: Turn, asked: Mapping[str, Any], probe: Probe | None = None) -> Iterator[Message]:
    """Runs what the page asks for, see `requests`; a message about every EVERY seconds. `probe` learns where the time goes.
    Closing the generator stops it."""
    try:
        prompt, style, system, lanes, kept, forced = read(turn.pair, asked)
        put = partial(run, turn.pair, prompt, lanes, style=style, system=system)
        begun = partial(put, kept=kept, forced=forced, probe=probe)
        running = refusing("continued", begun)
    except (Refused, ModelError) as error:
        yield failed(error)
        return
    trace, telling, note = running.trace, Telling(running.trace), ""
    try:
        yield telling.message("start")
        last = time.monotonic()
        for added in running:
            telling.add(added)
            if time.monotonic() - last >= EVERY:
                turn.left = telling.left()
                yield telling.message("delta")
                last = time.monotonic()
    except Stopped as stop:
        note = str(stop)
    except ModelError as error:
        running.close()
        yield {**failed(error), "final": trace.to_json()}
        return
    finally:
        running.close()
    yield telling.message("delta")  # the last tokens are seen while the whole trace is still being written out
    finished = [lane.finished for lane in trace.lanes]
    yield {**telling.message("end"), "finished": finished, "final": trace.to_json(), "message": note}


def verified(turn: Turn, text: str) -> Iterator[Message]:
    """Runs a trace again: {"kind": "verified", "same", "message"} says whether it reproduces."""
    try:
        trace = Trace.from_json(text)
        if len(trace.lanes) > MAX_LANES:
            words = f"This trace has {len(trace.lanes)} lanes; here at most {MAX_LANES} are re-run. Use: specviz verify"
            raise ValueError(words)
        same, sentence = verify(trace, turn.pair)
    except Stopped as stop:
        same, sentence = False, f"Not verified. {stop}"
    except (ValueError, ModelError) as error:
        same, sentence = False, str(error)
    yield {"kind": "verified", "same": same, "message": sentence}
