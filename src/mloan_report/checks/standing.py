"""What still stands after reversals: a reversal undoes a row, and the reversal of a reversal lets it stand again."""

from __future__ import annotations

import polars as pl


def standing(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows that are neither reversed by a standing row nor reversals themselves. *key* is the id that ``reverses_id`` names."""
    left = rows
    for _ in range(rows["reverses_id"].drop_nulls().len() + 1):
        after = rows.filter(~pl.col(key).is_in(left["reverses_id"].drop_nulls().implode()))
        if after[key].equals(left[key]):
            break
        left = after
    return left.filter(pl.col("reverses_id").is_null())
