"""Portfolios: from folders, frames and objects, and back, exactly; text is read by syntax, never guessed."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mloan_report.model import fields_of, grammar, table_models
from mloan_report.model.agreements import Instalment
from mloan_report.model.masking import mask
from mloan_report.portfolio import UnusableInput, from_objects, portfolio_from_frames, read_portfolio, text_frame, to_objects, write_portfolio
from mloan_report.portfolio.typing import frame_schema

WHO = {"name": "P", "country": "CN", "currency_code": "CNY"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["cn", "sv"])
def test_a_portfolio_written_and_read_again_is_the_same(root: Path, tmp_path: Path, form: str, name: str) -> None:
    source = root / "docs" / "examples" / name
    first = read_portfolio(source)
    write_portfolio(first, tmp_path, form)
    shutil.copyfile(source / "institution.toml", tmp_path / "institution.toml")
    again = read_portfolio(tmp_path)
    for table in first.tables:
        if table != "branches":
            assert again.table(table).drop("_row").equals(first.table(table).drop("_row")), table


@pytest.mark.parametrize("name", ["cn", "sv"])
def test_objects_and_frames_hold_the_same(root: Path, name: str) -> None:
    portfolio = read_portfolio(root / "docs" / "examples" / name)
    frames = {t: from_objects(to_objects(portfolio, t)) for t in portfolio.tables if portfolio.table(t).height and t != "adjustments"}
    again = portfolio_from_frames(portfolio.institution, frames)
    assert not [f for f in again.findings if f.severity == "error"]
    for table in frames:
        assert again.table(table).drop("_row").equals(portfolio.table(table).drop("_row")), table


def small() -> dict[str, pl.DataFrame]:
    loans = {
        "loan_id": ["L1"],
        "borrower_id": ["B1"],
        "product": ["other"],
        "currency_code": ["CNY"],
        "principal": [Decimal("100.25")],
        "disbursed_on": ["2026-01-01"],
        "matures_on": ["2026-02-01"],
        "finance_kind": ["flat_fee"],
        "repayment_method": ["bullet"],
        "repayment_frequency": ["at_maturity"],
        "guarantee_mode": ["unsecured"],
        "status": ["active"],
    }
    return {
        "loans": pl.DataFrame(loans),
        "borrowers": pl.DataFrame({"borrower_id": ["B1"], "kind": ["natural_person"], "name": ["X"]}),
        "instalments": pl.DataFrame({"loan_id": ["L1"], "number": [1], "due_on": ["2026-02-01"], "principal_due": [Decimal("100.25")], "interest_due": [0]}),
        "repayments": pl.DataFrame({"repayment_id": ["R1"], "loan_id": ["L1"], "paid_on": ["2026-01-09"], "amount": ["0.25"], "kind": ["scheduled"]}),
    }


def test_pandas_polars_pyarrow_and_duckdb_frames_give_one_portfolio() -> None:
    base = small()
    duck = duckdb.connect()
    arrow = {n: f.to_arrow() for n, f in base.items()}
    relations = {n: duck.from_arrow(t) for n, t in arrow.items()}
    expected = portfolio_from_frames(WHO, base)
    assert expected.table("loans")["principal"].to_list() == [10025]
    assert not expected.findings
    for frames in ({n: f.to_pandas() for n, f in base.items()}, arrow, relations, {n: f.lazy() for n, f in base.items()}):
        got = portfolio_from_frames(WHO, frames)
        assert not got.findings
        assert all(got.table(t).equals(expected.table(t)) for t in base)


def test_a_frame_goes_out_to_pandas_and_arrow_exactly(root: Path) -> None:
    from mloan_report.portfolio import to_frame

    frame = to_frame(read_portfolio(root / "docs" / "examples" / "sv"), "loans")
    assert isinstance(frame.to_pandas(), pd.DataFrame)
    assert isinstance(frame.to_arrow(), pa.Table)
    assert isinstance(frame["principal"][0], Decimal)


def test_a_float_is_refused_and_named() -> None:
    frames = small()
    frames["loans"] = frames["loans"].with_columns(principal=pl.lit(100.25))
    found = portfolio_from_frames(WHO, frames).findings
    assert [(f.code, f.field) for f in found] == [("TAB-014", "principal")]


@pytest.mark.parametrize("text", ["1e3", "1,000", "１２", "+5", "5.", ".5", " 5", "5 ", "0x10", "inf", "nan", "1_000", "--1", "٣"])
def test_an_amount_is_read_by_syntax_only(text: str) -> None:
    frames = small()
    frames["repayments"] = frames["repayments"].with_columns(amount=pl.lit(text))
    portfolio = portfolio_from_frames(WHO, frames)
    assert [(f.code, f.field, f.row, f.value) for f in portfolio.findings] == [("TAB-003", "amount", 2, text)]
    with pytest.raises(ValueError):
        grammar.parse_decimal(text)


@pytest.mark.parametrize("text", ["2026-1-1", "01/02/2026", "2026-02-30", "20260101", "2026-01-01T00:00:00", "２０２６-01-01"])
def test_a_date_is_never_guessed(text: str) -> None:
    frames = small()
    frames["repayments"] = frames["repayments"].with_columns(paid_on=pl.lit(text))
    assert [f.code for f in portfolio_from_frames(WHO, frames).findings] == ["TAB-004"]


@given(st.integers(-(10**14), 10**14), st.sampled_from(("UGX", "CNY", "KWD")))
def test_amounts_are_exact_both_ways_in_every_currency(minor: int, currency: str) -> None:
    digits = {"UGX": 0, "CNY": 2, "KWD": 3}[currency]
    text = format(grammar.from_minor(minor, digits), "f")
    frames = small()
    frames["loans"] = frames["loans"].with_columns(currency_code=pl.lit(currency), principal=pl.lit("1"))
    frames["instalments"] = frames["instalments"].with_columns(principal_due=pl.lit("1"))
    frames["repayments"] = frames["repayments"].with_columns(amount=pl.lit(text))
    portfolio = portfolio_from_frames({**WHO, "currency_code": currency}, frames)
    assert portfolio.table("repayments")["amount"].to_list() == [minor]
    assert grammar.to_minor(Decimal(text_frame(portfolio, "repayments")["amount"][0]), digits) == minor


def test_more_decimals_than_the_currency_has_are_a_finding() -> None:
    frames = small()
    frames["repayments"] = frames["repayments"].with_columns(amount=pl.lit("0.255"))
    assert [f.code for f in portfolio_from_frames(WHO, frames).findings] == ["TAB-006"]


def test_a_folder_without_institution_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"institution\.toml"):
        read_portfolio(tmp_path)
    with pytest.raises(UnusableInput, match="not a folder"):
        read_portfolio(tmp_path / "nowhere")


def test_every_column_of_the_model_has_titles_an_example_that_fits_and_a_frame_type() -> None:
    for model in table_models().values():
        schema = frame_schema(model)
        for name, field in fields_of(model).items():
            assert field.column.en
            assert field.column.zh
            assert schema[name] is not None
        example = {n: f.column.example for n, f in fields_of(model).items()}
        assert model.model_validate(example)


def test_an_object_refuses_floats_and_unknown_fields() -> None:
    good = {"loan_id": "L1", "number": "1", "due_on": "2026-01-31", "principal_due": "1.00", "interest_due": "0"}
    assert Instalment.model_validate(good).principal_due == Decimal("1.00")
    for bad in ({**good, "principal_due": 1.0}, {**good, "colour": "red"}, {**good, "due_on": "31.01.2026"}):
        with pytest.raises(ValueError):
            Instalment.model_validate(bad)


def test_the_samples_fill_nearly_every_column_of_the_model(root: Path) -> None:
    filled, every = set(), set()
    for name in ("cn", "sv"):
        portfolio = read_portfolio(root / "docs" / "examples" / name)
        for table, model in table_models().items():
            for column in fields_of(model):
                every.add((table, column))
                if portfolio.table(table)[column].null_count() < portfolio.table(table).height:
                    filled.add((table, column))
    missing = sorted(every - filled)
    assert len(filled) / len(every) >= 0.95, (len(every), missing)


@given(st.text(min_size=1, max_size=30))
def test_a_mask_never_shows_a_whole_number_or_name(text: str) -> None:
    for pii in ("identifier", "account", "name", "contact", "address"):
        shown = mask(text, pii)  # type: ignore[arg-type]
        assert shown is not None
        assert shown != text or "*" in text
    assert sum(c != "*" for c in mask("110101199003070011", "identifier") or "") <= 9
