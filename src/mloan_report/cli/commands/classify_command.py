"""The category of every loan under a regime, with each reason, and the provision it asks for.

Example: mloan-report classify book --as-of 2026-10-31 --regime CN-NFRA-2023-1 --provisions CN-2002-98 --out classes.csv
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    out: Annotated[str, typer.Option("--out", help="A .csv, .parquet or .json file; - is csv on standard output.")],
    regime: Annotated[str | None, typer.Option("--regime", help="The regime's id, or a file of your own; default: the policy's.")] = None,
    provisions: Annotated[str | None, typer.Option("--provisions", help="The provision table's id; default: the policy's.")] = None,
    known_at: KnownAt = None,
    allow_expired: Annotated[bool, typer.Option("--allow-expired", help="Use a regime that is not in force on the date.")] = False,
    allow_uncertain: Annotated[bool, typer.Option("--allow-uncertain", help="Use a regime whose edges may be wrong (certainty knowledge_low).")] = False,
) -> int:
    import polars as pl

    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.cli.tables import shown, write_table
    from mloan_report.measures import classify
    from mloan_report.position import work_out
    from mloan_report.position.loan_view import loan_view

    when, known = day(as_of), optional_day(known_at)
    portfolio = open_portfolio(folder)
    chosen = chosen_regime(regime, portfolio, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    if chosen is None:
        raise CannotUse("name a regime with --regime, or a policy in institution.toml")
    table = chosen_provisions(provisions, portfolio, when)
    with progress("classifying"):
        result = classify(loan_view(portfolio, work_out(portfolio, when, known), known), chosen, portfolio, table)
    frame = result.loans.with_columns(regime=pl.lit(chosen.id))
    write_table(shown(frame, ["provision", "provision_base"], ["provision_pct", "provision_own_pct"]), out)
    counts = ", ".join(f"{code} {count}" for code, count in result.counts().items())
    print(f"{chosen.id}: {counts}", file=sys.stderr)
    return 0
