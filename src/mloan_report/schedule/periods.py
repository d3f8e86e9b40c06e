"""A plan's due dates, and the part of a year that each period bears interest for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from itertools import pairwise

from mloan_report.schedule.dates import FREQUENCIES, due_dates, period_later
from mloan_report.schedule.day_count import year_fraction
from mloan_report.schedule.terms import CannotPlan, PlanTerms


def plan_periods(terms: PlanTerms) -> tuple[Sequence[date | None], list[Fraction]]:
    """Due dates (None without a start), and the years of interest of each period, exact."""
    if terms.method == "irregular":
        return _irregular(terms)
    if terms.frequency not in FREQUENCIES:
        raise CannotPlan(f"{terms.frequency} is not a frequency; there are {', '.join(FREQUENCIES)}")
    regular = _regular_fraction(terms)
    if terms.start is None and terms.first_due is None:
        if regular is None:
            raise CannotPlan(f"day count {terms.day_count} counts days: give the start")
        if terms.roll != "none" or terms.end_of_month:
            raise CannotPlan("dates that roll or stand at month ends need the start")
        return [None] * terms.term, [regular] * terms.term
    unrolled = _unrolled(terms)
    rolled = _rolled(terms, unrolled)
    return rolled, _fractions(terms, unrolled, rolled, regular)


def _unrolled(terms: PlanTerms) -> list[date]:
    """Every date from the anchor day: the first due date's where it is given, else the start's."""
    if terms.first_due is not None:
        return due_dates(terms.first_due, terms.term, terms.frequency, end_of_month=terms.end_of_month)
    assert terms.start is not None
    return due_dates(terms.start, terms.term + 1, terms.frequency, end_of_month=terms.end_of_month)[1:]


def _fractions(terms: PlanTerms, unrolled: list[date], rolled: list[date], regular: Fraction | None) -> list[Fraction]:
    ends = rolled if terms.interest_moves else unrolled
    start = terms.start
    if start is not None and ends[0] <= start:
        raise CannotPlan(f"the first due date {ends[0]} is not after the start {start}")
    if start is None and regular is None:
        raise CannotPlan(f"day count {terms.day_count} counts days: give the start")
    first_regular = start is None or unrolled[0] == _one_later(terms)
    out = []
    for k, end in enumerate(ends):
        begin = ends[k - 1] if k else start
        moved = terms.interest_moves and (end != unrolled[k] or (k > 0 and ends[k - 1] != unrolled[k - 1]))
        if regular is not None and not moved and (k or first_regular):
            out.append(regular)
        else:
            assert begin is not None
            out.append(year_fraction(begin, end, terms.day_count, termination=ends[-1]))
    return out


def _regular_fraction(terms: PlanTerms) -> Fraction | None:
    """A regular period where it does not hang on dates: months/12 under 30/360, days/365 or 1/52 and the like."""
    period = FREQUENCIES[terms.frequency]
    thirty = terms.day_count.startswith("30")
    if period.days:
        if thirty:
            return Fraction(1, period.per_year) if terms.short_periods == "per_year" else Fraction(period.days, 365)
        fixed = {"ACT/365F": 365, "ACT/360": 360}.get(terms.day_count)
        return Fraction(period.days, fixed) if fixed else None
    return Fraction(1, period.per_year) if thirty else None


def _one_later(terms: PlanTerms) -> date:
    assert terms.start is not None
    return period_later(terms.start, 1, terms.frequency, end_of_month=terms.end_of_month)


def _irregular(terms: PlanTerms) -> tuple[list[date], list[Fraction]]:
    if terms.start is None or not terms.dues:
        raise CannotPlan("method irregular needs the start and the due dates")
    if len(terms.dues) != terms.term or (terms.principals and len(terms.principals) != terms.term):
        raise CannotPlan(f"term is {terms.term}, but {len(terms.dues)} due dates and {len(terms.principals)} principals are given")
    days = [terms.start, *terms.dues]
    if any(b <= a for a, b in pairwise(days)):
        raise CannotPlan("due dates must rise, the first after the start")
    rolled = _rolled(terms, list(terms.dues))
    ends = rolled if terms.interest_moves else list(terms.dues)
    begins = [terms.start, *ends[:-1]]
    return rolled, [year_fraction(a, b, terms.day_count, termination=ends[-1]) for a, b in zip(begins, ends, strict=True)]


def _rolled(terms: PlanTerms, days: list[date]) -> list[date]:
    if terms.roll == "none":
        return days
    if terms.calendar is None:
        raise CannotPlan(f"roll {terms.roll} needs a calendar")
    return [terms.calendar.rolled(d, terms.roll) for d in days]
