"""Payment history: days past due at each of the last month ends, newest first.

Null before disbursement and after the loan ended. Most loans have one schedule and no reversals: for them the day on
which each instalment was paid off tells every month end at once. The others are worked out again for each month end.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date

import polars as pl

from mloan_report.position.allocation import Allocation
from mloan_report.position.in_force import Question


def payment_history(q: Question, done: Allocation, frame: pl.DataFrame, months: int, days_at: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """pair, payment_history: a list of *months* days past due; *days_at* works pairs out again where needed."""
    changing = _changing_loans(q)
    parts = [pl.DataFrame(schema={"pair": q.pairs.schema["pair"], "payment_history": pl.List(pl.Int64)})]
    for as_of in q.pairs["as_of"].unique().to_list():
        ends = month_ends(as_of, months)
        pairs = frame.filter(pl.col("as_of") == as_of).select("pair", "loan_id", pl.coalesce("bought_on", "disbursed_on").alias("disbursed_on"), _ended_on())
        steady = pairs.join(changing, on="loan_id", how="anti", maintain_order="left")
        moving = pairs.join(changing, on="loan_id", how="semi", maintain_order="left")
        parts.append(_from_paid_off(steady, done, ends, inclusive=q.policy.days_past_due == "inclusive", tolerance=int(q.policy.tolerance_amount)))
        parts.append(_worked_out_again(moving, ends, days_at))
    return pl.concat(parts)


def month_ends(as_of: date, months: int) -> list[date]:
    """The last *months* month ends on or before *as_of*, newest first."""
    out: list[date] = []
    year, month = as_of.year, as_of.month
    if as_of.day < calendar.monthrange(year, month)[1]:
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    for _ in range(months):
        out.append(date(year, month, calendar.monthrange(year, month)[1]))
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return out


def _ended_on() -> pl.Expr:
    return pl.coalesce("ended_on", pl.when(pl.col("status") == "settled").then("settled_on")).alias("ended_on")


def _changing_loans(q: Question) -> pl.DataFrame:
    """Loans whose past cannot be read off the instalments in force now."""
    p = q.portfolio
    frames = [
        p.table("schedules").filter(pl.col("reason") != "origination").select("loan_id"),
        p.table("instalments").filter(pl.col("schedule_version") != 1).select("loan_id"),
        p.table("repayments").filter(pl.col("kind").is_in(["reversal", "refund"])).select("loan_id"),
        p.table("payment_holidays").select("loan_id"),
        p.table("arrears_flags").select("loan_id"),
        p.table("restructurings").select("loan_id"),
        p.table("transfers").select("loan_id"),
        p.table("write_offs").filter(~pl.col("claim_kept").fill_null(True)).select("loan_id"),
        p.table("loans").filter(pl.col("facility_id").is_not_null()).select("loan_id"),
    ]
    if not q.policy.grace_counts:
        frames.append(p.table("loans").filter(pl.col("grace_days") > 0).select("loan_id"))
    return pl.concat(frames).unique().drop_nulls()


def _from_paid_off(pairs: pl.DataFrame, done: Allocation, ends: list[date], *, inclusive: bool, tolerance: int) -> pl.DataFrame:
    unit = 1 if inclusive else 0
    need = pl.sum_horizontal("fees", "interest", "principal")
    items = done.items.filter(pl.col("is_instalment") & (need > tolerance)).join(pairs.select("pair"), on="pair", how="semi")
    late = items.filter((pl.col("paid_off_on").is_null() & (pl.col("due_on") <= ends[0])) | (pl.col("paid_off_on") > pl.col("due_on")))
    found = late.group_by("pair").agg(
        [
            pl.col("due_on").filter((pl.col("due_on") <= end) & (pl.col("paid_off_on").is_null() | (pl.col("paid_off_on") > end))).min().alias(str(i))
            for i, end in enumerate(ends)
        ]
    )
    columns = []
    for i, end in enumerate(ends):
        days = (pl.lit(end) - pl.col(str(i))).dt.total_days() + unit
        alive = (pl.col("disbursed_on") <= end) & (pl.col("ended_on").is_null() | (pl.col("ended_on") > end))
        columns.append(pl.when(alive).then(days.fill_null(0)).cast(pl.Int64).alias(str(i)))
    return (
        pairs.join(found, on="pair", how="left", maintain_order="left")
        .with_columns(columns)
        .select("pair", payment_history=pl.concat_list([str(i) for i in range(len(ends))]))
    )


def _worked_out_again(pairs: pl.DataFrame, ends: list[date], days_at: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    schema = {"pair": pairs.schema["pair"], "payment_history": pl.List(pl.Int64)}
    if pairs.height == 0:
        return pl.DataFrame(schema=schema)
    alive = (pl.col("disbursed_on") <= pl.col("as_of")) & (pl.col("ended_on").is_null() | (pl.col("ended_on") > pl.col("as_of")))
    every = pairs.rename({"pair": "asked"}).join(pl.DataFrame({"as_of": ends}), how="cross")
    asked = every.filter(alive).with_row_index("pair")
    days = days_at(asked.select("pair", "loan_id", "as_of"))
    known = asked.select("asked", "as_of", "pair").join(days, on="pair", how="left")
    return (
        every.join(known, on=["asked", "as_of"], how="left")
        .sort("asked", "as_of", descending=[False, True])
        .group_by("asked", maintain_order=True)
        .agg(payment_history=pl.col("days_past_due"))
        .rename({"asked": "pair"})
    )
