"""Rows put into a table of a portfolio folder: those of the same key are replaced, everything else of the file stays as it is.

The new file takes the old one's place at once, or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mloan_report.portfolio.partition import BUCKETS_JSON
from mloan_report.portfolio.reading import UnusableInput


def upsert(folder: Path, table: str, rows: pl.DataFrame, key: Sequence[str]) -> None:
    """Writes *rows* (text columns) into *table*: its csv or parquet file, a csv where there is none.

    UnusableInput for a book laid out in buckets (store into the folder that it was laid out from, and lay it out again), and for a file that
    cannot be read or lacks the key.
    """
    if (folder / BUCKETS_JSON).is_file():
        raise UnusableInput(f"{folder} is laid out in buckets: store into the folder that it was laid out from, then lay it out again")
    parquet = folder / f"{table}.parquet"
    path = parquet if parquet.is_file() else folder / f"{table}.csv"
    whole = rows
    if path.is_file():
        old = _read(path, key)
        keys = old.select(pl.col(c).cast(pl.String) for c in key).with_row_index("_at")
        replaced = keys.join(rows, on=list(key), how="semi")["_at"]
        kept = old.with_row_index("_at").filter(~pl.col("_at").is_in(replaced.implode())).drop("_at")
        whole = pl.concat([kept, rows.with_columns(pl.col(c).cast(t) for c, t in old.schema.items() if c in rows.columns)], how="diagonal")
    scratch = path.with_name(f".{path.name}.part")
    if path.suffix == ".parquet":
        whole.write_parquet(scratch, compression="zstd")
    else:
        whole.write_csv(scratch)
    with scratch.open("rb") as stream:
        os.fsync(stream.fileno())
    scratch.replace(path)


def _read(path: Path, key: Sequence[str]) -> pl.DataFrame:
    try:
        found = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnusableInput(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    missing = [c for c in key if c not in found.columns]
    if missing:
        raise UnusableInput(f"{path} has no column {missing[0]}")
    return found
