"""Days past due: one function of the unpaid set, the method, the grace and the days taken out.

Days past due = as_of minus the due date of the oldest instalment not fully paid, never below 0: due today is 0, tomorrow
is 1. The method ``inclusive`` (India, RBI master direction on IRAC norms; certainty secondary) counts the due date as day 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from mloan_report.model import Policy
from mloan_report.position.in_force import Question

FREEZING_FLAGS = ("operational_delay", "court_stay", "payment_in_transit")
"""Flags whose days are not the borrower's delay. A dispute does not stop the count: the arrear is still there."""


def with_days(items: pl.DataFrame, frozen: dict[str, list[tuple[date, date]]], policy: Policy) -> pl.DataFrame:
    """Adds ``days`` (past due on as_of, 0 when not) and ``taken_out`` to unpaid items with due_on and as_of."""
    elapsed = (pl.col("as_of") - pl.col("due_on")).dt.total_days()
    first = 1 if policy.days_past_due == "inclusive" else 0
    taken = _taken_out(items, frozen)
    grace = pl.lit(0) if policy.grace_counts else pl.col("grace_days").fill_null(0)
    running = pl.when(elapsed + first > 0).then(elapsed + first)
    return items.with_columns(taken_out=taken).with_columns(days=(running - pl.col("taken_out") - grace).clip(lower_bound=0).fill_null(0).cast(pl.Int64))


def frozen_intervals(q: Question) -> dict[str, list[tuple[date, date]]]:
    """The days that do not count, by loan: payment holidays that freeze, and flags that say whose delay it was.

    Overlapping intervals are merged, so that no day is taken out twice. An interval without an end runs on.
    """
    holidays = q.portfolio.table("payment_holidays").filter(pl.col("days_past_due") == "frozen")
    flags = q.portfolio.table("arrears_flags").filter(pl.col("kind").is_in(FREEZING_FLAGS))
    spans: dict[str, list[tuple[date, date]]] = {}
    for frame in (holidays, flags):
        for row in frame.iter_rows(named=True):
            if row["from_on"] is None or (q.known_at is not None and (row["booked_on"] or row["from_on"]) > q.known_at):
                continue
            spans.setdefault(row["loan_id"], []).append((row["from_on"], row["to_on"] or date.max))
    return {loan: merge(found) for loan, found in spans.items()}


def merge(spans: Sequence[tuple[date, date]]) -> list[tuple[date, date]]:
    """Disjoint intervals covering the same days (ends inclusive)."""
    out: list[tuple[date, date]] = []
    for start, end in sorted(spans):
        if out and (out[-1][1] == date.max or start <= out[-1][1] + timedelta(days=1)):
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def overlap(spans: Sequence[tuple[date, date]], due_on: date, as_of: date) -> int:
    """How many of the days after *due_on*, up to and including *as_of*, lie in *spans*."""
    total = 0
    for start, end in spans:
        first, last = max(start, due_on + timedelta(days=1)), min(end, as_of)
        total += max(0, (last - first).days + 1)
    return total


def _taken_out(items: pl.DataFrame, frozen: dict[str, list[tuple[date, date]]]) -> pl.Series:
    if not frozen:
        return pl.Series("taken_out", [0]).new_from_index(0, items.height)
    hit = items["loan_id"].is_in(list(frozen)).fill_null(False)
    if not hit.any():
        return pl.Series("taken_out", [0]).new_from_index(0, items.height)
    touched = items.select("loan_id", "due_on", "as_of").with_row_index("_i").filter(hit)
    days = [overlap(frozen[loan], due, as_of) if due is not None and due < as_of else 0 for _, loan, due, as_of in touched.rows()]
    return pl.Series("taken_out", [0]).new_from_index(0, items.height).scatter(touched["_i"], pl.Series(days, dtype=pl.Int64))
