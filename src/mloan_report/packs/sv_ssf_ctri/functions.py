"""What data cannot say of the Salvadoran files: rates by category out of the regime, and the table of units."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from mloan_report.measures import regimes
from mloan_report.packs.views import Views

_REGIME = "SV-NCB-022"


def _rates() -> dict[str, int]:
    """Percent with two decimals by category (the same in every segment of NCB-022)."""
    regime = regimes()[_REGIME]
    return {b.code: int(b.provision_pct * 100) for s in regime.segments for x in s.securities for b in x.bands if b.provision_pct is not None}


def _category_rate(category: pl.Expr) -> pl.Expr:
    return category.replace_strict(_rates(), default=None, return_dtype=pl.Int64)


def _mildest_category(days: pl.Expr) -> pl.Expr:
    """The best category that any segment gives for so many days: a loan's category is never better."""
    regime = regimes()[_REGIME]
    ranks = {c.code: c.rank for c in regime.categories}
    by_segment = []
    for segment in regime.segments:
        rank: pl.Expr = pl.lit(None, pl.Int64)
        for band in segment.securities[0].bands:
            inside = days >= band.start if band.end is None else (days >= band.start) & (days <= band.end)
            rank = pl.when(inside).then(pl.lit(ranks[band.code], pl.Int64)).otherwise(rank)
        by_segment.append(rank)
    codes = {c.rank: c.code for c in regime.categories}
    return pl.min_horizontal(by_segment).replace_strict(codes, default=None, return_dtype=pl.String)


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {"CATEGORY_RATE": _category_rate, "MILDEST_CATEGORY": _mildest_category}


def view_unit(views: Views) -> pl.DataFrame:
    """Quantities financed (table sv_ssf_ctri_units), joined to their loans."""
    units = views.own_table("sv_ssf_ctri_units")
    return units.join(views.loan.drop("in_scope", strict=False), on="loan_id", how="inner", maintain_order="left").sort(
        "borrower_id", "loan_id", "codigo_unidad"
    )
