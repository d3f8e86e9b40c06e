"""Early warnings: which ratio moved, from what to what, which loans moved it, and what that advises for reporting.

Example: mloan-report warnings book --as-of 2026-10-31 --json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    rules: Annotated[str, typer.Option("--rules", help="The set's id, or a file of your own.")] = "default",
    period: Annotated[str, typer.Option("--period", help="week, month or quarter: what is compared with what.")] = "month",
    regime: Annotated[str | None, typer.Option("--regime", help="The regime's id, or a file; default: the policy's.")] = None,
    provisions: Annotated[str | None, typer.Option("--provisions", help="The provision table's id; default: the policy's.")] = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object: warnings, advice, passed_over; figures are strings.")] = False,
    allow_expired: Annotated[bool, typer.Option("--allow-expired", help="Use a regime that is not in force on the date.")] = False,
    allow_uncertain: Annotated[bool, typer.Option("--allow-uncertain", help="Use a regime of certainty knowledge_low.")] = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.measures.warning import load_warnings, warning_sets
    from mloan_report.measures.warning_check import check_warnings
    from mloan_report.position.loan_view import view_columns

    when, known = day(as_of), optional_day(known_at)
    if rules.endswith(".toml"):
        if not Path(rules).is_file():
            raise CannotUse(f"{rules} is not there")
        chosen = load_warnings(rules)
    elif rules in warning_sets():
        chosen = warning_sets()[rules]
    else:
        raise CannotUse(f"there is no set of warnings {rules}; there are {', '.join(warning_sets())}")
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
