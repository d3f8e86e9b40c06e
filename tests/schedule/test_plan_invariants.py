"""What holds for every plan and every rate, and agreement with independent implementations where they claim the same convention."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import curo
import mortgagemath
import numpy_financial
import pandas
import pytest
import pyxirr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mloan_report.schedule import (
    FREQUENCIES,
    CannotPlan,
    Flow,
    HolidayCalendar,
    NoCalendar,
    PlanTerms,
    add_months,
    annual_rate,
    country_calendar,
    due_dates,
    rate_of_plan,
    repayment_plan,
    year_fraction,
)
from mloan_report.schedule.day_count import CONVENTIONS

cents = st.integers(100, 10_000_000).map(lambda n: Decimal(n) / 100)
rates = st.integers(0, 6000).map(lambda n: Decimal(n) / 100)
methods = st.sampled_from(
    ("equal_instalment", "equal_principal", "interest_only_bullet", "bullet", "flat", "sum_of_digits", "graduated", "graduated_geometric")
)
roundings = st.sampled_from(("half_up", "half_even", "up", "down"))
days = st.dates(date(2000, 1, 1), date(2030, 12, 31))


@given(
    cents, rates, st.integers(1, 60), methods, st.sampled_from(sorted(FREQUENCIES)), st.none() | days, roundings, roundings,
    st.sampled_from(("none", "principal", "capitalised", "deferred")), st.integers(1, 6), st.sampled_from(("round_each_row", "carry_precision")),
)  # fmt: skip
def test_a_plan_repays_its_principal_exactly(principal, rate, term, method, frequency, start, payment_rounding, interest_rounding, grace, free, tracking):
    terms = PlanTerms(
        principal=principal, annual_rate_pct=rate, term=term, method=method, frequency=frequency, start=start, payment_rounding=payment_rounding,
        interest_rounding=interest_rounding, grace=grace, grace_periods=free, step_amount=Decimal("0.01"), step_pct=Decimal("0.5"), step_every=12,
        balance_tracking=tracking, fee=Decimal("1.50"),
    )  # fmt: skip
    try:
        plan = repayment_plan(terms)
    except CannotPlan:
        assume(False)
    added = sum((r.capitalised for r in plan.rows), Decimal(0))
    assert sum((r.principal for r in plan.rows), Decimal(0)) == principal + added
    assert plan.rows[-1].balance == 0
    for row in plan.rows:
        assert row.payment == row.principal + row.interest + row.fee
        assert min(row.principal, row.interest, row.balance, row.payment, row.capitalised) >= 0
    balances = [principal, *(r.balance for r in plan.rows)]
    assert all(b <= a + r.capitalised for a, b, r in zip(balances, balances[1:], plan.rows, strict=False))


@given(cents.filter(lambda p: p >= 100), rates, st.integers(2, 60))
def test_methods_stand_in_the_order_of_their_interest(principal, rate, term):
    total = {
        m: repayment_plan(PlanTerms(principal=principal, annual_rate_pct=rate, term=term, method=m)).total_interest
        for m in ("equal_principal", "equal_instalment", "interest_only_bullet")
    }
    slack = Decimal("0.01") * term
    assert total["equal_principal"] <= total["equal_instalment"] + slack
    assert total["equal_instalment"] <= total["interest_only_bullet"] + slack


@given(cents.filter(lambda p: p >= 100), rates, st.integers(1, 360), roundings)
def test_instalments_are_those_of_mortgagemath(principal, rate, term, rounding):
    assume(term > 1)
    theirs = mortgagemath.PaymentRounding[f"ROUND_{rounding.upper()}"]
    loan = mortgagemath.LoanParams(principal=principal, annual_rate=rate, term_months=term, payment_rounding=theirs)
    terms = PlanTerms(principal=principal, annual_rate_pct=rate, term=term, payment_rounding=rounding)
    try:
        plan = repayment_plan(terms)
    except CannotPlan:  # rounded down, the instalment of a long loan does not cover its interest: it is refused
        theirs_pays = mortgagemath.periodic_payment(loan)
        assert theirs_pays < (principal * rate / 1200).quantize(Decimal("0.01"), ROUND_HALF_UP) + Decimal("0.01")
        return
    assert plan.rows[0].payment == mortgagemath.periodic_payment(loan)


@given(cents.filter(lambda p: p >= 100), rates.filter(lambda r: r > 0), st.integers(2, 120))
def test_the_instalment_is_numpy_financial_s(principal, rate, term):
    expected = -numpy_financial.pmt(float(rate) / 1200, term, float(principal))
    assert abs(float(repayment_plan(PlanTerms(principal=principal, annual_rate_pct=rate, term=term)).rows[0].payment) - expected) <= 0.0051


@given(st.integers(0, 10_000))
def test_xirr_is_pyxirr_s(seed):
    rng = random.Random(seed)
    start = date(2020, 1, 1)
    flows = [Flow(start, Decimal(1000))]
    flows += [Flow(start + timedelta(days=rng.randint(1, 1500)), -Decimal(rng.randint(50, 400))) for _ in range(rng.randint(3, 20))]
    expected = pyxirr.xirr([f.on for f in flows], [float(f.amount) for f in flows])
    found = annual_rate(flows, "xirr").rate_pct
    assert found is not None
    # A float says 8 figures at most; what is checked is that its rate and ours bring the same flows level.
    assert expected is not None
    assert abs(float(found) / 100 - expected) <= 1e-6 * max(1, abs(expected))


@given(cents.filter(lambda p: p >= 500), rates, st.integers(2, 60), st.sampled_from(("monthly", "quarterly", "weekly", "fortnightly")), days)
def test_the_rate_of_a_plan_without_fees_is_its_own(principal, rate, term, frequency, start):
    assume(start.day <= 28)
    unit = Decimal("0.0000000001")
    terms = PlanTerms(principal=principal, annual_rate_pct=rate, term=term, frequency=frequency, start=start, unit=unit)
    plan = repayment_plan(terms)
    per_year = FREQUENCIES[frequency].per_year
    for convention in ("us_reg_z", "rbi_microfinance"):
        found = rate_of_plan(plan, convention).rate_pct
        assert found is not None
        assert abs(found - rate) < Decimal("1e-6")
    effective = rate_of_plan(plan, "cn_irr").rate_pct
    assert effective is not None
    assert abs(effective - ((1 + rate / 100 / per_year) ** per_year - 1) * 100) < Decimal("1e-6")
    assert effective >= rate - Decimal("1e-6")


@given(st.lists(st.tuples(days, st.integers(-500, 500).filter(bool)), min_size=2, max_size=8), st.sampled_from(("eu", "uk", "xirr", "us_reg_z", "cn_irr")))
def test_the_sign_of_all_flows_changes_nothing(given_flows, convention):
    flows = [Flow(d, Decimal(a)) for d, a in given_flows]
    turned = [Flow(f.on, -f.amount) for f in flows]
    unit = None if convention == "xirr" else "monthly"
    assert annual_rate(flows, convention, unit) == annual_rate(turned, convention, unit)


def test_flat_costs_nearly_double():
    terms = PlanTerms(principal=Decimal(12000), annual_rate_pct=Decimal(12), term=12, method="flat", start=date(2026, 1, 15))
    plan = repayment_plan(terms)
    assert plan.total_paid == 12000 + 1440
    found = rate_of_plan(plan, "rbi_microfinance").rate_pct
    assert found is not None
    assert Decimal("21.4") < found < Decimal("21.5")


@pytest.mark.parametrize(
    ("flows", "why"),
    [
        ([], "there is no flow"),
        ([(date(2026, 1, 1), 100), (date(2026, 2, 1), 100)], "no change of sign"),
        ([(date(2026, 1, 1), 100), (date(2026, 1, 1), -100)], "there is no flow"),
    ],
)
def test_no_rate_is_an_answer(flows, why):
    found = annual_rate([Flow(d, Decimal(a)) for d, a in flows], "eu")
    assert found.rate_pct is None
    assert why in (found.reason or "")


def test_less_repaid_than_drawn_is_a_negative_rate():
    found = annual_rate([Flow(date(2026, 1, 1), Decimal(100)), Flow(date(2027, 1, 1), Decimal(-90))], "xirr")
    assert found.rate_pct == Decimal("-10")


def test_several_rates_are_said():
    flows = [Flow(date(2024, 1, 1), Decimal(-1000)), Flow(date(2025, 1, 1), Decimal(2300)), Flow(date(2026, 1, 1), Decimal(-1320))]
    found = annual_rate(flows, "eu")
    assert found.warnings
    assert found.rate_pct in (Decimal(10), Decimal(20))


def test_month_ends_keep_their_anchor():
    assert due_dates(date(2026, 1, 31), 4) == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]
    assert due_dates(date(2026, 2, 28), 2, end_of_month=True) == [date(2026, 2, 28), date(2026, 3, 31)]
    assert due_dates(date(2026, 1, 1), 4, "semimonthly") == [date(2026, 1, 1), date(2026, 1, 16), date(2026, 2, 1), date(2026, 2, 16)]
    plan = repayment_plan(PlanTerms(principal=Decimal(100), annual_rate_pct=Decimal(1), term=3, start=date(2026, 1, 31)))
    assert [r.due_on for r in plan.rows] == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]


def test_dates_roll_off_holidays_and_interest_stays_or_moves():
    calendar = country_calendar("CN")
    terms = {"principal": Decimal(1200), "annual_rate_pct": Decimal(12), "term": 2, "start": date(2026, 9, 1), "calendar": calendar, "day_count": "ACT/360"}
    stays = repayment_plan(PlanTerms(**terms, roll="following"))
    assert [r.due_on for r in stays.rows] == [date(2026, 10, 8), date(2026, 11, 2)]
    assert stays.rows[0].interest == Decimal("12.00")
    moves = repayment_plan(PlanTerms(**terms, roll="following", interest_moves=True))
    assert moves.rows[0].interest == Decimal("14.80")
    assert calendar.rolled(date(2026, 10, 10), "following") == date(2026, 10, 10), "a Saturday that is worked"
    assert calendar.rolled(date(2026, 5, 30), "modified_following") == date(2026, 5, 29)
    with pytest.raises(NoCalendar, match="holds"):
        calendar.rolled(date(calendar.last_year + 1, 1, 1), "following")


@given(days, st.integers(0, 900), st.integers(0, 900), st.sampled_from([c for c in CONVENTIONS if c.startswith(("ACT/3", "ACT/A", "NL")) and c != "ACT/365L"]))
def test_day_counts_add_up(start, first, second, convention):
    middle, end = start + timedelta(days=first), start + timedelta(days=first + second)
    assert year_fraction(start, end, convention) == year_fraction(start, middle, convention) + year_fraction(middle, end, convention)


def test_a_year_of_act_act_is_a_year():
    assert year_fraction(date(2023, 1, 1), date(2025, 1, 1), "ACT/ACT") == Fraction(2)


@given(days, st.integers(-60, 60))
def test_months_are_on_their_day_or_the_last_one(day, months):
    moved = add_months(day, months)
    assert moved.day == day.day or (moved + timedelta(days=1)).day == 1


def test_a_calendar_of_ones_own_ends_where_its_dates_end():
    own = HolidayCalendar("own", frozenset({date(2026, 1, 1)}), frozenset(), 2026, 2026)
    assert own.rolled(date(2026, 1, 1), "following") == date(2026, 1, 2)
    with pytest.raises(NoCalendar):
        own.is_business_day(date(2027, 1, 1))


@settings(max_examples=15)
@given(st.integers(1000, 9000), st.integers(2, 36), st.integers(1, 28), st.integers(1, 12), st.sampled_from(("monthly", "quarterly")), st.integers(1, 40))
def test_us_and_eu_rates_are_curo_s(amount, count, day, month, frequency, margin):
    assume(day < 28)  # theirs takes 28 February for a month's end also where the payments are on each 28th
    start = date(2025, month, day)
    dues = due_dates(add_months(start, 1 if frequency == "monthly" else 3), count, frequency)
    payment = Decimal(amount * (100 + margin)) / 100 / count
    payment = payment.quantize(Decimal("0.01"))
    assume(payment * count > amount)
    flows = [Flow(start, Decimal(amount)), *(Flow(d, -payment) for d in dues)]
    calculator = curo.Calculator(precision=2)
    calculator.add(curo.SeriesAdvance(post_date_from=pandas.Timestamp(start, tz="UTC"), amount=float(amount)))
    theirs = curo.Frequency.MONTHLY if frequency == "monthly" else curo.Frequency.QUARTERLY
    first = pandas.Timestamp(dues[0], tz="UTC")
    calculator.add(curo.SeriesPayment(number_of=count, frequency=theirs, post_date_from=first, amount=float(payment)))
    period = curo.DayCountTimePeriod.MONTH if frequency == "monthly" else curo.DayCountTimePeriod.QUARTER
    for convention, rule, unit in (("eu", curo.EU200848EC(), "monthly"), ("us_reg_z", curo.USAppendixJ(time_period=period), frequency)):
        try:
            expected = calculator.solve_rate(convention=rule)
        except curo.UnsolvableError:
            continue
        found = annual_rate(flows, convention, unit).rate_pct
        assert found is not None
        assert abs(float(found) / 100 - expected) < 1e-6
