"""One portfolio to every installed pack: each has a filing or a reason in words, and what the data lack."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from mloan_report.cli.main import main
from mloan_report.filing import file_everywhere
from mloan_report.packs import packs
from mloan_report.portfolio import Portfolio, read_portfolio
from mloan_report.testing.sample import make_sample
from mloan_report.testing.sample.country import country_for

DAY, MADE = date(2026, 10, 31), datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Portfolio:
    """Loans in US dollars whose borrowers have the numbers of two countries: the facts of the second stand beside those of the first."""
    own = read_portfolio(make_sample(80, "US", 1, tmp_path_factory.mktemp("everywhere") / "book", as_of=DAY))
    salvador = country_for("SV")
    people = own.table("borrowers").filter(pl.col("kind") != "legal_entity")["borrower_id"].to_list()
    numbers = [salvador.renumbered("sv.dui", "", n, date(1980, 1, 1)) for n in range(1, len(people) + 1)]
    table = own.table("identifiers")
    more = pl.DataFrame({"party_id": people, "scheme": "sv.dui", "value": numbers, "issuing_country": "SV"}).with_columns(_row=pl.lit(1, table.schema["_row"]))
    return own.with_table("identifiers", pl.concat([table, more], how="diagonal"))


def test_each_pack_files_or_says_why_not_and_lists_what_lacks(book: Portfolio, tmp_path: Path) -> None:
    outcomes = {o.pack: o for o in file_everywhere(book, DAY, tmp_path / "all", made_at=MADE)}
    assert set(outcomes) == set(packs())
    assert outcomes["us_metro2"].filed
    assert (tmp_path / "all" / "us_metro2" / "manifest.json").is_file()
    for name, o in outcomes.items():
        data = o.as_dict()
        assert o.filed or data["reason"], name
        assert o.filed == (tmp_path / "all" / name).exists(), name
        if o.filed:
            assert data["loans"]["loans_given"] == book.table("loans").height
        if o.gaps is not None:
            assert all(g["columns"] or g["condition"] or g["codes"] for g in data["gaps"])
    given = {g.field for g in outcomes["sv_ssf_ctri"].gaps.gaps} if outcomes["sv_ssf_ctri"].gaps else set()
    bare = replace(book, tables={**book.tables, "identifiers": book.table("identifiers").filter(pl.col("scheme") != "sv.dui")})
    lacking = file_everywhere(bare, DAY, tmp_path / "bare", only=["sv_ssf_ctri"], made_at=MADE)[0].gaps
    assert lacking is not None
    number = next(g for g in lacking.gaps if g.field == "nit_persona")
    assert number.filled == 0, "without the numbers of the second country they are its first gap"
    assert "nit_persona" not in given or next(g for g in outcomes["sv_ssf_ctri"].gaps.gaps if g.field == "nit_persona").filled > 0  # type: ignore[union-attr]


def test_the_command_says_it_by_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_sample(46, "CN", 1, tmp_path / "book")
    assert main(["file-everywhere", str(folder), "--as-of", "2026-10-31", "--out", str(tmp_path / "out"), "--pack", "cn_pbc_credit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [t["pack"] for t in told] == ["cn_pbc_credit"]
    assert told[0]["loans"]["loans_filed"] > 20
    assert main(["file-everywhere", str(folder), "--as-of", "2026-10-31", "--out", str(tmp_path / "out")]) == 2
    assert main(["file-everywhere", str(folder), "--as-of", "2026-10-31", "--out", str(tmp_path / "x"), "--set", "nonsense"]) == 2
