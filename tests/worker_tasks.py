"""Work for the tests of workers: in a module of its own, so that a spawned process can import it."""

from __future__ import annotations

import os
import signal

from mloan_report.portfolio import UnusableInput


def square(n: int) -> int:
    return n * n


def pid_of(_: int) -> int:
    return os.getpid()


def fails_at_three(n: int) -> int:
    if n == 3:
        raise UnusableInput("bucket=00003/part.parquet is not there")
    return n


def dies_at_three(n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n
