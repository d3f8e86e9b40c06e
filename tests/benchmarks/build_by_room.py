"""A filing of a made-up book by room, beside plain lxml validation of the same files: python tests/benchmarks/build_by_room.py 100000.

Everything is one run on one machine, and printed as ratios to the whole. Not part of the tests: it takes its time.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter

from lxml import etree

from mloan_report.filing.building import request_for
from mloan_report.filing.envelope import schema_of, write_files
from mloan_report.filing.making import constants, make_filing
from mloan_report.filing.validation import validate
from mloan_report.filing.verification import judge, same_records
from mloan_report.portfolio import read_portfolio
from mloan_report.position import work_out

PACK, COUNTRY, AS_OF = "sv_ssf_ctri", "SV", date(2026, 10, 31)


def main(loans: int) -> None:
    """Times each room once and prints seconds and ratios."""
    took: dict[str, float] = {}
    peak: dict[str, int] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        took[name] = perf_counter() - start
        peak[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "book", Path(scratch) / "filing"
        with timed("(sample)"):
            command = [sys.executable, "-m", "mloan_report", "sample", "--loans", str(loans), "--country", COUNTRY, "--out", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # apart: its memory is not the build's
        out.mkdir()
        with timed("read"):
            book = read_portfolio(folder)
        with timed("position"):
            everyone = work_out(book, AS_OF)
        with timed("checks"):
            checked = validate(book, AS_OF, positions=everyone)
        request = request_for(PACK, book, AS_OF, made_at=datetime(2026, 11, 1, tzinfo=UTC))
        with timed("measures and records"):
            filing = make_filing(request, checked.findings, quarantine=False, everyone=everyone)
        with timed("write"):
            files = write_files(request.pack, filing.records, out, request.settings, request.made_at)
        paths = [(out / f.name, f.record) for f in files]
        with timed("verify"):
            verdict = judge(request.pack, paths, constants(request), {})
            different = same_records(filing.records, verdict.records)
        with timed("(lxml alone)"):
            valid = all(_valid_by_lxml(path, record) for path, record in paths)
        size = sum(f.size for f in files)
    errors = [f for f in (*checked.findings, *verdict.findings, *different) if f.severity == "error"]
    assert valid
    assert not errors, errors[:3]
    whole = sum(t for n, t in took.items() if not n.startswith("("))
    records = sum(f.records for f in files)
    print(f"{platform.machine()}, {_cpu()}, Python {platform.python_version()}; {loans} loans, {records} records, {size / 1e6:.0f} MB")
    for name, seconds in took.items():
        print(
            f"{name:22} {seconds:8.2f} s   {seconds / whole:5.2f} of the build   {seconds / took['(lxml alone)']:6.2f} of lxml alone   peak {peak[name]:5} MB"
        )
    print(f"{'whole build':22} {whole:8.2f} s; peak memory {max(peak.values())} MB")


def _valid_by_lxml(path: Path, record: str) -> bool:
    """Whether the file fits its schema, streamed by lxml with each element forgotten: the least that any check does."""
    with path.open("rb") as stream:
        for _, element in etree.iterparse(stream, events=("end",), schema=schema_of(PACK, record)):
            element.clear()
    return True


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "unknown processor")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
