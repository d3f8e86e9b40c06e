"""Classification and ratios of a whole book, bucket by bucket: what merges, merges in whole numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from mloan_report.measures.classify import NOT_COVERED, classify
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.measures.provision import ProvisionTable
from mloan_report.measures.ratio import RatioSums, RatioValue, ratio_sums, ratios_of_sums
from mloan_report.measures.regime import Regime
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view


@dataclass(frozen=True)
class _Question:
    source: Source
    as_of: date
    known_at: date | None
    regime: Regime | None
    provisions: ProvisionTable | None


@dataclass(frozen=True)
class _ClassifyBucket(_Question):
    regimes: tuple[Regime, ...]

    def __call__(self, number: int) -> pl.DataFrame:
        book = self.source.bucket(number)
        positions = work_out(book, self.as_of, self.known_at, history_months=0)
        view = loan_view(book, positions, self.known_at)
        together = togetherness(book)
        done = pl.concat(
            classify(view, r, book, self.provisions, positions=positions, known_at=self.known_at, together=together).loans.with_columns(regime=pl.lit(r.id))
            for r in self.regimes
        )
        return done.filter(~pl.col("loan_id").is_in(list(book.guest_loans))) if book.guest_loans else done


@dataclass(frozen=True)
class _RatioBucket(_Question):
    together: Togetherness
    by: tuple[str, ...]
    only: tuple[str, ...] | None

    def __call__(self, number: int) -> RatioSums:
        book = self.source.bucket(number)
        positions = work_out(book, self.as_of, self.known_at, history_months=0)
        view = loan_view(book, positions, self.known_at)
        classified = classify(view, self.regime, book, self.provisions, positions=positions, known_at=self.known_at) if self.regime else None
        return ratio_sums(view, book, self.together, self.regime, classified, self.by, self.only)


def classify_book(
    source: Source,
    regime: Regime | Sequence[Regime],
    as_of: date,
    known_at: date | None = None,
    provisions: ProvisionTable | None = None,
    *,
    jobs: int | None = 1,
) -> Iterator[pl.DataFrame]:
    """The classified loans (columns of :class:`Classified` and ``regime``), a frame a bucket, by regime in the order borrower_id, loan_id.

    Several regimes share one position and one loan view. A provision table counts where it is made for the regime.
    """
    several = (regime,) if isinstance(regime, Regime) else tuple(regime)
    work = _ClassifyBucket(source, as_of, known_at, None, provisions, several)
    return over_buckets(source, work, range(source.count), jobs)


def counts_by_category(regime: Regime, frames: Sequence[pl.DataFrame]) -> dict[str, int]:
    """Loans by category; those that the regime does not cover under ``not classified``."""
    counts: Counter[str] = Counter()
    for whole in frames:
        frame = whole.filter(pl.col("regime") == regime.id) if "regime" in whole.columns else whole
        counts.update(dict(frame.filter(pl.col("category").is_not_null()).group_by("category").len().rows()))
        counts["not classified"] += frame.filter(pl.col("not_classified") == NOT_COVERED).height
    return {code: counts[code] for code in [*(c.code for c in regime.categories), "not classified"]}


def ratios_of_book(
    source: Source,
    as_of: date,
    regime: Regime | None = None,
    provisions: ProvisionTable | None = None,
    known_at: date | None = None,
    by: Sequence[str] = (),
    only: Sequence[str] | None = None,
    *,
    jobs: int | None = 1,
) -> list[RatioValue]:
    """All ratios of one date, worked out bucket by bucket. KeyError for a *by* that is no column of the loan view."""
    work = _RatioBucket(source, as_of, known_at, regime, provisions, togetherness(source), tuple(by), tuple(only) if only is not None else None)
    whole = RatioSums.merged(list(over_buckets(source, work, range(source.count), jobs)))
    return ratios_of_sums(whole, source.bucket(0), as_of, regime, by, only)
