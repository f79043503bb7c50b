"""Run many independent tries in forked workers: a crash or a hang of a try is an outcome, and the others go on.

A try is a function `try_one(rng, folder)`. It gets a random generator, which depends only on the section and the number
of the try, and an empty folder. It returns the kind of its outcome. If it raises an `AssertionError`, the result was
wrong. Any other exception, a signal that ends the process and a try that takes too long are wrong outcomes too.
"""

import gc
import multiprocessing
import os
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

_fork = multiprocessing.get_context("fork")


class Task(NamedTuple):
    "What a worker repeats."

    name: str  # of the section; the random numbers depend on it
    try_one: Callable[[random.Random, Path], str]
    prepare: Callable[[], object] | None = None  # makes what all tries share, once in a worker; not measured
    timeout: float = 60  # seconds after which a try hangs
    max_seconds: float | None = None  # of processor time; None: no limit
    max_mb: float | None = None  # memory above that before the try; None: no limit
    once: bool = False  # whether each try gets a new process

    def make(self, number: int, folder: Path) -> str:
        "Make the try with this number in an empty folder."
        return self.try_one(random.Random(f"{self.name} {number}"), folder)


class Outcome(NamedTuple):
    "How a try ended."

    number: int  # of the try
    kind: str  # as `try_one` returns it, or what went wrong
    wrong: str = ""  # why it is wrong, or empty
    seconds: float = 0.0
    mb: float = 0.0  # the most memory that the process had at a time, above that before


def run_one(
    task: Task,
    number: int,  # of the try
) -> Outcome:
    "Make one try in this process. Exceptions become outcomes."
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        _forget_peak()
        mb = _memory("VmRSS")
        start, cpu = time.perf_counter(), time.process_time()
        kind, wrong = _kind(task, number, Path(folder))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        mb = max(_memory("VmHWM") - mb, 0)
    if not wrong and task.max_seconds is not None and cpu > task.max_seconds:
        kind, wrong = "too slow", f"{kind} after {cpu:.2f} s of processor time; the limit is {task.max_seconds:g} s"
    if not wrong and task.max_mb is not None and mb > task.max_mb:
        kind, wrong = "too large", f"{kind} with {mb:.0f} MB; the limit is {task.max_mb:g} MB"
    return Outcome(number, kind, wrong, seconds, mb)


def _kind(task, number, folder):
    "The kind of an outcome, and why it is wrong, or an empty text."
    try:
        return task.make(number, folder), ""
    except AssertionError:
        return "wrong result", traceback.format_exc()
    except Exception as e:
        return f"raises {type(e).__name__}", traceback.format_exc()


def _forget_peak():
    "Set the process's peak of memory to its present memory."
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(field):
    "A field of the process's memory in MB."
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


class _Worker:
    "A forked process that makes the tries whose numbers it is sent."

    def __init__(self, task):
        self.task = task
        self.number = None  # of the try under way
        self.started = 0.0
        self.connection, other_end = _fork.Pipe()
        self.process = _fork.Process(target=_serve, args=(task, self.connection, other_end))
        self.process.start()
        # a group of its own, with all processes that the tries start
        os.setpgid(self.process.pid, self.process.pid)
        other_end.close()

    def start(self, number):
        self.number = number
        self.started = time.monotonic()
        self.connection.send(number)

    def outcome(self) -> Outcome | None:
        "The outcome of the try under way, or None if it goes on."
        if self.connection.poll():
            try:
                return self.connection.recv()
            except (EOFError, ConnectionResetError):
                self.process.join()
        if not self.process.is_alive():
            return Outcome(self.number, f"ends with {_ending(self.process.exitcode)}", "the process ended")
        if time.monotonic() - self.started > self.task.timeout:
            self.stop()
            return Outcome(self.number, "hangs", f"not done after {self.task.timeout:g} s")
        return None

    def stop(self):
        "Kill the process and those that it has started."
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.connection.close()


def _ending(code):
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _serve(task, parents_end, connection):
    "Make tries until the parent closes the connection. Nothing is printed."
    parents_end.close()
    # what is garbage in the parent is not freed during a try, which would count its memory as the try's
    gc.freeze()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    if task.prepare is not None:
        task.prepare()
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        connection.send(run_one(task, number))


def run_tries(
    task: Task,
    numbers: Sequence[int],  # of the tries
    n_workers: int = 2,  # processes at a time
) -> Iterator[Outcome]:  # in the order in which they end
    "Make tries in forked workers. A worker that ends or hangs is replaced."
    waiting = list(reversed(numbers))
    with _workers(task, min(n_workers, len(numbers))) as workers:
        while True:
            for worker in workers:
                if worker.number is None and waiting:
                    worker.start(waiting.pop())
            busy = [worker for worker in workers if worker.number is not None]
            if not busy:
                return
            wait([worker.connection for worker in busy], timeout=0.5)
            for k, worker in enumerate(workers):
                outcome = worker.outcome() if worker.number is not None else None
                if outcome is None:
                    continue
                worker.number = None
                if task.once or not worker.process.is_alive():
                    worker.stop()
                    workers[k] = _Worker(task)
                yield outcome


@contextmanager
def _workers(task, n):
    "Workers that are stopped at the end of the block."
    workers = [_Worker(task) for _ in range(n)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def summary(
    outcomes: list[Outcome],  # in any order
) -> dict:  # as in results/reliability.json
    "Count the outcomes, and keep the first try of each wrong kind."
    kinds, wrong = {}, {}
    for outcome in sorted(outcomes):
        kinds[outcome.kind] = kinds.get(outcome.kind, 0) + 1
        if outcome.wrong:
            last_line = outcome.wrong.strip().splitlines()[-1]
            wrong.setdefault(outcome.kind, {"try": outcome.number, "why": last_line[:200]})
    return dict(
        tries=len(outcomes),
        kinds=dict(sorted(kinds.items())),
        wrong=wrong,
        max_seconds=round(max(outcome.seconds for outcome in outcomes), 3),
        max_mb=round(max(outcome.mb for outcome in outcomes), 1),
    )
