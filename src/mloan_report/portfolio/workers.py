"""Work shared out to processes: results in order, errors as they are, nothing left running.

Processes are spawned, so that the library works the same from a thread, a notebook or a server. A script that calls it
with more than one job needs ``if __name__ == "__main__":``, as every spawning program does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, TypeVar

from mloan_report.portfolio.reading import UnusableInput

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


WORTH = 8_000_000
"""Bytes from which on processes are started for them: one takes about as long to start as it takes to go through so many."""


def shared_out(work: Callable[[T], R], arguments: Sequence[T], jobs: int | None, name: Callable[[T], str] = str, size: int | None = None) -> Iterator[R]:
    """``work`` of each of *arguments*, in their order, by up to *jobs* processes (default: the cores); in this one where one is enough.

    *size* is how many bytes the work is about, where that is known: for few no process is started.

    An exception of a worker is raised here as it is. A worker that was killed raises :class:`UnusableInput` with what it was
    at (*name* of the argument). However it ends, no process is left.
    """
    count = min(jobs or cores(), len(arguments)) if size is None or size >= WORTH else 1
    if count <= 1:
        yield from (work(a) for a in arguments)
        return
    workers: list[_Worker] = []
    try:
        with _starting(max(1, cores() // count)):
            for _ in range(count):
                workers.append(_Worker(work))
        yield from _results(workers, arguments, name)
    finally:
        for w in workers:
            w.stop()


def over_buckets(source: Any, work: Callable[[T], R], arguments: Sequence[T], jobs: int | None) -> Iterator[R]:
    """``work`` of each argument (a bucket's number, or a tuple that begins with it), in order: where the book itself can share work
    out (Spark), there; else by processes of this machine.
    """
    mapped = getattr(source, "map_buckets", None)
    if mapped is not None:
        yield from mapped(work, arguments)
        return
    yield from shared_out(work, arguments, jobs, lambda a: f"bucket {a if isinstance(a, int) else a[0]}")  # type: ignore[index]


def _results(workers: list[_Worker], arguments: Sequence[T], name: Callable[[T], str]) -> Iterator[Any]:
    done: dict[int, Any] = {}
    handed = given = 0
    while given < len(arguments):
        for w in workers:
            # Not too far ahead of what was taken: results wait in memory.
            if w.at is None and handed < len(arguments) and handed < given + 3 * len(workers):
                w.hand(handed, arguments[handed])
                handed += 1
        if given in done:
            yield done.pop(given)
            given += 1
            continue
        busy = [w for w in workers if w.at is not None]
        ready = set(wait([w.connection for w in busy] + [w.process.sentinel for w in busy]))
        for w in busy:
            if w.connection in ready or w.process.sentinel in ready:
                number = w.at
                assert number is not None
                done[number] = w.result(name(arguments[number]))


@contextmanager
def _starting(threads: int) -> Iterator[None]:
    """While children start: they take over their share of threads (read once, when they import polars), and an interrupt waits.

    Children begin with interrupts held back, for those are the parent's business; one that comes now is neither lost nor finds
    a child that nobody would end: it is raised when all have started.
    """
    before = os.environ.get("POLARS_MAX_THREADS")
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    came: list[tuple[int, FrameType | None]] = []
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda *what: came.append(what)) if main else None
    mask = _without_interrupts()
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if main:
            signal.signal(signal.SIGINT, handler)
        if before is None:
            del os.environ["POLARS_MAX_THREADS"]
        else:
            os.environ["POLARS_MAX_THREADS"] = before
    if came and callable(handler):
        handler(*came[0])


def _without_interrupts() -> set[int | signal.Signals] | None:
    """Hold interrupts back from this thread and what it starts; the mask before, None where there is none (Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        return None
    resource_tracker.ensure_running()  # started later, by the first child, it would let interrupts in again
    return signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


class _Worker:
    def __init__(self, work: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()
        self.at: int | None = None

    def hand(self, number: int, argument: Any) -> None:
        self.at = number
        self.connection.send(argument)

    def result(self, name: str) -> Any:
        self.at = None
        try:
            good, value = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            code = self.process.exitcode or 0
            why = "was killed" if code < 0 else "ended without an answer"
            advice = ": is there memory for so many? Try fewer --jobs or more buckets" if code < 0 else ""
            raise UnusableInput(f"the worker at {name} {why} (exit code {code}){advice}") from None
        if good:
            return value
        error, trace = value
        error.add_note(f"in the worker at {name}:\n{trace}")
        raise error

    def stop(self) -> None:
        self.connection.close()
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            argument = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, Any] = (True, work(argument))
        except Exception as error:
            answer = (False, (error, traceback.format_exc()))
        try:
            connection.send(answer)
        except (BrokenPipeError, OSError):
            return
