"""Roll rates: the balance in each bucket of days past due over that of the bucket before it, a month earlier.

Example: mloan-report roll-rates book --as-of 2026-10-31 --months 6 --json
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    months: Annotated[int, typer.Option("--months", help="How many months back.", min=1)] = 6,
    edges: Annotated[str, typer.Option("--edges", help="Upper edges of the buckets, in days.")] = "0,30,60,90,120,150,180",
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects; figures are strings.")] = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.measures.migration import roll_rates

    when, known = day(as_of), optional_day(known_at)
    try:
        given = [int(e) for e in edges.split(",")]
    except ValueError:
        raise CannotUse(f"--edges {edges!r} is not a list of whole numbers such as 0,30,60,90") from None
    portfolio = open_portfolio(folder)
    try:
        with progress("ageing each month"):
            found = roll_rates(portfolio, when, known, months=months, edges=given, jobs=jobs)
    except ValueError as e:
        raise CannotUse(str(e)) from None
    if as_json:
        print(json.dumps([r.as_dict() for r in found], indent=2))
        return 0
    for r in found:
        print(f"{r.month_end} {r.bucket} -> {r.next_bucket}: {'undefined' if r.value is None else f'{r.value:f}'} ({r.numerator:f} / {r.denominator:f})")
    return 0
