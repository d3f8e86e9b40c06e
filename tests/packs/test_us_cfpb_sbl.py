"""The small business register: what only a portfolio or a setting can show, and what a finding must not tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from mloan_report.filing import build, check_files
from mloan_report.packs import packs
from mloan_report.portfolio import Portfolio, read_portfolio
from mloan_report.testing.pack_examples import examples_of
from mloan_report.testing.sample import make_sample

PACK = packs()["us_cfpb_sbl"]
DAY, MADE = date(2025, 12, 31), datetime(2026, 1, 10, tzinfo=UTC)
TABLE = "us_cfpb_sbl_applications"


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sbl") / "register.csv"
    path.write_bytes(examples_of(PACK)["register.csv"])
    return path


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Portfolio:
    return read_portfolio(make_sample(120, "US", 2, tmp_path_factory.mktemp("sbl") / "book", as_of=DAY))


def codes(path: Path, **settings: str) -> set[str]:
    return {f.code for f in check_files([path], settings=settings).findings}


def test_tracts_are_held_against_the_list_that_a_setting_names(register: Path, tmp_path: Path) -> None:
    known, other = tmp_path / "known.txt", tmp_path / "other.txt"
    known.write_text("39153530101\n39153530102\n", encoding="utf-8")
    other.write_text("39153530102\n", encoding="utf-8")
    assert "W0680" not in codes(register, census_tracts=str(known))
    assert "W0680" in codes(register, census_tracts=str(other))
    assert "W0680" in check_files([register]).rule_run.not_run


def test_after_syntactical_errors_nothing_further_is_judged_as_on_the_platform(register: Path, tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(register.read_bytes().replace(b",20241003,3,1,1,,1,", b",20241003,33,1,1,,1;1,", 1))
    assert codes(path) == {"E0040", "W0123", "US_CFPB_SBL-015"}
    assert codes(path, phases="official") == {"E0040", "US_CFPB_SBL-015"}
    assert check_files([path], settings={"phases": "official"}).rule_run.not_run["W0123"] == "an earlier phase has errors"


def test_our_own_rules_can_be_left_out_to_compare_with_the_public_validator(register: Path, tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(register.read_bytes().replace(b",180000,", b",1.8e5,", 1))
    assert codes(path) == {"US_CFPB_SBL-008", "US_CFPB_SBL-015"}
    assert codes(path, official_only="yes") == {"US_CFPB_SBL-015"}


def test_a_logical_rule_does_not_rest_on_a_cell_that_cannot_be_read(register: Path, tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(register.read_bytes().replace(b",900,20000,15000,1,20241021,", b",900,20000,15000,x,20241021,", 1))
    found = check_files([path])
    assert {f.code for f in found.findings} == {"E0300", "US_CFPB_SBL-015"}
    assert {"E2008", "E2011", "E2014", "E2015"} <= set(found.rule_run.not_judged)


def test_answers_of_owners_are_never_shown(register: Path, tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(register.read_bytes().replace(b"Salvadoran", b"Salvadoran" * 40).replace(b"2;26", b"2;26;26", 1))
    shown = check_files([path]).findings
    assert {"E0920", "W0941"} <= {f.code for f in shown}
    assert not any("Salvadoran" in f"{f.message}{f.value}" or "26;26" in f"{f.message}{f.value}" for f in shown)


def test_every_row_of_a_repeated_identifier_is_reported(register: Path, tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(register.read_bytes().replace(b"LENDR0095A000002", b"LENDR0095A000001").replace(b"LENDR0095A000005", b"LENDR0095A000001"))
    assert sorted(f.row or 0 for f in check_files([path]).findings if f.code == "E3000") == [2, 3, 6]


def test_a_register_of_loans_alone_is_refused_unless_it_is_asked_for(book: Portfolio, tmp_path: Path) -> None:
    bare = replace(book, extra={n: t for n, t in book.extra.items() if n != TABLE})
    refused = build(PACK, bare, DAY, tmp_path / "no", made_at=MADE, jobs=1)
    assert refused.refused
    assert "US_CFPB_SBL-017" in {f.code for f in refused.findings}


def test_an_identifier_that_holds_the_applicants_telephone_number_is_warned_of(book: Portfolio, tmp_path: Path) -> None:
    table = book.extra[TABLE]
    loans = book.table("loans").select("loan_id", "borrower_id")
    phones = book.table("borrowers").select("borrower_id", phone=pl.col("phone").str.replace_all("[^0-9]", ""))
    known = table.join(loans, on="loan_id", how="left", maintain_order="left").join(phones, on="borrower_id", how="left", maintain_order="left")
    leaking = known.with_columns(uid=pl.when(pl.col("phone").is_not_null()).then(pl.col("uid").str.slice(0, 20) + pl.col("phone")).otherwise("uid"))
    told = replace(book, extra={**book.extra, TABLE: leaking.select(table.columns)})
    result = build(PACK, told, DAY, tmp_path / "leak", quarantine=True, made_at=MADE, jobs=1)
    warned = [f for f in result.findings if f.code == "US_CFPB_SBL-014"]
    assert warned
    assert not any(str(p) in f"{f.message}{f.value}" for f in warned for p in phones["phone"].drop_nulls().to_list())


def test_applications_of_another_year_are_counted_and_not_in_the_register(book: Portfolio, tmp_path: Path) -> None:
    table = book.extra[TABLE].with_columns(action_taken_date=pl.when(pl.col("loan_id").is_null()).then(pl.lit("20230105")).otherwise("action_taken_date"))
    told = replace(book, extra={**book.extra, TABLE: table})
    result = build(PACK, told, DAY, tmp_path / "other", quarantine=True, made_at=MADE, jobs=1)
    left_out = [f for f in result.findings if f.code == "US_CFPB_SBL-018"]
    assert len(left_out) == 1
    assert left_out[0].message.startswith(f"{table['loan_id'].null_count()} applications")
    assert not any("D0" in line.split(",")[0] for line in (tmp_path / "other" / result.files[0].name).read_text("utf-8").splitlines())


def test_blank_cells_are_filled_from_the_loan(book: Portfolio, tmp_path: Path) -> None:
    result = build(PACK, book, DAY, tmp_path / "out", quarantine=True, made_at=MADE, jobs=1)
    assert not result.refused
    rows = pl.read_csv(tmp_path / "out" / result.files[0].name, infer_schema=False)
    assert result.files[0].name == "sblar_9999EXAMPLELENDR0095_2025.csv"
    made = rows.filter(pl.col("action_taken") == "1").join(book.extra[TABLE].select("uid", "loan_id"), on="uid")
    loans = book.table("loans").select("loan_id", "disbursed_on", "principal", "annual_rate_pct", "rate_type")
    both = made.join(loans, on="loan_id")
    assert both.height > 3
    for row in both.iter_rows(named=True):
        assert row["action_taken_date"] == f"{row['disbursed_on']:%Y%m%d}"
        assert int(float(row["amount_approved"]) * 100) == row["principal"]
        if row["rate_type"] == "fixed":
            assert float(row["pricing_fixed_rate"]) == row["annual_rate_pct"] / 10**7
            assert row["pricing_interest_rate_type"] == "2"
