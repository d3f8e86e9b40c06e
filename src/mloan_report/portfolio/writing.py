"""A portfolio back to text columns, files, objects and other frames: exact both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.model import Table, fields_of, grammar, table_models
from mloan_report.model.currency import currencies
from mloan_report.portfolio.portfolio import Portfolio


def text_frame(portfolio: Portfolio, name: str) -> pl.DataFrame:
    """Table *name* as text: amounts in major units with the currency's decimals, rates in percent, ISO dates."""
    frame = portfolio.table(name)
    model = table_models()[name]
    digits = currency_column(portfolio, name).replace_strict(currencies(), default=2, return_dtype=pl.Int64)
    out = frame.with_columns(digits.alias("_digits"))
    expressions = [_as_text(field.column.kind, column).alias(column) for column, field in fields_of(model).items()]
    return out.select(expressions)


def currency_column(portfolio: Portfolio, name: str) -> pl.Series:
    """The ISO code of each row's amounts."""
    frame, by = portfolio.table(name), table_models()[name].CURRENCY_BY
    home = portfolio.institution.currency_code
    if by == "loan":
        loans = portfolio.table("loans").select("loan_id", "currency_code").unique("loan_id", keep="first")
        return frame.select("loan_id").join(loans, on="loan_id", how="left", maintain_order="left")["currency_code"].fill_null(home)
    if by == "facility":
        lines = portfolio.table("facilities").select("facility_id", "currency_code").unique("facility_id", keep="first")
        return frame.select("facility_id").join(lines, on="facility_id", how="left", maintain_order="left")["currency_code"].fill_null(home)
    if by == "institution":
        return pl.Series("currency_code", [home]).new_from_index(0, frame.height)
    return frame[by].fill_null(home)


def write_portfolio(portfolio: Portfolio, folder: str | Path, file_format: str = "csv") -> None:
    """Writes every table that the portfolio has (csv or parquet); institution.toml is the caller's."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for name in portfolio.tables:
        frame = text_frame(portfolio, name)
        if file_format == "parquet":
            parquet_frame(portfolio, name).write_parquet(path / f"{name}.parquet", compression="zstd")
        else:
            used = [c for c in frame.columns if frame[c].null_count() < frame.height or fields_of(table_models()[name])[c].required]
            frame.select(used).write_csv(path / f"{name}.csv")


def parquet_frame(portfolio: Portfolio, name: str) -> pl.DataFrame:
    """Table *name* for Parquet: dates, booleans and integers typed, amounts and rates as exact decimals."""
    frame = text_frame(portfolio, name)
    typed = portfolio.table(name)
    columns = []
    for column, field in fields_of(table_models()[name]).items():
        kind = field.column.kind
        if kind == "amount":
            columns.append(frame[column].cast(pl.Decimal(18, 4)))
        elif kind == "rate":
            columns.append(frame[column].cast(pl.Decimal(18, grammar.RATE_SCALE)))
        else:
            columns.append(typed[column])
    return pl.DataFrame(columns)


def to_objects(portfolio: Portfolio, name: str) -> list[Table]:
    """Table *name* as validated objects, one a row."""
    model = table_models()[name]
    return [model.model_validate({k: v for k, v in row.items() if v is not None}) for row in text_frame(portfolio, name).iter_rows(named=True)]


def to_frame(portfolio: Portfolio, name: str) -> pl.DataFrame:
    """Table *name* as a Polars frame with exact decimals (``.to_pandas()`` and ``.to_arrow()`` go on from there)."""
    return parquet_frame(portfolio, name)


def from_objects(rows: list[Table]) -> pl.DataFrame:
    """Objects of one table as a raw frame that :func:`portfolio_from_frames` takes."""
    if not rows:
        raise ValueError("no rows: leave the table out instead")
    model = type(rows[0])
    data: dict[str, list[str | None]] = {name: [] for name in fields_of(model)}
    for row in rows:
        for name in data:
            data[name].append(_plain(getattr(row, name)))
    return pl.DataFrame(data, schema=dict.fromkeys(data, pl.String))


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if hasattr(value, "as_tuple") else str(value)


def _as_text(kind: str, column: str) -> pl.Expr:
    value = pl.col(column)
    if kind == "amount":
        return minor_to_text(value, pl.col("_digits"))
    if kind == "rate":
        return minor_to_text(value, pl.lit(grammar.RATE_SCALE)).str.strip_chars_end("0").str.strip_chars_end(".")
    if kind == "flag":
        return pl.when(value).then(pl.lit("true")).when(~value).then(pl.lit("false"))
    if kind == "day":
        return value.dt.to_string("%Y-%m-%d")
    return value.cast(pl.String)


def minor_to_text(value: pl.Expr, digits: pl.Expr) -> pl.Expr:
    """Minor units as plain decimal text in major units."""
    unsigned = value.abs().cast(pl.String).str.zfill(digits.cast(pl.Int64) + 1)
    whole = unsigned.str.head(unsigned.str.len_bytes().cast(pl.Int64) - digits)
    fraction = unsigned.str.tail(digits)
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    point = pl.when(digits > 0).then(pl.lit(".")).otherwise(pl.lit(""))
    return pl.when(value.is_not_null()).then(sign + whole + point + pl.when(digits > 0).then(fraction).otherwise(pl.lit("")))
