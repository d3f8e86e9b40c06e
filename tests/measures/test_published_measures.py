"""Every published example of classification, collection, efficiency, sustainability, concentration and identities; and that no area is left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import shared_folder
from measures.test_regime_edges import DAY, classified, due_dates_for
from properties.books import book
from schedule.published import AREAS as PLANS
from schedule.published import Row, near, rows

from mloan_report.measures import classify, ratios, regime_with, regimes
from mloan_report.measures.period import period_ratios
from mloan_report.measures.regime import Regime, last_day
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view

FOLDER = shared_folder()
OPEN, CLOSE = date(2024, 12, 31), date(2025, 12, 31)


def classification_dates_in(row: Row) -> None:
    due = date.fromisoformat(row["inputs"]["due_date"])
    regime = regimes()["IN-RBI-IRACP"]
    for code, text in row["expected"].items():
        for day, expected in ((date.fromisoformat(text), True), (date.fromisoformat(text) - timedelta(days=1), False)):
            portfolio = book(
                {
                    "loans": [{"principal": "1000", "disbursed_on": due - timedelta(days=300), "matures_on": due, "finance_kind": "flat_fee"}],
                    "instalments": [{"number": 1, "due_on": due, "principal_due": "1000", "interest_due": "0"}],
                    "repayments": [],
                }
            )
            found = classify(loan_view(portfolio, work_out(portfolio, day, history_months=0)), regime, portfolio).loans["category"][0]
            assert (found == {"sma0": "SMA-0", "sma1": "SMA-1", "sma2": "SMA-2", "npa": "NPA"}[code]) is expected, (code, day)


FACTS = {
    "hipotecario": {"product": "housing"},
    "credit card": {"facility_id": "F1", "currency_code": "CNY"},
    "all non-card financial assets (floors)": {"currency_code": "CNY"},
}


def classification_boundaries(row: Row) -> None:
    given = row["inputs"]
    regime = regimes()[given["regime"]]
    points = row["expected"]["points"]
    if regime.id == "ID-OJK-LKM":
        return _missed_instalments(regime, points)
    if regime.id == "US-FFIEC-URCC":
        for side, facts in (("closed", {}), ("open", {"facility_id": "F1"})):
            found = _categories(regime, [p["dpd"] for p in points], facts)
            for p, name in zip(points, found, strict=True):
                assert name[1].lower().startswith(p[side].lower().split(" (")[0])
        return None
    if given["segment"] == "consumo (zona marginada)":
        regime = regime_with(regime.id, {"zona_marginada": 1})
    found = _categories(regime, [p["dpd"] for p in points], FACTS.get(given["segment"], {}))
    for p, (code, en, local, provision) in zip(points, found, strict=True):
        said = p.get("stage", p.get("group", p.get("cat", p.get("worst_better_cat"))))
        if said == "Regular":
            assert code == "performing"  # below the first band: performing, class not stated
        elif said is not None:
            assert str(said) in (code, en, local, f"{code} {local}", "Pass and Watch" if en == "Watch" else "", "Lost" if en == "Lost" else ""), (
                said,
                code,
                en,
                local,
            )
        if "rate_percent" in p:
            assert provision == Decimal(p["rate_percent"]) * 10
    return None


def _categories(regime: Regime, days: list[int], facts: dict[str, Any]) -> list[tuple[str, str, str, Decimal | None]]:
    as_of = last_day(regime.effective_to) if regime.effective_to else DAY
    found = classified(regime, days, facts, "unsecured", as_of).loans
    out = []
    for code, provision in found.select("category", "provision").rows():
        c = regime.category(code)
        out.append((code, c.en, c.local, None if provision is None else Decimal(provision) / 100))
    return out


def _missed_instalments(regime: Regime, points: list[dict[str, str]]) -> None:
    frequency = {"daily": "daily", "weekly": "weekly", "monthly/selapanan": "monthly", "seasonal": "quarterly"}
    edges = {"daily": (4, 8), "weekly": (4, 8), "monthly/selapanan": (3, 9), "seasonal": (1, 2)}
    for p in points:
        low, high = edges[p["freq"]]
        assert str(low) in p["lancar"]
        assert str(high) in p["macet"]
        found = classified(regime, [low, low + 1, high, high + 1], {"repayment_frequency": frequency[p["freq"]]}, "unsecured", DAY).loans
        assert found["category"].to_list() == ["L", "D", "D", "M"]


def _year(financials: dict[str, Any], average: int) -> dict[str, Decimal | None]:
    """Period ratios of a year with a portfolio of *average* at both ends."""
    portfolio = book(
        {
            "loans": [{"principal": f"{average}.00", "disbursed_on": date(2024, 1, 1), "matures_on": date(2027, 1, 1), "finance_kind": "flat_fee"}],
            "instalments": [{"number": 1, "due_on": date(2027, 1, 1), "principal_due": f"{average}.00", "interest_due": "0"}],
            "repayments": [],
            "financials": [{"as_of": CLOSE, "scope": "solo", "currency_code": "USD"} | financials],
        }
    )
    return {v.ratio.id: v.value for v in period_ratios(portfolio, OPEN, CLOSE)}


def efficiency(row: Row) -> None:
    given = row["inputs"]
    costs = {"operating_expense": given["operating_cost"], "funding_expense": given.get("financial_cost", 0), "impairment_expense": given.get("provision", 0)}
    found = _year({k: str(v) for k, v in costs.items()}, given["average_portfolio"])
    for name, value in row["expected"].items():
        figure = found[name.removesuffix("_percent")]
        near(figure and figure * 100, value, row["tolerance"])


def sustainability(row: Row) -> None:
    given = row["inputs"]
    figures = {
        "interest_income": given["operating_income"], "fee_income": 0, "operating_expense": given["operating_cost"],
        "funding_expense": given["financial_cost"], "impairment_expense": given["provision"],
    }  # fmt: skip
    found = _year({k: str(v) for k, v in figures.items()}, 1000)["oss"]
    near(found and found * 100, row["expected"]["oss_percent"], row["tolerance"])


def collection(row: Row) -> None:
    given = row["inputs"]
    due, ahead = given["due"], given["prepayments"]
    portfolio = book(
        {
            "loans": [{"principal": f"{due + ahead}", "disbursed_on": date(2024, 12, 1), "matures_on": date(2026, 6, 30), "finance_kind": "flat_fee"}],
            "instalments": [
                {"number": 1, "due_on": date(2025, 6, 30), "principal_due": f"{given['paid'] - ahead}", "interest_due": "0"},
                {"number": 2, "due_on": date(2025, 12, 31), "principal_due": f"{due - (given['paid'] - ahead)}", "interest_due": "0"},
                {"number": 3, "due_on": date(2026, 6, 30), "principal_due": f"{ahead}", "interest_due": "0"},
            ],
            "repayments": [
                {"repayment_id": "R1", "paid_on": date(2025, 6, 30), "amount": f"{given['paid'] - ahead}", "kind": "scheduled"},
                {"repayment_id": "R2", "paid_on": date(2025, 7, 1), "amount": f"{ahead}", "kind": "prepayment"},
            ],
        }
    )
    found = {v.ratio.id: v for v in period_ratios(portfolio, OPEN, CLOSE)}["current_repayment_rate"]
    near(found.value and found.value * 100, row["expected"]["current_repayment_rate_percent"], row["tolerance"])


def _of_date(amounts: list[tuple[int, int]], financials: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of loans of (principal, days past due) under China's five categories."""
    loans, instalments, borrowers = [], [], []
    for n, (principal, days) in enumerate(amounts):
        due = DAY - timedelta(days=days) if days else DAY + timedelta(days=300)
        loan = {"loan_id": f"L{n}", "borrower_id": f"B{n}", "principal": str(principal), "disbursed_on": date(2022, 1, 1), "matures_on": due}
        loans.append(loan | {"finance_kind": "flat_fee", "currency_code": "USD"})
        instalments.append({"loan_id": f"L{n}", "number": 1, "due_on": due, "principal_due": str(principal), "interest_due": "0"})
        borrowers.append({"borrower_id": f"B{n}", "kind": "natural_person"})
    portfolio = book({"borrowers": borrowers, "loans": loans, "instalments": instalments, "repayments": [], "financials": financials})
    view = loan_view(portfolio, work_out(portfolio, DAY, history_months=0))
    found = classify(view, regimes()["CN-NFRA-2023-1"], portfolio)
    return {v.ratio.id: v.value for v in ratios(view, portfolio, DAY, found)}


def ratio_identity(row: Row) -> None:
    given = row["inputs"]
    held = [{"as_of": DAY, "scope": "solo", "currency_code": "USD", "provision_balance": str(given["allowance"])}]
    found = _of_date([(given["npl"], 120), (given["total"] - given["npl"], 0)], held)
    for ours, theirs in (("npl_ratio", "npl_ratio"), ("provision_coverage", "coverage"), ("loan_provision_ratio", "loan_provision_ratio")):
        assert found[ours] == Decimal(row["expected"][theirs])
    assert found["loan_provision_ratio"] == found["provision_coverage"] * found["npl_ratio"]


def concentration(row: Row) -> None:
    found = _of_date([(e, 0) for e in row["inputs"]["exposures"]], [])
    assert found["hhi_borrower"] == Decimal(row["expected"]["hhi"])
    assert found["hhi_borrower_10000"] == row["expected"]["hhi_10000"]
    assert found["effective_borrowers"] == Decimal(row["expected"]["effective_n"])


def edge(row: Row) -> None:
    assert row["expected"] == {"par30": None, "npl_ratio": None}
    found = _of_date([], [])
    assert found["par_30"] is None
    assert found["npl_ratio"] is None


AREAS: dict[str, Callable[[Row], None]] = {
    "classification_dates_in": classification_dates_in,
    "classification_boundaries": classification_boundaries,
    "collection": collection,
    "efficiency": efficiency,
    "sustainability": sustainability,
    "ratio_identity": ratio_identity,
    "concentration": concentration,
    "edge": edge,
}
ROWS = [r for r in rows(FOLDER) if r["area"] in AREAS] if FOLDER else []


@pytest.mark.parametrize("row", ROWS, ids=[r["id"] for r in ROWS])
def test_published_example(row: Row, shared: Path) -> None:
    AREAS[row["area"]](row)


def test_every_area_is_tested(shared: Path) -> None:
    assert {r["area"] for r in rows(shared)} == set(AREAS) | set(PLANS)
    assert due_dates_for(regimes()["IN-RBI-IRACP"], 1, DAY) == [DAY]
