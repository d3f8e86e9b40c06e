"""Lays a portfolio out in buckets, ranges of borrowers that are worked on one after another or side by side.

Example: mloan-report partition book --buckets 100 --out laid-out
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import Folder, progress


def command(
    folder: Folder,
    buckets: Annotated[int, typer.Option("--buckets", help="How many; about 10,000 loans in each keeps memory low.", min=1, max=99_999)],
    out: Annotated[Path, typer.Option("--out", help="Folder to write, new or empty; every command reads it like any other.")],
) -> int:
    from mloan_report.portfolio.buckets import Buckets
    from mloan_report.portfolio.partition import partition_portfolio

    with progress(f"laying {folder} out"):
        laid = Buckets(partition_portfolio(folder, out, buckets))
    loans = sum(laid.index["rows"].get("loans", [0]))
    print(f"{out}: {loans} loans in {laid.count} buckets")
    return 0
