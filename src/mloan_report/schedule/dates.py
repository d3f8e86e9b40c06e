"""Due dates: frequencies, month ends that keep their anchor day, holidays and how a date rolls off them."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

Roll = Literal["none", "following", "modified_following", "preceding"]


@dataclass(frozen=True)
class Period:
    """The time between two due dates: so many months, half months or days; and how many there are in a year."""

    per_year: int
    months: int = 0
    half_months: int = 0
    days: int = 0


FREQUENCIES: dict[str, Period] = {
    "daily": Period(365, days=1),
    "weekly": Period(52, days=7),
    "fortnightly": Period(26, days=14),
    "four_weekly": Period(13, days=28),
    "semimonthly": Period(24, half_months=1),
    "monthly": Period(12, months=1),
    "bimonthly": Period(6, months=2),
    "quarterly": Period(4, months=3),
    "four_monthly": Period(3, months=4),
    "semiannual": Period(2, months=6),
    "annual": Period(1, months=12),
}


def add_months(day: date, months: int, anchor: int | None = None) -> date:
    """*months* later on day number *anchor* (default: the day's own), or on the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(anchor or day.day, calendar.monthrange(year, month + 1)[1]))


def month_end(day: date) -> bool:
    """Whether the day is the last of its month."""
    return (day + timedelta(days=1)).day == 1


def due_dates(first: date, count: int, frequency: str = "monthly", *, end_of_month: bool = False) -> list[date]:
    """*count* due dates from *first* on, each from the anchor day of *first*, never from the date before.

    31 January is followed by 28 February and 31 March. *end_of_month* makes every monthly date a month's last day, which
    differs where *first* is a 28th to 30th.
    """
    return [period_later(first, i, frequency, end_of_month=end_of_month) for i in range(count)]


def period_later(first: date, count: int, frequency: str, *, end_of_month: bool = False) -> date:
    """The date *count* periods after *first* (before it, where count is negative)."""
    period = FREQUENCIES[frequency]
    if period.days:
        return first + timedelta(days=period.days * count)
    if period.half_months:
        return _half_months(first, count)
    return add_months(first, period.months * count, 31 if end_of_month else None)


def _half_months(first: date, count: int) -> date:
    """The 1st and the 16th, the 5th and the 20th, the 15th and the month's end: two dates a month, fifteen days apart."""
    if first.day <= 15:
        months, late = divmod(count, 2)
        return add_months(first, months, first.day + 15 if late else first.day)
    months, late = divmod(count + 1, 2)
    early = min(first.day, 30) - 15
    return add_months(first, months, first.day if late else early)


class NoCalendar(ValueError):
    """A calendar that is not there, cannot be read, or does not reach a date."""


@dataclass(frozen=True)
class HolidayCalendar:
    """Days on which nothing is due: weekends and holidays, less the weekend days that are worked (调休)."""

    name: str
    holidays: frozenset[date]
    worked: frozenset[date]
    first_year: int
    last_year: int
    weekend: tuple[int, ...] = (5, 6)

    def is_business_day(self, day: date) -> bool:
        """NoCalendar for a year that the calendar does not hold: that is never "no holidays"."""
        if not self.first_year <= day.year <= self.last_year:
            raise NoCalendar(f"calendar {self.name} holds {self.first_year} to {self.last_year}, not {day}: give a newer calendar")
        return day in self.worked or (day not in self.holidays and day.weekday() not in self.weekend)

    def rolled(self, day: date, roll: Roll) -> date:
        """*day*, or the business day that *roll* moves it to; modified following does not leave the month."""
        if roll == "none":
            return day
        at = self._next(day, -1 if roll == "preceding" else 1)
        return self._next(day, -1) if roll == "modified_following" and at.month != day.month else at

    def _next(self, day: date, step: int) -> date:
        while not self.is_business_day(day):
            day += timedelta(days=step)
        return day


def read_calendar(path: Path) -> HolidayCalendar:
    """A calendar file: csv with a column ``on`` (YYYY-MM-DD) and optionally ``kind`` = holiday (default) or worked.

    It holds the years from that of its first date to that of its last. NoCalendar names the file and the line at fault.
    """
    import csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as e:
        raise NoCalendar(f"calendar {path} cannot be read: {e.strerror}") from None
    days: dict[str, set[date]] = {"holiday": set(), "worked": set()}
    for number, row in enumerate(rows, start=2):
        kind = (row.get("kind") or "holiday").strip()
        try:
            days[kind].add(date.fromisoformat((row.get("on") or "").strip()))
        except (ValueError, KeyError):
            raise NoCalendar(f"calendar {path} line {number}: needs on=YYYY-MM-DD and kind holiday or worked, has {row}") from None
    years = [d.year for kind in days.values() for d in kind]
    if not years:
        raise NoCalendar(f"calendar {path} holds no date")
    return HolidayCalendar(path.name, frozenset(days["holiday"]), frozenset(days["worked"]), min(years), max(years))


@cache
def country_calendar(country: str) -> HolidayCalendar:
    """A country's public holidays from the optional package ``holidays`` (pip install mloan-report[calendars])."""
    try:
        import holidays
    except ImportError:
        raise NoCalendar(f"calendar {country}: install mloan-report[calendars], or give a csv file of dates") from None
    if country not in holidays.list_supported_countries():
        raise NoCalendar(f"calendar {country}: the holidays package has no such country")
    empty = holidays.country_holidays(country)
    first, last = max(empty.start_year, 1990), min(empty.end_year, 2100)
    filled = holidays.country_holidays(country, years=range(first, last + 1))
    worked: set[date] = getattr(filled, "weekend_workdays", set())
    if worked:  # A country that moves working days announces each year: what is computed beyond the last announcement is not known.
        first, last = min(d.year for d in worked), max(d.year for d in worked)
    return HolidayCalendar(country, frozenset(filled), frozenset(worked), first, last, tuple(sorted(filled.weekend)))
