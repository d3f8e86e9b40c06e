"""How loans moved between two dates: the migration matrix of categories, and roll rates between buckets of days.

A row of the matrix is where the loans of one category at the opening stand at the closing, over all states, paid off, written off and sold
included: its parts sum to exactly 1. Loans new in the period are out. A roll rate is the balance of the next bucket now over that of the
bucket a month before: an aggregate of flows that may exceed 1. An empty row or bucket is None.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from mloan_report.measures.classify import classify
from mloan_report.measures.exchange import money_of
from mloan_report.measures.memory import stored_categories
from mloan_report.measures.regime import Regime
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.schedule.dates import add_months
from mloan_report.schedule.rounding import EXACT

ABSORBING = ("paid_off", "written_off", "transferred", "not_classified")
EDGES = (0, 30, 60, 90, 120, 150, 180)


@dataclass(frozen=True)
class MigrationMatrix:
    """``weights[i][j]``: loans (or opening balance, in the institution's currency) that moved from category i to state j."""

    regime: str
    opening: date
    closing: date
    basis: str
    states: tuple[str, ...]
    weights: dict[str, dict[str, Decimal]]
    new_loans: int

    def share(self, category: str, state: str) -> Fraction | None:
        """The part of *category* that moved to *state*, exact; None for an empty row."""
        total = sum(self.weights.get(category, {}).values(), Decimal(0))
        return Fraction(self.weights[category].get(state, Decimal(0))) / Fraction(total) if total else None

    def worsened(self, category: str, ranks: dict[str, int]) -> Fraction | None:
        """The part of *category* that ended in a worse one (迁徙率)."""
        worse = [s for s in self.states if s in ranks and ranks[s] > ranks[category]]
        shares = [self.share(category, s) for s in worse]
        return sum((s for s in shares if s is not None), Fraction(0)) if self.weights.get(category) else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text to 12 places, weights exact."""
        rows = {
            i: {"weights": {j: format(w, "f") for j, w in row.items()}, "shares": {j: share_text(self.share(i, j)) for j in self.states}}
            for i, row in self.weights.items()
        }
        return {
            "regime": self.regime, "opening": self.opening.isoformat(), "closing": self.closing.isoformat(), "basis": self.basis, "rows": rows,
            "new_loans": self.new_loans,
        }  # fmt: skip


def share_text(share: Fraction | None) -> str | None:
    """A share to 12 places; None for none."""
    return None if share is None else f"{EXACT.divide(Decimal(share.numerator), Decimal(share.denominator)).quantize(Decimal('1e-12')):f}"


@dataclass(frozen=True)
class _MoveBucket:
    source: Source
    opening: date
    closing: date
    known_at: date | None
    regime: Regime
    recompute: bool

    def __call__(self, number: int) -> pl.DataFrame:
        book = self.source.bucket(number)
        at = []
        for day in (self.opening, self.closing):
            positions = work_out(book, day, self.known_at, history_months=0)
            view = loan_view(book, positions, self.known_at)
            loans = classify(view, self.regime, book, positions=positions, known_at=self.known_at).loans
            if not self.recompute:
                kept = stored_categories(book, self.regime.id, day, self.known_at)
                loans = loans.join(kept, on="loan_id", how="left").with_columns(category=pl.coalesce("stored", "category"))
            at.append(loans.select("loan_id", "category").join(view.select("loan_id", "status", "currency_code", "own_on_book_principal"), on="loan_id"))
        before, after = at
        names = {"written_off": "written_off", "transferred": "transferred", "settled": "paid_off"}
        gone = pl.col("status").replace_strict(names, default="not_classified", return_dtype=pl.String)
        state = pl.when(pl.col("status") == "written_off").then(pl.lit("written_off")).otherwise(pl.coalesce("category", gone))
        moved = before.join(after.select("loan_id", state=state), on="loan_id", how="left")
        if book.guest_loans:
            moved = moved.filter(~pl.col("loan_id").is_in(list(book.guest_loans)))
        old = pl.when((pl.col("status") == "written_off") | pl.col("category").is_null()).then(None).otherwise(pl.col("category"))
        started = pl.col("status") == "not_disbursed"
        return moved.group_by(category=old, state="state", currency_code="currency_code", new=started).agg(
            loans=pl.len().cast(pl.Int64), balance=pl.col("own_on_book_principal").cast(pl.Int128).sum()
        )


def migration_matrix(
    source: Source,
    opening: date,
    closing: date,
    regime: Regime,
    known_at: date | None = None,
    *,
    basis: str = "count",
    recompute: bool = False,
    jobs: int | None = 1,
) -> MigrationMatrix:
    """The matrix between two dates under *regime*, by ``count`` of loans or opening ``balance``.

    A category that ``classify --store`` kept for one of the dates counts as it was stored, unless *recompute*.
    """
    if basis not in ("count", "balance"):
        raise ValueError(f"basis {basis} is not count or balance")
    if opening >= closing:
        raise ValueError(f"the opening {opening} is not before the closing {closing}")
    work = _MoveBucket(source, opening, closing, known_at, regime, recompute)
    rows = pl.concat(list(over_buckets(source, work, range(source.count), jobs)))
    home, book = source.institution.currency_code, source.bucket(0)
    codes = [c.code for c in regime.categories]
    weights: dict[str, dict[str, Decimal]] = {code: {} for code in codes}
    new = 0
    for category, state, code, fresh, loans, balance in rows.select("category", "state", "currency_code", "new", "loans", "balance").rows():
        if category is None:
            new += loans if fresh and state in codes else 0
            continue
        weight = Decimal(loans) if basis == "count" else money_of(book, balance, code, home, opening)
        weights[category][state] = weights[category].get(state, Decimal(0)) + weight
    return MigrationMatrix(regime.id, opening, closing, basis, (*codes, *ABSORBING), weights, new)


@dataclass(frozen=True)
class RollRate:
    """From one bucket of days to the next within a month; ``value`` is None where the bucket was empty."""

    month_end: date
    bucket: str
    next_bucket: str
    value: Decimal | None
    numerator: Decimal
    denominator: Decimal

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text."""
        value = None if self.value is None else format(self.value, "f")
        figures = {"value": value, "numerator": format(self.numerator, "f"), "denominator": format(self.denominator, "f")}
        return {"month_end": self.month_end.isoformat(), "from": self.bucket, "to": self.next_bucket} | figures


@dataclass(frozen=True)
class _AgeBucket:
    source: Source
    days: tuple[date, ...]
    known_at: date | None
    edges: tuple[int, ...]

    def __call__(self, number: int) -> pl.DataFrame:
        book = self.source.bucket(number)
        names, out = bucket_names(self.edges), []
        for day in self.days:
            loans = work_out(book, day, self.known_at, history_months=0).loans.filter(pl.col("own_on_book_principal") > 0)
            if book.guest_loans:
                loans = loans.filter(~pl.col("loan_id").is_in(list(book.guest_loans)))
            at: pl.Expr = pl.lit(names[-1])
            for edge, name in reversed(list(zip(self.edges, names, strict=False))):
                at = pl.when(pl.col("days_past_due") <= edge).then(pl.lit(name)).otherwise(at)
            grouped = loans.group_by(bucket=at, currency_code="currency_code", as_of="as_of")
            out.append(grouped.agg(balance=pl.col("own_on_book_principal").cast(pl.Int128).sum()))
        return pl.concat(out)


def bucket_names(edges: Sequence[int]) -> list[str]:
    """0, 1-30, ... over 180, for upper edges 0, 30, ... 180."""
    return [str(edges[0]), *(f"{a + 1}-{b}" for a, b in itertools.pairwise(edges)), f"over {edges[-1]}"]


def roll_rates(
    source: Source, as_of: date, known_at: date | None = None, *, months: int = 6, edges: Sequence[int] = EDGES, jobs: int | None = 1
) -> list[RollRate]:
    """Roll rates of the last *months* months up to *as_of* (which should be a month end), between buckets with these upper *edges*."""
    if list(edges) != sorted(set(edges)) or len(edges) < 2:
        raise ValueError("edges must rise, at least two of them")
    # The same day of earlier months, or their last: month ends stay month ends.
    ends = tuple(_months_before(as_of, k) for k in range(months, -1, -1))
    work = _AgeBucket(source, ends, known_at, tuple(edges))
    rows = pl.concat(list(over_buckets(source, work, range(source.count), jobs)))
    home, book = source.institution.currency_code, source.bucket(0)
    balances: dict[tuple[date, str], Decimal] = {}
    for bucket, code, day, minor in rows.select("bucket", "currency_code", "as_of", "balance").rows():
        balances[day, bucket] = balances.get((day, bucket), Decimal(0)) + money_of(book, minor, code, home, day)
    names, out = bucket_names(edges), []
    for before, after in itertools.pairwise(ends):
        for one, other in itertools.pairwise(names):
            bottom, top = balances.get((before, one), Decimal(0)), balances.get((after, other), Decimal(0))
            value = EXACT.divide(top, bottom).quantize(Decimal("1e-12")) if bottom else None
            out.append(RollRate(after, one, other, value, top, bottom))
    return out


def _months_before(day: date, months: int) -> date:
    at_end = (day + timedelta(days=1)).day == 1
    return add_months(day, -months, 31 if at_end else None)
