"""Every published example of plans, day counts, intervals and annual rates."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import shared_folder
from schedule.published import AREAS, DISPUTED, rows

from mloan_report.schedule.intervals import us_interval

FOLDER = shared_folder()
ROWS = [r for r in rows(FOLDER) if r["area"] in AREAS] if FOLDER else []


@pytest.mark.parametrize("row", ROWS, ids=[r["id"] for r in ROWS])
def test_published_example(row: dict, shared: Path) -> None:
    if row["id"] in DISPUTED:
        with pytest.raises(AssertionError):
            AREAS[row["area"]](row)
        pytest.skip(f"disputed: {DISPUTED[row['id']]}")
    AREAS[row["area"]](row)


def test_the_disputed_row_is_counted_as_the_regulation_has_it() -> None:
    found = us_interval(date(2026, 1, 10), date(2026, 1, 25), "daily")
    assert (found.whole, found.fraction, found.per_year) == (15, Fraction(0), 365)
    assert len(DISPUTED) == 1


def test_the_rows_are_there(shared: Path) -> None:
    assert len(ROWS) == 65
