"""Payment history: days past due at each of the last month ends, newest first.

Null before disbursement and after the loan ended. Most loans have one schedule and no reversals: for them the day on
which each instalment was paid off tells every month end at once. The others are worked out again for each month end.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date
from typing import Protocol

import polars as pl

from mloan_report.position.allocation import Allocation
from mloan_report.position.in_force import Question


def payment_history(q: Question, done: Allocation, frame: pl.DataFrame, months: int, work_out: Callable[[pl.DataFrame], Worked]) -> pl.DataFrame:
    """pair, payment_history: a list of *months* days past due; *work_out* works pairs out again where needed."""
    changing = _first_changes(q)
    parts = [pl.DataFrame(schema={"pair": q.pairs.schema["pair"], "payment_history": pl.List(pl.Int64)})]
    for as_of in q.pairs["as_of"].unique().to_list():
        ends = month_ends(as_of, months)
        pairs = frame.filter(pl.col("as_of") == as_of).select("pair", "loan_id", pl.coalesce("bought_on", "disbursed_on").alias("disbursed_on"), _ended_on())
        steady = pairs.join(changing, on="loan_id", how="anti", maintain_order="left")
        moving = pairs.join(changing, on="loan_id", how="inner", maintain_order="left")
        parts.append(_from_paid_off(steady, done, ends, q))
        parts.append(_worked_out_again(moving, ends, q, work_out))
    return pl.concat(parts)


class Worked(Protocol):
    """One pass of the position engine: what was allocated, and the days past due of each pair."""

    @property
    def allocation(self) -> Allocation:
        """What was allocated to the items of each pair."""

    def days(self) -> pl.DataFrame:
        """pair, days_past_due."""


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


def _first_changes(q: Question) -> pl.DataFrame:
    """loan_id, changed_on: loans whose past cannot be read off the instalments in force now, and the day from which it cannot.

    Before that day the loan had one schedule and nothing was undone, so the schedule of the day before tells all earlier ends.
    """
    p = q.portfolio
    always = pl.lit(date.min)
    replaced = p.table("schedules").filter(pl.col("reason") != "origination").select("loan_id", on=pl.col("effective_on").fill_null(always))
    explained = p.table("schedules").select("loan_id", "schedule_version").unique()
    versions = p.table("instalments").filter(pl.col("schedule_version") != 1).select("loan_id", "schedule_version").unique()
    frames = [
        replaced,
        versions.join(explained, on=["loan_id", "schedule_version"], how="anti").select("loan_id", on=always),
        versions.join(p.table("schedules"), on=["loan_id", "schedule_version"], how="inner").select("loan_id", on=pl.col("effective_on").fill_null(always)),
        p.table("repayments").filter(pl.col("kind").is_in(["reversal", "refund"])).select("loan_id", on="paid_on"),
        p.table("payment_holidays").select("loan_id", on="from_on"),
        p.table("arrears_flags").select("loan_id", on="from_on"),
        p.table("restructurings").select("loan_id", on="agreed_on"),
        p.table("transfers").select("loan_id", on="transferred_on"),
        p.table("write_offs").filter(~pl.col("claim_kept").fill_null(True)).select("loan_id", on="written_off_on"),
        p.table("loans").filter(pl.col("facility_id").is_not_null()).select("loan_id", on=always),
    ]
    if not q.policy.grace_counts:
        frames.append(p.table("loans").filter(pl.col("grace_days") > 0).select("loan_id", on=always))
    return pl.concat(frames).drop_nulls("loan_id").group_by("loan_id").agg(changed_on=pl.col("on").fill_null(always).min())


def _from_paid_off(pairs: pl.DataFrame, done: Allocation, ends: list[date], q: Question) -> pl.DataFrame:
    unit = 1 if q.policy.days_past_due == "inclusive" else 0
    tolerance = int(q.policy.tolerance_amount)
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


def _worked_out_again(pairs: pl.DataFrame, ends: list[date], q: Question, work_out: Callable[[pl.DataFrame], Worked]) -> pl.DataFrame:
    schema = {"pair": pairs.schema["pair"], "payment_history": pl.List(pl.Int64)}
    if pairs.height == 0:
        return pl.DataFrame(schema=schema)
    alive = (pl.col("disbursed_on") <= pl.col("as_of")) & (pl.col("ended_on").is_null() | (pl.col("ended_on") > pl.col("as_of")))
    every = pairs.rename({"pair": "asked"}).join(pl.DataFrame({"as_of": ends}), how="cross").with_row_index("_i")
    live = every.filter(alive)
    early = pl.col("as_of") < pl.col("changed_on")
    known = pl.concat([_before_change(live.filter(early), ends, q, work_out), _one_by_one(live.filter(~early), work_out)])
    return (
        every.join(known, on="_i", how="left")
        .sort("asked", "as_of", descending=[False, True])
        .group_by("asked", maintain_order=True)
        .agg(payment_history=pl.col("days_past_due"))
        .rename({"asked": "pair"})
    )


def _one_by_one(asked: pl.DataFrame, work_out: Callable[[pl.DataFrame], Worked]) -> pl.DataFrame:
    """_i, days_past_due of each loan and month end, each worked out as a pair of its own."""
    if asked.height == 0:
        return pl.DataFrame(schema={"_i": asked.schema["_i"], "days_past_due": pl.Int64})
    pairs = asked.with_row_index("pair")
    days = work_out(pairs.select("pair", "loan_id", "as_of")).days()
    return pairs.select("_i", "pair").join(days, on="pair", how="left").select("_i", "days_past_due")


def _before_change(asked: pl.DataFrame, ends: list[date], q: Question, work_out: Callable[[pl.DataFrame], Worked]) -> pl.DataFrame:
    """_i, days_past_due of month ends before anything changed, all read off the day before it did."""
    if asked.height == 0:
        return pl.DataFrame(schema={"_i": asked.schema["_i"], "days_past_due": pl.Int64})
    loans = asked.select("loan_id", "disbursed_on", "ended_on", as_of=pl.min_horizontal(pl.col("changed_on").dt.offset_by("-1d"), pl.lit(ends[0])))
    pairs = loans.unique("loan_id", maintain_order=True).with_row_index("pair")
    done = work_out(pairs.select("pair", "loan_id", "as_of")).allocation
    told = _from_paid_off(pairs, done, ends, q).join(pairs.select("pair", "loan_id"), on="pair")
    months = told.with_columns(as_of=pl.lit(ends, pl.List(pl.Date))).explode("payment_history", "as_of")
    found = asked.select("_i", "loan_id", "as_of").join(months, on=["loan_id", "as_of"], how="inner")
    return found.select("_i", days_past_due="payment_history")
