"""The portfolio's own checks with the position worked out, so that those that compare figures can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from mloan_report.checks import Book, Checked, column_counts, needs_positions, run_checks
from mloan_report.filing.request import today
from mloan_report.model.finding import Severity
from mloan_report.packs import packs
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import Positions, work_out


def validate(
    book: Source,
    as_of: date | None = None,
    known_at: date | None = None,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severities: Mapping[str, Severity] | None = None,
    positions: Positions | None = None,
    jobs: int | None = 1,
) -> Checked:
    """All checks on *as_of* (default: the latest date in the data), bucket by bucket; *positions* of that date where they are
    worked out already (for a book of one bucket).
    """
    day = as_of or book.latest_date() or today(book.institution.time_zone)
    if book.count == 1:
        return validate_bucket(book.bucket(0), day, known_at, select=select, ignore=ignore, severities=severities, positions=positions)
    work = _ValidateBucket(book, day, known_at, tuple(select), tuple(ignore), severities)
    out = Checked([], {})
    for checked in over_buckets(book, work, range(book.count), jobs):
        out.findings += checked.findings
        out.not_run |= checked.not_run
        for column, (rows, given) in checked.counts.items():
            before = out.counts.get(column, (0, 0))
            out.counts[column] = (before[0] + rows, before[1] + given)
    return out.in_order()


@dataclass(frozen=True)
class _ValidateBucket:
    source: Source
    day: date
    known_at: date | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    severities: Mapping[str, Severity] | None

    def __call__(self, number: int) -> Checked:
        bucket = self.source.bucket(number)
        return validate_bucket(bucket, self.day, self.known_at, select=self.select, ignore=self.ignore, severities=self.severities)


def validate_bucket(
    portfolio: Portfolio,
    day: date,
    known_at: date | None = None,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severities: Mapping[str, Severity] | None = None,
    positions: Positions | None = None,
) -> Checked:
    """All checks on one portfolio on *day*."""
    if positions is None and portfolio.has("loans") and needs_positions(select, ignore):
        positions = work_out(portfolio, day, known_at, history_months=0)
    position = positions.loans if positions is not None else None
    checked = run_checks(Book(portfolio, day, known_at, position), select, ignore, severities)
    checked.counts = column_counts(portfolio)
    declared = {name for pack in packs().values() for name in pack.own_tables}
    checked.findings = [f for f in checked.findings if not (f.code == "TAB-016" and f.table in declared)]
    return checked
