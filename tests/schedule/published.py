"""Rows of examples.json read as calls of the library: one function an area."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from mloan_report.schedule import Flow, PlanTerms, annual_rate, day_count, repayment_plan, simple_annual_rate, year_fraction
from mloan_report.schedule.dates import add_months, due_dates
from mloan_report.schedule.intervals import eu_years, us_interval

Row = dict[str, Any]
ROUNDING = {"ROUND_HALF_UP": "half_up", "ROUND_HALF_EVEN": "half_even", "ROUND_UP": "up", "ROUND_DOWN": "down"}
UNITS = {"year": "annual", "half_year": "semiannual", "quarter": "quarterly", "month": "monthly", "fortnight": "fortnightly", "week": "weekly", "day": "daily"}
DISPUTED = {
    "curo_us_day_2026_01_10_to_2026_01_25": "a unit-period of a day has whole days and no odd ones (App. J (b)(5)); that implementation has 0 whole and 15/365"
}


def rows(shared: Path) -> list[Row]:
    return json.loads((shared / "measures" / "examples.json").read_text(encoding="utf-8"))["rows"]


def near(found: Decimal | Fraction | None, expected: Any, tolerance: Any = 0) -> None:
    """Equal within the row's tolerance, which bounds the absolute difference."""
    assert found is not None
    value = found if isinstance(found, Decimal) else Decimal(found.numerator) / Decimal(found.denominator)
    assert abs(value - Decimal(str(expected))) <= Decimal(str(tolerance or 0)), f"{value} is not {expected} (± {tolerance})"


def apr_us_actuarial(row: Row) -> None:
    given = row["inputs"]
    unit = {12: "monthly", 24: "semimonthly", 52: "weekly", 13: "four_weekly", 26: "fortnightly", 6: "bimonthly"}[given["unit_periods_per_year"]]
    payments = [given["first_payment"]] if "first_payment" in given else []
    payments += [given["then_payment"]] * given["then_n"] if "then_n" in given else [given["payment"]] * given["n"]
    payments += [given["last_payment"]] if "last_payment" in given else []
    first = date.fromisoformat(given["first"])
    days = due_dates(first, len(payments), unit)
    flows = [Flow(date.fromisoformat(given["advance_date"]), Decimal(str(given["advance"])))]
    flows += [Flow(d, -Decimal(str(p))) for d, p in zip(days, payments, strict=True)]
    start = us_interval(flows[0].on, first, unit)
    assert (start.whole, start.fraction) == (given.get("first_t", 1), Fraction(given.get("first_f", 0)))
    found = annual_rate(flows, "us_reg_z")
    assert (found.kind, found.unit_period) == ("nominal", unit)
    near(found.rate_pct, row["expected"]["apr_percent"], row["tolerance"])


def apr_eu(row: Row) -> None:
    given = row["inputs"]
    start = date.fromisoformat(given.get("date", "2001-01-01"))
    advance = Flow(start, Decimal(str(given["drawdown"])) - Decimal(str(given.get("fee_retained", 0))))
    payments = [Decimal(str(p)) for p in given.get("repayments", [given.get("repay")])]
    if "at_days" in given or "years" in given:
        days = given.get("at_days") or [(date.fromisoformat(given["repay_date"]) - start).days]
        assert "years" not in given or Fraction(days[0], 365) == Fraction(given["years"])
        flows, unit = [Flow(start + timedelta(days=d), -p) for d, p in zip(days, payments, strict=True)], "daily"
    else:
        years = given["at_years"] if isinstance(given["at_years"], list) else [given["at_years"]]
        flows, unit = [Flow(add_months(start, round(12 * y)), -p) for y, p in zip(years, payments, strict=True)], "monthly"
    found = annual_rate([advance, *flows], "eu", unit)
    assert found.kind == "effective"
    near(found.rate_pct, row["expected"]["apr_percent"], row["tolerance"])


def apr_days365(row: Row) -> None:
    given = row["inputs"]
    start = date.fromisoformat(given["date"])
    flows = [Flow(start, Decimal(given["drawdown"]))] + [Flow(start + timedelta(days=p["day"]), -Decimal(p["amount"])) for p in given["repay"]]
    near(annual_rate(flows, "uk").rate_pct, row["expected"]["apr_percent"], row["tolerance"])


def time_interval_eu_ccd(row: Row) -> None:
    given = row["inputs"]
    found = eu_years(date.fromisoformat(given["start"]), date.fromisoformat(given["end"]), UNITS[given["unit"]])
    said, value = re.fullmatch(r"f = (.+) = ([\d.]+)", row["expected"]["factor"]).groups()  # type: ignore[union-attr]
    assert found == sum(Fraction(part) for part in said.split(" + "))
    near(found, value, Decimal("5e-9"))


def time_interval_us_regz(row: Row) -> None:
    given = row["inputs"]
    found = us_interval(date.fromisoformat(given["start"]), date.fromisoformat(given["end"]), UNITS[given["unit"]])
    whole, fraction, per_year = re.fullmatch(r"t = (\d+) : f = ([\d/]+)(?: = [\d.]+)? : p = (\d+)", row["expected"]["factor"]).groups()  # type: ignore[union-attr]
    assert (found.whole, found.fraction, found.per_year) == (int(whole), Fraction(fraction), int(per_year))


def schedule_flat(row: Row) -> None:
    given, expected = row["inputs"], row["expected"]
    weeks = given["weeks"]
    rate = Decimal(given["interest_per_week"]) * 52 * 100 / given["principal"]
    terms = PlanTerms(
        principal=Decimal(given["principal"]), annual_rate_pct=rate, term=weeks, frequency="weekly", method="flat", start=date.fromisoformat(given["disbursed"])
    )
    plan = repayment_plan(terms)
    assert plan.rows[0].due_on == date.fromisoformat(expected["first_due"])
    assert all((r.principal, r.interest) == (given["principal_per_week"], Decimal(given["interest_per_week"])) for r in plan.rows)
    assert sum(r.principal for r in plan.rows[:5]) == expected["cumulative_principal_due_at_5"]
    assert plan.total_interest == expected["total_interest"]


def schedule_annuity(row: Row) -> None:
    given, expected, tolerance = row["inputs"], row["expected"], Decimal(str(row["tolerance"]))
    if "rate_percent" in given:
        return schedule_annuity_act365(row)
    unit = Decimal(given.get("currency_unit", "0.01"))
    plan = repayment_plan(
        PlanTerms(
            principal=Decimal(given["principal"]),
            annual_rate_pct=Decimal(given["annual_rate"]),
            term=given["term_months"],
            day_count=day_count(given.get("day_count", "30/360")),
            unit=unit,
            payment_rounding=ROUNDING[given["payment_rounding"]],  # type: ignore[arg-type]
            interest_rounding=ROUNDING[given["interest_rounding"]],  # type: ignore[arg-type]
            balance_tracking=given.get("balance_tracking", "round_each_row"),
            fee=Decimal(given.get("fee_per_period", "0")),
        )
    )
    assert plan.rows[0].payment - plan.rows[0].fee == Decimal(expected["payment"])
    for said in expected.get("rows", []):
        found = plan.rows[int(said["payment"]) - 1]
        for name, value in (("payment_amount", found.payment), ("principal", found.principal), ("interest", found.interest), ("balance", found.balance)):
            near(value, said[name], tolerance)
    for said in expected.get("ranges", []):
        part = plan.rows[said["start_payment"] - 1 : said["end_payment"]]
        near(part[-1].balance, said["balance"], tolerance)
        near(sum((r.principal for r in part), Decimal(0)), said["principal"], tolerance)
        near(sum((r.interest for r in part), Decimal(0)), said["interest"], tolerance)


def schedule_annuity_act365(row: Row) -> None:
    given, expected = row["inputs"], row["expected"]
    plan = repayment_plan(
        PlanTerms(
            principal=Decimal(given["principal"]),
            annual_rate_pct=Decimal(given["rate_percent"]),
            term=len(given["due"]),
            start=date.fromisoformat(given["disbursed"]),
            day_count=day_count(given["day_count"]),
        )
    )
    assert [r.due_on for r in plan.rows] == [date.fromisoformat(d) for d in given["due"]]
    near(plan.rows[0].payment, expected["payment"])
    for found, said in zip(plan.rows, expected["rows_total_interest_principal_balance"], strict=True):
        for value, text in zip((found.payment, found.interest, found.principal, found.balance), said, strict=True):
            near(value, text, row["tolerance"])


def schedule_cn(row: Row) -> None:
    given, expected = row["inputs"], row["expected"]
    method = {"等额本息": "equal_instalment", "先息后本": "interest_only_bullet", "一次性还本付息": "bullet"}[given.get("method", "一次性还本付息")]
    rate = Decimal(given.get("annual_rate_percent") or given["simple_annual_percent"])
    plan = repayment_plan(PlanTerms(principal=Decimal(given["principal"]), annual_rate_pct=rate, term=given["months"], method=method, start=date(2026, 1, 31)))
    if "final_payment" in expected:
        assert plan.rows[-1].payment == Decimal(expected["final_payment"])
        flows = [Flow(date(2026, 1, 31), Decimal(given["principal"])), Flow(plan.rows[-1].due_on, -plan.rows[-1].payment)]  # type: ignore[arg-type]
        assert simple_annual_rate(flows).rate_pct == annual_rate(flows, "cn_irr", "monthly").rate_pct == Decimal(expected["apr_effective"])
        return
    near(plan.total_interest, expected["total_interest"], row["tolerance"])
    for said in (expected["first"], expected["last"]):
        found = plan.rows[said[0] - 1]
        for value, text in zip((found.payment, found.principal, found.interest, found.balance), said[1:], strict=True):
            near(value, text, row["tolerance"])


def day_counts(row: Row) -> None:
    start, end = date.fromisoformat(row["inputs"]["start"]), date.fromisoformat(row["inputs"]["end"])
    for name, expected in row["expected"].items():
        near(year_fraction(start, end, day_count(name)), expected, row["tolerance"])


def xirr(row: Row) -> None:
    flows = [Flow(date.fromisoformat(d), Decimal(a)) for d, a in row["inputs"]["flows"]]
    found = annual_rate(flows, "xirr").rate_pct
    near(found and found / 100, row["expected"]["xirr"], row["tolerance"])


def apr_relation(row: Row) -> None:
    nominal, periods = Decimal(row["inputs"]["regz_nominal_percent"]), row["inputs"]["periods"]
    start = date(1978, 1, 10)
    growth = (1 + nominal / 100 / periods) ** periods
    flows = [Flow(start, Decimal(1)), Flow(add_months(start, 12), -growth)]
    near(annual_rate(flows, "cn_irr", "monthly").rate_pct, row["expected"]["effective_percent"], row["tolerance"])
    near(annual_rate(flows, "rbi_microfinance", "monthly").rate_pct, nominal, "1e-9")


AREAS: dict[str, Callable[[Row], None]] = {
    "apr_us_actuarial": apr_us_actuarial,
    "apr_eu": apr_eu,
    "apr_days365": apr_days365,
    "apr_relation": apr_relation,
    "time_interval_eu_ccd": time_interval_eu_ccd,
    "time_interval_us_regz": time_interval_us_regz,
    "schedule_flat": schedule_flat,
    "schedule_annuity": schedule_annuity,
    "schedule_annuity_act365": schedule_annuity_act365,
    "schedule_cn": schedule_cn,
    "day_count": day_counts,
    "xirr": xirr,
}
