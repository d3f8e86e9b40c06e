"""Both sides of every edge of every regime, generated from the data: real loans with a due date so long ago, not numbers put into a column."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.books import book

from mloan_report.measures import Classified, classify, regimes
from mloan_report.measures.regime import Band, Regime, Security, Segment, first_day, last_day
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.schedule import add_months

DAY = date(2026, 10, 28)
FACTS: dict[str, dict[str, Any]] = {
    "vivienda": {"product": "housing"},
    "hipotecario": {"product": "housing"},
    "empresas incl. micro": {"product": "personal_business"},
    "small enterprise <=CNY 5m": {"product": "working_capital"},
    "credit card": {"facility_id": "F1"},
    "open-end retail": {"facility_id": "F1"},
    "corporativo, grande, mediana": {"product": "enterprise", "borrower": {"kind": "legal_entity", "enterprise_size": "large"}},
    "banks, CMSME": {"product": "enterprise", "borrower": {"kind": "legal_entity", "enterprise_size": "small"}},
    "microcrédito agropecuario": {"product": "farmer_production"},
    "microcrédito": {"product": "personal_business"},
    "LKM harian daily": {"repayment_frequency": "daily"},
    "LKM mingguan weekly": {"repayment_frequency": "weekly"},
    "LKM musiman seasonal": {"repayment_frequency": "quarterly"},
    "remaining term above 36 months": {"last_due": add_months(DAY, 40)},
    "short-term (<=1 year)": {"disbursed_on": DAY - timedelta(days=330), "matures_on": DAY - timedelta(days=1)},
    "MFI, <=1 year": {"disbursed_on": DAY - timedelta(days=330), "matures_on": DAY - timedelta(days=1)},
}
SET = {"consumo (zona marginada)": {"zona_marginada": 1}}
PLACES = [(r, s, x) for r in regimes().values() for s in r.segments for x in s.securities]


def as_of_of(segment: Segment) -> date:
    """DAY, or a day within the segment's own dates."""
    if segment.effective_to is not None:
        return last_day(segment.effective_to)
    return max(DAY, first_day(segment.effective_from)) if segment.effective_from else DAY


def due_dates_for(regime: Regime, count: int, as_of: date) -> list[date]:
    """Due dates of unpaid instalments that make the regime count *count* on as_of."""
    ahead = as_of + timedelta(days=10)
    if regime.counts_in == "completed_month":
        return [add_months(as_of, -count) if count else ahead]
    if regime.counts_in == "missed_payment":
        return [as_of - timedelta(days=7 * k + 1) for k in range(count)][::-1] or [ahead]
    if regime.counts_in == "month_as_npa":
        return [as_of - timedelta(days=1)]
    if regime.dpd_method == "inclusive":
        return [as_of - timedelta(days=count - 1)]
    return [as_of - timedelta(days=count)]


def classified(regime: Regime, counts: list[int], facts: dict[str, Any], mode: str, as_of: date) -> Classified:
    """One loan of 1,000.00 a count, each of a borrower of its own, classified on as_of."""
    loans, instalments, borrowers, stored = [], [], [], []
    for n, count in enumerate(counts):
        dues = due_dates_for(regime, count, as_of) + [facts[x] for x in ("last_due",) if x in facts]
        start = facts.get("disbursed_on", min(dues) - timedelta(days=900))
        loan = {k: v for k, v in facts.items() if k not in ("borrower", "last_due")}
        plain = {"loan_id": f"L{n:03d}", "borrower_id": f"B{n:03d}", "principal": "1000.00", "finance_kind": "flat_fee", "currency_code": "USD"}
        loans.append(plain | {"guarantee_mode": mode, "disbursed_on": start, "matures_on": dues[-1]} | loan)
        borrowers.append({"borrower_id": f"B{n:03d}", "kind": "natural_person"} | facts.get("borrower", {}))
        share = Decimal(1000) / len(dues)
        parts = [share.quantize(Decimal("0.01"))] * (len(dues) - 1)
        parts.append(1000 - sum(parts))
        instalments += [
            {"loan_id": f"L{n:03d}", "number": i, "due_on": d, "principal_due": str(p), "interest_due": "0"}
            for i, (d, p) in enumerate(zip(dues, parts, strict=True), 1)
        ]
        if regime.counts_in == "month_as_npa":
            npa = add_months(as_of, -count)
            day = min(npa, as_of - timedelta(days=1))
            row = {"loan_id": f"L{n:03d}", "regime": regime.npa_by[-1], "as_of": day, "category": "NPA", "npa_since_on": npa, "source": "computed"}
            stored.append(row)
    tables: dict[str, list[dict[str, Any]]] = {"borrowers": borrowers, "loans": loans, "instalments": instalments, "repayments": [], "classifications": stored}
    if "facility_id" in facts:
        tables["facilities"] = [
            {"facility_id": "F1", "borrower_id": "B000", "kind": "revolving", "limit_amount": "9000", "currency_code": "USD", "from_on": date(2020, 1, 1)}
        ]
    portfolio = book(tables)
    positions = work_out(portfolio, as_of, history_months=0)
    return classify(loan_view(portfolio, positions), regime, portfolio, positions=positions)


def facts_of(regime: Regime, segment: Segment) -> dict[str, Any]:
    facts = dict(FACTS.get(segment.name, {}))
    if segment.name == "vivienda" and regime.id == "AR-BCRA":
        facts = {}
    return facts | ({"currency_code": "CNY"} if regime.country == "CN" else {})


def usable(regime: Regime, band: Band, count: int) -> bool:
    """A due date from which a count is inclusive cannot make 0 and be due: 0 is a loan whose next due date is to come."""
    return not (regime.dpd_method == "inclusive" and count == 0)


@pytest.mark.parametrize(("regime", "segment", "security"), PLACES, ids=lambda v: getattr(v, "id", getattr(v, "name", "")))
def test_both_sides_of_every_edge(regime: Regime, segment: Segment, security: Security) -> None:
    from mloan_report.measures import regime_with

    regime = regime_with(regime.id, SET[segment.name]) if segment.name in SET else regime
    wanted = [(c, b) for b in security.bands for c in {b.start, b.start + 900 if b.end is None else b.end} if usable(regime, b, c)]
    if regime.counts_in != "calendar_day":
        wanted = [(min(c, b.start + 24), b) for c, b in wanted]
    wanted = [(c, b) for c, b in wanted if not (regime.id in SHORT_TERMS and segment.name in FACTS and c > 320)]
    below = security.bands[0].start - 1
    counts = [c for c, _ in wanted] + ([below] if below >= 0 else [])
    found = classified(regime, counts, facts_of(regime, segment), security.guarantee_modes[0], as_of_of(segment)).loans
    for row, (count, band) in zip(found.iter_rows(named=True), wanted, strict=False):
        expected = EVENTS.get((regime.id, count > 90), band.code)
        assert (row["segment"], row["days"], row["category"]) == (segment.name, count, expected)
        assert f"band {band.text}:" in row["reasons"][0]
        assert (band.certainty or segment.certainty) in row["reasons"][0]
        if band.rate is not None and regime.provision_base is None and regime.general is None and expected == band.code:
            assert row["provision"] == int((Decimal(100_000) * band.rate / 100).quantize(Decimal(1)))
    if below >= 0:
        last = found.row(-1, named=True)
        assert (last["category"], last["npl"], last["days"]) == ("performing", False, below)


SHORT_TERMS = {"KH-NBC-2017", "KH-NBC-2002-MFI"}
EVENTS = {("CN-CBRC-2007", True): "3"}
"""Where an event of the same days makes a worse class than the band: overdue past the non-accrual limit."""


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 500), st.integers(0, 200), st.sampled_from(sorted(regimes())), st.sampled_from(("housing", "working_capital", "personal_consumption")))
def test_a_category_never_improves_as_days_grow(days: int, more: int, regime_id: str, product: str) -> None:
    regime = regimes()[regime_id]
    if regime.counts_in in ("missed_payment", "month_as_npa"):
        days, more = days % 12, more % 12
    if regime.counts_in == "completed_month":
        days, more = days % 40, more % 20
    found = classified(regime, [days, days + more], {"product": product}, "unsecured", as_of_of(regime.segments[-1])).loans
    ranks = [None if c is None else regime.category(c).rank for c in found["category"]]
    assert ranks[0] is None or ranks[1] is None or ranks[0] <= ranks[1]
