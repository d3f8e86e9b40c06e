"""What is in force and visible: pairs of a loan and a date, schedule versions, instalments, payments.

Everything is asked for pairs ``(loan_id, as_of)``; one date for a book is the common case. A fact counts for a pair when
its own date is not after ``as_of`` and it was booked by ``known_at`` (absent: all that is booked).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from mloan_report.model import Policy
from mloan_report.portfolio import Portfolio

COMPONENTS = ("fees", "interest", "principal", "penalty")
INSTALMENT_COMPONENTS = ("fees", "interest", "principal")
"""What makes an instalment unpaid: a penalty alone never makes days past due."""


@dataclass(frozen=True)
class Question:
    """What is asked: the pairs (pair, loan_id, as_of), what was known, and the lender's policy."""

    portfolio: Portfolio
    pairs: pl.DataFrame
    known_at: date | None
    policy: Policy


def visible(q: Question, table: str, on: str, booked: str | None = "booked_on", *, to_end: bool = False) -> pl.DataFrame:
    """The rows of *table* that count for each pair: dated on or before as_of (unless *to_end*) and booked by known_at."""
    frame = q.portfolio.table(table)
    if frame.height == 0:
        return frame.with_columns(pair=pl.lit(None, pl.UInt32), as_of=pl.lit(None, pl.Date))
    frame = frame.join(q.pairs, on="loan_id", how="inner", maintain_order="left")
    if not to_end:
        frame = frame.filter(pl.col(on) <= pl.col("as_of"))
    if q.known_at is not None:
        known = pl.col(booked).fill_null(pl.col(on)) if booked else pl.col(on)
        frame = frame.filter(known <= q.known_at)
    return frame


def disbursements(q: Question) -> pl.DataFrame:
    """Money paid out by pair: pair, loan_id, paid_on, amount. Absent rows = one, of ``principal``, on ``disbursed_on``.

    A cancelled loan, and one that was bought, was never paid out by us unless a disbursement says so.
    """
    kept = standing(visible(q, "disbursements", "paid_on"), "disbursement_id").select("pair", "loan_id", "paid_on", "amount")
    with_rows = q.portfolio.table("disbursements")["loan_id"].unique()
    bought = q.portfolio.table("transfers").filter(pl.col("direction") == "in")["loan_id"].unique()
    loans = visible(q, "loans", "disbursed_on", None).filter(
        ~pl.col("loan_id").is_in(with_rows.implode()) & ~pl.col("loan_id").is_in(bought.implode()) & (pl.col("status") != "cancelled")
    )
    default = loans.select("pair", "loan_id", pl.col("disbursed_on").alias("paid_on"), pl.col("principal").fill_null(0).alias("amount"))
    return pl.concat([kept, default])


def standing(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows of a table with ``reverses_id`` that no reversal undoes; a reversal that is itself reversed undoes nothing."""
    reversals = rows.filter(pl.col("reverses_id").is_not_null()).select("pair", key, "reverses_id")
    if reversals.height == 0:
        return rows
    ids = reversals.select("pair", pl.col(key).alias("reverses_id"))
    chained = reversals.join(ids, on=["pair", "reverses_id"], how="semi").height > 0
    if chained:
        reversals = reversals.filter(pl.Series(_stand(reversals.rows())))
    undone = reversals.select("pair", pl.col("reverses_id").alias(key)).unique()
    return rows.filter(pl.col("reverses_id").is_null()).join(undone, on=["pair", key], how="anti", maintain_order="left")


def _stand(reversals: list[tuple[int, str, str]]) -> list[bool]:
    """Whether each reversal (pair, its id, what it reverses) stands: none that stands reverses it."""
    reversers: dict[tuple[int, str], list[str]] = {}
    for pair, own, target in reversals:
        reversers.setdefault((pair, target), []).append(own)

    def stands(pair: int, own: str, seen: frozenset[str]) -> bool:
        return not any(r not in seen and stands(pair, r, seen | {r}) for r in reversers.get((pair, own), []))

    return [stands(pair, own, frozenset({own})) for pair, own, _ in reversals]


def payments(q: Question) -> pl.DataFrame:
    """Repayments that count on as_of: neither reversed by then nor reversals themselves."""
    counted = standing(visible(q, "repayments", "paid_on").filter(pl.col("amount").is_not_null()), "repayment_id").filter(pl.col("kind") != "reversal")
    parts = [f"{c}_paid" for c in COMPONENTS]
    return counted.with_columns(
        is_split=pl.any_horizontal([pl.col(p).is_not_null() for p in parts]),
        booked=pl.col("booked_on").fill_null(pl.col("paid_on")),
        **{c: pl.col(f"{c}_paid").fill_null(0) for c in COMPONENTS},
    ).select("pair", "loan_id", "as_of", "repayment_id", "paid_on", "booked", "kind", "amount", "is_split", *COMPONENTS)


def segments(q: Question, paid_out: pl.DataFrame) -> pl.DataFrame:
    """The schedule versions that matter for each pair, in order; the last is the one in force.

    A version whose principal is all that was disbursed by then, and that begins before it took effect, states the whole
    loan anew: every payment counts against it. Any other later version goes on from its effective date: payments from
    that day on count against it (after that day where the reason is a prepayment, which is the payment of that day).
    A version without a row in schedules is in force from disbursement if it is the loan's lowest; else it is left out,
    and a finding says so.
    """
    versions = (
        q.portfolio.table("instalments")
        .group_by("loan_id", "schedule_version", maintain_order=True)
        .agg(pl.col("principal_due").sum().alias("version_principal"), pl.col("due_on").min().alias("first_due"))
    )
    schedules = q.portfolio.table("schedules").unique(["loan_id", "schedule_version"], keep="last", maintain_order=True).drop("_row")
    versions = (
        versions.join(schedules, on=["loan_id", "schedule_version"], how="left", maintain_order="left")
        .with_columns(lowest=pl.col("schedule_version") == pl.col("schedule_version").min().over("loan_id"))
        .filter(pl.col("effective_on").is_not_null() | pl.col("lowest"))
    )
    chain = versions.join(q.pairs, on="loan_id", how="inner", maintain_order="left").filter(pl.col("lowest") | (pl.col("effective_on") <= pl.col("as_of")))
    if q.known_at is not None:
        chain = chain.filter(pl.col("lowest") | (pl.col("booked_on").fill_null(pl.col("effective_on")) <= q.known_at))
    chain = chain.with_columns(
        boundary=pl.when(pl.col("lowest"))
        .then(pl.lit(None, pl.Date))
        .when(pl.col("reason") == "prepayment")
        .then(pl.col("effective_on").dt.offset_by("1d"))
        .otherwise(pl.col("effective_on"))
    ).sort("pair", pl.col("boundary").fill_null(date.min), "schedule_version")
    chain = _from_last_restatement(chain, paid_out)
    return chain.with_columns(
        final=pl.col("schedule_version").cum_count(reverse=True).over("pair") == 1,
        first=pl.col("schedule_version").cum_count().over("pair") == 1,
    ).with_row_index("seg")


def _from_last_restatement(chain: pl.DataFrame, paid_out: pl.DataFrame) -> pl.DataFrame:
    later = chain.filter(~pl.col("lowest"))
    if later.height == 0:
        return chain
    sums = (
        later.select("pair", "schedule_version", "effective_on")
        .join(paid_out.select("pair", "paid_on", "amount"), on="pair", how="left")
        .filter(pl.col("paid_on") <= pl.col("effective_on"))
        .group_by("pair", "schedule_version")
        .agg(pl.col("amount").sum().alias("disbursed"))
    )
    chain = chain.join(sums, on=["pair", "schedule_version"], how="left", maintain_order="left").with_columns(
        restates=~pl.col("lowest") & (pl.col("version_principal") == pl.col("disbursed")) & (pl.col("first_due") < pl.col("effective_on")),
        order=pl.col("schedule_version").cum_count().over("pair"),
    )
    base = chain.filter(pl.col("restates").fill_null(False)).group_by("pair").agg(pl.col("order").max().alias("base"))
    chain = chain.join(base, on="pair", how="left", maintain_order="left")
    return chain.filter(pl.col("order") >= pl.col("base").fill_null(0)).drop("disbursed", "restates", "order", "base")


def in_segment(frame: pl.DataFrame, on: str, chain: pl.DataFrame) -> pl.DataFrame:
    """*frame* with the segment that each row's day *on* falls in; a row before every boundary is in the first."""
    single = chain.filter(pl.col("first") & pl.col("final"))
    several = chain.filter(~(pl.col("first") & pl.col("final")))
    alone = frame.join(single.select("pair", "seg"), on="pair", how="inner", maintain_order="left")
    if several.height == 0:
        return alone
    bounds = several.select("pair", "seg", starts=pl.when(pl.col("first")).then(pl.lit(date(1, 1, 1))).otherwise(pl.col("boundary"))).sort("starts")
    among = (
        frame.join(several.select("pair").unique(), on="pair", how="semi")
        .sort(on)
        .join_asof(bounds, left_on=on, right_on="starts", by="pair", strategy="backward", check_sortedness=False)
        .drop("starts")
    )
    return pl.concat([alone, among.select(alone.columns)])


def items(q: Question, chain: pl.DataFrame, paid_out: pl.DataFrame) -> pl.DataFrame:
    """What is to be paid, by segment: instalments, arrears carried over, statements, charges.

    Columns: seg, pair, loan_id, as_of, number, due_on, is_instalment, fees, interest, principal, penalty (minor units due).
    """
    schedule = (
        q.portfolio.table("instalments")
        .join(chain.select("loan_id", "schedule_version", "seg", "pair", "as_of"), on=["loan_id", "schedule_version"], how="inner", maintain_order="left")
        .select(
            "seg",
            "pair",
            "loan_id",
            "as_of",
            "number",
            "due_on",
            is_instalment=pl.lit(True),
            fees=pl.col("fees_due").fill_null(0),
            interest=pl.col("interest_due").fill_null(0),
            principal=pl.col("principal_due").fill_null(0),
            penalty=pl.lit(0, pl.Int64),
        )
    )
    carried = chain.filter(
        pl.col("carried_oldest_due_on").is_not_null()
        & ((pl.col("carried_arrears_principal").fill_null(0) > 0) | (pl.col("carried_arrears_interest").fill_null(0) > 0))
    ).select(
        "seg",
        "pair",
        "loan_id",
        "as_of",
        number=pl.lit(0, pl.Int64),
        due_on="carried_oldest_due_on",
        is_instalment=pl.lit(True),
        fees=pl.lit(0, pl.Int64),
        interest=pl.col("carried_arrears_interest").fill_null(0),
        principal=pl.col("carried_arrears_principal").fill_null(0),
        penalty=pl.lit(0, pl.Int64),
    )
    charges = in_segment(_charges(q), "due_on", chain)
    columns = schedule.columns
    return pl.concat([schedule, carried.select(columns), charges.select(columns)])


def without_schedule(q: Question, chain: pl.DataFrame, paid_out: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Segments and items of loans that have no instalments: revolving lines by statement, loans on demand, others.

    A line's statements are its instalments; what is owed beyond them, and a loan on demand, falls due never; any other
    loan without a schedule falls due whole at its maturity.
    """
    loans = visible(q, "loans", "disbursed_on", None).join(chain.select("pair").unique(), on="pair", how="anti", maintain_order="left")
    if loans.height == 0:
        return chain, pl.DataFrame()
    offset = chain.height  # segments are numbered from 0, one a row
    segs = loans.select("pair", "loan_id", "as_of", "facility_id", "matures_on", "repayment_method").with_row_index("seg", offset=offset)
    lines = (
        q.portfolio.table("statements")
        .join(
            segs.filter(pl.col("facility_id").is_not_null()).unique(["facility_id", "as_of"], keep="first", maintain_order=True),
            on="facility_id",
            how="inner",
            maintain_order="left",
        )
        .filter(pl.col("statement_on") <= pl.col("as_of"))
    )
    if q.known_at is not None:
        lines = lines.filter(pl.col("booked_on").fill_null(pl.col("statement_on")) <= q.known_at)
    zero = pl.lit(0, pl.Int64)
    statements = lines.select(
        "seg",
        "pair",
        "loan_id",
        "as_of",
        number=pl.col("statement_on").rank("ordinal").over("seg").cast(pl.Int64),
        due_on="due_on",
        is_instalment=pl.lit(True),
        fees=zero,
        interest=zero,
        principal=pl.col("minimum_due"),
        penalty=zero,
    )
    billed = statements.group_by("seg").agg(pl.col("principal").sum().alias("billed"))
    owed = paid_out.group_by("pair").agg(pl.col("amount").sum().alias("owed"))
    never = (pl.col("repayment_method") == "on_demand") | pl.col("billed").is_not_null()
    rest = (
        segs.join(billed, on="seg", how="left", maintain_order="left")
        .join(owed, on="pair", how="left", maintain_order="left")
        .select(
            "seg",
            "pair",
            "loan_id",
            "as_of",
            number=pl.lit(10_000, pl.Int64),
            due_on=pl.when(~never).then(pl.col("matures_on")),
            is_instalment=pl.lit(True),
            fees=zero,
            interest=zero,
            principal=(pl.col("owed").fill_null(0) - pl.col("billed").fill_null(0)).clip(lower_bound=0),
            penalty=zero,
        )
    )
    new = segs.select(
        "seg",
        "pair",
        "loan_id",
        "as_of",
        final=pl.lit(True),
        first=pl.lit(True),
        lowest=pl.lit(True),
        schedule_version=pl.lit(None, pl.Int64),
    )
    return pl.concat([chain, new.cast({"seg": chain.schema["seg"]})], how="diagonal"), pl.concat([statements, rest])


def _charges(q: Question) -> pl.DataFrame:
    charges = visible(q, "charges", "assessed_on").filter(
        ~pl.col("withheld_at_disbursement").fill_null(False) & ~(pl.col("capitalised_on") <= pl.col("as_of")).fill_null(False)
    )
    waived = pl.when(pl.col("waived_on") <= pl.col("as_of")).then(pl.col("waived_amount").fill_null(pl.col("amount"))).otherwise(0)
    left = (pl.col("amount").fill_null(0) - waived).clip(lower_bound=0)
    penalty = pl.col("kind") == "late_penalty"
    zero = pl.lit(0, pl.Int64)
    return charges.select(
        "pair",
        "loan_id",
        "as_of",
        number=pl.lit(20_000, pl.Int64),
        due_on=pl.col("due_on").fill_null(pl.col("assessed_on")),
        is_instalment=pl.lit(False),
        fees=pl.when(penalty).then(zero).otherwise(left),
        interest=zero,
        principal=zero,
        penalty=pl.when(penalty).then(left).otherwise(zero),
    )


def waivers(q: Question, chain: pl.DataFrame) -> pl.DataFrame:
    """Forgiveness that no later schedule version takes up: seg, on, principal, interest."""
    events = visible(q, "restructurings", "agreed_on").filter((pl.col("principal_forgiven").fill_null(0) > 0) | (pl.col("interest_forgiven").fill_null(0) > 0))
    if events.height == 0:
        return pl.DataFrame(schema={"seg": chain.schema["seg"], "on": pl.Date, "principal": pl.Int64, "interest": pl.Int64})
    final = chain.filter(pl.col("final")).select("pair", "seg", "boundary")
    return (
        events.join(final, on="pair", how="inner", maintain_order="left")
        .filter(pl.col("boundary").is_null() | (pl.col("boundary") < pl.col("agreed_on")))
        .select("seg", on="agreed_on", principal=pl.col("principal_forgiven").fill_null(0), interest=pl.col("interest_forgiven").fill_null(0))
    )
