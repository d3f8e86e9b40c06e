"""Annual rates of cash flows: each result says its convention, its kind (nominal or effective) and how it was found.

The same loan has different figures: 9.69 % nominal (US, India) is 10.13 % effective (EU, UK, China by the compound method). Flows are
advances (positive) and payments (negative); turning every sign round changes nothing. Decimal throughout; the root is bracketed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Literal, NamedTuple

from mloan_report.schedule.dates import FREQUENCIES, month_end
from mloan_report.schedule.intervals import UnitInterval, common_interval, eu_years, single_payment_interval, us_interval
from mloan_report.schedule.plan import Plan
from mloan_report.schedule.root import brackets, first_bracket, narrowed
from mloan_report.schedule.rounding import EXACT
from mloan_report.schedule.terms import CannotPlan

ZERO, ONE, HUNDRED = Decimal(0), Decimal(1), Decimal(100)
PLACES = Decimal("1e-12")
_BELOW = [Decimal(x) for x in ("0", "-0.1", "-0.2", "-0.3", "-0.4", "-0.5", "-0.6", "-0.7", "-0.8", "-0.9", "-0.95", "-0.99", "-0.9999")]
_ABOVE = [Decimal(n) / 20 for n in range(21)] + [Decimal(3) ** n for n in range(1, 33)]


class Flow(NamedTuple):
    """Money on a day: an advance is positive, a payment negative (or the other way round throughout). Major units."""

    on: date
    amount: Decimal


@dataclass(frozen=True)
class AnnualRate:
    """An annual rate in percent to 12 places, or None with the reason."""

    convention: str
    kind: Literal["nominal", "effective", "simple"]
    rate_pct: Decimal | None
    how: str
    source: str
    certainty: str
    unit_period: str | None = None
    periodic_rate_pct: Decimal | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Convention:
    """A way to state an annual rate: ``annualise`` turns the rate found per ``solve_per`` into the annual one."""

    id: str
    kind: Literal["nominal", "effective"]
    how: str
    source: str
    certainty: str
    default_unit: Callable[[Sequence[date]], str | None]
    time: Callable[[date, date, str, bool], UnitInterval]


def _unit_periods(start: date, end: date, unit: str, month_ends: bool) -> UnitInterval:
    return us_interval(start, end, unit, month_ends=month_ends)


def _eu_time(start: date, end: date, unit: str, month_ends: bool) -> UnitInterval:
    # A year is the unit and its part is compounded as well, so "whole" carries none of it.
    return UnitInterval(0, eu_years(start, end, unit), Fraction(1))


def _periods_and_days(start: date, end: date, unit: str, month_ends: bool) -> UnitInterval:
    """Whole periods counted back from the flow; odd days as their part of a year of 365 days. Compounded as a whole."""
    found = us_interval(start, end, unit, month_ends=month_ends)
    if not found.fraction:
        return UnitInterval(0, Fraction(found.whole), found.per_year)
    odd = found.fraction * (365 if FREQUENCIES[unit].months == 12 else 15 if unit == "semimonthly" else FREQUENCIES[unit].days or 30 * FREQUENCIES[unit].months)
    return UnitInterval(0, found.whole + odd * found.per_year / 365, found.per_year)


def _days_365(start: date, end: date, unit: str, month_ends: bool) -> UnitInterval:
    return UnitInterval(0, Fraction((end - start).days, 365), Fraction(1))


def _uk(start: date, end: date, unit: str, month_ends: bool) -> UnitInterval:
    return (_days_365 if unit == "daily" else _eu_time)(start, end, unit, month_ends)


CONVENTIONS: dict[str, Convention] = {
    c.id: c
    for c in (
        Convention(
            "us_reg_z",
            "nominal",
            "the unit-period rate i that brings advances and payments level, each over (1 + f·i)(1 + i)^t; annual = i × unit-periods a year",
            "Regulation Z, 12 CFR 1026 Appendix J (actuarial method)",
            "published_figure_via_public_code",
            common_interval,
            _unit_periods,
        ),
        Convention(
            "eu",
            "effective",
            "the X of sum C·(1+X)^-t = sum D·(1+X)^-s, t in years of 365 (366) days, 52 weeks or 12 equal months",
            "Directive 2008/48/EC Annex I; intervals as SWD(2012)128 section 4.1.1 (the leap-year denominator is not confirmed)",
            "official; intervals public_code",
            lambda days: _eu_unit(days),
            _eu_time,
        ),
        Convention(
            "uk",
            "effective",
            "the X of sum C·(1+X)^-t = sum D·(1+X)^-s, t in days / 365 unless a unit-period is given",
            "FCA CONC App 1.2 as one public implementation counts time; that the text asks for days / 365 is not verified",
            "public_code_convention",
            lambda days: "daily",
            _uk,
        ),
        Convention(
            "rbi_microfinance",
            "nominal",
            "internal rate of return per period on the net amount disbursed × periods a year (× 12 for months)",
            "RBI (Regulatory Framework for Microfinance Loans) Directions 2022, para 6A and Annex II",
            "official",
            common_interval,
            _periods_and_days,
        ),
        Convention(
            "cn_irr",
            "effective",
            "internal rate of return per period, compounded: (1 + irr)^periods a year − 1 (复利, 内部收益率法)",
            "中国人民银行公告〔2021〕第3号",
            "knowledge",
            lambda days: common_interval(days) or "daily",
            _periods_and_days,
        ),
        Convention(
            "xirr",
            "effective",
            "the X of sum amount·(1+X)^-(days/365) = 0 (ACT/365F)",
            "the spreadsheet function XIRR",
            "public_code_convention",
            lambda days: "daily",
            _days_365,
        ),
    )
}


def annual_rate(flows: Sequence[Flow], convention: str, unit_period: str | None = None) -> AnnualRate:
    """The annual rate of *flows* by *convention*.

    *unit_period* (monthly, weekly ...) overrides the one found from the dates. A result is None with the reason where the flows do not
    change sign, lie on one day, or no unit-period can be told. ValueError for an unknown convention or unit.
    """
    rule = _rule(convention, unit_period)
    merged = _merged(flows)
    none = _unsolvable(merged)
    if none:
        return _no_rate(rule, none)
    start, days = merged[0].on, [f.on for f in merged]
    single = convention == "us_reg_z" and unit_period is None and len(merged) == 2
    unit = "term" if single else unit_period or rule.default_unit(days)
    if unit is None:
        return _no_rate(rule, "no interval between the flows repeats: give the unit-period")
    if single:
        last = single_payment_interval(start, merged[1].on)
        times = [UnitInterval(0, Fraction(0), last.per_year), last]
    else:
        at_ends = all(month_end(f.on) for f in merged[1:])
        times = [rule.time(start, f.on, unit, at_ends) for f in merged]
    per_year = times[-1].per_year
    return _solved(rule, unit, merged, times, per_year)


def simple_annual_rate(flows: Sequence[Flow]) -> AnnualRate:
    """China's simple way (单利), labelled as such: total cost over the principal in use × time, in percent per year.

    From flows alone the principal in use is taken to fall with each payment in the proportion advanced / paid; time is days / 365.
    Source: 中国人民银行公告〔2021〕第3号 (knowledge): a rate found the simple way must say so.
    """
    merged = _merged(flows)
    none = _unsolvable(merged)
    how = "simple way (单利): total cost / sum of (principal in use × years); principal falls with each payment in proportion"
    source, certainty = "中国人民银行公告〔2021〕第3号", "knowledge"
    if none:
        return AnnualRate("cn_simple", "simple", None, how, source, certainty, reason=none)
    sign = 1 if merged[0].amount > 0 else -1
    advances = [Flow(f.on, f.amount * sign) for f in merged if f.amount * sign > 0]
    payments = [Flow(f.on, -f.amount * sign) for f in merged if f.amount * sign < 0]
    drawn, paid = sum(f.amount for f in advances), sum(f.amount for f in payments)
    share = EXACT.divide(Decimal(drawn), Decimal(paid))
    start = merged[0].on
    used = EXACT.multiply(share, sum((f.amount * (f.on - start).days for f in payments), ZERO)) - sum((f.amount * (f.on - start).days for f in advances), ZERO)
    if used <= 0:
        return AnnualRate("cn_simple", "simple", None, how, source, certainty, reason="no principal is in use over time")
    rate = EXACT.divide(EXACT.multiply(Decimal(paid - drawn), Decimal(36500)), used)
    return AnnualRate("cn_simple", "simple", rate.quantize(PLACES), how, source, certainty)


def rate_of_plan(plan: Plan, convention: str, *, net_disbursed: Decimal | None = None, unit_period: str | None = None) -> AnnualRate:
    """The annual rate of a plan with dates; *net_disbursed* is what the borrower got after what was withheld (default: the principal)."""
    if plan.terms.start is None:
        raise CannotPlan("an annual rate needs the plan's start")
    advance = plan.terms.principal if net_disbursed is None else net_disbursed
    flows = [Flow(plan.terms.start, advance)]
    flows += [Flow(r.due_on, -r.payment) for r in plan.rows if r.due_on is not None and r.payment]
    return annual_rate(
        flows, convention, unit_period or (plan.terms.frequency if plan.terms.method not in ("irregular", "bullet") and convention != "xirr" else None)
    )


def _rule(convention: str, unit_period: str | None) -> Convention:
    if convention not in CONVENTIONS:
        raise ValueError(f"{convention} is not a convention; there are {', '.join(CONVENTIONS)}")
    if unit_period is not None and unit_period not in FREQUENCIES:
        raise ValueError(f"{unit_period} is not a unit-period; there are {', '.join(FREQUENCIES)}")
    if unit_period is not None and convention in ("eu", "uk") and unit_period not in EU_UNITS:
        raise ValueError(f"{unit_period}: the {convention} rule counts {', '.join(EU_UNITS)}")
    return CONVENTIONS[convention]


EU_UNITS = ("monthly", "weekly", "annual", "daily")


def _eu_unit(days: Sequence[date]) -> str:
    """Months unless every interval is in whole weeks and they are not whole months."""
    start = days[0]
    months = all((eu_years(start, d, "monthly") * 12).denominator == 1 for d in days)
    weeks = all((d - start).days % 7 == 0 for d in days)
    return "weekly" if weeks and not months else "monthly"


def _merged(flows: Sequence[Flow]) -> list[Flow]:
    """One flow a day, in order; days that come to nothing are dropped after the first."""
    days: dict[date, Decimal] = {}
    for f in sorted(flows, key=lambda f: f.on):
        days[f.on] = days.get(f.on, ZERO) + f.amount
    return [Flow(d, a) for d, a in days.items() if a]


def _unsolvable(flows: Sequence[Flow]) -> str | None:
    if not flows:
        return "there is no flow"
    if all(f.amount > 0 for f in flows) or all(f.amount < 0 for f in flows):
        return "no change of sign: there are only advances or only payments, so no rate brings them level"
    return None


def _no_rate(rule: Convention, reason: str) -> AnnualRate:
    return AnnualRate(rule.id, rule.kind, None, rule.how, rule.source, rule.certainty, reason=reason)


def _solved(rule: Convention, unit: str, flows: Sequence[Flow], times: Sequence[UnitInterval], per_year: Fraction) -> AnnualRate:
    value = _present_value(flows, times, linear_fraction=rule.id == "us_reg_z")
    found = [narrowed(value, low, high) for low, high in _brackets(flows, value)]
    if not found:
        return _no_rate(rule, "no rate above -99.99 % a period brings the flows level")
    rate = found[0]
    warnings: tuple[str, ...] = ()
    if len(found) > 1:
        rate = min(found, key=lambda r: (abs(r - _simple_guess(flows, times)), r))
        warnings = (f"the flows change sign more than once: {len(found)} rates bring them level, the nearest to the simple rate is given",)
    many = Decimal(per_year.numerator) / Decimal(per_year.denominator)
    annual = EXACT.multiply(rate, many) if rule.kind == "nominal" else EXACT.subtract(EXACT.power(EXACT.add(ONE, rate), many), ONE)
    places = [EXACT.multiply(x, HUNDRED).quantize(PLACES, context=EXACT) for x in (annual, rate)]
    return AnnualRate(rule.id, rule.kind, places[0], rule.how, rule.source, rule.certainty, unit, places[1], None, warnings)


def _brackets(flows: Sequence[Flow], value: Callable[[Decimal], Decimal]) -> list[tuple[Decimal, Decimal]]:
    """With one change of sign there is one root (Descartes), above 0 where more is paid than drawn; else every change of sign on the grid."""
    if sum((a.amount < 0) != (b.amount < 0) for a, b in pairwise(flows)) == 1:
        paid_more = (sum(f.amount for f in flows) < 0) == (flows[0].amount > 0)
        return first_bracket(value, _ABOVE if paid_more else _BELOW)
    return brackets(value, [*reversed(_BELOW), *_ABOVE[1:]])


def _present_value(flows: Sequence[Flow], times: Sequence[UnitInterval], *, linear_fraction: bool) -> Callable[[Decimal], Decimal]:
    """Sum of flows discounted at a periodic rate; odd days simple (Appendix J) or compounded."""
    if linear_fraction:
        exact = [(f.amount, t.whole, Decimal(t.fraction.numerator) / Decimal(t.fraction.denominator)) for f, t in zip(flows, times, strict=True)]

        def with_simple_odd_days(rate: Decimal) -> Decimal:
            discount = EXACT.divide(ONE, EXACT.add(ONE, rate))
            total = ZERO
            for amount, whole, fraction in exact:
                term = EXACT.multiply(amount, EXACT.power(discount, whole))
                total = EXACT.add(total, EXACT.divide(term, EXACT.add(ONE, EXACT.multiply(fraction, rate))) if fraction else term)
            return total

        return with_simple_odd_days
    # Whole powers of one root are far quicker than a logarithm a flow: every time is a whole number of the common part.
    part = lcm(*(t.fraction.denominator for t in times))
    powers = [(f.amount, int((t.whole + t.fraction) * part)) for f, t in zip(flows, times, strict=True)]

    def compounded(rate: Decimal) -> Decimal:
        root = EXACT.exp(EXACT.divide(-EXACT.ln(EXACT.add(ONE, rate)), Decimal(part)))
        total = ZERO
        for amount, power in powers:
            total = EXACT.add(total, EXACT.multiply(amount, EXACT.power(root, power)))
        return total

    return compounded


def _simple_guess(flows: Sequence[Flow], times: Sequence[UnitInterval]) -> Decimal:
    """Cost over principal in use, per period: what tells a sensible root from an odd one."""
    sign = 1 if flows[0].amount > 0 else -1
    cost = -sum((f.amount * sign for f in flows), ZERO)
    used, balance = ZERO, ZERO
    for k, f in enumerate(flows[:-1]):
        balance += f.amount * sign
        a, b = (x.whole + x.fraction for x in (times[k], times[k + 1]))
        used += balance * Decimal((b - a).numerator) / Decimal((b - a).denominator)
    return EXACT.divide(cost, used) if used > 0 else ZERO
