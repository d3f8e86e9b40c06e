"""The category of every loan under a regime, with each reason; and what must be provided for it.

A band is a floor, never the answer: the category is the worst of band, events (restructuring, bankruptcy ...), a cure not yet
reached, contagion from the person's other debts, and the lender's own rating, which can only worsen it unless the regime says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from mloan_report.measures.contagion import with_contagion
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.measures.materiality import days_material
from mloan_report.measures.memory import own_ratings, remembered
from mloan_report.measures.provision import ProvisionTable
from mloan_report.measures.provisioning import with_provision
from mloan_report.measures.regime import BELOW_FIRST_BAND, Band, RefusedRegime, Regime
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one
from mloan_report.position.position import Positions

NOT_COVERED = "the regime does not cover this loan"
ENDED = "nothing is on the books and nothing is owed"
COUNTED_WORDS = {
    "calendar_day": "days past due",
    "missed_payment": "instalments unpaid",
    "completed_month": "months past due",
    "month_as_npa": "months non-performing",
}
OUTPUT = (
    "loan_id", "as_of", "borrower_id", "currency_code", "segment", "days", "category", "category_own", "category_name", "npl", "certainty", "reasons",
    "previous_category", "since_on", "npa_since_on", "provision_pct", "provision_own_pct", "provision_base", "provision_specific", "provision_general",
    "provision", "provision_certainty", "provision_reason", "not_classified",
)  # fmt: skip


@dataclass(frozen=True)
class Classified:
    """``loans``, one row a loan, with the columns of :data:`OUTPUT`.

    - ``days``: what the regime counts (``Regime.counts_in``); ``category_own`` before contagion; ``reasons`` a list, each with its source.
    - ``certainty`` of the bands used; ``previous_category`` as last stored, ``since_on`` and ``npa_since_on`` with that memory.
    - provisions in minor units or null with ``provision_reason`` and the certainty of the rates; ``not_classified`` the reason why there is no category.
    """

    regime: Regime
    provisions: ProvisionTable | None
    loans: pl.DataFrame


def classify(
    view: pl.DataFrame,
    regime: Regime,
    portfolio: Portfolio,
    provisions: ProvisionTable | None = None,
    *,
    positions: Positions | None = None,
    known_at: date | None = None,
    together: Togetherness | None = None,
) -> Classified:
    """Classifies every loan of the loan view that still has a claim or a balance on the books.

    *positions* are needed by a regime that counts consecutive days above a materiality threshold; *together* says who is one person
    (default: by the identity numbers of *portfolio*).
    """
    portfolio = portfolio.each_once
    together = together or togetherness(portfolio)
    frame = _with_facts(view.with_row_index("_i"), regime, portfolio, positions, known_at, together)
    frame = frame.with_columns(evaluate_one(frame, compile_sql(regime.days, frame.columns)).fill_null(0).cast(pl.Int64).alias("_days"))
    frame = _with_band(frame, regime)
    alive = (pl.col("claim_principal") > 0) | (pl.col("on_book_principal") > 0) | (pl.col("overdue_amount") > 0)
    frame = frame.with_columns(
        not_classified=pl.when(~alive | pl.col("status").is_in(["cancelled", "not_disbursed"]))
        .then(pl.lit(ENDED))
        .when(pl.col("_band").is_null())
        .then(pl.lit(NOT_COVERED))
    )
    live = _by_events(frame.filter(pl.col("not_classified").is_null()), regime, portfolio, known_at)
    live = with_contagion(live, regime, portfolio, together)
    done = frame.join(live.select("_i", "_own", "_final", "_reasons"), on="_i", how="left", maintain_order="left")
    done = _named(done, regime)
    done = with_provision(_with_since(done, regime), regime, provisions)
    return Classified(regime, provisions, done.rename({"_segment": "segment", "_days": "days", "_reasons": "reasons"}).select(OUTPUT))


def _with_facts(
    frame: pl.DataFrame, regime: Regime, portfolio: Portfolio, positions: Positions | None, known_at: date | None, together: Togetherness
) -> pl.DataFrame:
    """What a regime may ask beyond the loan view: person and its claims, memory, and days above a threshold."""
    frame = frame.with_columns(_person=together.person_of(frame["borrower_id"]))
    frame = frame.with_columns(person_claim=pl.col("claim_principal").sum().over("_person", "as_of", "currency_code"))
    frame = frame.join(remembered(frame, regime.id, portfolio, known_at, regime.npa_by), on="_i", how="left", maintain_order="left")
    frame = frame.with_columns(category_before=pl.coalesce("category_before", "category_remembered_before"))
    derived = pl.lit(None, pl.Date)
    if regime.npa_from is not None:
        late = pl.col("days_inclusive") - regime.npa_from
        derived = pl.when(late >= 0).then(pl.col("as_of") - pl.duration(days=late))
    frame = frame.with_columns(npa_since_on=pl.min_horizontal("npa_since_remembered", derived))
    if regime.materiality is not None:
        if positions is None:
            raise RefusedRegime(f"{regime.id} counts consecutive days above a threshold: give the positions")
        frame = frame.with_columns(days_material=days_material(frame, positions, portfolio, regime.materiality))
    return frame


def _with_band(frame: pl.DataFrame, regime: Regime) -> pl.DataFrame:
    """_segment, _band (rank), _band_text, _rate_key and certainty of the band in which each loan stands."""
    fits = [condition(frame, s.applies).fill_null(False) for s in regime.segments]
    dated = pl.DataFrame({f"_fits{i}": fit for i, fit in enumerate(fits)})
    days = frame["as_of"].unique()
    for i, s in enumerate(regime.segments):
        if s.effective_from or s.effective_to:
            inside = [d for d in days if d is not None and s.in_force(d)]
            dated = dated.with_columns((pl.col(f"_fits{i}") & frame["as_of"].is_in(inside)).alias(f"_fits{i}"))
    if frame.height and (dated.sum_horizontal() > 1).any():
        raise RefusedRegime(f"{regime.id}: two segments fit one loan")
    frame = frame.with_columns(dated)
    segment, rank, text, certainty = pl.lit(None, pl.String), pl.lit(None, pl.Int64), pl.lit(None, pl.String), pl.lit(None, pl.String)
    ranks = {c.code: c.rank for c in regime.categories}
    for i, s in enumerate(regime.segments):
        mine = pl.col(f"_fits{i}")
        segment = pl.when(mine).then(pl.lit(s.name)).otherwise(segment)
        certainty = pl.when(mine).then(pl.lit(s.certainty)).otherwise(certainty)
        for security in s.securities:
            here = mine & pl.col("guarantee_mode").is_in(security.guarantee_modes)
            if security.bands[0].start > 0:
                rank = pl.when(here & (pl.col("_days") < security.bands[0].start)).then(pl.lit(ranks[BELOW_FIRST_BAND], pl.Int64)).otherwise(rank)
            for band in security.bands:
                inside_band = here & _inside(band)
                rank = pl.when(inside_band).then(pl.lit(ranks[band.code], pl.Int64)).otherwise(rank)
                text = pl.when(inside_band).then(pl.lit(band.text)).otherwise(text)
                if band.certainty is not None:
                    certainty = pl.when(inside_band).then(pl.lit(band.certainty)).otherwise(certainty)
    return frame.with_columns(_segment=segment, _band=rank, _band_text=text, certainty=certainty)


def _inside(band: Band) -> pl.Expr:
    days = pl.col("_days")
    return days >= band.start if band.end is None else (days >= band.start) & (days <= band.end)


def _by_events(live: pl.DataFrame, regime: Regime, portfolio: Portfolio, known_at: date | None) -> pl.DataFrame:
    """*live* with ``_own``, the rank by band, improvement, triggers, cures and own rating; and ``_reasons``, every reason."""
    ranks = {c.code: c.rank for c in regime.categories}
    rated = own_ratings(live, regime.id, ranks, portfolio, known_at)
    live = live.join(rated, on="_i", how="left", maintain_order="left")
    rating = pl.col("rated").replace_strict(ranks, default=None, return_dtype=pl.Int64)
    words = COUNTED_WORDS[regime.counts_in]
    band_said = pl.format(f"band {{}}: {{}} {words} ({{}}; {{}})", pl.col("_band_text"), pl.col("_days"), pl.lit(regime.source), pl.col("certainty"))
    reasons = [pl.when(pl.col("_band_text").is_null()).then(pl.lit("performing, class not stated below the first band")).otherwise(band_said)]
    floor = pl.col("_band")
    for better in regime.improvements:
        hit = condition(live, better.when).fill_null(False) & live["rated"].is_in(list(better.categories)).fill_null(False)
        floor = pl.when(hit).then(pl.min_horizontal(rating, floor)).otherwise(floor)
        reasons.append(pl.when(hit).then(pl.lit(f"{better.reason} ({better.source}; {better.certainty})")))
    candidates = [floor]
    for trigger in regime.triggers:
        hit = condition(live, trigger.when).fill_null(False)
        candidates.append(pl.when(hit).then(pl.lit(ranks[trigger.at_least], pl.Int64)).otherwise(0))
        reasons.append(pl.when(hit).then(pl.lit(f"at least {trigger.at_least}: {trigger.reason} ({trigger.source}; {trigger.certainty})")))
    before = pl.col("previous_category").replace_strict(ranks, default=None, return_dtype=pl.Int64)
    for cure in regime.cures:
        holds = live["previous_category"].is_in(list(cure.categories)).fill_null(False) & ~condition(live, cure.until).fill_null(False)
        candidates.append(pl.when(holds).then(before).otherwise(0))
        reasons.append(pl.when(holds).then(pl.format(f"stays in {{}}: {cure.reason} ({cure.source}; {cure.certainty})", pl.col("previous_category"))))
    candidates.append(rating.fill_null(0))
    reasons.append(
        pl.when(rating.is_not_null()).then(
            pl.format("at least {}: rated by the {} on {}", pl.col("rated"), pl.col("rated_by"), pl.col("rated_on").dt.to_string("%Y-%m-%d"))
        )
    )
    if regime.near_edge_days is not None:
        reasons.append(_near_edge(regime, regime.near_edge_days))
    return live.with_columns(_own=pl.max_horizontal(candidates), _reasons=pl.concat_list(reasons).list.drop_nulls())


def _near_edge(regime: Regime, within: int) -> pl.Expr:
    """Said of a loan close to an edge, where the text counts months and the days here are its usual reading."""
    edges = sorted({b.start for s in regime.segments for x in s.securities for b in x.bands if b.start > 1})
    out = pl.lit(None, pl.String)
    for edge in edges:
        close = (pl.col("_days") >= edge - within) & (pl.col("_days") < edge + within)
        out = pl.when(close).then(pl.lit(f"warning: within {within} days of the edge {edge}; the text counts months")).otherwise(out)
    return out


def _named(done: pl.DataFrame, regime: Regime) -> pl.DataFrame:
    codes = {c.rank: c.code for c in regime.categories}
    return done.with_columns(
        category=pl.col("_final").replace_strict(codes, default=None, return_dtype=pl.String),
        category_own=pl.col("_own").replace_strict(codes, default=None, return_dtype=pl.String),
        category_name=pl.col("_final").replace_strict({c.rank: c.en for c in regime.categories}, default=None, return_dtype=pl.String),
        npl=pl.col("_final").replace_strict({c.rank: c.npl for c in regime.categories}, default=None, return_dtype=pl.Boolean),
    )


def _with_since(done: pl.DataFrame, regime: Regime) -> pl.DataFrame:
    """Since when the category and the non-performing state hold: from memory, else from the days, else as_of.

    A loan whose band alone makes it non-performing became so when its days reached the first non-performing band.
    """
    same = pl.col("previous_category") == pl.col("category")
    edge = _npl_edge(regime)
    reached = pl.lit(None, pl.Date)
    if edge is not None and regime.counts_in == "calendar_day":
        reached = pl.when(pl.col("_days") >= edge).then(pl.col("as_of") - pl.duration(days=pl.col("_days") - edge))
    return done.with_columns(
        since_on=pl.when(pl.col("category").is_null()).then(None).when(same).then(pl.col("previous_since_on")).otherwise(pl.col("as_of")),
        npa_since_on=pl.when("npl").then(pl.min_horizontal(pl.coalesce("npa_since_remembered", reached, "npa_since_on", "as_of"), reached, "npa_since_on")),
    )


def _npl_edge(regime: Regime) -> int | None:
    """The first count that is non-performing, where it is the same in every segment in force."""
    npl = {c.code for c in regime.categories if c.npl}
    edges = {min((b.start for b in x.bands if b.code in npl), default=None) for s in regime.segments for x in s.securities}
    return edges.pop() if len(edges) == 1 else None


def check_dates(regime: Regime, as_of: date, *, allow_expired: bool) -> str | None:
    """None when *regime* may be used on *as_of*; else the reason why not."""
    if regime.in_force(as_of) or allow_expired:
        return None
    until = f" to {regime.effective_to}" if regime.effective_to else ""
    return f"{regime.id} is in force from {regime.effective_from or 'an unknown day'}{until}, not on {as_of}: give --allow-expired to use it all the same"
