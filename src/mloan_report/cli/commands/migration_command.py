"""Where the loans of each category at one date stand at another: the migration matrix; its rows sum to 1.

Example: mloan-report migration book --from 2026-09-30 --as-of 2026-10-31 --regime CN-NFRA-2023-1 --json
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
    RegimeName,
    day,
    open_portfolio,
    optional_day,
    progress,
)


def command(
    folder: Folder,
    as_of: AsOf,
    opening: Annotated[str, typer.Option("--from", help="The opening date, YYYY-MM-DD: the end of that day.")],
    regime: RegimeName = None,
    basis: Annotated[str, typer.Option("--basis", help="count of loans, or opening balance.")] = "count",
    recompute: Annotated[bool, typer.Option("--recompute", help="Classify anew where a category was stored for the date.")] = False,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object; figures are strings.")] = False,
    allow_expired: AllowExpired = False,
    allow_uncertain: AllowUncertain = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_regime
    from mloan_report.measures.migration import migration_matrix, share_text

    when, first, known = day(as_of), day(opening, "--from"), optional_day(known_at)
    portfolio = open_portfolio(folder)
    chosen = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    if chosen is None:
        raise CannotUse("name a regime with --regime, or a policy in institution.toml")
    try:
        with progress("classifying at both dates"):
            found = migration_matrix(portfolio, first, when, chosen, known, basis=basis, recompute=recompute, jobs=jobs)
    except ValueError as e:
        raise CannotUse(str(e)) from None
    shown = found.as_dict()
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    ranks = {c.code: c.rank for c in chosen.categories}
    for category, row in shown["rows"].items():
        moved = ", ".join(f"{state} {share} ({row['weights'][state]})" for state, share in row["shares"].items() if state in row["weights"])
        worse = share_text(found.worsened(category, ranks))
        print(f"{category}: {moved or 'undefined: no loan at the opening'}" + (f"; worsened {worse}" if worse else ""))
    print(f"new loans, outside the matrix: {found.new_loans}")
    return 0
