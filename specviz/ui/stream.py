"""Runs for the page: settings in, small messages out, one run at a time so that measured clocks stay honest.

A message is a dict; the page receives each as a JSON text.
    {"kind": "wait", "message"}                          in the line, or the models are still loading
    {"kind": "start" | "delta", "trace"?, "deltas": [{"seq", "rounds": [[lane, round], ...], "pieces", "finished"}]}
    {"kind": "end", "deltas", "finished": how each lane ended, "final": the whole trace as JSON text, "message"?}
    {"kind": "error", "field", "message"}                a sentence, and the control it belongs to
A sweep has messages of its own, see `sweeping`. Every message carries "run", the page's own id of the run. The page may miss a message, so each one repeats the
last few deltas, `trace` (the header) comes with the first few, and the end brings everything.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 0.05  # seconds between messages: 20 a second
REPEATED = 3  # deltas that every message carries
HEADERS = 3  # messages that carry the header
WAITING = 8  # people in the line before the next one is sent away
MAX_LANES = 5  # four to look at, and plain decoding to measure against
DEADLINE = float(os.environ.get("SPECVIZ_DEADLINE", "120"))  # seconds of one run


class Refused(ValueError):
    """The settings cannot run. `field` names the control the sentence belongs to."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


class Desk:
    """Loads the models once, in the background, and lets one run at a time use them."""

    def __init__(self, load: Callable[[], object]):
        self._load = load
        self._ready = threading.Event()
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self._waiting = 0
        self._stopped: dict[str, threading.Event] = {}
        self.pair = None
        self.problem = ""

    def open(self) -> None:
        """Starts loading the models."""
        threading.Thread(target=self._fetch, daemon=True).start()

    def _fetch(self) -> None:
        from specviz import optional
        from specviz.types import ModelError

        try:
            self.pair = self._load()
        except (ModelError, ValueError) as error:
            self.problem = optional.missing(error) or str(error)
        except Exception as error:  # whatever it is, the page must say so instead of waiting for ever
            self.problem = optional.missing(error) or f"The models could not be loaded: {type(error).__name__}."
            raise
        finally:
            self._ready.set()

    def stop(self, run: str) -> None:
        """Asks a run to end after the round it is in."""
        if run in self._stopped:
            self._stopped[run].set()

    def messages(self, run: str, settings: dict, work: Callable | None = None) -> Iterator[dict]:
        """The messages of one run; `work` (pair, settings, stopped) makes them, by default `compute`. Closing the generator
        ends the compute within a round."""
        stopped = self._stopped[run] = threading.Event()
        try:
            for message in self._in_turn(settings, stopped, work or compute):
                yield {"run": run, **message}
        finally:
            self._stopped.pop(run, None)

    def verified(self, text: str) -> Iterator[dict]:
        """Re-runs a trace and says whether it reproduces."""
        from specviz.record import trace
        from specviz.types import ModelError

        try:
            record = trace.Trace.from_json(text)
            if len(record.data["lanes"]) > MAX_LANES:
                raise ValueError(
                    f"This trace has {len(record.data['lanes'])} lanes; here at most {MAX_LANES} are re-run. Use: specviz verify"
                )
            yield from self._until_ready(threading.Event())
            yield from self._until_turn(threading.Event())
            try:
                same, sentence = trace.verify(record, self.pair)
            finally:
                self._turn.release()
            yield {"kind": "verified", "same": same, "message": sentence}
        except (ValueError, ModelError, Refused) as error:
            yield {"kind": "verified", "same": False, "message": str(error)}

    def borrow(self, work: Callable[[object], dict], patience: float = 60.0) -> dict:
        """What `work` makes of the models, once it is its turn at them; {"error": a sentence, "field"?} if it cannot."""
        from specviz.types import ModelError

        with self._place() as free:
            if not free:
                return {"error": f"{WAITING} runs are already waiting here. Try again in a minute."}
            if not self._ready.wait(patience):
                return {"error": "The models are still loading. Try again in a moment."}
            if self.pair is None:
                return {"error": self.problem}
            taken = self._turn.acquire(timeout=patience)
        if not taken:
            return {"error": "Another run is using the models. Try again when it has ended."}
        try:
            return work(self.pair)
        except (ValueError, ModelError) as error:
            return {"error": str(error), "field": getattr(error, "field", "")}
        except Exception as error:  # an odd trace must not leave the page waiting
            return {"error": f"This could not be computed: {type(error).__name__}."}
        finally:
            self._turn.release()

    def _in_turn(self, settings: dict, stopped: threading.Event, work: Callable) -> Iterator[dict]:
        with self._place() as free:
            if not free:
                yield failed(
                    "prompt", f"{WAITING} runs are already waiting here. Try again in a minute; what you see stays."
                )
                return
            try:
                yield from self._until_ready(stopped)
                yield from self._until_turn(stopped)
            except Refused as error:
                yield failed(error.field, str(error))
                return
        try:
            yield from work(self.pair, settings, stopped)
        finally:
            self._turn.release()

    @contextmanager
    def _place(self) -> Iterator[bool]:
        """A place in the line, given up at the end; False if there is none left."""
        with self._count:
            free = self._waiting < WAITING
            self._waiting += free
        try:
            yield free
        finally:
            with self._count:
                self._waiting -= free

    def _until_turn(self, stopped: threading.Event) -> Iterator[dict]:
        """Waits for the models and takes them; the caller releases `_turn`."""
        while not self._turn.acquire(timeout=0.5):
            if stopped.is_set():
                raise Refused("prompt", "Stopped before it was this run's turn.")
            yield {"kind": "wait", "message": "Another run is using the models. Yours is in the line."}

    def _until_ready(self, stopped: threading.Event) -> Iterator[dict]:
        while not self._ready.wait(timeout=0.5):
            if stopped.is_set():
                raise Refused("prompt", "Stopped before the models were loaded.")
            yield {"kind": "wait", "message": "The models are still loading."}
        if self.pair is None:
            raise Refused("prompt", self.problem)


def compute(pair, settings: dict, stopped: threading.Event) -> Iterator[dict]:
    """Checks the settings and runs the lanes, a message about every EVERY seconds."""
    from specviz.engine import race
    from specviz.record import trace
    from specviz.types import ModelError

    try:
        prompt, style, lanes, kept, forced = read(pair, settings)
        record = refusing("continued", lambda: trace.begin(pair, prompt, style, lanes, kept, forced))
    except Refused as error:
        yield failed(error.field, str(error))
        return
    header = {
        **record.data,
        "pieces": dict(record.data["pieces"]),
        "lanes": [{**lane, "rounds": []} for lane in record.data["lanes"]],
    }
    recent: deque[dict] = deque(maxlen=REPEATED)
    sent = 0
    note = ""

    def message(kind: str, delta: dict | None) -> dict:
        nonlocal sent
        sent += 1
        if delta is not None:
            recent.append(delta)
        extra = {"trace": header} if sent <= HEADERS else {}
        return {"kind": kind, "deltas": list(recent), **extra}

    began = last = time.monotonic()
    yield message("start", None)
    steps = race.race(pair, record.data["prompt_tokens"], lanes)
    delta = None
    seq = 0
    try:
        for step in steps:
            new = record.add(step)
            if delta is None:
                seq += 1
                delta = {"seq": seq, "rounds": [], "pieces": {}, "finished": {}}
            if new["round"] is not None:
                delta["rounds"].append([new["lane"], new["round"]])
            delta["pieces"] |= new["pieces"]
            if new["finished"]:
                delta["finished"][str(new["lane"])] = new["finished"]
            now = time.monotonic()
            if stopped.is_set():
                note = "Stopped."
                break
            if now - began > DEADLINE:
                note = f"Stopped after {DEADLINE:g} seconds, the longest a run may take here."
                break
            if now - last >= EVERY:
                yield message("delta", delta)
                delta, last = None, time.monotonic()
    except ModelError as error:
        record.stop()
        yield {**failed("prompt", str(error)), "final": record.to_json()}
        return
    finally:
        steps.close()
    record.stop()
    if delta is not None:
        yield message("delta", delta)  # the last tokens are seen while the whole trace is still being written out
    yield {
        **message("end", None),
        "finished": [lane["finished"] for lane in record.data["lanes"]],
        "final": record.to_json(),
        "message": note,
    }


def read(pair, settings: dict) -> tuple[str, str | None, list, list[int], int | None]:
    """Prompt, style, lanes, kept tokens and forced token (see `trace.begin`) from what the page sent. Refused names the
    control that is wrong."""
    from specviz import rules
    from specviz.types import Sampling, Settings

    prompt = settings.get("prompt")
    if not isinstance(prompt, str):
        raise Refused("prompt", "The prompt must be text.")
    style = settings.get("style") or ("chat" if "chat" in pair.styles else None)
    tokens = refusing("prompt", lambda: pair.encode(prompt, style))
    values = {name: settings[name] for name in ("temperature", "top_k", "top_p") if name in settings}
    sampling = refusing(named(values, lambda one: Sampling(**one)), lambda: Sampling(**values))
    given = settings.get("lanes")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_LANES:
        raise Refused("prompt", f"A run has 1 to {MAX_LANES} lanes.")
    common = {name: settings[name] for name in ("draft_length", "max_new_tokens", "seed") if name in settings}
    whole = refusing(named(common, lambda one: Settings(**one)), lambda: Settings(**common)).max_new_tokens
    kept, forced = read_continued(pair, settings.get("continued"), len(tokens))
    already = len(kept) + (forced is not None)
    if already >= whole:
        raise Refused(
            "max_new_tokens",
            f"{already} tokens are there already, so a text of {whole} has no room for more. Set Tokens above {already}.",
        )
    common["max_new_tokens"] = whole - already  # the text ends where it would have ended in one run
    lanes = []
    for i, lane in enumerate(given):
        if not isinstance(lane, dict) or not isinstance(lane.get("knobs") or {}, dict):
            raise Refused(f"lane{i}", "A lane names a rule and its knobs.")
        name, knobs = lane.get("rule"), lane.get("knobs") or {}
        rule = None if name is None else refusing(f"lane{i}", lambda name=name, knobs=knobs: rules.make(name, **knobs))
        lanes.append(Settings(rule=rule, sampling=sampling, **common))
    return prompt, style, lanes, kept, forced


def read_continued(pair, asked, prompt_length: int) -> tuple[list[int], int | None]:
    """The tokens to keep and the token to force, from {given, forced, position, revisions} as the page sends it:
    `position` is where the kept tokens end, `revisions` are those of the draft and the verifier that wrote them."""
    if asked is None:
        return [], None
    given, forced, position, revisions = (
        asked.get(name) if isinstance(asked, dict) else None for name in ("given", "forced", "position", "revisions")
    )
    whole = [*(given if isinstance(given, list) else [None]), position, *([] if forced is None else [forced])]
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in whole):
        raise Refused(
            "continued",
            "A run goes on from a list of token ids and a position. This request does not give them as whole numbers.",
        )
    if revisions != [pair.draft.revision, pair.verifier.revision]:
        raise Refused(
            "continued",
            "This run was made with other models than the ones loaded here, so they cannot go on from its tokens.",
        )
    if position != prompt_length + len(given):
        raise Refused(
            "continued",
            f"The prompt and the tokens to keep end at position {prompt_length + len(given)}, so a run cannot go on from position {position}.",
        )
    return given, forced


def refusing(field: str, build: Callable):
    try:
        return build()
    except (ValueError, TypeError) as error:
        raise Refused(field, str(error)) from None


def named(values: dict, build: Callable) -> str:
    """The first of the values that is refused on its own; "prompt" if none is."""
    for name, value in values.items():
        try:
            build({name: value})
        except (ValueError, TypeError):
            return name
    return "prompt"


def failed(field: str, message: str) -> dict:
    return {"kind": "error", "field": field, "message": message}
