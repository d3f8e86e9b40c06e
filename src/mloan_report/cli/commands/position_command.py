"""The position of every loan on a date: what is owed, overdue, for how long, and what was paid.

Example: mloan-report position book --as-of 2026-10-31 --out position.csv
"""

from __future__ import annotations

from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    out: Annotated[str, typer.Option("--out", help="A .csv, .parquet or .json file; - is csv on standard output.")],
    known_at: KnownAt = None,
    arrears: Annotated[str | None, typer.Option("--arrears", help="Write the overdue instalments to this file too.")] = None,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.tables import TableWriter, shown
    from mloan_report.position import POSITION_COLUMNS
    from mloan_report.position.book import positions_of_book

    when, known = day(as_of), optional_day(known_at)
    amounts = [c.name for c in POSITION_COLUMNS if c.kind == "amount"]
    percents = [c.name for c in POSITION_COLUMNS if c.kind == "percent"]
    with TableWriter(out) as table, TableWriter(arrears) as late, progress("working out positions"):
        for loans, overdue in positions_of_book(open_portfolio(folder), when, known, jobs=jobs):
            table.take(shown(loans, amounts, percents))
            late.take(shown(overdue, ["fees", "interest", "principal", "penalty"], []))
    return 0
