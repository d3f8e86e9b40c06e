"""How long after the first advance a flow comes, by each rule that counts it: whole unit-periods and what is left.

EU: Directive 2008/48/EC Annex I as the Commission guidelines SWD(2012)128 section 4.1.1 count it (public_code).
US: Regulation Z (12 CFR 1026) Appendix J (b)(5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from mloan_report.schedule.dates import FREQUENCIES, add_months, month_end
from mloan_report.schedule.day_count import days_in_year, leap_days


@dataclass(frozen=True)
class UnitInterval:
    """``whole`` unit-periods and the ``fraction`` of one, of which there are ``per_year`` a year."""

    whole: int
    fraction: Fraction
    per_year: Fraction


def eu_years(start: date, end: date, unit: str) -> Fraction:
    """Years from the first drawdown to a flow. *unit*: monthly, weekly, annual, or daily (days over 365)."""
    if unit == "daily":
        return Fraction((end - start).days, 365)
    if unit == "weekly":
        whole, odd = divmod((end - start).days, 7)
        return Fraction(whole, 52) + _odd_days(start, start + timedelta(days=odd))
    step = {"monthly": 1, "annual": 12}[unit]
    whole, reached = _months_back(start, end, step, along_month_ends=False)
    if reached != start and month_end(start) and month_end(end):
        before = add_months(end, -(whole + 1) * step)
        if (before.year, before.month) == (start.year, start.month):
            whole, reached = whole + 1, start
    return Fraction(whole * step, 12) + _odd_days(start, reached)


def us_interval(start: date, end: date, unit: str, *, month_ends: bool = True) -> UnitInterval:
    """Whole unit-periods counted back from the flow, and the odd days at the start as a fraction of one.

    From the last day of a month the steps go along month ends, unless the flows are known not to be at month ends (*month_ends* false):
    28 February of payments on each 28th is a 28th.
    """
    period = FREQUENCIES[unit]
    if period.days:
        whole, odd = divmod((end - start).days, period.days)
        return UnitInterval(whole, Fraction(odd, period.days), Fraction(period.per_year))
    months, reached = _months_back(start, end, 1, along_month_ends=month_ends)
    odd = (reached - start).days
    if period.half_months:
        extra, odd = (1, odd - 15) if odd >= 15 else (0, odd)
        return UnitInterval(2 * months + extra, Fraction(odd, 15), Fraction(24))
    whole, left = divmod(months, period.months)
    of = 365 if period.months == 12 else 30 * period.months
    return UnitInterval(whole, Fraction(30 * left + odd, of), Fraction(period.per_year))


def single_payment_interval(start: date, end: date) -> UnitInterval:
    """One advance, one payment: the unit-period is the term, or a year where the term is longer (Appendix J (b)(4)(i), (5)(vi))."""
    months, reached = _months_back(start, end, 1)
    if end > add_months(start, 12):
        return us_interval(start, end, "annual")
    if reached == start and months:
        return UnitInterval(1, Fraction(0), Fraction(12, months))
    return UnitInterval(1, Fraction(0), Fraction(365, (end - start).days))


def common_interval(days: Sequence[date]) -> str | None:
    """The most common interval between neighbouring dates as a unit-period; the longer one of a tie; None where none repeats.

    A pair one month apart may also be four weeks apart: each pair counts for every unit that it fits.
    """
    pairs = list(pairwise(days))
    seen: Counter[str] = Counter()
    for a, b in pairs:
        seen.update(unit for unit, fits in _FITS.items() if fits(a, b))
    if not seen:
        return None
    best = max(seen.values())
    if best < 2 and len(pairs) > 1:
        return None
    return next(unit for unit in _FITS if seen[unit] == best)


def _months_apart(a: date, b: date, months: int) -> bool:
    return _back(b, months) == a or add_months(a, months) == b


_FITS: dict[str, Callable[[date, date], bool]] = {
    "annual": lambda a, b: _months_apart(a, b, 12),
    "semiannual": lambda a, b: _months_apart(a, b, 6),
    "four_monthly": lambda a, b: _months_apart(a, b, 4),
    "quarterly": lambda a, b: _months_apart(a, b, 3),
    "bimonthly": lambda a, b: _months_apart(a, b, 2),
    "monthly": lambda a, b: _months_apart(a, b, 1),
    "four_weekly": lambda a, b: (b - a).days == 28,
    "semimonthly": lambda a, b: 13 <= (b - a).days <= 16 and (b - a).days != 14 and (b.day - a.day == 15 or b.day in (1, a.day - 15) or month_end(b)),
    "fortnightly": lambda a, b: (b - a).days == 14,
    "weekly": lambda a, b: (b - a).days == 7,
    "daily": lambda a, b: (b - a).days == 1,
}


def _back(day: date, months: int) -> date:
    """*months* earlier: along month ends from a month's last day, else on the same day number or the last of a shorter month."""
    return add_months(day, -months, 31 if month_end(day) else None)


def _months_back(start: date, end: date, step: int, *, along_month_ends: bool = True) -> tuple[int, date]:
    """How many steps of *step* months fit between *start* and *end* counted back from *end*, and the date reached."""
    back = _back if along_month_ends else lambda day, months: add_months(day, -months)
    count = max(0, ((end.year - start.year) * 12 + end.month - start.month) // step + 1)
    while count and back(end, count * step) < start:
        count -= 1
    return count, back(end, count * step)


def _odd_days(start: date, reached: date) -> Fraction:
    """Days from *start* to *reached* over the days of the twelve months that end at *reached*."""
    days = (reached - start).days
    if days == 0:
        return Fraction(0)
    year = add_months(reached, -12)
    return Fraction(days, 366 if leap_days(year + timedelta(days=1), reached + timedelta(days=1)) else days_in_year(2001))
