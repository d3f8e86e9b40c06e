"""Repayment plans, day counts and annual rates, in exact arithmetic."""

from __future__ import annotations

from mloan_report.schedule.annual_rate import CONVENTIONS, AnnualRate, Flow, annual_rate, rate_of_plan, simple_annual_rate
from mloan_report.schedule.dates import FREQUENCIES, HolidayCalendar, NoCalendar, add_months, country_calendar, due_dates, read_calendar
from mloan_report.schedule.day_count import day_count, year_fraction
from mloan_report.schedule.plan import PLAN_METHODS, Plan, PlanRow, repayment_plan
from mloan_report.schedule.rounding import unit_of
from mloan_report.schedule.terms import CannotPlan, PlanTerms

__all__ = [
    "CONVENTIONS",
    "FREQUENCIES",
    "PLAN_METHODS",
    "AnnualRate",
    "CannotPlan",
    "Flow",
    "HolidayCalendar",
    "NoCalendar",
    "Plan",
    "PlanRow",
    "PlanTerms",
    "add_months",
    "annual_rate",
    "country_calendar",
    "day_count",
    "due_dates",
    "rate_of_plan",
    "read_calendar",
    "repayment_plan",
    "simple_annual_rate",
    "unit_of",
    "year_fraction",
]
