"""Workers: order kept, errors as they are, a killed one named, none left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from worker_tasks import dies_at_three, fails_at_three, pid_of, square

from mloan_report.portfolio import UnusableInput
from mloan_report.portfolio.workers import WORTH, shared_out
from mloan_report.testing.sample import make_sample


def test_results_come_in_order_from_several_processes() -> None:
    assert list(shared_out(square, range(20), 2)) == [n * n for n in range(20)]
    assert len(set(shared_out(pid_of, range(8), 2)) - {os.getpid()}) == 2


def test_one_job_works_here() -> None:
    assert set(shared_out(pid_of, range(3), 1)) == {os.getpid()}


def test_little_work_starts_no_process() -> None:
    assert set(shared_out(pid_of, range(3), 2, size=WORTH - 1)) == {os.getpid()}
    assert os.getpid() not in set(shared_out(pid_of, range(3), 2, size=WORTH))


def test_an_error_of_a_worker_comes_back_as_it_is() -> None:
    with pytest.raises(UnusableInput, match=r"bucket=00003/part\.parquet is not there") as error:
        list(shared_out(fails_at_three, range(6), 2))
    assert "fails_at_three" in "".join(error.value.__notes__)


def test_a_killed_worker_is_named_with_what_it_was_at() -> None:
    with pytest.raises(UnusableInput, match=r"worker at bucket 3 was killed \(exit code -9\)"):
        list(shared_out(dies_at_three, range(6), 2, lambda n: f"bucket {n}"))


HELD = """
import sys, time

def hold(event, arguments):
    if event == "open" and str(arguments[0]).endswith("-00003.part"):
        time.sleep(600)

sys.addaudithook(hold)
"""
"""A ``sitecustomize`` of every Python started: nobody comes further than bucket 3, so the build cannot end before it is interrupted."""


def test_an_interrupted_build_leaves_no_file_and_no_process(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    make_sample(300, "SV", 1, tmp_path / "book")
    run = [sys.executable, "-m", "mloan_report"]
    subprocess.run([*run, "partition", str(tmp_path / "book"), "--buckets", "12", "--out", str(tmp_path / "laid")], check=True, stdout=subprocess.DEVNULL)
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(HELD)
    command = [*run, "build", "sv_ssf_ctri", str(tmp_path / "laid"), "--as-of", "2026-10-31", "--out", str(tmp_path / "out"), "--jobs", "2"]
    process = _interruptible(command, {"PYTHONPATH": str(site)})
    while not any(tmp_path.glob(".out.parts.*/*.part")):  # until the work has begun
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book", "laid"]
    _until_gone(process.pid)
    assert b"Traceback" not in error


INTERRUPTED_AT_THE_START = """
import os, signal, sys
from worker_tasks import square
from mloan_report.portfolio import workers

class Interrupted(workers._Worker):
    def __init__(self, work):
        super().__init__(work)
        os.killpg(0, signal.SIGINT)

workers._Worker = Interrupted
if __name__ == "__main__":
    try:
        print(list(workers.shared_out(square, range(4), 2)))
    except KeyboardInterrupt:
        print("interrupted", end="")
"""


def test_an_interrupt_while_workers_start_is_not_lost(tmp_path: Path) -> None:
    """It was, while the parent ignored interrupts so that its children might."""
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED_AT_THE_START)
    paths = os.pathsep.join([str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = _interruptible([sys.executable, str(script)], {"PYTHONPATH": paths})
    out, error = process.communicate(timeout=60)
    assert (out, error) == (b"interrupted", b"")
    _until_gone(process.pid)


def _interruptible(command: list[str], more: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process in a group of its own that takes interrupts, also where these tests run in the background of a shell and ignore them."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | more,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _until_gone(group: int) -> None:
    for _ in range(500):  # the interpreter's own resource tracker ends a moment after its parent
        if not _lives(group):
            return
        time.sleep(0.02)
    raise AssertionError(f"process group {group} still lives")


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
