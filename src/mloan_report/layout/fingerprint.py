"""A number for what a record says: two records with the same fingerprint say the same in every field.

64 bits over the text of all fields and groups, for proving that a file holds what was made without keeping what was made.
"""

from __future__ import annotations

import polars as pl

from mloan_report.layout.records import ROWNUM, RecordSet
from mloan_report.layout.text import folded


def fingerprints(records: RecordSet) -> pl.Series:
    """One UInt64 a record, in order. Of fields whose blanks mean nothing the blanks are folded, as a reader folds them."""
    if records.height == 0:
        return pl.Series("fingerprint", [], dtype=pl.UInt64)
    own = _plain(records).hash_rows(seed=1)
    if not records.groups:
        return own.rename("fingerprint")
    frame = records.typed.select(ROWNUM).with_columns(own.alias("own"))
    for path in sorted(records.groups):
        group = records.groups[path]
        if group.height == 0:
            frame = frame.with_columns(pl.lit("").alias(path))
            continue
        rows = group.typed.select(ROWNUM).with_columns(_plain(group).hash_rows(seed=2).alias("h"))
        told = rows.group_by(ROWNUM, maintain_order=True).agg(pl.col("h").cast(pl.String).str.join(",").alias(path))
        frame = frame.join(told, on=ROWNUM, how="left", maintain_order="left").with_columns(pl.col(path).fill_null(""))
    return frame.drop(ROWNUM).hash_rows(seed=3).rename("fingerprint")


def _plain(records: RecordSet) -> pl.DataFrame:
    fields = records.layout.by_column
    return records.text.select([(folded(pl.col(c)) if fields[c].collapse else pl.col(c)).fill_null("") for c in records.text.columns])
