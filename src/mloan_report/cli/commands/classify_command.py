"""The category of every loan under one regime or several, with each reason, and the provision it asks for.

Example: mloan-report classify book --as-of 2026-10-31 --regime CN-NFRA-2023-1 --provisions CN-2002-98 --out classes.csv
Side by side: ... --regime CN-NFRA-2023-1 --regime CN-NFRA-2024-26 --out classes.csv --differences differ.csv
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mloan_report.cli.shared import (
    AllowExpired,
    AllowUncertain,
    AsOf,
    CannotUse,
    Folder,
    Jobs,
    KnownAt,
    ProvisionsName,
    day,
    open_portfolio,
    optional_day,
    progress,
    settings_of,
)

AMOUNTS = ["provision", "provision_base", "provision_specific", "provision_general"]
PERCENTS = ["provision_pct", "provision_own_pct"]


def command(
    folder: Folder,
    as_of: AsOf,
    out: Annotated[str, typer.Option("--out", help="A .csv, .parquet or .json file; - is csv on standard output.")],
    regime: Annotated[list[str] | None, typer.Option("--regime", help="A regime's id, or a file of your own; may be repeated; default: the policy's.")] = None,
    provisions: ProvisionsName = None,
    known_at: KnownAt = None,
    store: Annotated[bool, typer.Option("--store", help="Write the result into the book's table classifications, which the next run remembers.")] = False,
    differences: Annotated[str | None, typer.Option("--differences", help="With two regimes: write the loans that differ to this file.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="name=value of a regime's setting; may be repeated.")] = None,
    also_npl: Annotated[list[str] | None, typer.Option("--also-npl", help="Count a category that the regime leaves open as non-performing.")] = None,
    allow_expired: AllowExpired = False,
    allow_uncertain: AllowUncertain = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.cli.tables import TableWriter, shown
    from mloan_report.measures.book import classify_book, counts_by_category
    from mloan_report.measures.comparing import Comparison
    from mloan_report.measures.storing import store_classifications

    when, known = day(as_of), optional_day(known_at)
    if differences is not None and len(regime or []) < 2:
        raise CannotUse("--differences needs two regimes")
    if len(set(regime or [])) < len(regime or []):
        raise CannotUse("one regime is named twice")
    portfolio = open_portfolio(folder)
    given = settings_of(settings or [])
    named = [
        chosen_regime(name, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain, settings=given, also_npl=also_npl or [])
        for name in (regime or [None])  # type: ignore[list-item]
    ]
    chosen = [r for r in named if r is not None]
    if not chosen:
        raise CannotUse("name a regime with --regime, or a policy in institution.toml")
    provision_table = chosen_provisions(provisions, portfolio.institution, when)
    if provision_table is not None and provisions is not None and not any(r.id in provision_table.regimes for r in chosen):
        raise CannotUse(f"{provision_table.id} is made for {', '.join(provision_table.regimes) or 'no regime'}, not for {', '.join(r.id for r in chosen)}")
    totals: dict[str, dict[str, int]] = {r.id: {} for r in chosen}
    compared = [Comparison(chosen[0].id, r.id) for r in chosen[1:]]
    kept = []
    with TableWriter(out) as table, progress("classifying"):
        for frame in classify_book(portfolio, chosen, when, known, provision_table, jobs=jobs):
            table.take(shown(frame, AMOUNTS, PERCENTS))
            kept += [frame] if store else []
            for c in compared:
                c.take(frame)
            for r in chosen:
                for code, count in counts_by_category(r, [frame]).items():
                    totals[r.id][code] = totals[r.id].get(code, 0) + count
    for id, counts in totals.items():
        print(f"{id}: " + ", ".join(f"{code} {count}" for code, count in counts.items()), file=sys.stderr)
    for c in compared:
        print("\n".join([*c.lines(), f"{c.differences.height} loans are non-performing, or classified, under one of them only"]), file=sys.stderr)
    if differences is not None:
        with TableWriter(differences) as table:
            for c in compared:
                table.take(shown(c.differences, ["provision_1", "provision_2"], []))
    if store:
        print(f"{store_classifications(folder, kept, known)} rows stored in classifications", file=sys.stderr)
    return 0
