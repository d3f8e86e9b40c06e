"""Repayment plans, row by row, in Decimal.

The principal of a plan is the loan's principal exactly (with what a grace adds to it), the closing balance is 0 exactly, no part is
negative, and in each row payment = principal + interest + fee. Formulas: ``docs/schedules.md``; standard financial mathematics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from mloan_report.schedule.periods import plan_periods
from mloan_report.schedule.rounding import EXACT, to_unit
from mloan_report.schedule.terms import CannotPlan, PlanTerms

ZERO = Decimal(0)


@dataclass(frozen=True)
class PlanRow:
    """One instalment: amounts in major units; ``balance`` is what is owed after it; ``capitalised`` is interest that a grace adds."""

    number: int
    due_on: date | None
    payment: Decimal
    principal: Decimal
    interest: Decimal
    fee: Decimal
    balance: Decimal
    capitalised: Decimal


@dataclass(frozen=True)
class Plan:
    """A plan: its terms and its rows."""

    terms: PlanTerms
    rows: tuple[PlanRow, ...]

    @property
    def total_interest(self) -> Decimal:
        """Interest paid over the plan, capitalised interest (paid as principal) included."""
        return sum((r.interest + r.capitalised for r in self.rows), ZERO)

    @property
    def total_paid(self) -> Decimal:
        """Everything that is paid, fees included."""
        return sum((r.payment for r in self.rows), ZERO)


@dataclass
class _Run:
    """A plan in the making: the carried balance, the rows so far, and deferred interest not yet paid."""

    terms: PlanTerms
    dues: Sequence[date | None]
    rates: Sequence[Decimal]
    balance: Decimal
    owed: Decimal
    deferred: Decimal = ZERO

    def __post_init__(self) -> None:
        self.rows: list[PlanRow] = []

    def interest(self) -> tuple[Decimal, Decimal]:
        """Interest of the next row: as carried, and as shown."""
        exact = EXACT.multiply(self.balance, self.rates[len(self.rows)])
        shown = to_unit(exact, self.terms.unit, self.terms.interest_rounding)
        return (shown if self.terms.balance_tracking == "round_each_row" else exact), shown

    def add(self, carried: Decimal, principal: Decimal, interest: Decimal, capitalised: Decimal = ZERO) -> None:
        """One row; *carried* is the principal by which the carried balance falls, *principal* the one shown."""
        number = len(self.rows) + 1
        if principal < 0:
            raise CannotPlan(f"row {number}: the instalment does not cover its interest {interest}; lower the rate, the term or the step")
        self.balance = EXACT.add(EXACT.subtract(self.balance, carried), capitalised)
        self.owed += capitalised - principal
        fee = self.terms.fee
        due = self.dues[number - 1]
        shown = self.owed if self.terms.balance_tracking == "round_each_row" else to_unit(self.balance, self.terms.unit, "half_up")
        self.rows.append(PlanRow(number, due, principal + interest + fee, principal, interest, fee, max(shown, ZERO), capitalised))

    def close(self, interest: Decimal) -> None:
        """The last row: what is owed."""
        self.balance = self.owed
        self.add(self.owed, self.owed, interest)

    def grace(self) -> None:
        """The rows of the grace."""
        for _ in range(self.terms.grace_periods if self.terms.grace != "none" else 0):
            _, shown = self.interest()
            if self.terms.grace == "principal":
                self.add(ZERO, ZERO, shown)
            elif self.terms.grace == "capitalised":
                self.add(ZERO, ZERO, ZERO, capitalised=shown)
            else:
                self.deferred += shown
                self.add(ZERO, ZERO, ZERO)

    def deferred_part(self, left: int) -> Decimal:
        """What the next of *left* rows pays of deferred interest."""
        part = self.deferred if left == 1 else to_unit(self.deferred / left, self.terms.unit, self.terms.interest_rounding)
        self.deferred -= part
        return part


def repayment_plan(terms: PlanTerms) -> Plan:
    """The plan of *terms*. CannotPlan where they make none; NoCalendar where holidays are asked for that are not known."""
    _check(terms)
    dues, years = plan_periods(terms)
    rates = [EXACT.divide(EXACT.multiply(terms.annual_rate_pct, Decimal(y.numerator)), Decimal(100 * y.denominator)) for y in years]
    if terms.method == "bullet":
        return _bullet(terms, dues[-1], years)
    run = _Run(terms, dues, rates, terms.principal, terms.principal)
    METHODS[terms.method](run, years)
    return Plan(terms, tuple(_separated(terms, run.rows)))


def _equal_instalment(run: _Run, years: Sequence[Fraction]) -> None:
    run.grace()
    _pay(run, _growing_payments(run, lambda k: Decimal(1), lambda k: ZERO))


def _graduated(run: _Run, years: Sequence[Fraction]) -> None:
    step, every = run.terms.step_amount, run.terms.step_every
    if step is None:
        raise CannotPlan("method graduated needs the amount by which the payment grows (step_amount)")
    run.grace()
    _pay(run, _growing_payments(run, lambda k: Decimal(1), lambda k: step * (k // every)))


def _graduated_geometric(run: _Run, years: Sequence[Fraction]) -> None:
    pct, every = run.terms.step_pct, run.terms.step_every
    if pct is None:
        raise CannotPlan("method graduated_geometric needs the percent by which the payment grows (step_pct)")
    growth = EXACT.add(Decimal(1), EXACT.divide(pct, Decimal(100)))
    run.grace()
    _pay(run, _growing_payments(run, lambda k: EXACT.power(growth, k // every), lambda k: ZERO))


def _growing_payments(run: _Run, weight: Callable[[int], Decimal], plus: Callable[[int], Decimal]) -> list[Decimal]:
    """payment_k = x · weight(k) + plus(k) with the x that discounts to the balance: P = Σ payment_k · Π 1/(1 + f_j)."""
    factor, weighted, added = Decimal(1), ZERO, ZERO
    count = len(run.rates) - len(run.rows)
    for k, rate in enumerate(run.rates[len(run.rows) :]):
        factor = EXACT.divide(factor, EXACT.add(Decimal(1), rate))
        weighted = EXACT.add(weighted, EXACT.multiply(weight(k), factor))
        added = EXACT.add(added, EXACT.multiply(plus(k), factor))
    first = EXACT.divide(EXACT.subtract(run.balance, added), weighted)
    if first < 0:
        raise CannotPlan("the steps alone repay more than the principal: lower them")
    exact = [EXACT.add(EXACT.multiply(first, weight(k)), plus(k)) for k in range(count)]
    return exact if run.terms.payment_unrounded else [to_unit(p, run.terms.unit, run.terms.payment_rounding) for p in exact]


def _pay(run: _Run, payments: Sequence[Decimal]) -> None:
    """Rows of known payments; the last takes what is owed."""
    for k, payment in enumerate(payments[:-1]):
        carried, shown = run.interest()
        part = min(EXACT.subtract(payment, carried), run.balance)
        due = to_unit(payment, run.terms.unit, run.terms.payment_rounding)
        run.add(part, min(due - shown, run.owed), shown + run.deferred_part(len(payments) - k))
    run.close(run.interest()[1] + run.deferred_part(1))


def _equal_principal(run: _Run, years: Sequence[Fraction]) -> None:
    run.grace()
    count = len(run.rates) - len(run.rows)
    part = to_unit(EXACT.divide(run.owed, Decimal(count)), run.terms.unit, run.terms.payment_rounding)
    _repay(run, [part] * (count - 1))


def _interest_only_bullet(run: _Run, years: Sequence[Fraction]) -> None:
    run.grace()
    _repay(run, [ZERO] * (len(run.rates) - len(run.rows) - 1))


def _irregular(run: _Run, years: Sequence[Fraction]) -> None:
    given = run.terms.principals
    if not given:
        return _equal_instalment(run, years)
    if sum(given, ZERO) != run.terms.principal:
        raise CannotPlan(f"the principals given sum to {sum(given, ZERO)}, not to {run.terms.principal}")
    _repay(run, given[:-1])


def _repay(run: _Run, parts: Sequence[Decimal]) -> None:
    """Rows of known principal with interest on the balance; the last takes what is owed."""
    left = len(parts) + 1
    for k, part in enumerate(parts):
        _, shown = run.interest()
        taken = min(part, run.owed)
        run.add(taken, taken, shown + run.deferred_part(left - k))
    run.close(run.interest()[1] + run.deferred_part(1))


def _flat(run: _Run, years: Sequence[Fraction]) -> None:
    terms, count = run.terms, len(run.rates)
    total = _simple_interest(terms, years)
    free = terms.grace_periods if terms.grace != "none" else 0
    paying = count - free if terms.grace == "deferred" else count
    each = to_unit(EXACT.divide(total, Decimal(paying)), terms.unit, terms.interest_rounding)
    part = EXACT.divide(terms.principal, Decimal(count - free))
    payment = to_unit(EXACT.add(part, EXACT.divide(total, Decimal(paying))), terms.unit, terms.payment_rounding)
    paid = ZERO
    for k in range(count - 1):
        interest = ZERO if k < free and terms.grace == "deferred" else min(each, total - paid)
        principal = ZERO if k < free else min(max(payment - interest, ZERO), run.owed)
        run.add(principal, principal, interest)
        paid += interest
    run.close(total - paid)


def _sum_of_digits(run: _Run, years: Sequence[Fraction]) -> None:
    """Interest of row k of n has weight n-k+1 over n(n+1)/2 of principal × rate × time (the Rule of 78)."""
    terms, count = run.terms, len(run.rates)
    total = _simple_interest(terms, years)
    payment = to_unit(EXACT.divide(EXACT.add(terms.principal, total), Decimal(count)), terms.unit, terms.payment_rounding)
    weights, paid = count * (count + 1) // 2, ZERO
    for k in range(count - 1):
        share = EXACT.divide(EXACT.multiply(total, Decimal(count - k)), Decimal(weights))
        interest = min(to_unit(share, terms.unit, terms.interest_rounding), total - paid)
        principal = min(payment - interest, run.owed)
        run.add(principal, principal, interest)
        paid += interest
    run.close(total - paid)


def _bullet(terms: PlanTerms, due: date | None, years: Sequence[Fraction]) -> Plan:
    """P · (1 + R · t) in one payment, simple interest."""
    interest = _simple_interest(terms, years)
    payment = terms.principal + interest + terms.fee
    return Plan(terms, (PlanRow(1, due, payment, terms.principal, interest, terms.fee, ZERO, ZERO),))


def _simple_interest(terms: PlanTerms, years: Sequence[Fraction]) -> Decimal:
    time = sum(years, Fraction(0))
    exact = EXACT.divide(EXACT.multiply(terms.principal, EXACT.multiply(terms.annual_rate_pct, Decimal(time.numerator))), Decimal(100 * time.denominator))
    return to_unit(exact, terms.unit, terms.interest_rounding)


METHODS: dict[str, Callable[[_Run, Sequence[Fraction]], None]] = {
    "equal_instalment": _equal_instalment,
    "equal_principal": _equal_principal,
    "interest_only_bullet": _interest_only_bullet,
    "flat": _flat,
    "sum_of_digits": _sum_of_digits,
    "graduated": _graduated,
    "graduated_geometric": _graduated_geometric,
    "irregular": _irregular,
}
PLAN_METHODS = (*METHODS, "bullet")
_GRACES = {"flat": ("none", "principal", "deferred"), "sum_of_digits": ("none",), "bullet": ("none",)}


def _separated(terms: PlanTerms, rows: list[PlanRow]) -> list[PlanRow]:
    """With ``separate``, what the last row pays above the one before stands in a row of its own."""
    if terms.last_row != "separate" or terms.method not in ("equal_instalment", "flat", "irregular") or terms.principals or len(rows) < 2:
        return rows
    last, usual = rows[-1], rows[-2].payment
    residue = last.payment - usual
    if not ZERO < residue <= last.principal:
        return rows
    regular = PlanRow(last.number, last.due_on, usual, last.principal - residue, last.interest, last.fee, residue, ZERO)
    return [*rows[:-1], regular, PlanRow(last.number + 1, last.due_on, residue, residue, ZERO, ZERO, ZERO, ZERO)]


def _check(terms: PlanTerms) -> None:
    if terms.method not in PLAN_METHODS:
        raise CannotPlan(f"{terms.method} is not a method of a plan; there are {', '.join(PLAN_METHODS)}")
    if terms.principal <= 0:
        raise CannotPlan(f"principal {terms.principal} is not above 0")
    if terms.unit <= 0 or terms.principal % terms.unit:
        raise CannotPlan(f"principal {terms.principal} is not a whole number of the unit {terms.unit}")
    if terms.annual_rate_pct < 0:
        raise CannotPlan(f"annual rate {terms.annual_rate_pct} is below 0")
    if terms.term < 1:
        raise CannotPlan(f"term {terms.term} is not a count of instalments")
    if terms.grace not in _GRACES.get(terms.method, (terms.grace,)):
        raise CannotPlan(f"a grace of kind {terms.grace} has no meaning for {terms.method}")
    if terms.grace != "none" and not 0 < terms.grace_periods < terms.term:
        raise CannotPlan(f"grace periods {terms.grace_periods}: at least 1 and fewer than the {terms.term} instalments")
    if terms.payment_unrounded and terms.balance_tracking != "carry_precision":
        raise CannotPlan("an unrounded instalment needs the balance carried unrounded (carry_precision)")
    if terms.step_every < 1:
        raise CannotPlan(f"step_every {terms.step_every} is not a count of instalments")
