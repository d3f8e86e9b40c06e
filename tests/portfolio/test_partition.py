"""A book laid out in buckets: what stands where, and what is said when it is broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mloan_report.cli.main import main
from mloan_report.filing import build
from mloan_report.portfolio import UnusableInput, read_portfolio
from mloan_report.portfolio.buckets import Buckets, open_book
from mloan_report.portfolio.partition import partition_portfolio
from mloan_report.testing.sample import make_sample

DAY = date(2026, 10, 31)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample(90, "SV", 2, tmp_path_factory.mktemp("whole") / "book")


@pytest.fixture(scope="module")
def once(book: Path) -> Path:
    """Laid out once, for tests that leave it as it is."""
    return partition_portfolio(book, book.parent / "laid", 3)


@pytest.fixture
def laid(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "laid"))


def test_buckets_are_ranges_of_borrowers_with_equal_counts(laid: Path) -> None:
    index = json.loads((laid / "buckets.json").read_text(encoding="utf-8"))
    parts = [pl.read_parquet(laid / "borrowers" / f"bucket={n:05d}" / "part.parquet", hive_partitioning=False)["borrower_id"] for n in range(3)]
    ids = [p.sort().to_list() for p in parts]
    assert [(r["first"], r["last"]) for r in index["ranges"]] == [(p[0], p[-1]) for p in ids]
    flat = [b for part in ids for b in part]
    assert flat == sorted(flat)
    assert max(map(len, ids)) - min(map(len, ids)) <= 1
    assert index["rows"]["borrowers"] == [len(p) for p in ids]


def test_every_row_has_one_home_and_keeps_its_source_row(book: Path, laid: Path) -> None:
    buckets = Buckets(laid)
    for name in ("loans", "repayments", "parties", "identifiers", "collateral", "adjustments", "branches"):
        rows: list[int] = []
        for n in range(buckets.count):
            part = buckets.bucket(n)
            guests = part.guest_rows.get(name, frozenset())
            rows += [r for r in part.table(name)["_row"].to_list() if r not in guests]
        assert sorted(rows) == read_portfolio(book).table(name)["_row"].to_list()


def test_a_laid_out_book_can_be_put_together_again(book: Path, laid: Path) -> None:
    first, again = read_portfolio(book), Buckets(laid).whole()
    assert list(first.tables) == list(again.tables)
    for name in first.tables:
        assert again.table(name).equals(first.table(name)), name
    assert again.digests == first.digests
    assert [f.message for f in again.findings] == [f.message for f in first.findings]
    with pytest.raises(UnusableInput, match="laid out in buckets: open_book"):
        read_portfolio(laid)


def test_a_column_without_a_flaw_is_stored_typed_and_one_with_a_flaw_as_it_was(book: Path, tmp_path: Path) -> None:
    flawed = tmp_path / "flawed"
    flawed.mkdir()
    for path in book.iterdir():
        (flawed / path.name).write_bytes(path.read_bytes())
    loans = pl.read_csv(flawed / "loans.csv", infer_schema=False)
    loans.with_columns(principal=pl.when(pl.int_range(pl.len()) == 40).then(pl.lit("1,000")).otherwise("principal")).write_csv(flawed / "loans.csv")
    index = json.loads((partition_portfolio(flawed, tmp_path / "laid", 3) / "buckets.json").read_text(encoding="utf-8"))
    assert index["schemas"]["loans"]["principal"] == "String"
    assert index["schemas"]["loans"]["disbursed_on"] == "Date"
    assert index["schemas"]["repayments"]["amount"] == "Int64"
    found = [f for n in range(3) for f in Buckets(tmp_path / "laid").bucket(n).findings if f.severity == "error"]
    assert [(f.code, f.row, f.value) for f in found] == [("TAB-003", 42, "1,000")]


def test_more_buckets_than_borrowers_is_a_bucket_for_each(tmp_path: Path) -> None:
    folder = make_sample(3, "SV", 2, tmp_path / "book")
    assert Buckets(partition_portfolio(folder, tmp_path / "laid", 99)).count == 3


def _remove(path: Path) -> None:
    path.unlink()


def _garble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _other_columns(path: Path) -> None:
    pl.read_parquet(path, hive_partitioning=False).rename({"principal": "amount"}).write_parquet(path)


def _other_type(path: Path) -> None:
    pl.read_parquet(path, hive_partitioning=False).with_columns(pl.col("principal").cast(pl.String)).write_parquet(path)


def _fewer_rows(path: Path) -> None:
    pl.read_parquet(path, hive_partitioning=False).head(3).write_parquet(path)


def _stray(path: Path) -> None:
    frame = pl.read_parquet(path, hive_partitioning=False)
    frame.with_columns(borrower_id=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("B000090")).otherwise("borrower_id")).write_parquet(path)


@pytest.mark.parametrize(
    ("harm", "said", "jobs"),
    [
        (_remove, "is not there", 1),
        (_garble, "cannot be read", 1),
        (_garble, "cannot be read", 2),
        (_other_columns, "principal is missing", 1),
        (_other_type, "principal is String, not Int64", 1),
        (_fewer_rows, "has 3 rows", 1),
        (_stray, "holds borrower B000090, who belongs to another bucket", 1),
    ],
)
def test_a_broken_bucket_is_one_error_that_names_the_file_and_nothing_is_filed(
    harm: Callable[[Path], None], said: str, jobs: int, laid: Path, tmp_path: Path
) -> None:
    broken = laid / "loans" / f"bucket={jobs - 1:05d}" / "part.parquet"  # the first to be read here, the second where two read
    harm(broken)
    with pytest.raises(UnusableInput, match=said) as error:
        build("sv_ssf_ctri", open_book(laid), DAY, tmp_path / "out", jobs=jobs)
    assert str(broken) in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["laid"]


@pytest.mark.parametrize("name", ["guests.parquet", "shared.parquet"])
def test_guests_and_shared_rows_that_are_gone_or_fewer_are_an_error_too(name: str, book: Path, tmp_path: Path) -> None:
    entangled = tmp_path / "entangled"
    shutil.copytree(book, entangled)
    parties = pl.read_csv(entangled / "loan_parties.csv", infer_schema=False)
    loans = pl.read_csv(entangled / "loans.csv", infer_schema=False)["loan_id"]
    everybody = pl.concat([parties.head(1).with_columns(loan_id=pl.lit(loan)) for loan in (loans[0], loans[-1])])
    borrower = parties.head(1).with_columns(loan_id=pl.lit(loans[-1]), party_id=pl.lit("B000001"))
    pl.concat([parties, everybody, borrower]).write_csv(entangled / "loan_parties.csv")
    laid = partition_portfolio(entangled, tmp_path / "laid", 3)
    path = next(iter(sorted(laid.rglob(name))))
    assert {n for n in range(3) if Buckets(laid).bucket(n).guest_rows}
    pl.read_parquet(path, hive_partitioning=False).head(0).write_parquet(path)
    with pytest.raises(UnusableInput, match="has 0 rows"):
        build("sv_ssf_ctri", open_book(laid), DAY, tmp_path / "again", jobs=1, quarantine=True)
    path.unlink()
    with pytest.raises(UnusableInput, match="is not there"):
        build("sv_ssf_ctri", open_book(laid), DAY, tmp_path / "again", jobs=1, quarantine=True)


def test_what_cannot_be_laid_out_is_said_and_leaves_nothing(book: Path, laid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["partition", str(laid), "--buckets", "2", "--out", str(tmp_path / "again")]) == 2
    assert main(["partition", str(book), "--buckets", "2", "--out", str(laid)]) == 2
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "institution.toml").write_bytes((book / "institution.toml").read_bytes())
    (tmp_path / "odd" / "loans.csv").write_bytes("loan_id,borrower_id\nL1,Jos\xe9\n".encode("latin-1"))
    assert main(["partition", str(tmp_path / "odd"), "--buckets", "2", "--out", str(tmp_path / "again")]) == 2
    said = capsys.readouterr().err
    assert "laid out in buckets already" in said
    assert "not an empty folder" in said
    assert "loans.csv is not UTF-8" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["laid", "odd"]


def test_a_changed_index_is_not_believed(laid: Path) -> None:
    path = laid / "buckets.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"Int64"', '"String"', 1), encoding="utf-8")
    with pytest.raises(UnusableInput, match="schema_sha256"):
        Buckets(laid)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UnusableInput, match="cannot be read"):
        Buckets(laid)


def test_the_command_line_reads_a_book_in_buckets_like_any_other(book: Path, laid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = ["--as-of", "2026-10-31"]
    commands = [
        (["validate"], []),
        (["ratios"], [*day, "--json"]),
        (["classify"], [*day, "--out", "-"]),
        (["scope", "sv_ssf_ctri"], [*day, "--json"]),
    ]
    for command, options in commands:
        said = []
        for folder in (book, laid):
            main([*command, str(folder), *options, "--jobs", "2" if command == ["classify"] else "1"])
            said.append(capsys.readouterr().out)
        assert said[0] == said[1]
        assert said[0]


def test_a_packs_own_row_goes_with_its_loan_whoever_it_names_beside(tmp_path: Path) -> None:
    folder = make_sample(60, "US", 2, tmp_path / "book")
    facts = pl.read_csv(folder / "us_metro2_facts.csv", infer_schema=False)
    facts.with_columns(borrower_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("P99999999"))).write_csv(folder / "us_metro2_facts.csv")
    buckets = Buckets(partition_portfolio(folder, tmp_path / "laid", 3))
    found = 0
    for n in range(buckets.count):
        part = buckets.bucket(n)
        named = part.extra["us_metro2_facts"]["loan_id"].to_list() if "us_metro2_facts" in part.extra else []
        assert set(named) <= set(part.table("loans")["loan_id"].to_list())
        found += sum(loan not in part.guest_loans for loan in named)
    assert found == facts.height
