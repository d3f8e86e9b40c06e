"""Debt service and debt to income of each household, here and at other lenders; undefined without an income, with the reason.

Example: mloan-report repayment-ability book --as-of 2026-10-31 --json
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, progress


def command(
    folder: Folder,
    as_of: AsOf,
    known_at: KnownAt = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a household; figures are strings.")] = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.measures.repayment_ability import repayment_ability

    portfolio = open_portfolio(folder)
    try:
        with progress("adding up households"):
            found = repayment_ability(portfolio, day(as_of), optional_day(known_at), jobs=jobs)
    except ValueError as e:
        raise CannotUse(str(e)) from None
    rows: list[dict[str, Any]] = [
        {
            "household": h.household,
            "members": list(h.members),
            "currency": portfolio.institution.currency_code,
            "monthly_debt_service": _text(h.monthly_debt_service),
            "debt": _text(h.debt),
            "annual_income": _text(h.annual_income),
            "debt_service_ratio": _ratio(h.debt_service_ratio),
            "loan_to_income": _ratio(h.loan_to_income),
            "reason": None if h.annual_income else "no income is on record",
        }
        for h in found
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for r in rows:
        said = r["reason"] or f"debt service {r['debt_service_ratio']} of income, debt {r['loan_to_income']} of a year's income"
        print(f"{r['household']} ({len(r['members'])}): {said}")
    return 0


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _ratio(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.quantize(Decimal('1e-12')):f}"
