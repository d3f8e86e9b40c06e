"""Plans of equal instalments, equal principal, interest only with a bullet, and one payment at the end.

Whole minor units throughout; interest of a period is half up of balance × rate; the last row takes the residue, so that the
principal of a plan is the loan's principal exactly. Due dates keep their anchor day: 31 January, 28 February, 31 March.
"""

from __future__ import annotations

import calendar
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal

_EXACT = Context(prec=40, rounding=ROUND_HALF_UP)


def plan(principal: int, annual_rate_pct: Decimal, count: int, method: str, periods_per_year: int = 12) -> list[tuple[int, int]]:
    """*count* rows of (principal, interest) in minor units. ValueError for a method that it does not know."""
    rate = _EXACT.divide(annual_rate_pct, Decimal(100 * periods_per_year))
    if method == "equal_instalment":
        return _equal_instalment(principal, rate, count)
    if method == "equal_principal":
        return _rows(principal, rate, [principal // count] * (count - 1))
    if method == "interest_only_bullet":
        return _rows(principal, rate, [0] * (count - 1))
    if method == "bullet":
        return [(principal, _half_up(_EXACT.multiply(Decimal(principal), _EXACT.multiply(rate, Decimal(count)))))]
    raise ValueError(f"{method} is not a method of this plan")


def due_dates(first: date, count: int, months: int = 1) -> list[date]:
    """*count* due dates every *months* months, each from the anchor day of *first*."""
    return [add_months(first, months * i) for i in range(count)]


def add_months(day: date, months: int) -> date:
    """The same day number *months* later, or the last day of a shorter month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _equal_instalment(principal: int, rate: Decimal, count: int) -> list[tuple[int, int]]:
    if rate == 0:
        return _rows(principal, rate, [principal // count] * (count - 1))
    growth = _EXACT.power(_EXACT.add(Decimal(1), rate), count)
    payment = _half_up(_EXACT.divide(_EXACT.multiply(Decimal(principal), _EXACT.multiply(rate, growth)), growth - 1))
    out, balance = [], principal
    for _ in range(count - 1):
        interest = _half_up(_EXACT.multiply(Decimal(balance), rate))
        part = max(0, min(balance, payment - interest))
        out.append((part, interest))
        balance -= part
    return [*out, (balance, _half_up(_EXACT.multiply(Decimal(balance), rate)))]


def _rows(principal: int, rate: Decimal, parts: list[int]) -> list[tuple[int, int]]:
    out, balance = [], principal
    for part in parts:
        out.append((part, _half_up(_EXACT.multiply(Decimal(balance), rate))))
        balance -= part
    return [*out, (balance, _half_up(_EXACT.multiply(Decimal(balance), rate)))]


def _half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))
