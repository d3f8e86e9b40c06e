"""Vintage curves: of the loans disbursed in a month, the share that has ever defaulted by each month on book.

The denominator is the cohort at origination and never shrinks; there is no cure; month 0 is that of the disbursement. A cell that the
cohort has not reached (the month is not over on as_of) is empty, never a partial figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from mloan_report.measures.defaults import default_days, first_defaults
from mloan_report.measures.exchange import money_of
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.schedule.dates import add_months
from mloan_report.schedule.rounding import EXACT


@dataclass(frozen=True)
class VintageCurve:
    """One cohort: ``rates[k]`` is the share that has ever defaulted by month on book k; None where month k is not over."""

    group: dict[str, str | None]
    cohort: str
    basis: str
    originated: Decimal
    rates: tuple[Decimal | None, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text."""
        cells = [None if r is None else format(r, "f") for r in self.rates]
        return {"cohort": self.cohort, "group": self.group, "basis": self.basis, "originated": format(self.originated, "f"), "rates": cells}


@dataclass(frozen=True)
class _VintageBucket:
    source: Source
    as_of: date
    known_at: date | None
    days: int
    by: tuple[str, ...]

    def __call__(self, number: int) -> pl.DataFrame:
        book = self.source.bucket(number)
        positions = work_out(book, self.as_of, self.known_at, history_months=0)
        view = loan_view(book, positions, self.known_at)
        if book.guest_loans:
            view = view.filter(~pl.col("loan_id").is_in(list(book.guest_loans)))
        for column in self.by:
            if column not in view.columns:
                raise KeyError(column)
        view = view.filter((pl.col("disbursed_on") <= pl.col("as_of")) & (pl.col("status") != "cancelled"))
        found = view.join(first_defaults(positions, book, self.days), on=["loan_id", "as_of"], how="left")
        month = pl.col("disbursed_on").dt.truncate("1mo")
        on = pl.col("default_on")
        age = (on.dt.year().cast(pl.Int64) - month.dt.year()) * 12 + on.dt.month().cast(pl.Int64) - month.dt.month()
        return (
            found.with_columns(cohort=month, age=age.clip(lower_bound=0))
            .group_by(*self.by, "cohort", "age", "currency_code")
            .agg(loans=pl.len().cast(pl.Int64), amount=pl.col("principal").cast(pl.Int128).sum())
        )


def vintage_curves(
    source: Source,
    as_of: date,
    known_at: date | None = None,
    *,
    basis: str = "count",
    days: int | None = None,
    months: int = 24,
    by: Sequence[str] = (),
    jobs: int | None = 1,
) -> list[VintageCurve]:
    """The curves of all cohorts to month *months*, by ``count`` of loans or originated ``amount`` (in the institution's currency).

    KeyError for a *by* that is no column of the loan view; ValueError for an unknown basis, or a currency without a rate.
    """
    if basis not in ("count", "amount"):
        raise ValueError(f"basis {basis} is not count or amount")
    work = _VintageBucket(source, as_of, known_at, default_days() if days is None else days, tuple(by))
    rows = pl.concat(list(over_buckets(source, work, range(source.count), jobs)))
    home, book = source.institution.currency_code, source.bucket(0)
    weights: dict[tuple[Any, ...], dict[int | None, Decimal]] = {}
    for *key, age, code, loans, amount in rows.select(*by, "cohort", "age", "currency_code", "loans", "amount").rows():
        weight = Decimal(loans) if basis == "count" else money_of(book, amount, code, home, as_of)
        ages = weights.setdefault(tuple(key), {})
        ages[age] = ages.get(age, Decimal(0)) + weight
    ordered = sorted(weights.items(), key=lambda item: [str(k) for k in item[0]])
    return [_curve(key, ages, basis, as_of, months, by) for key, ages in ordered]


def _curve(key: tuple[Any, ...], ages: dict[int | None, Decimal], basis: str, as_of: date, months: int, by: Sequence[str]) -> VintageCurve:
    *group, cohort = key
    total = sum(ages.values(), Decimal(0))
    rates: list[Decimal | None] = []
    for k in range(months + 1):
        over = add_months(cohort, k + 1) - timedelta(days=1) <= as_of
        bad = sum((w for age, w in ages.items() if age is not None and age <= k), Decimal(0))
        rates.append(EXACT.divide(bad, total).quantize(Decimal("1e-12")) if over and total else None)
    names = {c: None if g is None else str(g) for c, g in zip(by, group, strict=True)}
    return VintageCurve(names, cohort.strftime("%Y-%m"), basis, total, tuple(rates))
