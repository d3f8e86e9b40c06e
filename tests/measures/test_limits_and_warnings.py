"""Limits and early warnings: what loading refuses, provinces as layers, the exact price cap, and what a warning says."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.books import book

from mloan_report.measures import RefusedRegime
from mloan_report.measures.all_in_cost import all_in_flows, all_in_rates
from mloan_report.measures.data_files import toml_files
from mloan_report.measures.limit import limit_sets, load_limits, parse_limits
from mloan_report.measures.vintage import vintage_curves
from mloan_report.measures.warning import EarlyWarning, WarningSet, parse_warnings, warning_sets
from mloan_report.measures.warning_check import check_warnings
from mloan_report.schedule import Flow, PlanTerms, annual_rate, repayment_plan

KINDS = ("service", "guarantee_fee", "insurance")
SETS = {data["id"]: data for _, data in toml_files("limits")}


def changed(**changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(SETS["cn_microlender"])
    limit = data["limit"][0]
    for name, value in changes.items():
        if value is None:
            limit.pop(name)
        else:
            limit[name] = value
    return data


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": None}, "has no source"),
        ({"article": None}, "has no article"),
        ({"certainty": "sure"}, "certainty"),
        ({"measure": "by_feeling"}, "measure"),
        ({"base": "thin air"}, "base"),
        ({"operator": "<"}, "operator"),
        ({"value": "ten"}, "not a number"),
        ({"value": "-1"}, "not a number"),
        ({"sum": None}, "needs sum"),
        ({"severity": "bad"}, "severity"),
        ({"id": "CN_RELATED_GROUP"}, "stands twice"),
    ],
)
def test_a_limit_that_cannot_be_relied_on_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedRegime, match=says):
        parse_limits(changed(**changes), "test.toml", SETS)


def test_a_province_is_a_layer(tmp_path: Path) -> None:
    file = tmp_path / "province.toml"
    text = """
id = "mine"
extends = "cn_microlender"
country = "CN"
en = "A province"
[[limit]]
id = "CN_SINGLE_BORROWER"
en = "Single borrower"
measure = "by_person"
sum = "own_on_book_principal"
base = "net_assets_previous_year_end"
operator = "<="
value = "{value}"
unit = "ratio"
source = "a provincial notice"
article = "3"
certainty = "official"
"""
    file.write_text(text.format(value="0.05"), encoding="utf-8")
    limits = {limit.id: limit for limit in load_limits(file).limits}
    assert limits["CN_SINGLE_BORROWER"].value == Decimal("0.05")
    assert limits["CN_SINGLE_BORROWER"].source == "a provincial notice"
    assert set(limits) == {limit.id for limit in limit_sets()["cn_microlender"].limits}
    file.write_text(text.format(value="0.20"), encoding="utf-8")
    with pytest.raises(RefusedRegime, match="less strict"):
        load_limits(file)
    file.write_text(text.format(value="0.05").replace("cn_microlender", "nowhere"), encoding="utf-8")
    with pytest.raises(RefusedRegime, match="not there"):
        load_limits(file)
    assert {limit.id for limit in limit_sets()["cn_microlender_sh"].limits} == {limit.id for limit in limit_sets()["cn_microlender"].limits}


def test_limits_are_those_of_the_fact_table(shared: Path) -> None:
    import csv

    with (shared / "formats" / "cn_supervision" / "limits.csv").open(encoding="utf-8", newline="") as stream:
        facts = {r["id"]: r for r in csv.DictReader(stream)}
    for limit in limit_sets()["cn_microlender"].limits:
        fact = facts[limit.id]
        assert limit.certainty == fact["certainty"]
        assert (limit.effective_from or "", limit.effective_to or "") == (fact["effective_from"], fact["effective_to"])
        assert limit.measure in ("loans",) or limit.value == Decimal(fact["value"])
        assert limit.source.startswith(fact["rule"].split("（")[0])


@settings(max_examples=10, deadline=None)
@given(
    st.integers(10_000, 5_000_000), st.integers(1, 60), st.integers(1, 24), st.sampled_from(("monthly", "weekly", "fortnightly", "quarterly")),
    st.dates(date(2024, 1, 1), date(2026, 12, 31)), st.integers(0, 500), st.sampled_from(("equal_instalment", "flat", "bullet", "interest_only_bullet")),
)  # fmt: skip
def test_costs_in_columns_are_those_of_the_exact_solver(principal: int, rate: int, term: int, frequency: str, start: date, fee: int, method: str) -> None:
    plan = repayment_plan(
        PlanTerms(principal=Decimal(principal) / 100, annual_rate_pct=Decimal(rate), term=term, frequency=frequency, method=method, start=start)
    )
    loan = {"principal": str(Decimal(principal) / 100), "disbursed_on": start, "matures_on": plan.rows[-1].due_on, "finance_kind": "flat_fee"}
    charge = {"charge_id": "X1", "kind": "insurance", "payee": "third_party", "assessed_on": start, "withheld_at_disbursement": "true"}
    rows = [{"number": r.number, "due_on": r.due_on, "principal_due": str(r.principal), "interest_due": str(r.interest)} for r in plan.rows]
    portfolio = book(
        {
            "loans": [loan | {"repayment_frequency": frequency}],
            "instalments": rows,
            "repayments": [],
            "charges": [charge | {"amount": str(Decimal(fee) / 100)}],
        }
    )
    loans = portfolio.table("loans").select("loan_id", "repayment_frequency", "currency_code")
    quick = all_in_rates(portfolio, loans, [pl.Series("cap", [99 * 10**9])], KINDS)["rate"][0]
    flows = [Flow(d, Decimal(a) / 100) for d, a in all_in_flows(portfolio, loans, KINDS).select("on", "amount").rows()]
    exact = annual_rate(flows, "cn_irr", "weekly" if frequency in ("weekly", "fortnightly") else "monthly").rate_pct
    assert exact is not None
    assert abs(Decimal(quick) - exact / 100) < Decimal("1e-8") * max(1, exact)


def test_charges_count_by_kind_and_who_is_paid_does_not_matter() -> None:
    portfolio = book(
        {
            "loans": [{"principal": "1000", "disbursed_on": date(2026, 1, 10), "matures_on": date(2027, 1, 10), "finance_kind": "flat_fee"}],
            "instalments": [{"number": 1, "due_on": date(2027, 1, 10), "principal_due": "1000", "interest_due": "0", "fees_due": "1"}],
            "repayments": [],
            "charges": [
                {"charge_id": "X1", "kind": "guarantee_fee", "payee": "third_party", "assessed_on": date(2026, 2, 1), "amount": "10"},
                {"charge_id": "X2", "kind": "late_penalty", "payee": "lender", "assessed_on": date(2026, 2, 1), "amount": "20"},
                {"charge_id": "X3", "kind": "legal_cost", "payee": "lender", "assessed_on": date(2026, 2, 1), "amount": "40", "in_annual_rate": "true"},
                {"charge_id": "X4", "kind": "service", "payee": "lender", "assessed_on": date(2026, 1, 10), "amount": "80", "withheld_at_disbursement": "true"},
            ],
        }
    )
    flows = all_in_flows(portfolio, portfolio.table("loans").select("loan_id"), KINDS)
    assert flows.select("on", "amount").rows() == [(date(2026, 1, 10), 92_000), (date(2026, 2, 1), -5_000), (date(2027, 1, 10), -100_100)]


def late_book(first_late: int) -> Any:
    """Twenty loans of 100 in two branches; those from *first_late* on stop paying in October 2025."""
    loans, instalments, borrowers, repayments = [], [], [], []
    for n in range(20):
        id = f"L{n:02d}"
        loan = {"loan_id": id, "borrower_id": f"B{n:02d}", "principal": "100", "disbursed_on": date(2024, 1, 10), "matures_on": date(2027, 1, 10)}
        loans.append(loan | {"finance_kind": "flat_fee", "branch_id": f"BR{n % 2}"})
        borrowers.append({"borrower_id": f"B{n:02d}", "kind": "natural_person"})
        instalments += [
            {"loan_id": id, "number": 1, "due_on": date(2025, 10, 10), "principal_due": "10", "interest_due": "0"},
            {"loan_id": id, "number": 2, "due_on": date(2027, 1, 10), "principal_due": "90", "interest_due": "0"},
        ]
        if n < first_late:
            repayments.append({"loan_id": id, "repayment_id": f"R{n}", "paid_on": date(2025, 10, 10), "amount": "10", "kind": "scheduled"})
    return book({"borrowers": borrowers, "loans": loans, "instalments": instalments, "repayments": repayments})


def one(test: str, level: str, **more: Any) -> WarningSet:
    w = EarlyWarning("W", "moved", "变动", more.pop("ratio", "par_30"), test, Decimal(level), "serious", "ours", "knowledge", **more)
    return WarningSet("s", "s", "s", (w,), warning_sets()["default"].advice)


def test_a_warning_says_what_moved_and_which_loans() -> None:
    found = check_warnings(late_book(17), date(2025, 11, 30), one("change_points", "0.15", by=("branch_id",)))
    told = [(r.group, r.before, r.value and r.value.quantize(Decimal("1e-6")), r.status) for r in found.results]
    assert told == [
        ({"branch_id": "BR0"}, Decimal(0), Decimal("0.109890"), "quiet"),  # 100 of 910
        ({"branch_id": "BR1"}, Decimal(0), Decimal("0.217391"), "fired"),  # 200 of 920
    ]
    fired = found.fired[0]
    assert [(m.loan_id, m.amount, m.is_new) for m in fired.movers] == [("L17", Decimal(100), True), ("L19", Decimal(100), True)]
    assert "par_30 from 0.0000 on 2025-10-31 to 0.2" in fired.text
    assert found.advice == []


def test_the_level_itself_does_not_fire() -> None:
    assert not check_warnings(late_book(20), date(2025, 11, 30), one("above", "0")).fired
    above = check_warnings(late_book(10), date(2025, 11, 30), one("above", "0.5"))
    ten_of_twenty = above.results[0].value
    assert ten_of_twenty is not None
    assert bool(above.fired) == (ten_of_twenty > Decimal("0.5"))


def test_deviations_need_a_history_that_varies() -> None:
    flat = check_warnings(late_book(10), date(2025, 11, 30), one("deviations", "2"))
    assert flat.results[0].status == "not_computable"
    assert "all alike" in (flat.results[0].reason or "")
    young = check_warnings(late_book(10), date(2024, 3, 31), one("deviations", "2"))
    assert "needed" in (young.results[0].reason or "")


def test_what_is_undefined_never_passes_silently() -> None:
    before_the_first_loan = check_warnings(late_book(10), date(2024, 1, 31), one("change_points", "0.1"))
    assert before_the_first_loan.results[0].status == "not_computable"
    assert check_warnings(late_book(10), date(2025, 11, 30), one("above", "0.1", ratio="npl_ratio")).results[0].status == "not_computable"
    percent = check_warnings(late_book(10), date(2025, 11, 30), one("change_percent", "0.1"))
    assert "before is 0" in (percent.results[0].reason or "")


def test_a_policy_makes_advice_of_two_serious_warnings() -> None:
    rules = one("above", "0.1")
    two = WarningSet("s", "s", "s", (rules.warnings[0], one("change_points", "0.1").warnings[0]), rules.advice)
    advised = check_warnings(late_book(10), date(2025, 11, 30), two).advice
    assert [(a.advice.action, a.due_on) for a in advised] == [("weekly_instead_of_monthly", date(2025, 12, 7))]


@pytest.mark.parametrize("name", ["source", "ratio", "test", "level", "severity"])
def test_a_warning_that_cannot_be_relied_on_is_refused(name: str) -> None:
    data = copy.deepcopy(dict(toml_files("warnings")[0][1]))
    del data["warning"][0][name]
    with pytest.raises(RefusedRegime, match=name):
        parse_warnings(data, "test.toml")
    data["warning"][0][name] = "nonsense"
    if name != "source":
        with pytest.raises(RefusedRegime):
            parse_warnings(data, "test.toml")


def test_vintage_cells_that_are_not_reached_are_empty() -> None:
    late = date(2025, 10, 10) + timedelta(days=91)
    curves = vintage_curves(late_book(15), late, months=26)
    assert [c.cohort for c in curves] == ["2024-01"]
    rates = curves[0].rates
    assert rates[22] == 0
    assert rates[23] == 0
    assert rates[24] is None, "January 2026 is not over"
    assert vintage_curves(late_book(15), date(2026, 1, 31), months=26)[0].rates[24] == Decimal("0.25")
    assert vintage_curves(late_book(15), date(2026, 1, 31), months=26)[0].rates[25] is None
