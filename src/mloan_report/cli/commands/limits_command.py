"""Limits against a book: figure, limit, headroom, who breaches, article. Exit status 1 where a limit is breached or not computed.

Example: mloan-report limits book --as-of 2026-10-31 --rules cn_microlender --json
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated

import typer

from mloan_report.cli.shared import (
    AllowExpired,
    AllowUncertain,
    AsOf,
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
    rules: Annotated[str, typer.Option("--rules", help="The set's id (cn_microlender, a province's, generic ...) or a file of your own.")],
    regime: RegimeName = None,
    provisions: ProvisionsName = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a limit; figures are strings.")] = False,
    allow_expired: AllowExpired = False,
    allow_uncertain: AllowUncertain = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime, chosen_set
    from mloan_report.measures.limit import limit_sets, load_limits
    from mloan_report.measures.limit_check import check_limits

    when, known = day(as_of), optional_day(known_at)
    chosen = chosen_set(rules, "limits", limit_sets(), load_limits)
    portfolio = open_portfolio(folder)
    needs_regime = regime is not None or any(limit.measure == "ratio" for limit in chosen.limits)
    judged = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain) if needs_regime else None
    table = chosen_provisions(provisions, portfolio.institution, when) if needs_regime else None
    with progress("comparing with limits"):
        found = check_limits(portfolio, when, chosen, known, regime=judged, provisions=table, jobs=jobs)
    if as_json:
        print(json.dumps([f.as_dict() for f in found], ensure_ascii=False, indent=2))
        return 1 if any(f.failed for f in found) else 0
    for f in found:
        shown = f.as_dict()
        word = f.status.replace("_", " ") + (" (warning)" if f.status == "breach" and f.severity == "warning" else "")
        print(
            f"{f.limit.id}: {word}: {shown['figure'] or 'undefined'} {f.limit.operator} {shown['limit']} {f.limit.unit}, headroom {shown['headroom'] or 'none'}"
        )
        print(f"  {f.limit.en} / {f.limit.zh}; {f.limit.source}, {f.limit.article} (certainty {f.limit.certainty})")
        for line in [f.reason, *f.warnings]:
            if line:
                print(f"  {line}")
        for holder in shown["holders"][:20]:
            amount = f" {Decimal(holder['amount']):f}" if holder["amount"] else ""
            who = "" if holder["members"] in ([], [holder["key"]]) else f" [{', '.join(holder['members'])}]"
            why = f" {holder['reason']}" if holder["reason"] else ""
            print(f"  {holder['status'].replace('_', ' ')}: {holder['key']}{who} {holder['figure'] or ''}{amount}{why}")
        if len(shown["holders"]) > 20:
            print(f"  ... and {len(shown['holders']) - 20} more: --json has them all")
    return 1 if any(f.failed for f in found) else 0
