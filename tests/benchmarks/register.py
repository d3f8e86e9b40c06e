"""Checking a large register of small business loans: python tests/benchmarks/register.py [--rows 100000] [--against "cfpb-val validate"].

Writes a register of varied rows, checks it with all rules several times, and prints rows a second, processor time and memory;
with the command of another validator also how many times as fast the check is on the same file and machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import shlex
import subprocess
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from run import machine

from mloan_report.filing import check_files
from mloan_report.packs import packs
from mloan_report.testing.pack_examples import examples_of

PACK = "us_cfpb_sbl"
AMOUNTS = ("amount_applied_for", "amount_approved", "gross_annual_revenue")
CHARGES = ("pricing_origination_charges", "pricing_broker_fees", "pricing_initial_charges")
NAICS = ("722", "236", "441", "484", "541", "561", "621", "811", "445", "238", "531", "812")
ETHNICITIES = ("1", "2", "1;11", "1;12", "1;13", "966", "988")
RACES = ("1", "5", "2;21", "2;22", "3;31", "3;32", "4;41", "5;2;21", "1;5", "966", "988", "2;23;24", "3;31;33")


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--against", help="the command of another validator; the file's path is put behind it")
    asked = options.parse_args()
    print(json.dumps(machine()))
    with tempfile.TemporaryDirectory(prefix="bench-register-") as folder:
        path = register(asked.rows, Path(folder) / "register.csv")
        seconds, processor = [], []
        for _ in range(asked.times):
            start, busy = time.perf_counter(), time.process_time()
            result = check_files([path], PACK)
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
            assert sum(result.records.values()) == asked.rows
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{asked.rows} rows, {path.stat().st_size} bytes, {len(result.findings)} findings")
        for name, s in (("shortest", min(seconds)), ("median", sorted(seconds)[len(seconds) // 2])):
            print(f"{name:8} {s:7.3f} s {asked.rows / s:9.0f} rows/s {s / asked.rows * 1e6:6.1f} us a row")
        print(f"processor time {min(processor):.3f} s, memory {memory} MB")
        if asked.against:
            start = time.perf_counter()
            subprocess.run([*shlex.split(asked.against), str(path)], stdout=subprocess.DEVNULL, check=False)
            other = time.perf_counter() - start
            print(f"{asked.against}: {other:.1f} s {asked.rows / other:.0f} rows/s; ours is {other / min(seconds):.1f} times as fast")


def register(rows: int, path: Path) -> Path:
    """A register of so many varied rows, made of those of the pack's example."""
    chance = random.Random(7)
    given = list(csv.DictReader(examples_of(packs()[PACK])["register.csv"].decode("utf-8").splitlines()))
    filer, county = given[0]["uid"][:20], given[0]["census_tract_number"][:5]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(given[0]), lineterminator="\n")
        writer.writeheader()
        for number in range(rows):
            writer.writerow(varied(dict(chance.choice(given)), f"{filer}{number:09d}", county, chance))
    return path


def varied(row: dict[str, str], uid: str, county: str, chance: random.Random) -> dict[str, str]:
    """*row* with another number, other amounts, dates and answers."""
    row["uid"] = uid
    row |= {c: str(chance.randrange(1_000, 90_000) * 5) for c in AMOUNTS if row[c] not in ("", "0")}
    row |= {c: str(chance.randrange(50, 900)) for c in CHARGES if row[c] not in ("", "0")}
    row |= {c: f"{chance.randrange(150, 2_900) / 100:.2f}" for c in ("pricing_fixed_rate", "pricing_adj_margin") if row[c]}
    decided = date(2024, 10, 1) + timedelta(days=chance.randrange(90))
    row["action_taken_date"] = f"{decided:%Y%m%d}"
    row["app_date"] = f"{decided - timedelta(days=chance.randrange(60)):%Y%m%d}"
    if row["naics_code"]:
        row["naics_code"] = chance.choice(NAICS)
    if row["census_tract_number"]:
        row["census_tract_number"] = f"{county}{chance.randrange(100, 999_999):06d}"
    if row["ct_loan_term"]:
        row["ct_loan_term"] = str(chance.randrange(6, 120))
    if row["time_in_business"]:
        row["time_in_business"] = str(chance.randrange(1, 40))
    for n in "1234":
        if row[f"po_{n}_ethnicity"] and not row[f"po_{n}_ethnicity_ff"]:
            row[f"po_{n}_ethnicity"] = chance.choice(ETHNICITIES)
        if row[f"po_{n}_race"] and not any(row[f"po_{n}_race_{x}_ff"] for x in ("anai", "asian", "baa", "pi")):
            row[f"po_{n}_race"] = chance.choice(RACES)
    return row


if __name__ == "__main__":
    main()
