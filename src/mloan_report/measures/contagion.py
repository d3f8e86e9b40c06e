"""How a person's other debts weigh on each loan. A person is everyone under one identity number, not a borrower id."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from mloan_report.measures.grouping import Togetherness
from mloan_report.measures.regime import Contagion, Regime
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.sql import condition
from mloan_report.portfolio.typing import ROW

REASONS = pl.List(pl.String())


def with_contagion(live: pl.DataFrame, regime: Regime, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    """*live* (with ``_own``, ``_person`` and ``_reasons``) with ``_final``, and a reason for each loan that is raised."""
    live = live.with_columns(_final=pl.col("_own"))
    if not regime.contagion or live.height == 0:
        return live
    for rule in regime.contagion:
        touched = condition(live, rule.applies).fill_null(False)
        live = live.with_columns(_touched=touched)
        live = _KINDS[rule.kind](live, rule, regime, portfolio, together)
        raised = pl.col("_touched") & (pl.col("_floor") > pl.col("_final"))
        said = pl.format("contagion: {}{} ({}; {})", pl.lit(rule.reason), pl.col("_from"), pl.lit(rule.source), pl.lit(rule.certainty))
        live = live.with_columns(
            _reasons=pl.when(raised).then(pl.col("_reasons").list.concat(pl.concat_list(said))).otherwise(pl.col("_reasons")),
            _final=pl.when(raised).then(pl.col("_floor")).otherwise(pl.col("_final")),
        ).drop("_floor", "_from", "_touched")
    return live


def _worst(live: pl.DataFrame, key: str) -> pl.DataFrame:
    """The worst own category among loans that share *key*, and the loan it comes from."""
    worst = (
        live.filter("_touched")
        .sort("_own", "loan_id", descending=[True, False])
        .group_by(key, "as_of", maintain_order=True)
        .agg(_floor=pl.col("_own").first(), _from=pl.format(": {}", pl.col("loan_id").first()))
    )
    return live.join(worst, on=[key, "as_of"], how="left", maintain_order="left")


def _worst_of_person(live: pl.DataFrame, rule: Contagion, regime: Regime, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    return _worst(live, "_person")


def _worst_of_group(live: pl.DataFrame, rule: Contagion, regime: Regime, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    grouped = live.with_columns(_group=together.group_of(live["borrower_id"]))
    return _worst(grouped, "_group").drop("_group")


def _non_performing_share(live: pl.DataFrame, rule: Contagion, regime: Regime, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    bad_ranks = [c.rank for c in regime.categories if c.npl]
    balance = pl.col("claim_principal").cast(pl.Int128)
    bad = balance.filter(pl.col("_own").is_in(bad_ranks)).sum().over("_person", "as_of")
    whole = balance.sum().over("_person", "as_of")
    return _floored(live, _above(bad, whole, rule), rule, regime)


def _overdue_share_everywhere(live: pl.DataFrame, rule: Contagion, regime: Regime, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    late = pl.col("days_past_due") > (rule.days_over or 0)
    here = live.group_by("_person", "as_of").agg(
        _bad=pl.col("claim_principal").cast(pl.Int128).filter(late).sum(), _all=pl.col("claim_principal").cast(pl.Int128).sum()
    )
    there = external(live, portfolio, together)
    late_there = pl.col("days_past_due").fill_null(0) > (rule.days_over or 0)
    other = there.group_by("_person", "as_of").agg(
        _bad_there=pl.col("balance").cast(pl.Int128).filter(late_there).sum(), _all_there=pl.col("balance").cast(pl.Int128).sum()
    )
    both = here.join(other, on=["_person", "as_of"], how="left").with_columns(pl.col("_bad_there", "_all_there").fill_null(0))
    both = both.select("_person", "as_of", _share=_above(pl.col("_bad") + pl.col("_bad_there"), pl.col("_all") + pl.col("_all_there"), rule))
    joined = live.join(both, on=["_person", "as_of"], how="left", maintain_order="left")
    return _floored(joined, pl.col("_share").fill_null(False), rule, regime).drop("_share")


def _worst_elsewhere(live: pl.DataFrame, rule: Contagion, regime: Regime, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    ranks = {c.code: c.rank for c in regime.categories}
    there = external(live, portfolio, together).with_columns(_rank=pl.col("category").replace_strict(ranks, default=None, return_dtype=pl.Int64))
    worst = (
        there.filter(pl.col("_rank").is_not_null())
        .sort("_rank", descending=True)
        .group_by("_person", "as_of", maintain_order=True)
        .agg(_floor=pl.col("_rank").first(), _from=pl.format(": {}", pl.col("lender").first().fill_null("a lender elsewhere")))
    )
    return live.join(worst, on=["_person", "as_of"], how="left", maintain_order="left")


def external(live: pl.DataFrame, portfolio: Portfolio, together: Togetherness) -> pl.DataFrame:
    """The latest report up to as_of of each source and lender on each person that has a loan in *live*; balances null are 0.

    Amounts count as reported; a report in another currency than the book's is left out, never summed unconverted.
    """
    debts = portfolio.table("external_debts").drop(ROW)
    home = portfolio.institution.currency_code
    debts = debts.filter(pl.col("currency_code").fill_null(home) == home).rename({"as_of": "reported_on"})
    debts = debts.with_columns(_person=together.person_of(debts["borrower_id"]), balance=pl.col("balance").fill_null(0))
    asked = live.select("_person", "as_of").unique()
    dated = debts.join(asked, on="_person", how="inner").filter(pl.col("reported_on") <= pl.col("as_of"))
    return dated.sort("reported_on").group_by("_person", "as_of", "source", "lender", maintain_order=True).agg(pl.all().last())


def _above(part: pl.Expr, whole: pl.Expr, rule: Contagion) -> pl.Expr:
    pct = int((rule.above_pct or Decimal(0)) * 10**7)
    return part * pl.lit(10**9, pl.Int64).cast(pl.Int128) > whole * pl.lit(pct, pl.Int64).cast(pl.Int128)


def _floored(live: pl.DataFrame, hit: pl.Expr, rule: Contagion, regime: Regime) -> pl.DataFrame:
    floor = regime.category(rule.at_least or "").rank
    return live.with_columns(_floor=pl.when(hit).then(pl.lit(floor, pl.Int64)), _from=pl.lit(""))


_KINDS = {
    "worst_of_person": _worst_of_person,
    "worst_of_group": _worst_of_group,
    "non_performing_share": _non_performing_share,
    "overdue_share_everywhere": _overdue_share_everywhere,
    "worst_elsewhere": _worst_elsewhere,
}
