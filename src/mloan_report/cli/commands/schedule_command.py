"""A repayment plan: number, due date, payment, principal, interest and balance of each row.

Example: mloan-report schedule --principal 12000 --annual-rate-pct 15 --term 48 --frequency monthly --method equal_instalment --json
"""

from __future__ import annotations

import csv
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mloan_report.cli.shared import CannotUse, number, optional_day

if TYPE_CHECKING:
    from mloan_report.schedule import HolidayCalendar, PlanTerms

Kind = typer.Option


def command(
    principal: Annotated[str, Kind("--principal", help="Amount lent, in major units.")],
    annual_rate_pct: Annotated[str, Kind("--annual-rate-pct", help="Percent per year: 15 = 15 %.")],
    term: Annotated[int, Kind("--term", help="Count of instalments (bullet: of periods until the one payment).")],
    frequency: Annotated[str, Kind("--frequency", help="daily, weekly, fortnightly, four_weekly, semimonthly, monthly ... annual.")] = "monthly",
    method: Annotated[str, Kind("--method", help="equal_instalment, equal_principal, interest_only_bullet, bullet, flat ...")] = "equal_instalment",
    start: Annotated[str | None, Kind("--start", help="The day of disbursement; without it due dates are null.")] = None,
    first_due: Annotated[str | None, Kind("--first-due", help="The first due date; default: one period after the start.")] = None,
    end_of_month: Annotated[bool, Kind("--end-of-month", help="Every monthly date is the month's last day.")] = False,
    dues: Annotated[Path | None, Kind("--dues", help="For irregular: csv of due_on and, if it is set, principal.")] = None,
    day_count: Annotated[str, Kind("--day-count", help="30/360, 30E/360, ACT/365F, ACT/360, ACT/ACT ...")] = "30/360",
    short_periods: Annotated[str, Kind("--short-periods", help="A week is per_year (annual / 52) or days (annual x 7/365).")] = "per_year",
    grace: Annotated[str, Kind("--grace", help="none, principal, capitalised or deferred.")] = "none",
    grace_periods: Annotated[int, Kind("--grace-periods", help="How many of the first instalments the grace covers.")] = 0,
    step_amount: Annotated[str | None, Kind("--step-amount", help="For graduated: by how much the payment grows.")] = None,
    step_pct: Annotated[str | None, Kind("--step-pct", help="For graduated_geometric: by how many percent the payment grows.")] = None,
    step_every: Annotated[int, Kind("--step-every", help="Instalments between two steps.")] = 1,
    payment_rounding: Annotated[str, Kind("--payment-rounding", help="half_up, half_even, up or down.")] = "half_up",
    interest_rounding: Annotated[str, Kind("--interest-rounding", help="half_up, half_even, up or down.")] = "half_up",
    balance: Annotated[str, Kind("--balance", help="round_each_row or carry_precision.")] = "round_each_row",
    payment_unrounded: Annotated[bool, Kind("--payment-unrounded", help="Carry the instalment unrounded (with carry_precision).")] = False,
    last_row: Annotated[str, Kind("--last-row", help="absorbs the residue, or separate: a row of its own.")] = "absorbs",
    fee: Annotated[str, Kind("--fee", help="A fee with each instalment.")] = "0",
    currency: Annotated[str | None, Kind("--currency", help="ISO 4217 code, whose smallest unit is rounded to; default: 2 decimals.")] = None,
    unit: Annotated[str | None, Kind("--unit", help="The unit to round to, e.g. 1 or 0.05, instead of the currency's.")] = None,
    holidays: Annotated[str | None, Kind("--holidays", help="A country (needs the extra `calendars`) or a csv file of dates.")] = None,
    roll: Annotated[str, Kind("--roll", help="none, following, modified_following or preceding.")] = "none",
    interest_moves: Annotated[bool, Kind("--interest-moves", help="Interest runs to the rolled date, not to the unrolled one.")] = False,
    as_json: Annotated[bool, Kind("--json", help="A list of rows; figures are strings.")] = False,
) -> int:
    from mloan_report.schedule import CannotPlan, NoCalendar, PlanTerms, repayment_plan
    from mloan_report.schedule import day_count as known_day_count

    choice("--short-periods", short_periods, ("per_year", "days"))
    choice("--grace", grace, ("none", "principal", "capitalised", "deferred"))
    choice("--balance", balance, ("round_each_row", "carry_precision"))
    choice("--last-row", last_row, ("absorbs", "separate"))
    choice("--roll", roll, ("none", "following", "modified_following", "preceding"))
    for option, value in (("--payment-rounding", payment_rounding), ("--interest-rounding", interest_rounding)):
        choice(option, value, ("half_up", "half_even", "up", "down"))
    given: dict[str, Any] = _irregular(dues) if dues is not None else {}
    try:
        terms = PlanTerms(
            principal=number("--principal", principal),
            annual_rate_pct=number("--annual-rate-pct", annual_rate_pct),
            term=term,
            frequency=frequency,
            method=method,
            start=optional_day(start, "--start"),
            first_due=optional_day(first_due, "--first-due"),
            end_of_month=end_of_month,
            day_count=known_day_count(day_count),
            short_periods=short_periods,  # type: ignore[arg-type]
            grace=grace,  # type: ignore[arg-type]
            grace_periods=grace_periods,
            step_amount=None if step_amount is None else number("--step-amount", step_amount),
            step_pct=None if step_pct is None else number("--step-pct", step_pct),
            step_every=step_every,
            unit=_unit(currency, unit),
            payment_rounding=payment_rounding,  # type: ignore[arg-type]
            interest_rounding=interest_rounding,  # type: ignore[arg-type]
            balance_tracking=balance,  # type: ignore[arg-type]
            payment_unrounded=payment_unrounded,
            last_row=last_row,  # type: ignore[arg-type]
            fee=number("--fee", fee),
            calendar=_calendar(holidays),
            roll=roll,  # type: ignore[arg-type]
            interest_moves=interest_moves,
            **given,
        )
        plan = repayment_plan(terms)
    except (CannotPlan, NoCalendar, ValueError) as e:
        raise CannotUse(str(e)) from None
    rows = [_shown(r, terms) for r in plan.rows]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return 0


def _shown(row: Any, terms: PlanTerms) -> dict[str, Any]:
    def text(value: Decimal) -> str:
        return f"{value.quantize(terms.unit) if terms.unit.as_tuple().exponent != 0 else value:f}"

    shown = {
        "number": row.number,
        "due_on": row.due_on.isoformat() if row.due_on else None,
        "payment": text(row.payment),
        "principal": text(row.principal),
        "interest": text(row.interest),
        "balance": text(row.balance),
    }
    if terms.fee:
        shown["fee"] = text(row.fee)
    if terms.grace == "capitalised":
        shown["capitalised"] = text(row.capitalised)
    return shown


def choice(option: str, value: str, values: tuple[str, ...]) -> None:
    """Refuses a word that an option does not know."""
    if value not in values:
        raise CannotUse(f"{option} {value!r} is not one of {', '.join(values)}")


def _unit(currency: str | None, unit: str | None) -> Decimal:
    from mloan_report.schedule import unit_of

    if unit is not None:
        value = number("--unit", unit)
        if value <= 0:
            raise CannotUse(f"--unit {unit!r} is not above 0")
        return value
    if currency is None:
        return Decimal("0.01")
    try:
        return unit_of(currency)
    except KeyError:
        raise CannotUse(f"--currency {currency!r} is not a code of ISO 4217") from None


def _calendar(holidays: str | None) -> HolidayCalendar | None:
    from mloan_report.schedule import country_calendar, read_calendar

    if holidays is None:
        return None
    return country_calendar(holidays) if len(holidays) == 2 and holidays.isupper() else read_calendar(Path(holidays))


def _irregular(path: Path) -> dict[str, Any]:
    """Due dates and, where the file has them, principals."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as e:
        raise CannotUse(f"--dues {path} cannot be read: {e}") from None
    dates, principals = [], []
    for line, row in enumerate(rows, start=2):
        dates.append(optional_day((row.get("due_on") or "").strip(), f"--dues {path} line {line} due_on"))
        if row.get("principal"):
            principals.append(number(f"--dues {path} line {line} principal", row["principal"]))
    return {"dues": tuple(dates), "principals": tuple(principals)}
