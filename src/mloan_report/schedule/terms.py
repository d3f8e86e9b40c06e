"""What a repayment plan is made from: amount, rate, count, method, dates, graces, and how each figure is rounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from mloan_report.schedule.dates import HolidayCalendar, Roll
from mloan_report.schedule.day_count import DayCount
from mloan_report.schedule.rounding import Rounding

Grace = Literal["none", "principal", "capitalised", "deferred"]
BalanceTracking = Literal["round_each_row", "carry_precision"]
LastRow = Literal["absorbs", "separate"]
ShortPeriods = Literal["per_year", "days"]


class CannotPlan(ValueError):
    """Terms that make no plan, said in one sentence."""


@dataclass(frozen=True, kw_only=True)
class PlanTerms:
    """One plan's terms. Amounts in major units of one currency, rates in percent per year.

    - ``term``: count of instalments; for ``bullet`` the count of periods until the one payment.
    - ``start``: the day of disbursement, from which interest runs; without it due dates are null and every period is regular.
    - ``first_due``: default one period after *start*; a shorter or longer first period bears interest by ``day_count``.
    - ``dues``, ``principals``: for method ``irregular``: the due dates, and the principal of each (absent: equal payments).
    - ``day_count``: 30/360 takes a regular period as months/12 (days: see ``short_periods``); ACT/* counts days.
    - ``short_periods``: a week is ``per_year`` (annual / 52) or ``days`` (annual × 7/365): they differ.
    - ``grace``: over the first ``grace_periods`` rows: ``principal`` (interest is paid), ``capitalised`` (nothing is paid, interest is
      added to principal), ``deferred`` (nothing is paid, interest is not compounded and is paid in equal parts afterwards).
    - ``step_amount`` (graduated, 等额累进) or ``step_pct`` (graduated_geometric, 等比累进): by how much the payment grows every
      ``step_every`` rows.
    - ``balance_tracking``: the printed balance feeds the next row, or the unrounded one is carried; ``payment_unrounded`` carries the
      instalment unrounded as well (India's factsheet annex).
    - ``last_row``: absorbs the residue, or a residue that is left stands in a row of its own.
    - ``fee``: a fee a row, outside the instalment's own arithmetic.
    - ``calendar``, ``roll``, ``interest_moves``: due dates roll off holidays; interest stays on the unrolled date unless it moves.
    """

    principal: Decimal
    annual_rate_pct: Decimal
    term: int
    frequency: str = "monthly"
    method: str = "equal_instalment"
    start: date | None = None
    first_due: date | None = None
    end_of_month: bool = False
    dues: tuple[date, ...] = ()
    principals: tuple[Decimal, ...] = ()
    day_count: DayCount = "30/360"
    short_periods: ShortPeriods = "per_year"
    grace: Grace = "none"
    grace_periods: int = 0
    step_amount: Decimal | None = None
    step_pct: Decimal | None = None
    step_every: int = 1
    unit: Decimal = field(default=Decimal("0.01"))
    payment_rounding: Rounding = "half_up"
    interest_rounding: Rounding = "half_up"
    balance_tracking: BalanceTracking = "round_each_row"
    payment_unrounded: bool = False
    last_row: LastRow = "absorbs"
    fee: Decimal = Decimal(0)
    calendar: HolidayCalendar | None = None
    roll: Roll = "none"
    interest_moves: bool = False
