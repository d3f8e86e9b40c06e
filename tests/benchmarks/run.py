"""Speed and memory of every room, in one run on one machine: python tests/benchmarks/run.py [--loans 1000000] [--jobs 2].

Prints a table and writes JSON (``--json FILE``); ``--history FILE`` adds a line by commit. Seconds are for orientation; what holds
are the ratios to floors measured in the same run: reading the Parquet with polars alone, lxml's streaming validation of the same
files, writing the same bytes, and hashing them.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

DAY = date(2026, 10, 31)
MADE = datetime(2026, 11, 1, tzinfo=UTC)
COUNTRIES = {"sv_ssf_ctri": "SV", "cn_pbc_credit": "CN"}


@dataclass
class Line:
    """One thing measured: wall and processor seconds (children too), peak memory of all processes in MB."""

    name: str
    wall: float
    cpu: float
    peak: int
    loans: int
    goal: str = ""
    floors: dict[str, float] = field(default_factory=dict)

    @property
    def per_loan(self) -> float:
        """Microseconds of processor time a loan."""
        return self.cpu / self.loans * 1e6


class Memory:
    """The largest sum of resident memory of this process and its children, looked at all the time."""

    def __enter__(self) -> Memory:
        self.peak, self.on = 0, True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False
        self.thread.join()

    def _watch(self) -> None:
        while self.on:
            self.peak = max(self.peak, sum(_resident(p) for p in _family(os.getpid())))
            time.sleep(0.05)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _resident(pid: int) -> int:
    """Proportional set size in MB, so that what processes share counts once."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(x.split()[1]) for x in text.splitlines() if x.startswith("Pss:")), 0) // 1024


def measured(name: str, loans: int, work: Callable[[], Any], goal: str = "") -> tuple[Line, Any]:
    """Runs *work* once."""
    gc.collect()
    before, start = _cpu(), time.perf_counter()
    with Memory() as memory:
        result = work()
    line = Line(name, time.perf_counter() - start, _cpu() - before, memory.peak, loans, goal)
    print(f"{line.name:44} {line.wall:8.2f} s {line.cpu:8.2f} s cpu {line.per_loan:8.2f} µs a loan {line.peak:6} MB", flush=True)
    return line, result


def _cpu() -> float:
    return sum(getattr(resource.getrusage(who), part) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) for part in ("ru_utime", "ru_stime"))


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser()
    options.add_argument("--loans", type=int, default=100_000)
    options.add_argument("--pack", default="sv_ssf_ctri", choices=list(COUNTRIES))
    options.add_argument("--bucket", type=int, default=10_000, help="loans in a bucket")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--json", type=Path)
    options.add_argument("--history", type=Path)
    options.add_argument("--scratch", type=Path, help="folder for the book; kept where given")
    options.add_argument("--only-build", action="store_true")
    options.add_argument("--only-measures", action="store_true")
    asked = options.parse_args()
    scratch = asked.scratch or Path(tempfile.mkdtemp())
    try:
        lines = run(scratch, asked)
    finally:
        if asked.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    report = {"machine": machine(), "commit": commit(), "when": datetime.now(UTC).isoformat(timespec="seconds"), "pack": asked.pack, "loans": asked.loans}
    report |= {"bucket": asked.bucket, "jobs": asked.jobs, "lines": [asdict(x) | {"us_per_loan": x.per_loan} for x in lines]}
    table(lines)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if asked.history:
        with asked.history.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(report) + "\n")


def run(scratch: Path, asked: argparse.Namespace) -> list[Line]:
    """Every line for one pack and size."""
    from mloan_report.filing import build, validate
    from mloan_report.portfolio.buckets import Buckets

    n, pack = asked.loans, asked.pack
    out: list[Line] = []

    def take(name: str, work: Callable[[], Any], goal: str = "") -> Any:
        line, result = measured(name, n, work, goal)
        out.append(line)
        return result

    command = [sys.executable, "-m", "mloan_report"]
    book, laid = scratch / f"book-{pack}-{n}", scratch / f"laid-{pack}-{n}-{asked.bucket}"
    if not book.exists():
        take(
            "(sample)",
            lambda: subprocess.run(
                [*command, "sample", "--loans", str(n), "--country", COUNTRIES[pack], "--format", "parquet", "--out", str(book)],
                check=True,
                stdout=subprocess.DEVNULL,
            ),
            "under 60 s at 1,000,000",
        )
    if not laid.exists():
        buckets = str(max(1, round(n / asked.bucket)))
        take(
            "(partition)",
            lambda: subprocess.run([*command, "partition", str(book), "--buckets", buckets, "--out", str(laid)], check=True, stdout=subprocess.DEVNULL),
        )
    source = Buckets(laid)
    read = take("floor: reading the parquet with polars", lambda: read_alone(laid))
    del read
    if asked.only_measures:
        measure_book(source, take, asked.jobs)
        return floored(out)
    if not asked.only_build:
        take("position, 24 months of history", lambda: spent(positions(source, asked.jobs)), "8 s at 1,000,000")
        take("all portfolio checks", lambda: validate(source, DAY, jobs=asked.jobs), "5 µs a loan, position and reading apart")
        measure_stored(source, scratch, take, asked.jobs)
        measure_book(source, take, asked.jobs)
    take(
        "build without verification",
        lambda: build(pack, source, DAY, scratch / "none", made_at=MADE, jobs=asked.jobs, verify=False),
        "40 µs a loan (sv), 28 (cn 210)",
    )
    shutil.rmtree(scratch / "filed", ignore_errors=True)
    result = take("build, verified", lambda: build(pack, source, DAY, scratch / "filed", made_at=MADE, jobs=asked.jobs), "0.6 of lxml alone")
    files = sorted(p for p in result.folder.iterdir() if p.suffix in (".xml", ".txt"))
    take("floor: hashing the files", lambda: [hashlib.file_digest(p.open("rb"), "sha256").hexdigest() for p in files])
    take("floor: writing the same bytes", lambda: written(files, scratch / "copy"))
    if pack == "sv_ssf_ctri":
        take("floor: lxml streaming validation", lambda: validated(files, pack))
    return floored(out)


def floored(out: list[Line]) -> list[Line]:
    """Each line with its ratios to the floors of the run."""
    by = {x.name: x for x in out}
    for line in out:
        line.floors = {f.removeprefix("floor: "): line.wall / by[f].wall for f in by if f.startswith("floor") and by[f].wall > 0}
    return out


def positions(source: Any, jobs: int) -> Iterator[Any]:
    """Positions of every bucket, worked out by workers; the frames stay there."""
    from mloan_report.portfolio.workers import over_buckets

    return over_buckets(source, CountPositions(source), range(source.count), jobs)


@dataclass(frozen=True)
class CountPositions:
    """Works a bucket's position out and gives how many loans it has."""

    source: Any
    history_months: int = 24

    def __call__(self, number: int) -> int:
        from mloan_report.position import work_out

        return work_out(self.source.bucket(number), DAY, history_months=self.history_months).loans.height


def measure_book(source: Any, take: Callable[..., Any], jobs: int) -> None:
    """Measures of the whole book, from the book: position and loan view are in each of them."""
    from mloan_report.measures import provision_tables, regimes
    from mloan_report.measures.book import classify_book, ratios_of_book
    from mloan_report.measures.limit import limit_sets
    from mloan_report.measures.limit_check import check_limits
    from mloan_report.measures.period import period_ratios
    from mloan_report.measures.vintage import vintage_curves

    chosen = [regimes()[r] for r in ("CN-NFRA-2023-1", "CN-CBRC-2007-63", "IN-RBI-IRACP")]
    table = provision_tables()["CN-2002-98"]
    take("position alone, no history", lambda: spent(over_no_history(source, jobs)))
    take("classify under three regimes", lambda: spent(classify_book(source, chosen, DAY, None, table, jobs=jobs)))
    take("all one-date ratios by two groupings", lambda: ratios_of_book(source, DAY, chosen[0], table, None, ("product", "branch_id"), jobs=jobs))
    rules = limit_sets()["cn_microlender" if source.institution.country == "CN" else "generic"]
    take("limits, price cap included", lambda: check_limits(source, DAY, rules, regime=chosen[0], provisions=table, jobs=jobs))
    take("period ratios of a year", lambda: period_ratios(source, date(2025, 12, 31), DAY, jobs=jobs))
    take("vintage curves", lambda: vintage_curves(source, DAY, jobs=jobs))


def over_no_history(source: Any, jobs: int) -> Iterator[Any]:
    """Positions without their history."""
    from mloan_report.portfolio.workers import over_buckets

    return over_buckets(source, CountPositions(source, 0), range(source.count), jobs)


def measure_stored(source: Any, scratch: Path, take: Callable[..., Any], jobs: int) -> None:
    """classify and ratios by two columns from a stored loan view, against reading the columns that they use."""
    import polars as pl

    from mloan_report.measures import regimes
    from mloan_report.measures.classify import classify
    from mloan_report.measures.grouping import togetherness
    from mloan_report.measures.ratio import RatioSums, ratio_sums, ratios_of_sums
    from mloan_report.portfolio.workers import over_buckets

    folder = scratch / "views"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    take("(loan view stored)", lambda: spent(over_buckets(source, StoreView(source, folder), range(source.count), jobs)))
    regime = regimes()["SV-NCB-022" if source.institution.country == "SV" else "CN-NFRA-2023-1"]
    first = source.bucket(0)
    together = togetherness(source)
    paths = sorted(folder.glob("*.parquet"))
    take("floor: reading the stored view", lambda: [pl.read_parquet(p).height for p in paths])

    def measures() -> int:
        parts = []
        for path in paths:
            view = pl.read_parquet(path)
            classified = classify(view, regime, replace(first, tables={}))
            parts.append(ratio_sums(view, replace(first, tables={}), together, regime, classified, ("product", "branch_id")))
        whole = RatioSums.merged(parts)
        return len(ratios_of_sums(whole, first, DAY, regime, ("product", "branch_id")))

    take("classify and all ratios by two columns", measures, "4 × reading those columns")


@dataclass(frozen=True)
class StoreView:
    """Stores a bucket's loan view."""

    source: Any
    folder: Path

    def __call__(self, number: int) -> int:
        from mloan_report.position import work_out
        from mloan_report.position.loan_view import loan_view

        book = self.source.bucket(number)
        view = loan_view(book, work_out(book, DAY, history_months=0))
        view.write_parquet(self.folder / f"{number:05d}.parquet")
        return view.height


def spent(results: Iterator[Any]) -> int:
    """Takes every result."""
    return sum(1 for _ in results)


def read_alone(laid: Path) -> int:
    """Every part read by polars, one after another."""
    import polars as pl

    return sum(pl.read_parquet(p, hive_partitioning=False).height for p in sorted(laid.rglob("*.parquet")))


def written(files: list[Path], folder: Path) -> int:
    """The bytes of *files* written once more, from memory, a block at a time."""
    folder.mkdir(exist_ok=True)
    total = 0
    for path in files:
        with path.open("rb") as source, (folder / path.name).open("wb") as target:
            while block := source.read(1 << 22):
                total += target.write(block)
    shutil.rmtree(folder)
    return total


def validated(files: list[Path], pack: str) -> bool:
    """The least that any check does: each file streamed by lxml's iterparse with its schema, elements cleared, one process."""
    from lxml import etree

    from mloan_report.filing.envelope import schema_of

    for path in files:
        with path.open("rb") as stream:
            for _, element in etree.iterparse(stream, events=("end",), schema=schema_of(pack, path.stem)):
                element.clear()
    return True


def machine() -> dict[str, str | int]:
    """Which machine it is."""
    try:
        cpu = next(x.split(":", 1)[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "system": platform.system()}


def commit() -> str:
    """The commit that is measured."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    return done.stdout.strip()


def table(lines: list[Line]) -> None:
    """The table: ratios to each floor."""
    m = machine()
    print(f"\n{m['cpu']}, {m['cores']} cores, Python {m['python']}, commit {commit()}; {lines[0].loans} loans")
    floors: Mapping[str, float] = lines[-1].floors
    print(f"{'':44}" + "".join(f"{name[:24]:>26}" for name in floors) + "  goal")
    for line in lines:
        print(f"{line.name:44}" + "".join(f"{value:26.2f}" for value in line.floors.values()) + f"  {line.goal}")


if __name__ == "__main__":
    main()
