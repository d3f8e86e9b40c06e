"""Real books against figures worked out elsewhere."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from mloan_report.filing import validate
from mloan_report.measures import ratios
from mloan_report.portfolio import portfolio_from_frames, read_portfolio
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view

BANDS = {"0": (0, 0), "001-030": (1, 30), "031-060": (31, 60), "061-090": (61, 90), "091-180": (91, 180)}


@pytest.fixture(scope="module")
def truth(shared: Path) -> dict[str, dict[str, object]]:
    data: dict[str, dict[str, object]] = json.loads((shared / "data" / "truth.json").read_text(encoding="utf-8"))
    return data


@pytest.mark.parametrize("day", ["2019-01-31", "2019-03-31"])
def test_the_ugandan_book_gives_the_figures_worked_out_in_sql(shared: Path, truth: dict[str, dict[str, object]], day: str) -> None:
    expected = truth["portfolios/xente_ug"][day]
    assert isinstance(expected, dict)
    portfolio = read_portfolio(shared / "data" / "portfolios" / "xente_ug")
    as_of = date.fromisoformat(day)
    positions = work_out(portfolio, as_of)
    book = positions.loans.filter(pl.col("on_book_principal") > 0)
    assert book.height == expected["open_loans"]
    assert book["on_book_principal"].sum() == expected["outstanding"]
    values = {r.ratio.id: r.value for r in ratios(loan_view(portfolio, positions), portfolio, as_of)}
    for n in (30, 60, 90):
        assert abs((values[f"par_{n}_at_least"] or 0) - Decimal(str(expected[f"par{n}_ge"]))) < Decimal("1e-9")
    assert abs((values["par_1"] or 0) - Decimal(str(expected["par1_ge"]))) < Decimal("1e-9")
    for n in (30, 90):
        assert abs((values[f"par_{n}"] or 0) - Decimal(str(expected[f"par{n}_gt"]))) < Decimal("1e-9")
    for bucket in expected["buckets"]:
        low, high = BANDS[bucket["dpd_bucket"]]
        rows = book.filter(pl.col("days_past_due").is_between(low, high))
        assert (rows.height, rows["on_book_principal"].sum()) == (bucket["n"], bucket["outstanding"])


def test_the_ugandan_borrowers_lack_names_and_numbers_and_it_is_said(shared: Path) -> None:
    findings = validate(read_portfolio(shared / "data" / "portfolios" / "xente_ug"), date(2019, 3, 31)).findings
    assert {"REQ-007", "REQ-009"} <= {f.code for f in findings}
    assert not [f for f in findings if f.severity == "error"]


def us_rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "data" / "loan_payments_us" / "Loan payments data.csv").open(encoding="utf-8", newline="") as stream:
        return [r for r in csv.DictReader(stream) if r["Loan_ID"]]


def us_day(text: str) -> date:
    return datetime.strptime(text.split(" ")[0], "%m/%d/%Y").date()


def us_frames(rows: list[dict[str, str]]) -> dict[str, pl.DataFrame]:
    loans = [
        {
            "loan_id": r["Loan_ID"],
            "borrower_id": r["Loan_ID"],
            "product": "personal_consumption",
            "currency_code": "USD",
            "principal": r["Principal"],
            "disbursed_on": us_day(r["effective_date"]),
            "matures_on": us_day(r["due_date"]),
            "finance_kind": "flat_fee",
            "repayment_method": "bullet",
            "repayment_frequency": "at_maturity",
            "guarantee_mode": "unsecured",
            "status": "active",
        }
        for r in rows
    ]
    due = [{"loan_id": r["Loan_ID"], "number": 1, "due_on": us_day(r["due_date"]), "principal_due": r["Principal"], "interest_due": "0"} for r in rows]
    paid = [
        {"repayment_id": r["Loan_ID"], "loan_id": r["Loan_ID"], "paid_on": us_day(r["paid_off_time"]), "amount": r["Principal"], "kind": "scheduled"}
        for r in rows
        if r["paid_off_time"]
    ]
    people = [{"borrower_id": r["Loan_ID"], "kind": "natural_person", "name": r["Loan_ID"]} for r in rows]
    return {"loans": pl.DataFrame(loans), "instalments": pl.DataFrame(due), "repayments": pl.DataFrame(paid), "borrowers": pl.DataFrame(people)}


def test_days_past_due_equal_the_publishers_own_count(shared: Path, truth: dict[str, dict[str, object]]) -> None:
    rows = us_rows(shared)
    portfolio = portfolio_from_frames({"name": "US", "country": "US", "currency_code": "USD"}, us_frames(rows))
    assert not portfolio.findings
    given = {r["Loan_ID"]: int(Decimal(r["past_due_days"])) for r in rows if r["past_due_days"] not in ("", "NaN", "nan")}
    paid = [r for r in rows if r["paid_off_time"] and r["Loan_ID"] in given]
    differ = [r["Loan_ID"] for r in paid if (us_day(r["paid_off_time"]) - us_day(r["due_date"])).days != given[r["Loan_ID"]]]
    assert (len(paid), differ) == (400, ["xqd20160428"])
    as_of = date(2016, 12, 8)
    days = dict(work_out(portfolio, as_of).loans.select("loan_id", "days_past_due").rows())
    unpaid = [r["Loan_ID"] for r in rows if not r["paid_off_time"] and r["Loan_ID"] in given]
    assert len(unpaid) == 99
    assert all(days[loan] == given[loan] for loan in unpaid)
    snapshots = truth["loan_payments_us"]["snapshots"]
    assert isinstance(snapshots, dict)
    for day, expected in snapshots.items():
        book = work_out(portfolio, date.fromisoformat(day)).loans.filter(pl.col("on_book_principal") > 0)
        assert (book.height, book["on_book_principal"].sum()) == (expected["open_loans"], expected["outstanding"] * 100)
        for bucket in expected["buckets"]:
            low, high = BANDS[bucket["dpd_bucket"]]
            late = book.filter(pl.col("days_past_due").is_between(low, high))
            assert (late.height, late["on_book_principal"].sum()) == (bucket["n"], bucket["outstanding"] * 100)
