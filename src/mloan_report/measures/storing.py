"""What was classified, as rows of a portfolio's table ``classifications``, so that the next run remembers it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import polars as pl

from mloan_report.model.currency import currencies
from mloan_report.model.events import Classification
from mloan_report.portfolio.upsert import upsert
from mloan_report.portfolio.writing import minor_to_text


def store_classifications(folder: Path, frames: Iterable[pl.DataFrame], known_at: date | None) -> int:
    """Stores classified loans (frames of :func:`~mloan_report.measures.book.classify_book`) and gives their count.

    A row of the same loan, regime, date and source (computed) is replaced. UnusableInput as :func:`~mloan_report.portfolio.upsert.upsert`.
    """
    rows = pl.concat([_rows(frame, known_at) for frame in frames])
    upsert(folder, Classification.TABLE, rows, Classification.KEY)
    return rows.height


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
