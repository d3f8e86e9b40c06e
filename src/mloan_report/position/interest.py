"""Interest earned and not yet due: on the balance of each day, by the loan's day count and the rate in force.

Interest runs from the last due date on or before as_of (else from disbursement): the start day counts, the end day does
not. Days × balance × rate are summed in 128-bit integers and rounded once, half up, to the minor unit.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from mloan_report.portfolio.rounding import half_up
from mloan_report.position.in_force import Question, visible

DEFAULT_DAY_COUNT = "ACT/360"
"""Where the loan names none: the convention of Chinese lenders (certainty knowledge), and of the Salvadoran example."""

_BASIS = {"ACT/360": 360, "ACT/365F": 365, "30/360": 360, "30E/360": 360}


def rates_in_force(q: Question, loans: pl.DataFrame) -> pl.DataFrame:
    """Rate steps by pair: pair, from_on, rate (10^-7 percent a year); the contract's rate first."""
    base = loans.filter(pl.col("annual_rate_pct").is_not_null()).select("pair", from_on=pl.lit(date(1, 1, 1)), rate="annual_rate_pct")
    steps = visible(q, "rates", "from_on").filter(pl.col("annual_rate_pct").is_not_null()).select("pair", "from_on", rate="annual_rate_pct")
    return pl.concat([base, steps]).unique(["pair", "from_on"], keep="last", maintain_order=True).sort("pair", "from_on")


def current_rate(steps: pl.DataFrame) -> pl.DataFrame:
    """The rate in force on as_of: pair, current_rate_pct (10^-7 percent)."""
    return steps.group_by("pair", maintain_order=True).agg(pl.col("rate").last().alias("current_rate_pct"))


def accrue(claims: pl.DataFrame, steps: pl.DataFrame, movements: pl.DataFrame, waived: pl.DataFrame) -> pl.DataFrame:
    """Accrued and suspended interest by pair.

    *claims*: pair, as_of, claim_principal, accrues_from, stopped_on, day_count. *movements*: pair, on, delta (what each
    changed the claim by). *waived*: pair, from_on, to_on of holidays whose interest is waived. Returns pair,
    accrued_interest, suspended_interest in minor units.
    """
    spans = _spans(claims, steps, waived)
    if spans.height == 0:
        return pl.DataFrame(schema={"pair": claims.schema["pair"], "accrued_interest": pl.Int64, "suspended_interest": pl.Int64})
    later = spans.join(movements, on="pair", how="left").filter(pl.col("on") > pl.col("start"))
    correction = (
        later.with_columns(until=pl.min_horizontal("on", "end"))
        .with_columns(days=day_count(pl.col("start"), pl.col("until"), pl.col("day_count")))
        .group_by("span")
        .agg((pl.col("delta").cast(pl.Int128) * pl.col("days").cast(pl.Int128)).sum().alias("less"))
    )
    spans = (
        spans.join(correction, on="span", how="left", maintain_order="left")
        .with_columns(days=day_count(pl.col("start"), pl.col("end"), pl.col("day_count")))
        .with_columns(
            weight=(pl.col("claim_principal").cast(pl.Int128) * pl.col("days").cast(pl.Int128) - pl.col("less").fill_null(pl.lit(0, pl.Int128)))
            * pl.col("rate").cast(pl.Int128)
        )
    )
    sums = spans.group_by("pair", maintain_order=True).agg(
        pl.col("weight").filter(~pl.col("suspended")).sum().alias("earned"),
        pl.col("weight").filter(pl.col("suspended")).sum().alias("held"),
        pl.col("day_count").first(),
    )
    divisor = pl.col("day_count").replace_strict(_BASIS, return_dtype=pl.Int64).cast(pl.Int128) * pl.lit(10**9, pl.Int64).cast(pl.Int128)
    return sums.select(
        "pair",
        accrued_interest=half_up(pl.col("earned"), divisor),
        suspended_interest=half_up(pl.col("held"), divisor),
    )


def day_count(start: pl.Expr, end: pl.Expr, convention: pl.Expr) -> pl.Expr:
    """Days between two dates by the convention: actual, 30/360 (US bond basis) or 30E/360; end exclusive."""
    actual = (end - start).dt.total_days()
    d1, d2 = start.dt.day().cast(pl.Int64), end.dt.day().cast(pl.Int64)
    months = (end.dt.year().cast(pl.Int64) - start.dt.year().cast(pl.Int64)) * 12 + (end.dt.month().cast(pl.Int64) - start.dt.month().cast(pl.Int64))
    first = pl.min_horizontal(d1, pl.lit(30, pl.Int64))
    european = 30 * months + pl.min_horizontal(d2, pl.lit(30, pl.Int64)) - first
    american = 30 * months + pl.when((d2 == 31) & (first == 30)).then(30).otherwise(d2) - first
    return pl.when(convention == "30/360").then(american).when(convention == "30E/360").then(european).otherwise(actual)


def _spans(claims: pl.DataFrame, steps: pl.DataFrame, waived: pl.DataFrame) -> pl.DataFrame:
    """Stretches of one rate between accrues_from and as_of, cut where accrual stopped and where it was waived."""
    base = claims.filter((pl.col("claim_principal") > 0) & (pl.col("accrues_from") < pl.col("as_of")))
    stepped = base.join(steps, on="pair", how="inner", maintain_order="left").with_columns(next_from=pl.col("from_on").shift(-1).over("pair"))
    rated = stepped.select(
        "pair",
        "as_of",
        "claim_principal",
        "stopped_on",
        "day_count",
        "rate",
        start=pl.max_horizontal("from_on", "accrues_from"),
        end=pl.min_horizontal("as_of", pl.col("next_from").fill_null(date.max)),
    )
    before = rated.with_columns(end=pl.min_horizontal("end", pl.col("stopped_on").fill_null(date.max)), suspended=pl.lit(False))
    after = rated.filter(pl.col("stopped_on").is_not_null()).with_columns(start=pl.max_horizontal("start", "stopped_on"), suspended=pl.lit(True))
    spans = pl.concat([before, after]).filter(pl.col("start") < pl.col("end"))
    if waived.height:
        spans = _without_waived(spans, waived)
    return spans.with_row_index("span")


def _without_waived(spans: pl.DataFrame, waived: pl.DataFrame) -> pl.DataFrame:
    for row in waived.iter_rows(named=True):
        hit = (pl.col("pair") == row["pair"]) & (pl.col("start") <= row["to_on"]) & (pl.col("end") > row["from_on"])
        rest, cut = spans.filter(~hit), spans.filter(hit)
        left = cut.with_columns(end=pl.min_horizontal("end", pl.lit(row["from_on"])))
        right = cut.with_columns(start=pl.max_horizontal("start", pl.lit(row["after"])))
        spans = pl.concat([rest, left, right]).filter(pl.col("start") < pl.col("end"))
    return spans
