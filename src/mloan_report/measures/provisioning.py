"""What must be provided for each loan: a specific part by its category or by rules, and a general part, each from its own base.

Every part is percent × base, rounded half up to the minor unit; a balance split into a secured and an unsecured part is two parts.
"""

from __future__ import annotations

import polars as pl

from mloan_report.measures.provision import ProvisionTable, RateRule
from mloan_report.measures.regime import Band, Regime
from mloan_report.portfolio.rounding import percent_of
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one

NO_TABLE = "no provision table: name one in the policy or with --provisions"
SCALE = 10**7


def with_provision(done: pl.DataFrame, regime: Regime, table: ProvisionTable | None) -> pl.DataFrame:
    """*done* (with ``_final`` and ``_own``) with the provision columns of :class:`~mloan_report.measures.classify.Classified`."""
    if table is not None and regime.id not in table.regimes:
        table = None
    if table is not None and table.level == "portfolio":
        return _none(done, f"{table.id} provides for the portfolio as a whole, not by loan")
    if table is not None:
        return _by_table(done, table).with_columns(provision_certainty=pl.lit(table.certainty))
    if regime.has_own_rates:
        return _by_bands(done, regime).with_columns(provision_certainty=pl.lit(regime.rate_certainty or regime.certainty))
    return _none(done, NO_TABLE)


def _none(done: pl.DataFrame, why: str) -> pl.DataFrame:
    none = pl.lit(None, pl.Int64)
    names = ("provision_pct", "provision_own_pct", "provision_base", "provision_specific", "provision_general", "provision")
    return done.with_columns(**dict.fromkeys(names, none), provision_reason=pl.lit(why), provision_certainty=pl.lit(None, pl.String))


def _by_table(done: pl.DataFrame, table: ProvisionTable) -> pl.DataFrame:
    if table.rules:
        ruled = _rule_rate(done, table.rules)
        done = done.with_columns(provision_pct=ruled, provision_own_pct=ruled)
    else:
        done = done.with_columns(
            provision_pct=pl.col("category").replace_strict(table.rates(), default=None, return_dtype=pl.Int64),
            provision_own_pct=pl.col("category_own").replace_strict(table.rates(), default=None, return_dtype=pl.Int64),
        )
    done = done.with_columns(provision_base=_base(done, table.base))
    done = done.with_columns(provision_specific=percent_of(pl.col("provision_base"), pl.col("provision_pct")))
    covered = pl.col("category").is_in(table.general_categories) if table.general_categories else pl.col("category").is_not_null()
    return _summed(done, table.general, table.general_base or table.base, covered, pl.lit(None, pl.String))


def _by_bands(done: pl.DataFrame, regime: Regime) -> pl.DataFrame:
    done = done.with_columns(
        provision_pct=_band_rate(regime, "_final", "rate"),
        provision_own_pct=_band_rate(regime, "_own", "rate"),
        _secured_pct=_band_rate(regime, "_final", "secured_pct"),
        _ranged=_band_rate(regime, "_final", "provision_low"),
        provision_base=_base(done, regime.provision_base or "own_on_book_principal"),
    )
    secured = pl.when(pl.col("_secured_pct").is_not_null()).then(pl.min_horizontal("provision_base", "collateral_value")).otherwise(0)
    specific = percent_of(pl.col("provision_base") - secured, pl.col("provision_pct")) + percent_of(secured, pl.col("_secured_pct").fill_null(0))
    done = done.with_columns(provision_specific=specific)
    ranged = pl.when(pl.col("_ranged").is_not_null() & pl.col("provision_specific").is_not_null()).then(
        pl.format("the regime gives a range from {} %: its upper end is used", (pl.col("_ranged") / SCALE).cast(pl.String))
    )
    general = regime.general
    if general is None:
        return _summed(done, 0, "own_on_book_principal", pl.col("category").is_not_null(), ranged)
    return _summed(done, int(general.pct * SCALE), general.base, pl.col("category").is_in(general.categories), ranged)


def _summed(done: pl.DataFrame, general: int, base: str, covered: pl.Expr, note: pl.Expr) -> pl.DataFrame:
    done = done.with_columns(_general_base=_base(done, base))
    part = percent_of(pl.col("_general_base").clip(lower_bound=0), pl.lit(general, pl.Int64))
    done = done.with_columns(provision_general=pl.when(covered).then(part).when(pl.col("category").is_not_null()).then(0))
    unstated = pl.col("category").is_not_null() & pl.col("provision_specific").is_null()
    return done.with_columns(
        provision=pl.col("provision_specific") + pl.col("provision_general"),
        provision_reason=pl.when(pl.col("category").is_null())
        .then(pl.col("not_classified"))
        .when(unstated)
        .then(pl.format("no rate is stated for category {}", pl.col("category")))
        .otherwise(note),
    )


def _base(done: pl.DataFrame, sql: str) -> pl.Series:
    return evaluate_one(done, compile_sql(sql, done.columns)).fill_null(0).cast(pl.Int64)


def _rule_rate(done: pl.DataFrame, rules: tuple[RateRule, ...]) -> pl.Series:
    """The rate of the first rule that fits: a base percent, and a step for each of a count, up to a cap."""
    out = pl.lit(None, pl.Int64)
    for rule in reversed(rules):
        rate: pl.Series | pl.Expr = pl.lit(rule.pct, pl.Int64)
        if rule.steps is not None:
            count = evaluate_one(done, compile_sql(rule.steps, done.columns)).fill_null(0).cast(pl.Int64)
            rate = (rule.pct + rule.step * count).clip(upper_bound=rule.cap)
        out = pl.when(condition(done, rule.when).fill_null(False)).then(rate).otherwise(out)
    return done.select(pl.when(pl.col("category").is_not_null()).then(out).alias("rate"))["rate"]


def _band_rate(regime: Regime, rank_column: str, which: str) -> pl.Expr:
    """The rate of the category in the loan's own segment and security: of its own band where that has the category, else of the category's
    first band (what an event or another loan puts a loan into), else of the category itself.
    """
    ranks = {c.code: c.rank for c in regime.categories}
    out = pl.lit(None, pl.Int64)
    if which == "rate":
        stated = {c.rank: int(c.provision_pct * SCALE) for c in regime.categories if c.provision_pct is not None}
        out = pl.col(rank_column).replace_strict(stated, default=None, return_dtype=pl.Int64) if stated else out
    for i, segment in enumerate(regime.segments):
        for security in segment.securities:
            here = pl.col(f"_fits{i}") & pl.col("guarantee_mode").is_in(security.guarantee_modes)
            for band in reversed(security.bands):
                out = pl.when(here & (pl.col(rank_column) == ranks[band.code])).then(_scaled(band, which)).otherwise(out)
            for band in security.bands:
                inside = (pl.col("_days") >= band.start) & (pl.col("_days") <= band.end if band.end is not None else pl.lit(True))
                own = here & inside & (pl.col(rank_column) == ranks[band.code])
                out = pl.when(own).then(_scaled(band, which)).otherwise(out)
    return out


def _scaled(band: Band, which: str) -> pl.Expr:
    value = getattr(band, which)
    return pl.lit(None if value is None else int(value * SCALE), pl.Int64)
