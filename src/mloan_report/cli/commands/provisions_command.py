"""Provisions required by category, general and specific, against what is held; tax tables under their own heading, never mixed.

Example: mloan-report provisions book --as-of 2026-10-31 --regime CN-NFRA-2023-1 --table CN-2002-98 --table CN-TAX-2017-48 --json
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
    regime: RegimeName = None,
    table: Annotated[list[str] | None, typer.Option("--table", help="A provision table's id; may be repeated; default: the policy's, or the regime's.")] = None,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a table; figures are strings.")] = False,
    allow_expired: AllowExpired = False,
    allow_uncertain: AllowUncertain = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.cli.regimes import chosen_provisions, chosen_regime
    from mloan_report.measures.required import required_provisions

    when, known = day(as_of), optional_day(known_at)
    portfolio = open_portfolio(folder)
    chosen = chosen_regime(regime, portfolio.institution, when, allow_expired=allow_expired, allow_uncertain=allow_uncertain)
    if chosen is None:
        raise CannotUse("name a regime with --regime, or a policy in institution.toml")
    tables = [chosen_provisions(t, portfolio.institution, when) for t in table or [None]]  # type: ignore[list-item]
    for t in tables:
        if t is not None and t.level == "loan" and chosen.id not in t.regimes:
            raise CannotUse(f"{t.id} is made for {', '.join(t.regimes)}, not for {chosen.id}")
        if t is not None and not t.in_force(when) and not allow_expired:
            raise CannotUse(f"{t.id} is in force from {t.effective_from} to {t.effective_to or 'now'}, not on {when}: give --allow-expired")
    with progress("working out provisions"):
        found = required_provisions(portfolio, when, chosen, tables, known, jobs=jobs)
    if as_json:
        print(json.dumps([f.as_dict() for f in found], ensure_ascii=False, indent=2))
        return 0
    for f in found:
        print(f"{f.table} ({f.purpose}; certainty {f.certainty}): {f.title}")
        for code, (balance, specific, general) in f.by_category.items():
            print(f"  {code}: base {balance:f}, specific {specific:f}, general {general:f}")
        for name, amount in f.alternatives.items():
            print(f"  {name}: {amount:f}")
        print(f"  required {_text(f.required)} {f.currency}" + (f": {f.reason}" if f.reason else ""))
        if f.purpose == "regulatory":
            print(f"  held {_text(f.held)}, shortfall {_text(f.shortfall)}, adequacy {_text(f.adequacy)}")
    return 0


def _text(value: object) -> str:
    return "undefined" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
