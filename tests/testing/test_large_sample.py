"""The sample at scale: copies of one block under other numbers, the same data in both forms."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mloan_report.filing import validate
from mloan_report.portfolio import read_portfolio, text_frame
from mloan_report.testing.sample import copies, make_sample

DAY = date(2026, 10, 31)
BLOCK = 998
"""A small block: what copies are is the same for any multiple of 499."""
LOANS = 2 * BLOCK + 47 * 10


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "BLOCK", BLOCK)


@pytest.mark.parametrize("country", ["SV", "CN", "US"])
def test_a_large_sample_is_good_whole_and_the_same_in_both_forms(country: str, tmp_path: Path) -> None:
    table_names = {p.stem for p in make_sample(300, country, 1, tmp_path / "small").glob("*.csv")}
    parquet = make_sample(LOANS, country, 1, tmp_path / "parquet", file_format="parquet")
    csv = make_sample(LOANS, country, 1, tmp_path / "csv")
    assert {p.stem for p in parquet.glob("*.parquet")} == table_names == {p.stem for p in csv.glob("*.csv")}
    first, second = read_portfolio(parquet), read_portfolio(csv)
    for name in first.tables:
        assert text_frame(first, name).equals(text_frame(second, name)), name
    loans = first.table("loans")
    assert loans.height == loans["loan_id"].n_unique() == loans["contract_no"].n_unique() == LOANS
    numbers = first.table("identifiers")
    assert numbers.select("scheme", "value").n_unique() == numbers.height
    assert {f.code for f in validate(first, DAY).findings} <= {"TAB-016", "TAB-021", "DUP-002"}
    for name, frame in first.extra.items():
        for column in (c for c in ("application_no", "uid") if c in frame.columns):
            assert frame[column].n_unique() == frame.height, (name, column)


def test_a_seed_gives_the_same_large_book(tmp_path: Path) -> None:
    made = [make_sample(BLOCK + 20, "SV", 7, tmp_path / n) for n in ("one", "two")]
    assert {p.name: p.read_bytes() for p in made[0].iterdir()} == {p.name: p.read_bytes() for p in made[1].iterdir()}
    block = pl.read_csv(made[0] / "loans.csv", infer_schema=False)
    told = pl.read_csv(make_sample(BLOCK, "SV", 7, tmp_path / "block") / "loans.csv", infer_schema=False)
    assert block.head(BLOCK).equals(told)
