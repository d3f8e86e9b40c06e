"""Consecutive days above a materiality threshold: what was past due on each day, and since when it has exceeded both thresholds.

The past-due amount of a day is what instalments due before it still lacked at its end. It must exceed an amount (converted by
exchange_rates; where no rate is there, only the share is judged) and a share of the exposure of that day. Source: Delegated Regulation
(EU) 2018/171 Arts. 1 and 2; the day after the due date is day 1.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from mloan_report.measures.exchange import rate_on
from mloan_report.measures.regime import Materiality
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.sql import condition
from mloan_report.position.in_force import INSTALMENT_COMPONENTS
from mloan_report.position.position import Positions


def days_material(view: pl.DataFrame, positions: Positions, portfolio: Portfolio, rule: Materiality) -> pl.Series:
    """Days since the past-due amount first exceeded both thresholds without a break, for each row of *view*; 0 where it does not now."""
    keys = view.select("_i", "loan_id", "as_of", "claim_principal", amount=_threshold(view, portfolio, rule))
    late = keys.filter(view["overdue_amount"] > 0)
    moves = _movements(positions, late)
    share = int(rule.share_pct * 10**7)
    levels = moves.sort("_i", "on").with_columns(past_due=pl.col("past_due").cum_sum().over("_i"), principal=pl.col("repaid").cum_sum(reverse=True).over("_i"))
    levels = levels.join(keys.drop("loan_id"), on="_i", how="inner", maintain_order="left")
    # What was repaid after a day was still owed on it.
    exposure = pl.col("claim_principal") + pl.col("principal") - pl.col("repaid")
    above_share = pl.col("past_due").cast(pl.Int128) * 10**9 > exposure.cast(pl.Int128) * share
    levels = levels.with_columns(material=(pl.col("past_due") > pl.col("amount").fill_null(0)) & above_share)
    below = levels.filter(~pl.col("material")).group_by("_i").agg(last_below=pl.col("on").max())
    risen = levels.join(below, on="_i", how="left").filter(pl.col("material") & (pl.col("last_below").is_null() | (pl.col("on") > pl.col("last_below"))))
    since = risen.group_by("_i").agg(since=pl.col("on").min(), as_of=pl.col("as_of").first())
    days = since.select("_i", days=(pl.col("as_of") - pl.col("since")).dt.total_days() + 1)
    return keys.select("_i").join(days, on="_i", how="left", maintain_order="left")["days"].fill_null(0).cast(pl.Int64)


def _movements(positions: Positions, late: pl.DataFrame) -> pl.DataFrame:
    """One row a loan and day on which its past-due amount or its principal changed: _i, on, past_due (change), repaid (principal)."""
    items = positions.items.filter("is_instalment").join(late.select("_i", "loan_id", "as_of"), on=["loan_id", "as_of"], how="inner")
    items = items.filter(pl.col("due_on") < pl.col("as_of"))
    due = items.select("_i", on=pl.col("due_on").dt.offset_by("1d"), past_due=pl.sum_horizontal(INSTALMENT_COMPONENTS), repaid=pl.lit(0, pl.Int64))
    paid = positions.payments.join(late.select("_i", "loan_id", "as_of"), on=["loan_id", "as_of"], how="inner")
    parts = pl.sum_horizontal([pl.col(f"to_{c}") for c in INSTALMENT_COMPONENTS])
    given = paid.select("_i", "paid_on", amount=parts, repaid="to_principal")
    # Payments made good the oldest instalments first: one that came before its instalment counts from the day that falls due.
    covered = _covered(items, given)
    principal = given.select("_i", on="paid_on", past_due=pl.lit(0, pl.Int64), repaid="repaid")
    moves = pl.concat([due, covered, principal], how="vertical_relaxed")
    return moves.group_by("_i", "on").agg(pl.col("past_due").sum(), pl.col("repaid").sum())


def _covered(items: pl.DataFrame, given: pl.DataFrame) -> pl.DataFrame:
    """What each payment took off the past-due amount, and from which day."""
    unit = pl.sum_horizontal(INSTALMENT_COMPONENTS)
    dues = items.sort("_i", "due_on", "number").select("_i", "due_on", due=unit).with_columns(upto=pl.col("due").cum_sum().over("_i"))
    pays = given.sort("_i", "paid_on").with_columns(upto=pl.col("amount").cum_sum().over("_i"))
    pairs = dues.with_columns(after=pl.col("upto") - pl.col("due")).join(
        pays.with_columns(before=pl.col("upto") - pl.col("amount")).select("_i", "paid_on", "before", paid_upto="upto"), on="_i", how="inner"
    )
    took = pl.min_horizontal("upto", "paid_upto") - pl.max_horizontal("after", "before")
    pairs = pairs.with_columns(took=took).filter(pl.col("took") > 0)
    return pairs.select("_i", on=pl.max_horizontal("paid_on", pl.col("due_on").dt.offset_by("1d")), past_due=-pl.col("took"), repaid=pl.lit(0, pl.Int64))


def _threshold(view: pl.DataFrame, portfolio: Portfolio, rule: Materiality) -> pl.Series:
    """The amount in minor units of the loan's currency; null where no rate into it is known."""
    retail = condition(view, rule.retail).fill_null(False)
    latest = view["as_of"].max()
    on = latest if isinstance(latest, date) else date.max
    out = pl.Series("amount", [None], dtype=pl.Int64).new_from_index(0, view.height)
    for code in view["currency_code"].unique().drop_nulls():
        factor = rate_on(portfolio, rule.currency_code, code, on)
        if factor is None:
            continue
        digits = portfolio.digits.get(code, 2)
        amounts = [int((a * factor).scaleb(digits).to_integral_value()) for a in (rule.amount_retail, rule.amount_other)]
        mine = view["currency_code"] == code
        chosen = pl.select(pl.when(mine & retail).then(amounts[0]).when(mine).then(amounts[1]).otherwise(out)).to_series()
        out = chosen.cast(pl.Int64).alias("amount")
    return out
