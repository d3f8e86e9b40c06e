"""Which loans must be filed: each loan in or out, the reason, and the article it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from mloan_report.filing.building import request_for
from mloan_report.filing.making import prepare
from mloan_report.filing.request import FilingRequest
from mloan_report.packs import Pack
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets


def scope(
    pack: Pack | str, portfolio: Source, as_of: date, known_at: date | None = None, settings: Mapping[str, str] | None = None, *, jobs: int | None = 1
) -> pl.DataFrame:
    """loan_id, borrower_id, in_scope, reason, source: one row for every loan given."""
    request = request_for(pack, portfolio, as_of, known_at=known_at, settings=settings, need_settings=False)
    parts = over_buckets(portfolio, _ScopeBucket(request, portfolio), range(portfolio.count), jobs)
    return pl.concat(list(parts)).sort("loan_id")


@dataclass(frozen=True)
class _ScopeBucket:
    request: FilingRequest
    source: Source

    def __call__(self, number: int) -> pl.DataFrame:
        book = self.source.bucket(number)
        _, result = prepare(replace(self.request, portfolio=book))
        home = result.filter(~pl.col("loan_id").is_in(list(book.guest_loans)))
        return home.select("loan_id", "borrower_id", "in_scope", "reason", "source")
