"""A number for what a record says: two records with the same fingerprint say the same in every field.

64 bits over the text of all fields and groups, for proving that a file holds what was made without keeping what was made.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.records import PARENT, ROWNUM, TOP, RecordSet
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


def unit_fingerprints(top: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
    """One UInt64 for each outermost record with all that stands in it, at any depth and in order."""
    own = fingerprints(top)
    for name, inner in sorted(records.items()):
        if inner.layout.parent is None or inner.height == 0 or not _stands_in(inner.layout, top.layout, records):
            continue
        rows = inner.typed.select(TOP, PARENT).with_columns(fingerprints(inner).alias("own"))
        if inner.layout.parent != top.layout.name:  # which of its parents a record stands in
            firsts = records[inner.layout.parent].typed.group_by(TOP).agg(pl.col(ROWNUM).min().alias("first"))
            rows = rows.join(firsts, on=TOP, how="left", maintain_order="left").with_columns(
                own=pl.struct(pl.col(PARENT) - pl.col("first"), "own").hash(seed=5)
            )
        told = rows.group_by(TOP, maintain_order=True).agg(pl.col("own").cast(pl.String).str.join(",").alias("told"))
        frame = pl.DataFrame([top.typed[ROWNUM], own]).join(told, left_on=ROWNUM, right_on=TOP, how="left", maintain_order="left")
        mixed = pl.struct(pl.col(own.name), "told", pl.lit(name)).hash(seed=4)
        own = frame.select(pl.when(pl.col("told").is_null()).then(pl.col(own.name)).otherwise(mixed).alias("fingerprint"))["fingerprint"]
    return own.rename("fingerprint")


def _stands_in(layout: RecordLayout, top: RecordLayout, records: Mapping[str, RecordSet]) -> bool:
    while layout.parent is not None:
        if layout.parent == top.name:
            return True
        if layout.parent not in records:
            return False
        layout = records[layout.parent].layout
    return False


def _plain(records: RecordSet) -> pl.DataFrame:
    fields = records.layout.by_column
    said = [c for c in records.text.columns if fields[c].type not in ("size", "blank")]
    return records.text.select([(folded(pl.col(c)) if fields[c].collapse else pl.col(c)).fill_null("") for c in said])
