"""Worker processes: what they compute is what this process would, errors and stops come through, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from specviz import backends, rules
from specviz.engine import batch
from specviz.engine.settings import Settings
from specviz.engine.workers import Workers, cores
from specviz.types import ModelError, Sampling

PROMPTS = ("Once upon a time", "What is 3 plus 4?", "The king had three sons")


@pytest.fixture(scope="module")
def workers(pair):
    with Workers(pair, 2) as made:
        yield made


def jobs(pair, count: int) -> list[batch.Job]:
    names = ("sps", "cactus", "tas", "block")
    return [
        (
            pair.encode(PROMPTS[i % 3], "tiny"),
            Settings(rule=rules.make(names[i % 4]), sampling=Sampling(), seed=i, max_new_tokens=24),
        )
        for i in range(count)
    ]


def counted(pair, upto: int):
    for i in range(upto):
        yield i if i % 2 else None


def noted(pair, file: Path, upto: int):
    """Adds a byte to a file, slowly, again and again."""
    for i in range(upto):
        with file.open("ab") as out:
            out.write(b".")
        time.sleep(0.01)
        yield i


def failing(pair, error: type):
    yield 1
    raise error("The model was lost.")


def dying(pair):
    yield os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)
    yield 0


@pytest.mark.parametrize("count", [0, 1, 7])
def test_texts_are_those_of_one_process(pair, workers, count):
    """Jobs shared out to two processes, each text in its place."""
    work = jobs(pair, count)
    assert batch.write(pair, work, rows=6, workers=workers) == batch.write(pair, work, rows=6)


def test_items_come_from_all_workers(workers):
    """Every item but None, each with the number of its part, in the order of its worker."""
    found = list(workers.each(counted, [(6,), (3,)]))
    assert [item for part, item in found if part == 0] == [1, 3, 5]
    assert [item for part, item in found if part == 1] == [1]


def test_closing_stops_the_functions(workers, tmp_path):
    """After the generator is closed the workers are free, and have not done the ten thousand items first."""
    files = [tmp_path / "0", tmp_path / "1"]
    running = workers.each(noted, [(file, 10_000) for file in files])
    next(running)
    running.close()
    assert [item for _, item in workers.each(counted, [(2,)] * 2)] == [1, 1]
    assert all(file.stat().st_size < 10_000 for file in files if file.exists())


@pytest.mark.parametrize("error,seen", [(ModelError, ModelError), (ValueError, ValueError), (KeyError, RuntimeError)])
def test_an_error_is_raised_here_and_the_workers_stay(workers, error, seen):
    """Also while the other worker is still at it."""
    with pytest.raises(seen, match="was lost"):
        list(workers.each(failing, [(error,), (error,)]))
    assert len(list(workers.each(counted, [(4,)] * 2))) == 4


def test_a_lost_process_is_a_sentence(pair):
    """One that is killed, as for want of memory, ends the run with a ModelError; `close` still works."""
    with Workers(pair, 1) as alone:
        with pytest.raises(ModelError, match="gone"):
            list(alone.each(dying, [()]))
    assert not any(process.is_alive() for process in alone._processes)


def test_a_pair_that_no_other_process_can_load(pair, monkeypatch):
    """It has one core's worth of processes and cannot have workers; one whose models do not load says why."""
    made = backends.Pair(pair.draft, pair.verifier, pair.tokenizer, pair.styles)
    assert cores(made) == 1
    with pytest.raises(ValueError, match="no other process"):
        Workers(made)
    made.source = dict(draft="no/such", verifier="no/such/either")
    with pytest.raises(ModelError):
        Workers(made, 1)


def test_as_many_processes_as_there_are_cores_and_memory_for(monkeypatch):
    """Each takes the threads that suit its models, and the memory of these; models that take all cores have one process."""
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    monkeypatch.setattr(backends.memory, "free_bytes", lambda device: 10_000_000_000)
    small, large = SimpleNamespace(parameters=1_000_000), SimpleNamespace(parameters=200_000_000)
    for threads, models, expected in (
        (1, [small, small], 8), (2, [small], 4), (16, [small], 1), (None, [small], 1), (1, [small, large], 2),
    ):  # fmt: skip
        assert cores(SimpleNamespace(source={}, threads=threads, models=models)) == expected


def test_more_parts_than_workers(workers):
    with pytest.raises(ValueError, match="2 workers for 3 parts"):
        list(workers.each(counted, [(1,)] * 3))


ORPHAN = """
import multiprocessing, os, signal, time
from specviz.engine.workers import end_with_parent

def child(pipe):
    end_with_parent()
    pipe.send(os.getpid())
    time.sleep(600)

context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
context.Process(target=child, args=(theirs,)).start()
print(ours.recv(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="Looks a process up in /proc.")
def test_a_process_ends_with_the_one_that_started_it():
    """Also where that was killed, and could not say goodbye."""
    ended = subprocess.run([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    until = time.monotonic() + 60
    while alive(int(ended.stdout)):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether a process is there, and no zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
