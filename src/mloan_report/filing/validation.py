"""The portfolio's own checks with the position worked out, so that those that compare figures can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from mloan_report.checks import Book, Checked, run_checks
from mloan_report.model.finding import Severity
from mloan_report.packs import packs
from mloan_report.portfolio import Portfolio
from mloan_report.position import Positions, work_out


def validate(
    portfolio: Portfolio,
    as_of: date | None = None,
    known_at: date | None = None,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severities: Mapping[str, Severity] | None = None,
    positions: Positions | None = None,
) -> Checked:
    """All checks on *as_of* (default: the latest date in the data); *positions* of that date where they are worked out already."""
    day = as_of or portfolio.latest_date() or date.today()
    if positions is None and portfolio.has("loans"):
        positions = work_out(portfolio, day, known_at, history_months=0)
    position = positions.loans if positions is not None else None
    checked = run_checks(Book(portfolio, day, known_at, position), select, ignore, severities)
    declared = {name for pack in packs().values() for name in pack.own_tables}
    checked.findings = [f for f in checked.findings if not (f.code == "TAB-016" and f.table in declared)]
    return checked
