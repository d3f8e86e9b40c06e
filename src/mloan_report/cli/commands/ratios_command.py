"""Every ratio of one date, and with --from of a period: value, numerator, denominator, currency, definition; undefined is null with the reason.

Example: mloan-report ratios book --as-of 2026-10-31 --by region_code --by use_industry_code --json
A period: mloan-report ratios book --as-of 2026-10-31 --from 2025-12-31 --average months --input inflation=0.02 --json
"""

from __future__ import annotations

import json
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
    RegimeName,
    day,
    number,
    open_portfolio,
    optional_day,
    progress,
    settings_of,
)


def command(
    folder: Folder,
    as_of: AsOf,
    regime: RegimeName = None,
    provisions: ProvisionsName = None,
    by: Annotated[list[str] | None, typer.Option("--by", help="Group by this column; may be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option("--ratio", help="Only this ratio; may be repeated.")] = None,
    opening: Annotated[str | None, typer.Option("--from", help="Also the ratios of the period from the end of this day to --as-of.")] = None,
    average: Annotated[str, typer.Option("--average", help="Averages over the ends of the period, or over its months.")] = "ends",
    annualise: Annotated[bool, typer.Option("--annualise", help="Multiply flow ratios over an average stock by 365 / days.")] = False,
    inputs: Annotated[list[str] | None, typer.Option("--input", help="name=value of a figure that is not in the book (docs/ratios.md).")] = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a ratio and group.")] = False,
    allow_expired: AllowExpired = False,
    allow_uncertain: AllowUncertain = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.measures import ratio_definitions
    from mloan_report.measures.book import ratios_of_book
    from mloan_report.measures.period import period_ratio_definitions, period_ratios
    from mloan_report.position.loan_view import view_columns

    when, known = day(as_of), optional_day(known_at)
    unknown = [r for r in only or [] if r not in ratio_definitions() and r not in period_ratio_definitions()]
    if unknown:
        raise CannotUse(f"there is no ratio {unknown[0]}; see explain")
    periodic = [r for r in only or [] if r in period_ratio_definitions()]
    if periodic and opening is None:
        raise CannotUse(f"{periodic[0]} is a ratio of a period: give its opening date with --from")
    missing = [c for c in by or [] if c not in view_columns()]
    if missing:
        raise CannotUse(f"there is no column {missing[0]} to group by; there are {', '.join(sorted(view_columns()))}")
    portfolio = open_portfolio(folder)
    chosen = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    table = chosen_provisions(provisions, portfolio.institution, when)
    with progress("working out ratios"):
        values = ratios_of_book(portfolio, when, chosen, table, known, by or [], only, jobs=jobs)
        if opening is not None:
            given = {name: number(f"--input {name}", value) for name, value in settings_of(inputs or []).items()}
            try:
                values += period_ratios(
                    portfolio, day(opening, "--from"), when, known, by=by or [], only=only, average=average, inputs=given, annualise=annualise, jobs=jobs
                )
            except ValueError as e:
                raise CannotUse(str(e)) from None
    if as_json:
        print(json.dumps([v.as_dict() for v in values], ensure_ascii=False, indent=2))
        return 0
    for v in values:
        group = " ".join(f"{k}={g or '(none)'}" for k, g in v.group.items())
        figure = (
            "undefined: " + (v.reason or "")
            if v.value is None
            else f"{v.value.normalize():f}  ({v.numerator} / {v.denominator}{' ' + v.currency if v.currency else ''})"
        )
        print(f"{v.ratio.id}{' [' + group + ']' if group else ''}: {figure}")
    return 0
