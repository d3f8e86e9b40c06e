"""The category of every loan under a regime, with each reason, and the provision it asks for.

Example: mloan-report classify book --as-of 2026-10-31 --regime CN-NFRA-2023-1 --provisions CN-2002-98 --out classes.csv
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    out: Annotated[str, typer.Option("--out", help="A .csv, .parquet or .json file; - is csv on standard output.")],
    regime: Annotated[str | None, typer.Option("--regime", help="The regime's id, or a file of your own; default: the policy's.")] = None,
    provisions: Annotated[str | None, typer.Option("--provisions", help="The provision table's id; default: the policy's.")] = None,
    known_at: KnownAt = None,
    allow_expired: Annotated[bool, typer.Option("--allow-expired", help="Use a regime that is not in force on the date.")] = False,
    allow_uncertain: Annotated[bool, typer.Option("--allow-uncertain", help="Use a regime whose edges may be wrong (certainty knowledge_low).")] = False,
    jobs: Jobs = None,
) -> int:
    import polars as pl

    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.cli.tables import TableWriter, shown
    from mloan_report.measures.book import classify_book, counts_by_category

    when, known = day(as_of), optional_day(known_at)
    portfolio = open_portfolio(folder)
    chosen = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    if chosen is None:
        raise CannotUse("name a regime with --regime, or a policy in institution.toml")
    provision_table = chosen_provisions(provisions, portfolio.institution, when)
    totals: dict[str, int] = {}
    with TableWriter(out) as table, progress("classifying"):
        for frame in classify_book(portfolio, chosen, when, known, provision_table, jobs=jobs):
            table.take(shown(frame.with_columns(regime=pl.lit(chosen.id)), ["provision", "provision_base"], ["provision_pct", "provision_own_pct"]))
            for code, count in counts_by_category(chosen, [frame]).items():
                totals[code] = totals.get(code, 0) + count
    print(f"{chosen.id}: " + ", ".join(f"{code} {count}" for code, count in totals.items()), file=sys.stderr)
    return 0
