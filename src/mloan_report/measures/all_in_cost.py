"""The all-in annual cost of each loan: what the borrower got, and everything that the contract has him pay, brought level.

Advances are disbursements, net of what was withheld; payments are the first schedule's instalments with their fees, and charges that count
in an annual rate (by the limit's ``charge_kinds``, or ``in_annual_rate``; whoever the payee) on their days. The rate is the effective one of
China's compound method (PBoC announcement [2021] No. 3; certainty knowledge), intervals as :mod:`~mloan_report.schedule.intervals` counts.

A book is solved in columns, in 64-bit floats, with a Newton step that comes from below; a rate within 10^-6 of a limit, and any loan whose
flows are of another shape, is solved again in Decimal: no decision rests on a float.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import polars as pl

from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.schedule import Flow, annual_rate

SHORT_UNITS = {"daily": "daily", "weekly": "weekly", "fortnightly": "weekly"}
NO_FLOWS = "no schedule to work the cost out from"


def all_in_flows(portfolio: Portfolio, loans: pl.DataFrame, charge_kinds: Sequence[str], known_at: date | None = None) -> pl.DataFrame:
    """loan_id, on, amount (minor units; advances positive, payments negative) of the contracts of *loans* (loan_id).

    Charges of *charge_kinds* count where ``in_annual_rate`` does not say.
    """
    portfolio = portfolio.each_once
    keys = loans.select("loan_id").unique()

    def of(table: str, booked: str) -> pl.DataFrame:
        rows = portfolio.table(table).join(keys, on="loan_id", how="semi")
        return rows.filter(pl.col("booked_on").fill_null(pl.col(booked)) <= known_at) if known_at is not None else rows

    charges = of("charges", "assessed_on")
    counts = pl.col("in_annual_rate").fill_null(pl.col("kind").is_in(list(charge_kinds))) & pl.col("capitalised_on").is_null()
    charges = charges.filter(counts).with_columns(amount=pl.col("amount") - pl.col("waived_amount").fill_null(0))
    withheld = charges.filter(pl.col("withheld_at_disbursement").fill_null(False)).group_by("loan_id").agg(withheld=pl.col("amount").sum())
    later = charges.filter(~pl.col("withheld_at_disbursement").fill_null(False))
    paid_out = of("disbursements", "paid_on")
    reversed_ids = paid_out["reverses_id"].drop_nulls().implode()
    paid_out = paid_out.filter(pl.col("reverses_id").is_null() & ~pl.col("disbursement_id").is_in(reversed_ids))
    whole = portfolio.table("loans").join(keys, on="loan_id", how="semi").join(paid_out, on="loan_id", how="anti")
    advances = pl.concat(
        [
            paid_out.select("loan_id", on="paid_on", gross="amount", net="net_paid_amount"),
            whole.select("loan_id", on="disbursed_on", gross="principal", net=pl.lit(None, pl.Int64)),
        ]
    ).sort("loan_id", "on")
    first = pl.int_range(pl.len()).over("loan_id") == 0
    advances = advances.join(withheld, on="loan_id", how="left", maintain_order="left").with_columns(
        amount=pl.coalesce("net", pl.col("gross") - pl.when(first).then(pl.col("withheld").fill_null(0)).otherwise(0))
    )
    dues = portfolio.table("instalments").join(keys, on="loan_id", how="semi").filter(pl.col("schedule_version").fill_null(1) == 1)
    due = pl.sum_horizontal(pl.col("principal_due", "interest_due", "fees_due").fill_null(0))
    return (
        pl.concat(
            [
                advances.select("loan_id", "on", "amount"),
                dues.select("loan_id", on="due_on", amount=-due),
                later.select("loan_id", on=pl.coalesce("due_on", "assessed_on"), amount=-pl.col("amount")),
            ]
        )
        .drop_nulls()
        .group_by("loan_id", "on")
        .agg(pl.col("amount").sum())
        .filter(pl.col("amount") != 0)
        .sort("loan_id", "on")
    )


def all_in_rates(
    portfolio: Portfolio, loans: pl.DataFrame, caps: Sequence[pl.Series], charge_kinds: Sequence[str], known_at: date | None = None
) -> pl.DataFrame:
    """loan_id, rate (effective, a part of 1, as Decimal text to 12 places) and reason (where there is none), in the order of *loans*.

    *loans* has loan_id, repayment_frequency and currency_code; *caps* are limits of each loan in 10^-9 parts of 1, near which its rate is
    worked out exactly.
    """
    flows = all_in_flows(portfolio, loans, charge_kinds, known_at)
    asked = loans.select("loan_id", "repayment_frequency", "currency_code")
    found = asked.join(_newton(flows, asked), on="loan_id", how="left", maintain_order="left")
    near = [(found["x"] - cap / 10**9).abs() < 1e-6 for cap in caps]
    found = found.with_columns(near=pl.any_horizontal([n.fill_null(False).alias(f"n{k}") for k, n in enumerate(near)]) if near else pl.lit(False))
    exact = found.filter(pl.col("x").is_null() | pl.col("near") | ~pl.col("settled").fill_null(False))
    solved = _exactly(flows, exact)
    out = found.join(solved, on="loan_id", how="left", maintain_order="left")
    quick = pl.col("x").round(10).map_elements(lambda x: f"{x:.12f}", return_dtype=pl.String)
    return out.select("loan_id", rate=pl.when(pl.col("asked_exactly").fill_null(False)).then("exact").otherwise(quick), reason="reason")


def _newton(flows: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """x and settled for each loan whose flows change their sign once, from advance to payment: it has one rate, and a step that comes to rest
    has found it.
    """
    rows = flows.join(asked.select("loan_id", "repayment_frequency"), on="loan_id", how="inner")
    rows = rows.with_columns(start=pl.col("on").min().over("loan_id")).with_columns(t=_years())
    pays = pl.col("amount") < 0
    shape = rows.group_by("loan_id", maintain_order=True).agg(
        once=(pays.cast(pl.Int8).diff().fill_null(0).abs().sum() == 1) & ~pays.first(), dear=pl.col("amount").sum() < 0
    )
    plain = rows.join(shape.filter(pl.col("once") & pl.col("dear")).select("loan_id"), on="loan_id", how="semi")
    plain = plain.select("loan_id", "t", c=-pl.col("amount").cast(pl.Float64))
    now = plain.select("loan_id").unique(maintain_order=True).with_columns(x=pl.lit(0.0), step=pl.lit(1.0))
    resting = now.clear()
    for _ in range(60):
        if now.height == 0:
            break
        terms = plain.join(now.select("loan_id", "x"), on="loan_id", how="inner")
        worth = pl.col("c") * (1 + pl.col("x")).pow(-pl.col("t"))
        sums = terms.group_by("loan_id").agg(value=worth.sum(), slope=(worth * pl.col("t") / (1 + pl.col("x"))).sum())
        now = now.join(sums, on="loan_id", how="left", maintain_order="left").with_columns(step=pl.col("value") / pl.col("slope"))
        now = now.select("loan_id", x=pl.col("x") + pl.col("step"), step="step")
        at_rest = (pl.col("step").abs() < 1e-13) | ~pl.col("x").is_finite() | (pl.col("x") < 0)
        resting = pl.concat([resting, now.filter(at_rest)])
        now = now.filter(~at_rest)
        plain = plain.join(now.select("loan_id"), on="loan_id", how="semi")
    done = pl.concat([resting, now])
    return done.select("loan_id", "x", settled=(pl.col("step").abs() < 1e-10) & pl.col("x").is_finite() & (pl.col("x") >= 0))


def _years() -> pl.Expr:
    """Years from the first advance: whole months back along month ends and odd days over 365; weeks over 52; days over 365."""
    start, on = pl.col("start"), pl.col("on")
    days = (on - start).dt.total_days()
    months = (on.dt.year().cast(pl.Int64) - start.dt.year().cast(pl.Int64)) * 12 + on.dt.month().cast(pl.Int64) - start.dt.month().cast(pl.Int64)
    # Steps go along month ends where every later flow is at one: see us_interval.
    later = pl.when(on > start).then(on == on.dt.month_end())
    at_end = later.all().over("loan_id") & (on > start)

    def back(n: pl.Expr) -> pl.Expr:
        moved = on.dt.offset_by(pl.format("-{}mo", n))
        return pl.when(at_end).then(moved.dt.month_end()).otherwise(moved)

    whole = months - (back(months) < start).cast(pl.Int64)
    monthly = whole / 12 + (back(whole) - start).dt.total_days() / 365
    weekly = days // 7 / 52 + days % 7 / 365
    frequency = pl.col("repayment_frequency")
    return pl.when(frequency == "daily").then(days / 365).when(frequency.is_in(["weekly", "fortnightly"])).then(weekly).otherwise(monthly)


def _exactly(flows: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    rows: list[tuple[str, str | None, str | None, bool]] = []
    wanted = flows.join(asked.select("loan_id"), on="loan_id", how="semi").group_by("loan_id", maintain_order=True).agg("on", "amount")
    by_loan = {loan: (on, amounts) for loan, on, amounts in wanted.rows()}
    for loan, frequency, code in asked.select("loan_id", "repayment_frequency", "currency_code").rows():
        on, amounts = by_loan.get(loan, ([], []))
        if not on:
            rows.append((loan, None, NO_FLOWS, True))
            continue
        digits = minor_digits(code) if code else 2
        found = annual_rate([Flow(d, from_minor(a, digits)) for d, a in zip(on, amounts, strict=True)], "cn_irr", SHORT_UNITS.get(frequency, "monthly"))
        rate = None if found.rate_pct is None else f"{(found.rate_pct / 100).quantize(Decimal('1e-12')):f}"
        rows.append((loan, rate, found.reason, True))
    schema = {"loan_id": pl.String, "exact": pl.String, "reason": pl.String, "asked_exactly": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")
