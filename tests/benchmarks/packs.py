"""Writing and checking of composed files, pack by pack, in one run: python tests/benchmarks/packs.py [--loans 10000] [--pack us_metro2].

Prints for each pack the records and fields of a made-up filing, microseconds a record for writing (also as for 100 fields) and for
checking with all rules, and both as ratios to the time that writing and reading the same bytes take. Seconds are for orientation.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from run import machine

from mloan_report.filing import build, check_files
from mloan_report.filing.building import request_for
from mloan_report.filing.making import make_filing
from mloan_report.layout.trees import inside
from mloan_report.packs import Pack, packs
from mloan_report.portfolio import read_portfolio
from mloan_report.testing.sample import make_sample

DAYS = {"us_cfpb_sbl": date(2025, 12, 31)}
"""A register of one year that is past; all others at the sample's usual date."""
MADE = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Row:
    """What was measured of one pack."""

    pack: str
    records: int
    fields: int
    bytes: int
    write_us: float
    write_us_100_fields: float
    check_us: float
    write_to_plain_writing: float
    check_to_plain_reading: float


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser()
    options.add_argument("--loans", type=int, default=10_000)
    options.add_argument("--pack", choices=[p.id for p in packs().values() if p.is_composed])
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    chosen = [p for p in packs().values() if p.is_composed and asked.pack in (None, p.id)]
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-packs-") as scratch:
        rows = [measured(p, asked.loans, Path(scratch) / p.id) for p in chosen]
    print(json.dumps(machine()))
    print(f"{'pack':16} {'records':>8} {'fields':>9} {'write us':>9} {'per 100 f':>9} {'check us':>9} {'x write':>8} {'x read':>8}")
    for r in rows:
        print(
            f"{r.pack:16} {r.records:8} {r.fields:9} {r.write_us:9.2f} {r.write_us_100_fields:9.2f} {r.check_us:9.2f} "
            f"{r.write_to_plain_writing:8.1f} {r.check_to_plain_reading:8.1f}"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine(), "rows": [asdict(r) for r in rows]}, indent=2), encoding="utf-8")


def measured(p: Pack, loans: int, folder: Path) -> Row:
    """One pack: the made-up filing is made once, its text several times, and the finished file is checked several times."""
    day = DAYS.get(p.id, date(2026, 10, 31))
    folder.mkdir()
    make_sample(loans, p.country, 1, folder / "book", as_of=day)
    book = read_portfolio(folder / "book")
    result = build(p, book, day, folder / "out", quarantine=True, made_at=MADE, jobs=1)
    assert not result.refused, [f.message for f in result.findings if f.severity == "error"][:3]
    path = folder / "out" / result.files[0].name
    filing = make_filing(request_for(p, book, day, made_at=MADE), [], quarantine=True)
    form = p.form(day, filing.request.settings)
    sets = {x.name: filing.records[x.name] for x in form.tops if x.name in filing.records}
    inner = {name: inside(name, top, filing.records) for name, top in sets.items()}
    everything = [*sets.values(), *(r for kinds in inner.values() for r in kinds.values())]
    records = sum(r.height for r in everything)
    fields = sum(r.height * len(r.layout.value_fields) for r in everything)
    write = best(lambda: [form.texts(top, inner[name]) for name, top in sets.items()])
    check = best(lambda: check_files([path], p.id))
    data = path.read_bytes()
    plain_write, plain_read = best(lambda: (folder / "copy").write_bytes(data)), best(path.read_bytes)
    return Row(p.id, records, fields, len(data), write / records * 1e6, write / fields * 1e8, check / records * 1e6, write / plain_write, check / plain_read)


def best(work: Callable[[], Any], times: int = 3) -> float:
    """The shortest of several runs, in seconds: what the work costs without what else the machine does."""
    out = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        out.append(time.perf_counter() - start)
    return min(out)


if __name__ == "__main__":
    main()
