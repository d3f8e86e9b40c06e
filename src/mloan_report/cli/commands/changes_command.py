"""The records that are new, changed or gone between two accepted filings, by value date and booking date.

Example: mloan-report changes filings.db in_mfi_cdf --recipient CRIF --since 2026-07-31 --until 2026-08-09
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from mloan_report.cli.shared import CannotUse, day, optional_day, pack_named
from mloan_report.cli.tables import TableWriter


def command(
    ledger: Annotated[Path, typer.Argument(help="The ledger's file.")],
    pack: Annotated[str, typer.Argument(help="The pack's id; see formats.")],
    recipient: Annotated[str, typer.Option("--recipient", help="The bureau or regulator.")],
    since: Annotated[str | None, typer.Option("--since", help="Value date of the earlier side; default: nothing was filed.")] = None,
    since_known: Annotated[str | None, typer.Option("--since-known", help="Booking date of the earlier side.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Value date of the later side; default: all that is accepted.")] = None,
    until_known: Annotated[str | None, typer.Option("--until-known", help="Booking date of the later side.")] = None,
    out: Annotated[str | None, typer.Option("--out", help="Write the records to this .csv, .parquet or .json; - is csv on standard output.")] = None,
) -> int:
    from mloan_report.filing.ledger import Point, SqliteLedger

    if not ledger.is_file():
        raise CannotUse(f"{ledger} is not there")
    start = Point(day(since, "--since"), optional_day(since_known, "--since-known")) if since else None
    end = Point(day(until, "--until"), optional_day(until_known, "--until-known")) if until else None
    found = SqliteLedger(ledger).changes(pack_named(pack), recipient, start, end)
    with TableWriter(out) as table:
        parts = [frame.with_columns(change=pl.lit(kind)) for kind, frame in (("new", found.new), ("changed", found.changed), ("gone", found.gone))]
        table.take(pl.concat(parts).select("change", "record", "key", "loan_id", "as_of_before", "as_of"))
    if out != "-":
        print(", ".join(f"{count} {kind}" for kind, count in found.counts.items()))
    return 0
