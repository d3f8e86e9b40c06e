"""When each loan first defaulted: more than so many days past due, or written off, whichever came first. No cure.

From the instalments of the schedule in force and the days on which they were paid off; a delay before a restructuring counts from the
agreement (restructurings.days_past_due_before).
"""

from __future__ import annotations

from functools import cache

import polars as pl

from mloan_report.measures.data_files import toml_file
from mloan_report.portfolio import Portfolio
from mloan_report.position.position import Positions


@cache
def default_days() -> int:
    """More days past due than this are a default (data: default_definition.toml)."""
    return int(toml_file("default_definition.toml")["days"])


def first_defaults(positions: Positions, portfolio: Portfolio, days: int | None = None) -> pl.DataFrame:
    """loan_id, as_of, default_on (the day on which *days*, by default `default_days`, were exceeded, or of the write-off) of loans in
    default by as_of.
    """
    days = default_days() if days is None else days
    items = positions.items.filter("is_instalment")
    left = pl.sum_horizontal(pl.col("principal", "interest")) > 0
    reached = pl.col("due_on").dt.offset_by(f"{days + 1}d")
    unpaid_then = pl.col("paid_off_on").is_null() | (pl.col("paid_off_on") >= reached)
    late = items.filter(left & unpaid_then & (reached <= pl.col("as_of"))).group_by("loan_id", "as_of").agg(default_on=reached.min())
    asked = positions.loans.select("loan_id", "as_of")
    written = portfolio.table("write_offs").join(asked, on="loan_id", how="inner")
    stands = pl.col("reversed_on").is_null() | (pl.col("reversed_on") > pl.col("as_of"))
    written = written.filter((pl.col("written_off_on") <= pl.col("as_of")) & stands)
    before = portfolio.table("restructurings").join(asked, on="loan_id", how="inner")
    before = before.filter((pl.col("agreed_on") <= pl.col("as_of")) & (pl.col("days_past_due_before") > days))
    found = pl.concat(
        [late, written.select("loan_id", "as_of", default_on="written_off_on"), before.select("loan_id", "as_of", default_on="agreed_on")],
    )
    return found.group_by("loan_id", "as_of").agg(pl.col("default_on").min())
