"""Early warnings: which ratio moved, from what to what, which loans moved it, and what that advises for reporting.

Example: mloan-report warnings book --as-of 2026-10-31 --json
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
    open_portfolio,
    optional_day,
    progress,
)


def command(
    folder: Folder,
    as_of: AsOf,
    rules: Annotated[str, typer.Option("--rules", help="The set's id, or a file of your own.")] = "default",
    period: Annotated[str, typer.Option("--period", help="week, month or quarter: what is compared with what.")] = "month",
    regime: RegimeName = None,
    provisions: ProvisionsName = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object: warnings, advice, passed_over; figures are strings.")] = False,
    allow_expired: AllowExpired = False,
    allow_uncertain: AllowUncertain = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime, chosen_set
    from mloan_report.measures.warning import load_warnings, warning_sets
    from mloan_report.measures.warning_check import check_warnings
    from mloan_report.position.loan_view import view_columns

    when, known = day(as_of), optional_day(known_at)
    chosen = chosen_set(rules, "warnings", warning_sets(), load_warnings)
    for w in chosen.warnings:
        missing = [c for c in w.by if c not in view_columns()]
        if missing:
            raise CannotUse(f"warning {w.id}: there is no column {missing[0]} to group by")
    portfolio = open_portfolio(folder)
    judged = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    table = chosen_provisions(provisions, portfolio.institution, when)
    try:
        with progress("comparing with earlier periods"):
            found = check_warnings(portfolio, when, chosen, known, regime=judged, provisions=table, period=period, jobs=jobs)
    except ValueError as e:
        raise CannotUse(str(e)) from None
    if as_json:
        shown = {"warnings": [r.as_dict() for r in found.results], "advice": [a.as_dict() for a in found.advice], "passed_over": found.passed_over}
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    for r in found.fired:
        print(f"{r.warning.severity}: {r.text}")
        for m in r.movers:
            print(f"    {m.loan_id} {m.amount:f}{' new' if m.is_new else ''}")
    for r in found.results:
        if r.status == "not_computable":
            print(r.text)
    for a in found.advice:
        print(f"advice: {a.advice.en}; by {a.due_on} (because of {', '.join(a.because)})")
    quiet = sum(r.status == "quiet" for r in found.results)
    passed = sum(found.passed_over.values())
    print(
        f"{len(found.fired)} fired, {quiet} quiet, {sum(r.status == 'not_computable' for r in found.results)} not computable, {passed} small groups passed over"
    )
    return 0
