"""The position of every loan on a date: what is owed, overdue, for how long, and what was paid.

Example: mloan-report position book --as-of 2026-10-31 --out position.csv
"""

from __future__ import annotations

from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, Folder, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    out: Annotated[str, typer.Option("--out", help="A .csv, .parquet or .json file; - is csv on standard output.")],
    known_at: KnownAt = None,
    arrears: Annotated[str | None, typer.Option("--arrears", help="Write the overdue instalments to this file too.")] = None,
) -> int:
    from mloan_report.cli.tables import shown, write_table
    from mloan_report.position import POSITION_COLUMNS, work_out

    when, known = day(as_of), optional_day(known_at)
    portfolio = open_portfolio(folder)
    with progress("working out positions"):
        positions = work_out(portfolio, when, known)
    amounts = [c.name for c in POSITION_COLUMNS if c.kind == "amount"]
    percents = [c.name for c in POSITION_COLUMNS if c.kind == "percent"]
    write_table(shown(positions.loans, amounts, percents), out)
    if arrears is not None:
        late = positions.arrears.join(positions.loans.select("loan_id", "currency_code"), on="loan_id", how="left", maintain_order="left")
        write_table(shown(late, ["fees", "interest", "principal", "penalty"], []), arrears)
    return 0
