"""Random small books: one loan with a plan, and whatever may happen to it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from mloan_report.model import Institution, fields_of, table_models
from mloan_report.portfolio import Portfolio, build_portfolio
from mloan_report.schedule import PlanTerms, due_dates, repayment_plan

START = date(2026, 1, 15)
END = START + timedelta(days=420)
KINDS = ("scheduled", "scheduled", "scheduled", "prepayment", "guarantor", "payoff")


def day() -> st.SearchStrategy[date]:
    """A day from the disbursement to the end of the story."""
    return st.integers(0, 400).map(lambda n: START + timedelta(days=n))


@st.composite
def stories(draw: st.DrawFn, *, kinds: tuple[str, ...] = KINDS, events: bool = True, split: bool | None = None) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, as text, of one loan: instalments, repayments, and (with *events*) reversals, write-offs, sales, holidays."""
    principal = draw(st.integers(1_000, 900_000))
    count = draw(st.integers(1, 9))
    method = draw(st.sampled_from(("equal_instalment", "equal_principal", "interest_only_bullet")))
    rows = plan_rows(principal, draw(st.sampled_from([Decimal(x) for x in ("0", "12", "24.5")])), count, method)
    dues = due_dates(START.replace(month=2), count)
    tables: dict[str, list[dict[str, Any]]] = {
        "loans": [
            {
                "principal": money(principal),
                "disbursed_on": START,
                "matures_on": dues[-1],
                "finance_kind": "interest",
                "annual_rate_pct": "12",
                "day_count": "ACT/360",
            }
        ],
        "instalments": [
            {"number": i, "due_on": d, "principal_due": money(p), "interest_due": money(n)} for i, (d, (p, n)) in enumerate(zip(dues, rows, strict=True), 1)
        ],
        "repayments": [],
    }
    for i in range(draw(st.integers(0, 7))):
        on = draw(day())
        parts_given = draw(st.booleans()) if split is None else split
        amounts = [draw(st.integers(0, principal // 2)), draw(st.integers(0, principal // 20))]
        row: dict[str, Any] = {
            "repayment_id": f"R{i}",
            "paid_on": on,
            "booked_on": on + timedelta(days=draw(st.sampled_from((0, 0, 0, 3, 40)))),
            "kind": draw(st.sampled_from(kinds)),
            "amount": money(sum(amounts)),
        }
        if parts_given:
            row |= {"principal_paid": money(amounts[0]), "interest_paid": money(amounts[1])}
        tables["repayments"].append(row)
    if events:
        _add_events(draw, tables, principal)
    return tables


def plan_rows(principal: int, rate: Decimal, count: int, method: str) -> list[tuple[int, int]]:
    """Principal and interest of each row, in minor units."""
    terms = PlanTerms(principal=Decimal(principal), annual_rate_pct=rate, term=count, method=method, unit=Decimal(1))
    return [(int(r.principal), int(r.interest)) for r in repayment_plan(terms).rows]


def _add_events(draw: st.DrawFn, tables: dict[str, list[dict[str, Any]]], principal: int) -> None:
    if tables["repayments"] and draw(st.booleans()):
        undone = draw(st.sampled_from(tables["repayments"]))
        on = max(undone["paid_on"], draw(day()))
        tables["repayments"].append({**undone, "repayment_id": "RX", "paid_on": on, "booked_on": on, "kind": "reversal", "reverses_id": undone["repayment_id"]})
    if draw(st.integers(0, 3)) == 0:
        on = draw(day())
        tables["write_offs"] = [
            {"number": 1, "written_off_on": on, "principal": money(draw(st.integers(0, principal))), "claim_kept": draw(st.sampled_from(("true", "false")))}
        ]
    if draw(st.integers(0, 3)) == 0:
        on = draw(day())
        tables["transfers"] = [
            {
                "transfer_id": "T1",
                "direction": "out",
                "transferred_on": on,
                "counterparty_kind": "other",
                "share_pct": "100",
                "principal": money(draw(st.integers(0, principal))),
                "derecognised": draw(st.sampled_from(("true", "false"))),
                "servicing_kept": draw(st.sampled_from(("true", "false"))),
            }
        ]
    if draw(st.integers(0, 3)) == 0:
        on = draw(day())
        tables["restructurings"] = [
            {
                "number": 1,
                "agreed_on": on,
                "kind": "forgiveness",
                "financial_difficulty": "true",
                "principal_forgiven": money(draw(st.integers(0, principal // 3))),
            }
        ]
    if draw(st.integers(0, 3)) == 0:
        on = draw(day())
        tables["payment_holidays"] = [
            {
                "from_on": on,
                "to_on": on + timedelta(days=30),
                "defers": "both",
                "interest": "accrues",
                "days_past_due": draw(st.sampled_from(("frozen", "counted"))),
            }
        ]
    if draw(st.integers(0, 3)) == 0:
        tables["charges"] = [{"charge_id": "X1", "kind": "late_penalty", "payee": "lender", "assessed_on": draw(day()), "amount": "25.00"}]


def money(minor: int) -> str:
    """Minor units as text with two decimals."""
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def book(tables: dict[str, list[dict[str, Any]]], policy: dict[str, Any] | None = None, loan_id: str = "L1") -> Portfolio:
    """A portfolio of one loan from its story."""
    base = {
        "product": "personal_consumption",
        "repayment_method": "irregular",
        "repayment_frequency": "monthly",
        "guarantee_mode": "unsecured",
        "status": "active",
        "currency_code": "USD",
    }
    institution = {"name": "P", "country": "SV", "currency_code": "USD", "policies": [{"from_on": date(2000, 1, 1), **policy}] if policy else []}
    filled = {"borrowers": [{"borrower_id": "B1", "kind": "natural_person", "name": "X"}], **tables}
    raw = {}
    for name, rows in filled.items():
        model = table_models()[name]
        full = [{**({"loan_id": loan_id} if name != "borrowers" else {}), **({"borrower_id": "B1", **base} if name == "loans" else {}), **row} for row in rows]
        columns = list(dict.fromkeys([*(c for c in fields_of(model) if fields_of(model)[c].required), *(c for r in full for c in r)]))
        raw[name] = pl.DataFrame({c: [None if r.get(c) is None else str(r[c]) for r in full] for c in columns}, schema=dict.fromkeys(columns, pl.String))
    return build_portfolio(Institution.model_validate(institution), raw, files={})
