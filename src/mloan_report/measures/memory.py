"""What was classified before: the last stored category of each loan, since when, and since when it has been non-performing.

Read from the table ``classifications`` (source ``computed``), which ``classify --store`` writes; only rows before as_of that were known then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import polars as pl

from mloan_report.portfolio import Portfolio


def remembered(loans: pl.DataFrame, regime_id: str, portfolio: Portfolio, known_at: date | None, npa_by: Iterable[str]) -> pl.DataFrame:
    """``_i``, previous_category, previous_on, previous_since_on and category_remembered_before (the last stored up to a restructuring) of
    *regime_id*, and npa_since_remembered of *npa_by*. *loans* has _i, loan_id, as_of and restructured_on.
    """
    rows = portfolio.table("classifications").filter(pl.col("source") == "computed")
    if known_at is not None:
        rows = rows.filter(pl.col("known_at").fill_null(pl.col("as_of")) <= known_at)
    dated = rows.select("loan_id", "regime", "category", "since_on", "npa_since_on", stored_on="as_of").join(
        loans.select("_i", "loan_id", "as_of", "restructured_on"), on="loan_id", how="inner"
    )
    dated = dated.filter(pl.col("stored_on") < pl.col("as_of")).sort("stored_on")
    own = dated.filter(pl.col("regime") == regime_id).group_by("_i", maintain_order=True).agg(pl.all().last())
    npa = dated.filter(pl.col("regime").is_in(list(npa_by))).group_by("_i", maintain_order=True).agg(npa_since_remembered=pl.col("npa_since_on").last())
    found = own.select("_i", previous_category="category", previous_on="stored_on", previous_since_on=pl.coalesce("since_on", "stored_on"))
    before = dated.filter((pl.col("regime") == regime_id) & (pl.col("stored_on") <= pl.col("restructured_on")))
    before = before.group_by("_i", maintain_order=True).agg(category_remembered_before=pl.col("category").last())
    return found.join(npa, on="_i", how="full", coalesce=True).join(before, on="_i", how="full", coalesce=True)


def stored_categories(portfolio: Portfolio, regime_id: str, on: date, known_at: date | None) -> pl.DataFrame:
    """loan_id, stored: the category that was stored for exactly that day, where there is one."""
    rows = portfolio.table("classifications").filter((pl.col("source") == "computed") & (pl.col("regime") == regime_id) & (pl.col("as_of") == on))
    if known_at is not None:
        rows = rows.filter(pl.col("known_at").fill_null(pl.col("as_of")) <= known_at)
    return rows.select("loan_id", stored="category").unique("loan_id", keep="last")


def own_ratings(loans: pl.DataFrame, regime_id: str, codes: Iterable[str], portfolio: Portfolio, known_at: date | None) -> pl.DataFrame:
    """``_i``, rated (category), rated_by (source) and rated_on of the latest rating that is not ours: lender, auditor, supervisor."""
    rows = portfolio.table("classifications").filter((pl.col("regime") == regime_id) & (pl.col("source") != "computed"))
    rows = rows.filter(pl.col("category").is_in(list(codes)))
    if known_at is not None:
        rows = rows.filter(pl.col("known_at").fill_null(pl.col("as_of")) <= known_at)
    dated = rows.select("loan_id", "category", "source", rated_on="as_of").join(loans.select("_i", "loan_id", "as_of"), on="loan_id", how="inner")
    latest = dated.filter(pl.col("rated_on") <= pl.col("as_of")).sort("rated_on").group_by("_i", maintain_order=True).agg(pl.all().last())
    return latest.select("_i", rated="category", rated_by="source", rated_on="rated_on")
