"""The category of every loan under a regime, with each reason; and what must be provided for it.

A band of days is a floor, never the answer: the category is the worst of band, events (restructuring, bankruptcy ...),
contagion from the borrower's other loans, and the lender's own rating, which can only worsen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from mloan_report.measures.provision import ProvisionTable
from mloan_report.measures.regime import Band, RefusedRegime, Regime
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.rounding import percent_of
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one

NOT_COVERED = "the regime does not cover this loan"
ENDED = "nothing is on the books and nothing is owed"


@dataclass(frozen=True)
class Classified:
    """``loans``: loan_id, as_of, borrower_id, segment, days, category, category_own (before contagion), category_name, npl,
    reasons (list), provision_pct, provision (minor units or null), provision_reason, not_classified (reason or null).
    """

    regime: Regime
    provisions: ProvisionTable | None
    loans: pl.DataFrame


def classify(view: pl.DataFrame, regime: Regime, portfolio: Portfolio, provisions: ProvisionTable | None = None) -> Classified:
    """Classifies every loan of the loan view that still has a claim or a balance on the books."""
    frame = view.with_row_index("_i")
    frame = frame.with_columns(evaluate_one(frame, compile_sql(regime.days, frame.columns)).fill_null(0).cast(pl.Int64).alias("_days"))
    frame = _with_band(frame, regime)
    alive = (pl.col("claim_principal") > 0) | (pl.col("on_book_principal") > 0) | (pl.col("overdue_amount") > 0)
    frame = frame.with_columns(
        not_classified=pl.when(~alive | pl.col("status").is_in(["cancelled", "not_disbursed"]))
        .then(pl.lit(ENDED))
        .when(pl.col("_segment").is_null())
        .then(pl.lit(NOT_COVERED))
    )
    live = frame.filter(pl.col("not_classified").is_null())
    ranks, reasons = _by_events(live, regime, portfolio)
    live = live.with_columns(_own=ranks, _reasons=reasons)
    live = _with_contagion(live, regime)
    done = frame.join(live.select("_i", "_own", "_final", "_reasons"), on="_i", how="left", maintain_order="left")
    codes = {c.rank: c.code for c in regime.categories}
    names = {c.rank: c.en for c in regime.categories}
    npl = {c.rank: c.npl for c in regime.categories}
    done = done.with_columns(
        category=pl.col("_final").replace_strict(codes, default=None, return_dtype=pl.String),
        category_own=pl.col("_own").replace_strict(codes, default=None, return_dtype=pl.String),
        category_name=pl.col("_final").replace_strict(names, default=None, return_dtype=pl.String),
        npl=pl.col("_final").replace_strict(npl, default=None, return_dtype=pl.Boolean),
    )
    done = _with_provision(done, regime, provisions)
    return Classified(
        regime,
        provisions,
        done.select(
            "loan_id",
            "as_of",
            "borrower_id",
            "currency_code",
            pl.col("_segment").alias("segment"),
            pl.col("_days").alias("days"),
            "category",
            "category_own",
            "category_name",
            "npl",
            pl.col("_reasons").alias("reasons"),
            "provision_pct",
            "provision_own_pct",
            "provision_base",
            "provision",
            "provision_reason",
            "not_classified",
        ),
    )


def _with_band(frame: pl.DataFrame, regime: Regime) -> pl.DataFrame:
    fits = [condition(frame, s.applies).fill_null(False) for s in regime.segments]
    total = sum((f.cast(pl.Int64) for f in fits), start=pl.Series([0]).new_from_index(0, frame.height))
    if (total > 1).any():
        raise RefusedRegime(f"{regime.id}: two segments fit one loan")
    segment, rank, text = pl.lit(None, pl.String), pl.lit(None, pl.Int64), pl.lit(None, pl.String)
    ranks = {c.code: c.rank for c in regime.categories}
    for i, s in enumerate(regime.segments):
        mine = pl.col(f"_fits{i}")
        segment = pl.when(mine).then(pl.lit(s.name)).otherwise(segment)
        for security in s.securities:
            here = mine & pl.col("guarantee_mode").is_in(security.guarantee_modes)
            for band in security.bands:
                inside = here & _inside(band)
                rank = pl.when(inside).then(pl.lit(ranks[band.code], pl.Int64)).otherwise(rank)
                text = pl.when(inside).then(pl.lit(band.text)).otherwise(text)
    frame = frame.with_columns([f.alias(f"_fits{i}") for i, f in enumerate(fits)])
    return frame.with_columns(_segment=segment, _band=rank, _band_text=text)


def _inside(band: Band) -> pl.Expr:
    days = pl.col("_days")
    return days >= band.start if band.end is None else (days >= band.start) & (days <= band.end)


def _by_events(live: pl.DataFrame, regime: Regime, portfolio: Portfolio) -> tuple[pl.Series, pl.Series]:
    """The rank by band, triggers and own rating; and the list of all reasons."""
    ranks = {c.code: c.rank for c in regime.categories}
    candidates = [pl.col("_band").fill_null(0)]
    reasons = [
        pl.when(pl.col("_band").is_null())
        .then(pl.lit("performing, class not stated below the first band"))
        .otherwise(pl.format("band {}: {} days past due ({})", pl.col("_band_text"), pl.col("_days"), pl.lit(regime.source)))
    ]
    extra = live
    for i, trigger in enumerate(regime.triggers):
        extra = extra.with_columns(condition(live, trigger.when).fill_null(False).alias(f"_t{i}"))
        hit = pl.col(f"_t{i}")
        candidates.append(pl.when(hit).then(pl.lit(ranks[trigger.at_least], pl.Int64)).otherwise(0))
        reasons.append(pl.when(hit).then(pl.lit(f"at least {trigger.at_least}: {trigger.reason} ({trigger.source}; {trigger.certainty})")))
    rated = _own_ratings(live, regime, portfolio, ranks)
    extra = extra.join(rated, on="_i", how="left", maintain_order="left")
    candidates.append(pl.col("_rated").fill_null(0))
    reasons.append(
        pl.when(pl.col("_rated").is_not_null()).then(
            pl.format("at least {}: rated by the {} on {}", pl.col("_rated_code"), pl.col("_rated_by"), pl.col("_rated_on").dt.to_string("%Y-%m-%d"))
        )
    )
    out = extra.select(rank=pl.max_horizontal(candidates), reasons=pl.concat_list(reasons).list.drop_nulls())
    return out["rank"], out["reasons"]


def _own_ratings(live: pl.DataFrame, regime: Regime, portfolio: Portfolio, ranks: dict[str, int]) -> pl.DataFrame:
    given = (
        portfolio.table("classifications")
        .filter((pl.col("regime") == regime.id) & (pl.col("source") != "computed") & pl.col("category").is_in(list(ranks)))
        .select("loan_id", "category", "source", rated_on="as_of", known="known_at")
    )
    dated = live.select("_i", "loan_id", "as_of").join(given, on="loan_id", how="inner").filter(pl.col("rated_on") <= pl.col("as_of"))
    latest = dated.sort("rated_on").group_by("_i", maintain_order=True).agg(pl.all().last())
    return latest.select(
        "_i",
        _rated=pl.col("category").replace_strict(ranks, default=None, return_dtype=pl.Int64),
        _rated_code="category",
        _rated_by="source",
        _rated_on="rated_on",
    )


def _with_contagion(live: pl.DataFrame, regime: Regime) -> pl.DataFrame:
    rule = regime.contagion
    live = live.with_columns(_final=pl.col("_own"))
    if rule is None or live.height == 0:
        return live
    touched = condition(live, rule.applies).fill_null(False)
    live = live.with_columns(_touched=touched)
    if rule.kind == "worst_of_borrower":
        worst = pl.col("_own").filter(pl.col("_touched")).max().over("borrower_id", "as_of")
        raised = pl.when(pl.col("_touched")).then(worst).otherwise(pl.col("_own"))
    else:
        bad_ranks = [c.rank for c in regime.categories if c.npl]
        balance = pl.col("claim_principal").cast(pl.Int128)
        bad = balance.filter(pl.col("_own").is_in(bad_ranks)).sum().over("borrower_id", "as_of")
        whole = balance.sum().over("borrower_id", "as_of")
        pct = int((rule.above_pct or Decimal(0)) * 100)
        over = bad * pl.lit(10_000, pl.Int64).cast(pl.Int128) > whole * pl.lit(pct, pl.Int64).cast(pl.Int128)
        floor = next(c.rank for c in regime.categories if c.code == rule.at_least)
        raised = pl.when(pl.col("_touched") & over).then(pl.max_horizontal("_own", pl.lit(floor, pl.Int64))).otherwise(pl.col("_own"))
    live = live.with_columns(_final=raised)
    added = pl.concat_list(pl.lit(f"contagion: {rule.reason} ({rule.source}; {rule.certainty})"))
    return live.with_columns(_reasons=pl.when(pl.col("_final") > pl.col("_own")).then(pl.col("_reasons").list.concat(added)).otherwise(pl.col("_reasons")))


def _with_provision(done: pl.DataFrame, regime: Regime, table: ProvisionTable | None) -> pl.DataFrame:
    if table is not None and regime.id not in table.regimes:
        table = None
    if table is not None:
        rate = pl.col("category").replace_strict(table.rates(), default=None, return_dtype=pl.Int64)
        own_rate = pl.col("category_own").replace_strict(table.rates(), default=None, return_dtype=pl.Int64)
        base, general, why = table.base, table.general, None
    elif regime.has_own_rates:
        rate, own_rate = _band_rate(regime, "_final"), _band_rate(regime, "_own")
        base, general, why = regime.provision_base or "own_on_book_principal", 0, None
    else:
        none = pl.lit(None, pl.Int64)
        return done.with_columns(
            provision_pct=none,
            provision_own_pct=none,
            provision_base=none,
            provision=none,
            provision_reason=pl.lit("no provision table: name one in the policy or with --provisions"),
        )
    done = done.with_columns(
        provision_pct=rate, provision_own_pct=own_rate, provision_base=evaluate_one(done, compile_sql(base, done.columns)).fill_null(0).cast(pl.Int64)
    )
    specific = percent_of(pl.col("provision_base"), pl.col("provision_pct"))
    general_part = percent_of(pl.col("provision_base"), pl.lit(general, pl.Int64))
    return done.with_columns(
        provision=specific + general_part,
        provision_reason=pl.when(pl.col("category").is_null()).then(pl.col("not_classified")).otherwise(pl.lit(why, pl.String)),
    )


def _band_rate(regime: Regime, rank_column: str) -> pl.Expr:
    """The rate of the category in the loan's own segment and security."""
    ranks = {c.code: c.rank for c in regime.categories}
    out = pl.lit(None, pl.Int64)
    for i, segment in enumerate(regime.segments):
        for security in segment.securities:
            here = pl.col(f"_fits{i}") & pl.col("guarantee_mode").is_in(security.guarantee_modes)
            for band in security.bands:
                if band.provision_pct is not None:
                    out = pl.when(here & (pl.col(rank_column) == ranks[band.code])).then(pl.lit(int(band.provision_pct * 10**7), pl.Int64)).otherwise(out)
    return out


def check_dates(regime: Regime, as_of: date, *, allow_expired: bool) -> str | None:
    """None when *regime* may be used on *as_of*; else the reason why not."""
    if regime.in_force(as_of) or allow_expired:
        return None
    until = f" to {regime.effective_to}" if regime.effective_to else ""
    return f"{regime.id} is in force from {regime.effective_from}{until}, not on {as_of}: give --allow-expired to use it all the same"
