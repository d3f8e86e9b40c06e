"""Every ratio of one date: value, numerator, denominator, currency, definition; undefined is null with the reason.

Example: mloan-report ratios book --as-of 2026-10-31 --by region_code --by use_industry_code --json
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    regime: Annotated[str | None, typer.Option("--regime", help="The regime's id, or a file; default: the policy's.")] = None,
    provisions: Annotated[str | None, typer.Option("--provisions", help="The provision table's id; default: the policy's.")] = None,
    by: Annotated[list[str] | None, typer.Option("--by", help="Group by this column; may be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option("--ratio", help="Only this ratio; may be repeated.")] = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a ratio and group.")] = False,
    allow_expired: Annotated[bool, typer.Option("--allow-expired", help="Use a regime that is not in force on the date.")] = False,
    allow_uncertain: Annotated[bool, typer.Option("--allow-uncertain", help="Use a regime of certainty knowledge_low.")] = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.measures import ratio_definitions
    from mloan_report.measures.book import ratios_of_book
    from mloan_report.position.loan_view import view_columns

    when, known = day(as_of), optional_day(known_at)
    unknown = [r for r in only or [] if r not in ratio_definitions()]
    if unknown:
        raise CannotUse(f"there is no ratio {unknown[0]}; see explain")
    missing = [c for c in by or [] if c not in view_columns()]
    if missing:
        raise CannotUse(f"there is no column {missing[0]} to group by; there are {', '.join(sorted(view_columns()))}")
    portfolio = open_portfolio(folder)
    chosen = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    table = chosen_provisions(provisions, portfolio.institution, when)
    with progress("working out ratios"):
        values = ratios_of_book(portfolio, when, chosen, table, known, by or [], only, jobs=jobs)
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
