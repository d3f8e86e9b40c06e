"""Repayment plans in exact arithmetic."""

from __future__ import annotations

from mloan_report.schedule.plan import add_months, due_dates, plan

__all__ = ["add_months", "due_dates", "plan"]
