"""Serves the page: `specviz page`, and `python app.py` on a Space. This module is cheap to import; gradio and torch
are imported when the page starts."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import math
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

from specviz.options import add_models

if TYPE_CHECKING:
    from specviz.backends import Pair, PairFacts
    from specviz.backends.places import Progress

HOST, PORT = "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"  # which Gradio reads as well
SPACE = "SYSTEM"  # by this Gradio knows a Space: it would serve changes to the code, and its page ask other hosts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `specviz page`; each may come from the environment instead, where an empty value is none."""
    for option, variable, help_text in (
        ("--host", HOST, "address to listen at (default 127.0.0.1: this machine alone)"),
        ("--port", PORT, "port to listen at (default: the first free one from 7860)"),
        ("--deadline", "SPECVIZ_DEADLINE", "seconds that one run may take (default 120)"),
    ):  # fmt: skip
        parser.add_argument(option, default=os.environ.get(variable) or None, help=f"{help_text} [{variable}]")
    add_models(parser, device=None, environment=True)


def run(options: argparse.Namespace) -> int:
    """Serves until it is interrupted or terminated, and then ends the process with status 0. Raises ValueError if it cannot be
    served as the options say."""
    _check(options)
    _import_gradio()
    from specviz import backends
    from specviz.engine import workers
    from specviz.ui import page, watch, zerogpu
    from specviz.ui.desk import Desk
    from specviz.ui.line import DEADLINE
    from specviz.ui.models import Models

    backends.check_placement(options.device or "cpu", options.dtype)
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

    async def launched() -> str:
        """The address of the page. Where no event loop runs, Gradio makes one for each of its locks, and closes none."""
        address = {"server_name": options.host, "server_port": options.port}
        _, url, _ = page.build(desk).launch(**address, prevent_thread_lock=True, **page.launch_options(desk))
        return str(url)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watch.log_to(sys.stderr)
    try:
        with closing(asyncio.new_event_loop()) as loop:
            url = loop.run_until_complete(launched())
        desk.open()
        print(f"specviz is ready at {url}", flush=True)
        _wait()
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(_taken(options)) from error
    except KeyboardInterrupt:
        _leave(workers.end_children)


def _check(options: argparse.Namespace) -> None:
    """Reads the numbers among the options, and tries the address. ValueError says what cannot be."""
    if options.port is not None:
        if not options.port.isascii() or not options.port.isdigit() or not 1 <= int(options.port[:9]) <= 65535:
            raise ValueError(f"The port must be a whole number from 1 to 65535; got {options.port!r}.")
        options.port = int(options.port)
    if options.deadline is not None:
        try:
            options.deadline, given = float(options.deadline), options.deadline
        except ValueError:
            options.deadline, given = math.nan, options.deadline
        if not 0 < options.deadline < math.inf:
            raise ValueError(f"The deadline must be a number of seconds above 0; got {given!r}.")
    for variable in (
        HOST,
        PORT,
        SPACE,
    ):  # the first two are said by the options; Gradio would not understand every value
        os.environ.pop(variable, None)
    try:
        host, port = (options.host or "127.0.0.1").strip("[]"), options.port or 0
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
    except (OSError, UnicodeError) as error:
        raise ValueError(_taken(options)) from error
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ValueError(
            "There is no folder for temporary files that can be written to. Name one by TMPDIR."
        ) from error


def _import_gradio() -> None:
    """Gradio writes stubs for editors beside its components whenever it is imported, which takes two fifths of that time. It
    does not for classes that come from no file."""
    find = inspect.getfile

    def hidden(thing: object) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError
        return find(thing)  # type: ignore[arg-type]

    inspect.getfile = hidden  # type: ignore[assignment]
    try:
        import gradio  # noqa: F401
    finally:
        inspect.getfile = find


def _taken(options: argparse.Namespace) -> str:
    where = f"{options.host or '127.0.0.1'}, port {options.port or '7860 or one after it'}"
    return (
        f"The page cannot be served at {where}: in use, or no address of this machine. Choose with --host and --port."
    )


def _wait() -> NoReturn:
    """Waits for Ctrl+C or SIGTERM, which is a KeyboardInterrupt, whichever thread the system hands the signal to: a sleep ends
    for those of its own thread only."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    while True:
        ours.recv(1)


def _leave(end_children: Callable[[], None]) -> NoReturn:
    """Ends the process and those that it started, now: threads in the midst of computing cannot be joined, and Python's own
    end would pull what they use from under them. Nothing in here waits for another thread for more than a second."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end_children()
    os._exit(0)


def _offered(options: argparse.Namespace) -> dict[str, PairFacts]:
    """The pairs to choose from, the one to begin with first: none where models are given that come with no pair of these."""
    from specviz import backends

    known = backends.pairs()
    if options.draft or options.verifier or (options.pair and options.pair not in known):
        return {}
    return {options.pair: known[options.pair], **known} if options.pair else known
