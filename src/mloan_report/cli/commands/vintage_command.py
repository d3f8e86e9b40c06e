"""Vintage curves: of the loans disbursed in a month, the share that has ever defaulted by each month on book; unreached cells are empty.

Example: mloan-report vintage book --as-of 2026-10-31 --months 12 --by product --json
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    months: Annotated[int, typer.Option("--months", help="Months on book to go to.", min=0)] = 24,
    basis: Annotated[str, typer.Option("--basis", help="count of loans, or originated amount.")] = "count",
    default_days: Annotated[int | None, typer.Option("--default-days", help="Default is more days past due than this, or a write-off.", min=0)] = None,
    by: Annotated[list[str] | None, typer.Option("--by", help="Group by this column; may be repeated.")] = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a cohort; figures are strings.")] = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.measures.vintage import vintage_curves
    from mloan_report.position.loan_view import view_columns

    when, known = day(as_of), optional_day(known_at)
    missing = [c for c in by or [] if c not in view_columns()]
    if missing:
        raise CannotUse(f"there is no column {missing[0]} to group by; there are {', '.join(sorted(view_columns()))}")
    portfolio = open_portfolio(folder)
    try:
        with progress("following each cohort"):
            found = vintage_curves(portfolio, when, known, basis=basis, days=default_days, months=months, by=by or [], jobs=jobs)
    except ValueError as e:
        raise CannotUse(str(e)) from None
    if as_json:
        print(json.dumps([c.as_dict() for c in found], ensure_ascii=False, indent=2))
        return 0
    for c in found:
        group = " ".join(f"{k}={v or '(none)'}" for k, v in c.group.items())
        cells = " ".join("-" if r is None else f"{r * 100:.2f}%" for r in c.rates)
        print(f"{c.cohort}{' [' + group + ']' if group else ''} ({c.originated:f}): {cells}")
    return 0
