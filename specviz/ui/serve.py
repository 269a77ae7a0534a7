"""Serves the page: `specviz page`, and `python app.py` on a Space. This module is cheap to import; gradio and torch
are imported when the page starts."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specviz.backends import Pair, PairFacts
    from specviz.backends.places import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `specviz page`; each may come from the environment instead."""
    for option, variable, help_text in (
        ("--host", "GRADIO_SERVER_NAME", "address to listen at (default 127.0.0.1: this machine alone)"),
        ("--port", "GRADIO_SERVER_PORT", "port to listen at (default: the first free one from 7860)"),
        ("--pair", "SPECVIZ_PAIR", "the pair to begin with, by its name; or a folder with a pair.json (default: the first that can be had)"),
        ("--draft", "SPECVIZ_DRAFT", "instead: a draft model, a folder or a Hub id"),
        ("--verifier", "SPECVIZ_VERIFIER", "and its verifier; alone, for drafters that need no model"),
        ("--device", "SPECVIZ_DEVICE", "cpu, cuda, or auto to spread a model over devices (default cpu)"),
        ("--dtype", "SPECVIZ_DTYPE", "float32, bfloat16 or float16 (default: float32 on CPU, the model's own elsewhere)"),
        ("--deadline", "SPECVIZ_DEADLINE", "seconds that one run may take (default 120)"),
    ):  # fmt: skip
        kind = {"--port": int, "--deadline": float}.get(option, str)
        parser.add_argument(
            option, type=kind, default=os.environ.get(variable) or None, help=f"{help_text} [{variable}]"
        )


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted; returns 0. Raises ValueError if the address cannot be listened at."""
    from specviz import backends
    from specviz.ui import page, zerogpu
    from specviz.ui.desk import Desk
    from specviz.ui.line import DEADLINE
    from specviz.ui.models import Models

    own = {"pair": options.pair, "draft": options.draft, "verifier": options.verifier}

    def load(name: str | None, progress: Progress) -> Pair:
        named = own if name is None else {"pair": name}
        usual = "cuda" if zerogpu.HERE and name is None else "cpu"
        pair = backends.load_pair(**named, device=options.device or usual, dtype=options.dtype, progress=progress)
        backends.dedicate_process(pair)
        return pair

    desk = Desk(Models(load, _offered(options)), DEADLINE if options.deadline is None else options.deadline)
    if zerogpu.HERE and (lent := desk.models.load_here()) is not None:
        zerogpu.place(lent)
    blocks = page.build(desk)
    try:
        _, url, _ = blocks.launch(
            server_name=options.host,
            server_port=options.port,
            prevent_thread_lock=True,
            **page.launch_options(desk.models),
        )
    except OSError as error:
        raise ValueError(
            f"The page cannot be served at {options.host or '127.0.0.1'}, port {options.port or '7860 or one after it'}: in use, "
            "or no address of this machine. Choose with --host and --port."
        ) from error
    desk.open()
    print(f"specviz is ready at {url}", flush=True)
    blocks.block_thread()
    return 0


def _offered(options: argparse.Namespace) -> dict[str, PairFacts]:
    """The pairs to choose from, the one to begin with first: none where models are given that come with no pair of these."""
    from specviz import backends

    known = backends.pairs()
    if options.draft or options.verifier or (options.pair and options.pair not in known):
        return {}
    return {options.pair: known[options.pair], **known} if options.pair else known
