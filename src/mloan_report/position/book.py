"""The positions of a whole book, bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position.position import work_out


@dataclass(frozen=True)
class PositionBucket:
    """The position of one bucket's own loans, ready to be sent to a worker."""

    source: Source
    as_of: date
    known_at: date | None

    def __call__(self, number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        book = self.source.bucket(number)
        done = work_out(book, self.as_of, self.known_at)
        guests = list(book.guest_loans)
        borrowers = book.table("loans").select("loan_id", _b="borrower_id").unique("loan_id", keep="first")
        loans = done.loans.filter(~pl.col("loan_id").is_in(guests)).join(borrowers, on="loan_id", how="left", maintain_order="left")
        loans = loans.sort("_b", "loan_id", nulls_last=True)
        order = loans.select("loan_id", "currency_code").with_row_index("_i")
        late = done.arrears.join(order, on="loan_id", how="inner", maintain_order="left").sort("_i", "due_on", "number", nulls_last=True)
        return loans.drop("_b"), late.drop("_i")


def positions_of_book(source: Source, as_of: date, known_at: date | None = None, *, jobs: int | None = 1) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Positions and overdue instalments, a pair of frames a bucket, in the order borrower_id, loan_id."""
    return over_buckets(source, PositionBucket(source, as_of, known_at), range(source.count), jobs)
