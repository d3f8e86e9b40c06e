"""A large made-up book: one block of loans told story by story, and copies of it under other numbers.

Every copy has its own ids, identity numbers, birth dates and cards; amounts, dates and stories are those of the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from mloan_report.model import fields_of, table_models
from mloan_report.portfolio import UnusableInput, build_portfolio
from mloan_report.portfolio.routing import owner_kind
from mloan_report.portfolio.writing import parquet_frame
from mloan_report.testing.sample.book import SampleBook, card_number
from mloan_report.testing.sample.country import Country

BLOCK = 4990
"""Loans told one by one. A multiple of 499: copies keep the sequence of identity numbers and shift the birth dates."""
NUMBERED = (
    "loan_id",
    "borrower_id",
    "party_id",
    "related_id",
    "spouse_id",
    "owner_id",
    "facility_id",
    "application_id",
    "collateral_id",
    "household_id",
    "contract_no",
    "repayment_id",
    "disbursement_id",
    "charge_id",
    "transfer_id",
    "reverses_id",
    "refinanced_loan_id",
    "previous_loan_id",
    "counterparty_id",
    "registration_no",
)
"""Columns whose number goes on from copy to copy."""
_PATTERN = r"^(CR-\d{4}-|[A-Z]+-?|.*[0-9][A-Z])(\d+)(.*)$"
PARTIES_FROM, PARTIES_AT = 70_000_000, 3_500_000
"""Parties of copies take identity numbers from here, so that they meet no borrower's."""


def text_frames(book: SampleBook, columns: dict[str, list[str]]) -> dict[str, pl.DataFrame]:
    """The tables of a book as text frames."""
    return {
        name: pl.DataFrame({c: [r.get(c) for r in rows] for c in columns[name]}, schema=dict.fromkeys(columns[name], pl.String))
        for name, rows in book.tables.items()
    }


def is_copied(name: str, columns: list[str]) -> bool:
    """Whether a table has rows for each copy (tables of the institution stand once)."""
    model = table_models().get(name)
    return name != "adjustments" and owner_kind(columns, model.KEY if model else ()) is not None


def write_large(
    first: dict[str, pl.DataFrame], block: dict[str, pl.DataFrame], rest: dict[str, pl.DataFrame], copies: int, country: Country, folder: Path, form: str
) -> None:
    """Writes *first*, *copies* copies of *block*, and a last one of *rest* (a part of the block), table by table, as a stream."""
    for name, head in first.items():
        parts = [head.lazy()]
        if name in block and is_copied(name, head.columns):
            shift = pl.DataFrame({"_shift": [BLOCK * (k + 1) for k in range(copies)]}, schema={"_shift": pl.Int64})
            if copies:
                parts.append(_copied(name, block[name], shift, country))
            if name in rest:
                parts.append(_copied(name, rest[name], pl.DataFrame({"_shift": [BLOCK * (copies + 1)]}), country))
        whole = pl.concat([p.select(head.columns) for p in parts])
        if form == "parquet":
            whole.sink_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=1)
        else:
            whole.sink_csv(folder / f"{name}.csv")


def _copied(name: str, frame: pl.DataFrame, shifts: pl.DataFrame, country: Country) -> pl.LazyFrame:
    if name == "identifiers":
        return _identifiers(frame, shifts, country).lazy()
    numbered = [c for c in (*NUMBERED, *country.numbered) if c in frame.columns and frame[c].dtype == pl.String]
    split = frame.with_columns([pl.col(c).str.extract_groups(_PATTERN).struct.rename_fields(["a", "n", "z"]).alias(f"_{c}") for c in numbered])
    plain = [c for c in numbered if split[f"_{c}"].struct.field("n").null_count() > frame[c].null_count()]
    if plain:
        raise UnusableInput(f"sample: {name}.{plain[0]} holds an id without a number")
    base = split.with_columns(
        [pl.col(f"_{c}").struct.field("a").alias(f"_a{c}") for c in numbered]
        + [pl.col(f"_{c}").struct.field("n").cast(pl.Int64).alias(f"_n{c}") for c in numbered]
        + [pl.col(f"_{c}").struct.field("z").alias(f"_z{c}") for c in numbered]
        + [pl.col(f"_{c}").struct.field("n").str.len_bytes().max().alias(f"_w{c}") for c in numbered]
    ).drop([f"_{c}" for c in numbered])
    rows = shifts.lazy().join(base.lazy(), how="cross", maintain_order="left_right")
    moved = [_moved(c).alias(c) for c in numbered]
    if "born_on" in frame.columns:
        key = "borrower_id" if "borrower_id" in frame.columns else "party_id"
        moved.append(_born(_identity_number(pl.col(f"_n{key}") + pl.col("_shift")), frame["born_on"].dtype))
    if name == "bank_accounts":
        number = pl.col("_nparty_id") + pl.col("_shift")
        moved.append(number.map_batches(lambda s: pl.Series([card_number(n) for n in s.to_list()], dtype=pl.String), return_dtype=pl.String).alias("number"))
    return rows.with_columns(moved).drop("_shift", "^_[anwz].*$")


def _moved(column: str) -> pl.Expr:
    number = (pl.col(f"_n{column}") + pl.col("_shift")).cast(pl.String).str.zfill(pl.col(f"_w{column}"))
    return pl.concat_str([pl.col(f"_a{column}"), number, pl.col(f"_z{column}")])


def _identity_number(number: pl.Expr) -> pl.Expr:
    return pl.when(number >= PARTIES_FROM).then(number % 1_000_000 + (number // 10_000_000 - 7) * 1_500_000 + PARTIES_AT).otherwise(number)


def _born(number: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """:func:`birth_date` of a column of numbers, where there is a birth date at all."""
    day = pl.lit(date(1960, 1, 1)) + pl.duration(days=(number // 499 + number % 499 * 28) % 14000)
    text = day.dt.to_string("%Y-%m-%d") if dtype == pl.String else day.cast(dtype)
    return pl.when(pl.col("born_on").is_not_null()).then(text).alias("born_on")


def _identifiers(frame: pl.DataFrame, shifts: pl.DataFrame, country: Country) -> pl.DataFrame:
    """Identity numbers of copies, each made for its own number (the district and sex are read off the block's)."""
    rows = shifts.join(frame.with_row_index("_i"), how="cross", maintain_order="left_right")
    number = rows["party_id"].str.extract(r"(\d+)$").cast(pl.Int64) + rows["_shift"]
    letter = rows["party_id"].str.head(1)
    values = _values(rows["scheme"].to_list(), rows["value"].to_list(), rows.select(_identity_number(pl.lit(number)).alias("n"))["n"].to_list(), country)
    party = letter + number.cast(pl.String).str.zfill(6)
    return rows.with_columns(party.alias("party_id"), pl.Series("value", list(values), dtype=pl.String)).drop("_shift", "_i")


def _values(schemes: list[str], values: list[str], numbers: list[int], country: Country) -> Iterator[str]:
    for scheme, value, number in zip(schemes, values, numbers, strict=True):
        yield country.renumbered(scheme, value, number, date(1960, 1, 1) + timedelta(days=(number // 499 + number % 499 * 28) % 14000))


def typed_frames(texts: dict[str, pl.DataFrame], institution: object) -> dict[str, pl.DataFrame]:
    """The tables typed for Parquet; one in which reading finds an error stays text. Adjustments are not applied."""
    from mloan_report.model import Institution

    assert isinstance(institution, Institution)
    book = build_portfolio(institution, {n: f for n, f in texts.items() if n != "adjustments"}, files={n: n for n in texts})
    wrong = {f.table for f in book.findings if f.severity == "error"}
    out = {}
    for name, text in texts.items():
        if name in book.tables and name not in wrong:
            known = [c for c in fields_of(table_models()[name]) if c in text.columns]
            out[name] = parquet_frame(book, name).select(known)
        else:
            out[name] = text
    return out
