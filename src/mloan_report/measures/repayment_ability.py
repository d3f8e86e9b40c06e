"""Whether households can bear their debts: debt service to income, and debt to income, here and at other lenders.

- debt service ratio = instalments of a month, of all members, here and elsewhere / a month's income of the household
- loan to income = what all members owe, here and elsewhere / the household's annual income

A loan's monthly instalment is its next instalment × instalments a year / 12, half up; for irregular plans and one payment at the end, what
is still scheduled over the months left. Income is household_annual_income (the highest stated by a member), else the members' own added up.
Source: RBI (Regulatory Framework for Microfinance Loans) Directions 2022 para 5 (50 % of monthly household income).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from mloan_report.measures.contagion import external
from mloan_report.measures.exchange import money_of
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.rounding import half_up
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.schedule.dates import FREQUENCIES
from mloan_report.schedule.rounding import EXACT


@dataclass(frozen=True)
class RepaymentAbility:
    """Of one household, in one currency (major units): debts and income; ratios are None without an income."""

    household: str
    members: tuple[str, ...]
    monthly_debt_service: Decimal
    debt: Decimal
    annual_income: Decimal | None

    @property
    def debt_service_ratio(self) -> Decimal | None:
        """Monthly debt service over a month's income."""
        return EXACT.divide(self.monthly_debt_service * 12, self.annual_income) if self.annual_income else None

    @property
    def loan_to_income(self) -> Decimal | None:
        """Debt over annual income."""
        return EXACT.divide(self.debt, self.annual_income) if self.annual_income else None


@dataclass(frozen=True)
class _AbilityBucket:
    source: Source
    as_of: date
    known_at: date | None
    together: Togetherness

    def __call__(self, number: int) -> pl.DataFrame:
        book = self.source.bucket(number)
        view = loan_view(book, work_out(book, self.as_of, self.known_at, history_months=0), self.known_at)
        own = view.filter(~pl.col("loan_id").is_in(list(book.guest_loans))) if book.guest_loans else view
        return ability_of_bucket(own, book, self.together)


def repayment_ability(source: Source, as_of: date, known_at: date | None = None, *, jobs: int | None = 1) -> list[RepaymentAbility]:
    """Every household with a debt on *as_of*, in the institution's currency. ValueError for a currency without a rate."""
    work = _AbilityBucket(source, as_of, known_at, togetherness(source))
    frames = list(over_buckets(source, work, range(source.count), jobs))
    book, home = source.bucket(0), source.institution.currency_code
    return ability_of_households(frames, lambda minor, code: money_of(book, minor, code, home, as_of))


def ability_of_bucket(view: pl.DataFrame, book: Portfolio, together: Togetherness) -> pl.DataFrame:
    """Rows to be added up by household: member, currency_code, service, debt, stated (household income), own (the member's income)."""
    live = view.filter((pl.col("claim_principal") > 0) | (pl.col("overdue_amount") > 0))
    live = live.with_columns(service=_monthly_instalment(), _person=together.person_of(live["borrower_id"]))
    here = live.group_by("borrower_id", "currency_code").agg(
        pl.col("service").cast(pl.Int128).sum(),
        debt=pl.col("claim_principal").cast(pl.Int128).sum(),
        stated=pl.col("borrower_household_annual_income").first(),
        own=pl.col("borrower_annual_income").first(),
        income_code=pl.col("borrower_income_currency_code").first(),
    )
    there = external(live, book, together).select(
        "borrower_id",
        pl.col("currency_code").fill_null(book.institution.currency_code),
        service=pl.col("instalment").fill_null(0).cast(pl.Int128),
        debt=pl.col("balance").cast(pl.Int128),
    )
    both = pl.concat([here, there], how="diagonal")
    return both.with_columns(household=together.household_of(both["borrower_id"]))


def ability_of_households(frames: Sequence[pl.DataFrame], money: Callable[[int, str], Decimal]) -> list[RepaymentAbility]:
    """The households of all buckets; *money* converts minor units of a currency into the one currency of the result."""
    out: dict[str, list[tuple[str, Decimal, Decimal, Decimal | None, Decimal | None]]] = {}
    columns = ("household", "borrower_id", "currency_code", "service", "debt", "stated", "own", "income_code")
    for household, member, code, service, debt, stated, own, income_code in pl.concat(frames, how="diagonal").select(columns).rows():
        incomes = [None if x is None else money(x, income_code or code) for x in (stated, own)]
        out.setdefault(household, []).append((member, money(service, code), money(debt, code), incomes[0], incomes[1]))
    found = []
    for household, rows in sorted(out.items()):
        stated_incomes = [r[3] for r in rows if r[3] is not None]
        own = {r[0]: r[4] for r in rows if r[4] is not None}
        income = max(stated_incomes) if stated_incomes else sum(own.values(), Decimal(0)) if own else None
        members = tuple(sorted({r[0] for r in rows}))
        found.append(RepaymentAbility(household, members, sum((r[1] for r in rows), Decimal(0)), sum((r[2] for r in rows), Decimal(0)), income or None))
    return found


def _monthly_instalment() -> pl.Expr:
    per_year = {name: p.per_year for name, p in FREQUENCIES.items()}
    times = pl.col("repayment_frequency").replace_strict(per_year, default=None, return_dtype=pl.Int64)
    single = pl.col("repayment_method").is_in(["bullet", "irregular", "on_demand"]) | times.is_null()
    end = pl.coalesce("last_due_on", "matures_on")
    left = ((end.dt.year().cast(pl.Int64) - pl.col("as_of").dt.year()) * 12 + end.dt.month().cast(pl.Int64) - pl.col("as_of").dt.month()).clip(lower_bound=1)
    spread = half_up(pl.col("claim_principal"), left.fill_null(1))
    return pl.when(single).then(spread).otherwise(half_up(pl.col("next_due_amount") * times.fill_null(12), pl.lit(12, pl.Int64))).fill_null(0)
