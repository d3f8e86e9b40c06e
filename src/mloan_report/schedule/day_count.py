"""Day-count fractions, exact: the part of a year between two dates. The start day counts, the end day does not.

Sources: ISDA 2006 Definitions section 4.16 (ACT/ACT, ACT/365F, ACT/360, 30/360, 30E/360, 30E/360 ISDA), ICMA rule 251
(ACT/365L); NL/365 is market usage.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal

DayCount = Literal["30/360", "30/360 EOM", "30E/360", "30E/360 ISDA", "ACT/365F", "ACT/360", "ACT/ACT", "ACT/365L", "NL/365"]

ALIASES = {
    "ACT/365": "ACT/365F",
    "30/360 US": "30/360",
    "ACT/ACT ISDA": "ACT/ACT",
    "ACTUAL/365": "ACT/365F",
    "ACTUAL/360": "ACT/360",
    "ACTUAL/ACTUAL": "ACT/ACT",
}


def day_count(name: str) -> DayCount:
    """The convention of that name, or of one of its usual other names. ValueError otherwise."""
    chosen = ALIASES.get(name.upper(), name)
    for known in CONVENTIONS:
        if known.upper() == chosen.upper():
            return known
    raise ValueError(f"{name!r} is not a day count; there are {', '.join(CONVENTIONS)}")


def year_fraction(start: date, end: date, convention: DayCount, *, termination: date | None = None) -> Fraction:
    """Years from *start* to *end* (negative where end is earlier), exact.

    *termination* is the last day of the contract, which 30E/360 ISDA does not turn into a 30 when it is the end of February.
    """
    if end < start:
        return -year_fraction(end, start, convention, termination=termination)
    if convention == "30E/360 ISDA":
        return _thirty_e_isda(start, end, termination)
    return CONVENTIONS[convention](start, end)


def _thirty(start: date, end: date) -> Fraction:
    first = min(start.day, 30)
    last = 30 if end.day == 31 and first == 30 else end.day
    return _of_360(start, end, first, last)


def _thirty_end_of_month(start: date, end: date) -> Fraction:
    first, last = start.day, end.day
    if _february_end(start):
        last = 30 if _february_end(end) else last
        first = 30
    if last == 31 and first >= 30:
        last = 30
    return _of_360(start, end, min(first, 30), last)


def _thirty_e(start: date, end: date) -> Fraction:
    return _of_360(start, end, min(start.day, 30), min(end.day, 30))


def _thirty_e_isda(start: date, end: date, termination: date | None = None) -> Fraction:
    first = 30 if _february_end(start) else min(start.day, 30)
    last = 30 if _february_end(end) and end != termination else min(end.day, 30)
    return _of_360(start, end, first, last)


def _act_act(start: date, end: date) -> Fraction:
    total, at = Fraction(0), start
    while at < end:
        upto = min(end, date(at.year + 1, 1, 1))
        total += Fraction((upto - at).days, days_in_year(at.year))
        at = upto
    return total


def _act_365l(start: date, end: date) -> Fraction:
    return Fraction((end - start).days, days_in_year(end.year))


def _no_leap(start: date, end: date) -> Fraction:
    return Fraction((end - start).days - leap_days(start, end), 365)


CONVENTIONS: dict[DayCount, Callable[[date, date], Fraction]] = {
    "30/360": _thirty,
    "30/360 EOM": _thirty_end_of_month,
    "30E/360": _thirty_e,
    "30E/360 ISDA": _thirty_e_isda,
    "ACT/365F": lambda a, b: Fraction((b - a).days, 365),
    "ACT/360": lambda a, b: Fraction((b - a).days, 360),
    "ACT/ACT": _act_act,
    "ACT/365L": _act_365l,
    "NL/365": _no_leap,
}


def days_in_year(year: int) -> int:
    """365 or 366."""
    return 366 if calendar.isleap(year) else 365


def leap_days(start: date, end: date) -> int:
    """How many 29 Februaries lie in [start, end)."""
    return sum(1 for y in range(start.year, end.year + 1) if calendar.isleap(y) and start <= date(y, 2, 29) < end)


def _february_end(day: date) -> bool:
    return day.month == 2 and (day + timedelta(days=1)).month == 3


def _of_360(start: date, end: date, first: int, last: int) -> Fraction:
    return Fraction(360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first, 360)
