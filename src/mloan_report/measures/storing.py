"""Writing what was classified into a portfolio's table ``classifications``, so that the next run remembers it.

A row is replaced where the same loan, regime, date and source (computed) stands already; every other row, and every other column of
the file, stays as it is. The new file takes the old one's place at once, or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import polars as pl

from mloan_report.model.currency import currencies
from mloan_report.portfolio.partition import BUCKETS_JSON
from mloan_report.portfolio.reading import UnusableInput
from mloan_report.portfolio.writing import minor_to_text

COLUMNS = ("loan_id", "regime", "as_of", "known_at", "category", "reasons", "since_on", "npa_since_on", "provision", "source")


def store_classifications(folder: Path, frames: Iterable[pl.DataFrame], known_at: date | None) -> int:
    """Stores classified loans (frames of :func:`~mloan_report.measures.book.classify_book`) and gives their count.

    UnusableInput for a book laid out in buckets: store into the folder that it was laid out from, and lay it out again.
    """
    if (folder / BUCKETS_JSON).is_file():
        raise UnusableInput(f"{folder} is laid out in buckets: store into the folder that it was laid out from, then lay it out again")
    rows = [_rows(frame, known_at) for frame in frames]
    new = pl.concat(rows) if rows else pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String()))
    path = _file(folder)
    old = _read(path)
    if old is not None:
        kept = old.with_columns(pl.col(c).cast(pl.String) for c in ("loan_id", "regime", "as_of", "source"))
        gone = kept.with_row_index("_at").join(new, on=["loan_id", "regime", "as_of", "source"], how="semi")["_at"]
        old = old.with_row_index("_at").filter(~pl.col("_at").is_in(gone.implode())).drop("_at")
        new = _cast(new, old.schema)
        whole = pl.concat([old, new], how="diagonal")
    else:
        whole = new
    scratch = path.with_name(f".{path.name}.part")
    if path.suffix == ".parquet":
        whole.write_parquet(scratch, compression="zstd")
    else:
        whole.write_csv(scratch)
    with scratch.open("rb") as stream:
        os.fsync(stream.fileno())
    scratch.replace(path)
    return new.height


def _rows(frame: pl.DataFrame, known_at: date | None) -> pl.DataFrame:
    live = frame.filter(pl.col("category").is_not_null())
    digits = live["currency_code"].replace_strict(currencies(), default=2, return_dtype=pl.Int64)
    return live.with_columns(_digits=digits).select(
        "loan_id",
        "regime",
        pl.col("as_of").dt.to_string("%Y-%m-%d"),
        known_at=pl.lit(None if known_at is None else known_at.isoformat(), pl.String),
        category="category",
        reasons=pl.col("reasons").list.eval(pl.element().str.replace_all(";", ",", literal=True)).list.join("; "),
        since_on=pl.col("since_on").dt.to_string("%Y-%m-%d"),
        npa_since_on=pl.col("npa_since_on").dt.to_string("%Y-%m-%d"),
        provision=minor_to_text(pl.col("provision"), pl.col("_digits")),
        source=pl.lit("computed"),
    )


def _file(folder: Path) -> Path:
    """The table's file: the one that is there, else csv."""
    parquet = folder / "classifications.parquet"
    return parquet if parquet.is_file() else folder / "classifications.csv"


def _read(path: Path) -> pl.DataFrame | None:
    if not path.is_file():
        return None
    try:
        found = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnusableInput(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    missing = [c for c in ("loan_id", "regime", "as_of", "source") if c not in found.columns]
    if missing:
        raise UnusableInput(f"{path} has no column {missing[0]}")
    return found


def _cast(new: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    return new.with_columns(pl.col(c).cast(t) for c, t in schema.items() if c in new.columns and t != pl.String())
