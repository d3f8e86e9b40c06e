"""A loan, a person or a thing whose row stands several times is one: positions, views and filings do not multiply it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mloan_report.filing import build
from mloan_report.filing.building import request_for
from mloan_report.filing.making import prepare
from mloan_report.portfolio import Portfolio, read_portfolio
from mloan_report.portfolio.portfolio import ENTITY_TABLES
from mloan_report.position import work_out
from mloan_report.testing.sample import make_sample

DAY = date(2026, 10, 31)
MADE = datetime(2026, 11, 1, tzinfo=UTC)
PACKS = {"sv_ssf_ctri": "SV", "cn_pbc_credit": "CN", "br_bcb_scr3040": "BR"}


@pytest.fixture(params=PACKS)
def books(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Portfolio, Path]:
    """A pack, a book, and the folder of the same book in which every entity's row stands three times."""
    good = make_sample(40, PACKS[request.param], 2, tmp_path / "good")
    threefold = make_sample(40, PACKS[request.param], 2, tmp_path / "threefold")
    for folder in (good, threefold):
        (folder / "adjustments.csv").unlink()  # a row that stands twice is not corrected
    for name in ENTITY_TABLES:
        path = threefold / f"{name}.csv"
        if path.is_file():
            head, *rows = path.read_text(encoding="utf-8").splitlines()
            path.write_text("\n".join([head, *rows, *rows, *rows]) + "\n", encoding="utf-8")
    return request.param, read_portfolio(good), threefold


def test_positions_and_views_are_those_of_the_book_in_which_each_stands_once(books: tuple[str, Portfolio, Path]) -> None:
    pack, good, folder = books
    threefold = read_portfolio(folder)
    assert work_out(threefold, DAY).loans.equals(work_out(good, DAY).loans)
    asked = [prepare(request_for(pack, b, DAY, made_at=MADE, need_settings=False)) for b in (good, threefold)]
    assert asked[1][1].equals(asked[0][1])
    one, other = (views.loan for views, _ in asked)
    assert other.height == one.height
    assert other.drop("_row", strict=False).equals(one.drop("_row", strict=False))


def test_it_is_found_and_kept_out_of_the_filing(books: tuple[str, Portfolio, Path], tmp_path: Path) -> None:
    pack, _, folder = books
    book = read_portfolio(folder)
    result = build(pack, book, DAY, tmp_path / "out", made_at=MADE, quarantine=True, jobs=1, settings=SETTINGS.get(pack))
    doubled = set(book.table("loans")["loan_id"])
    named = {f.loan_id or f.key for f in result.findings if f.table == "loans" and f.severity == "error"}
    assert named >= doubled
    assert result.refused or set(result.held) <= doubled


SETTINGS = {"br_bcb_scr3040": {"joint_operations": "main_borrower"}}
