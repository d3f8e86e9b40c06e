"""The loan view: one row a loan with everything that rules, regimes and layouts may name.

The loan's own columns; the borrower's as ``borrower_*``; the branch's as ``branch_*``; the position's under their own
names (the loan table's status is ``given_status``); sums of its security; what restructurings say.
"""

from __future__ import annotations

from datetime import date
from functools import cache

import polars as pl

from mloan_report.model import Institution
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.typing import ROW
from mloan_report.position.in_force import INSTALMENT_COMPONENTS
from mloan_report.position.position import Positions, work_out


def loan_view(portfolio: Portfolio, positions: Positions, known_at: date | None = None) -> pl.DataFrame:
    """One row for each row of ``positions.loans``, in the order borrower_id, loan_id, as_of (bytes)."""
    portfolio = portfolio.each_once
    loans = portfolio.table("loans").rename({"status": "given_status"}).drop(ROW, "currency_code")
    borrowers = portfolio.table("borrowers").drop(ROW)
    borrowers = borrowers.rename({c: f"borrower_{c}" for c in borrowers.columns if c != "borrower_id"})
    branches = portfolio.table("branches").drop(ROW)
    branches = branches.rename({c: f"branch_{c}" for c in branches.columns if c != "branch_id"})
    facilities = portfolio.table("facilities").select("facility_id", facility_kind="kind")
    view = (
        positions.loans.join(loans, on="loan_id", how="left", maintain_order="left")
        .join(borrowers, on="borrower_id", how="left", maintain_order="left")
        .join(branches, on="branch_id", how="left", maintain_order="left")
        .join(facilities, on="facility_id", how="left", maintain_order="left")
    )
    for block in (
        _security(portfolio, positions),
        _restructured(portfolio, positions, known_at),
        _refinances(portfolio),
        _counted(portfolio, positions),
        _elsewhere(portfolio, positions),
        _bankrupt(portfolio, positions),
        _operational_delay(portfolio, positions, known_at),
    ):
        view = view.join(block, on=[c for c in ("loan_id", "as_of") if c in block.columns], how="left", maintain_order="left")
    return view.with_columns(
        pl.col("collateral_value", "guarantors", "times_restructured", "times_rescheduled", "interest_forgiven").fill_null(0),
        pl.col("operational_delay_days", "external_balance", "external_overdue", "external_days_past_due", "external_instalment").fill_null(0),
        pl.col("restructured", "in_probation", "refinances", "borrower_bankrupt").fill_null(False),
        region_code=pl.coalesce("use_region_code", "borrower_region_code"),
        rate_band=_rate_band(),
        size_band=_size_band(),
        term_months=_term_months(),
        days_past_due_band=_days_band(),
        vintage_month=pl.col("disbursed_on").dt.to_string("%Y-%m"),
    ).sort("borrower_id", "loan_id", "as_of", nulls_last=True)


@cache
def view_columns() -> frozenset[str]:
    """The columns that a loan view has."""
    nobody = Portfolio(Institution(name="nobody", country="SV", currency_code="USD", time_zone="UTC"), {})
    return frozenset(loan_view(nobody, work_out(nobody, date(2000, 1, 1), history_months=0)).columns)


def _security(portfolio: Portfolio, positions: Positions) -> pl.DataFrame:
    """Value of the collateral allocated to each loan (in the loan's currency), and how many guarantors stand on as_of."""
    links = (
        portfolio.table("collateral_links")
        .join(portfolio.table("collateral").select("collateral_id", "value", "status"), on="collateral_id", how="left", maintain_order="left")
        .filter(~pl.col("status").is_in(["released", "sold"]).fill_null(False))
    )
    values = links.group_by("loan_id").agg(collateral_value=pl.col("allocated_value").fill_null(pl.col("value")).sum())
    parties = (
        portfolio.table("loan_parties")
        .filter(pl.col("role") == "guarantor")
        .join(positions.loans.select("loan_id", "as_of"), on="loan_id", how="inner")
        .filter(
            (pl.col("from_on").is_null() | (pl.col("from_on") <= pl.col("as_of")))
            & (pl.col("released_on").is_null() | (pl.col("released_on") > pl.col("as_of")))
        )
    )
    standing = parties.group_by("loan_id", "as_of").agg(guarantors=pl.len().cast(pl.Int64))
    keys = positions.loans.select("loan_id", "as_of")
    return keys.join(values, on="loan_id", how="left").join(standing, on=["loan_id", "as_of"], how="left")


def _restructured(portfolio: Portfolio, positions: Positions, known_at: date | None) -> pl.DataFrame:
    events = (
        portfolio.table("restructurings")
        .join(positions.loans.select("loan_id", "as_of"), on="loan_id", how="inner")
        .filter(pl.col("agreed_on") <= pl.col("as_of"))
    )
    if known_at is not None:
        events = events.filter(pl.col("booked_on").fill_null(pl.col("agreed_on")) <= known_at)
    hard = pl.col("financial_difficulty").fill_null(False)
    watched = (
        hard
        & (pl.col("cured_on").is_null() | (pl.col("cured_on") > pl.col("as_of")))
        & (pl.col("probation_until").fill_null(pl.col("agreed_on").dt.offset_by("1y")) >= pl.col("as_of"))
    )
    return (
        events.sort("loan_id", "agreed_on", "number")
        .group_by("loan_id", "as_of", maintain_order=True)
        .agg(
            times_restructured=hard.sum().cast(pl.Int64),
            times_rescheduled=(hard & (pl.col("kind") == "instalment")).sum().cast(pl.Int64),
            interest_forgiven=pl.col("interest_forgiven").fill_null(0).sum(),
            restructured=hard.any(),
            in_probation=watched.any(),
            category_before=pl.col("category_before").filter(hard).last(),
            restructured_on=pl.col("agreed_on").filter(hard).max(),
            probation_until=pl.col("probation_until").filter(hard).last(),
            cured_on=pl.col("cured_on").filter(hard & (pl.col("cured_on") <= pl.col("as_of"))).last(),
            extended_on=pl.col("agreed_on").filter(pl.col("kind") == "term").max(),
            restructuring_kind=pl.col("kind").last(),
        )
    )


def _bankrupt(portfolio: Portfolio, positions: Positions) -> pl.DataFrame:
    events = portfolio.table("party_events").filter(pl.col("kind").is_in(["bankruptcy_filed", "bankruptcy_ended"]))
    loans = portfolio.table("loans").select("loan_id", party_id="borrower_id")
    dated = (
        events.select("party_id", "kind", "occurred_on")
        .join(loans, on="party_id", how="inner")
        .join(positions.loans.select("loan_id", "as_of"), on="loan_id", how="inner")
        .filter(pl.col("occurred_on") <= pl.col("as_of"))
    )
    return (
        dated.sort("occurred_on")
        .group_by("loan_id", "as_of", maintain_order=True)
        .agg(
            borrower_bankrupt=pl.col("kind").last() == "bankruptcy_filed",
            borrower_bankrupt_on=pl.col("occurred_on").filter(pl.col("kind") == "bankruptcy_filed").last(),
        )
    )


def _counted(portfolio: Portfolio, positions: Positions) -> pl.DataFrame:
    """Days past due as each regime counts them, whatever method the policy has; and the day on which the last arrear was made good.

    ``days_oldest_unpaid``: as_of minus the oldest unpaid due date, less days taken out. ``days_inclusive``: the due date is day 1,
    judged at day-end. ``days_contractual``: from the contractual due date, nothing taken out.
    """
    dated = positions.items.filter("is_instalment")
    left = pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in INSTALMENT_COMPONENTS])
    by_loan = dated.group_by("loan_id", "as_of").agg(
        _due_today=((pl.col("due_on") == pl.col("as_of")) & (left > 0)).any(),
        arrears_cleared_on=pl.col("paid_off_on").filter(pl.col("paid_off_on") > pl.col("due_on")).max(),
    )
    late = pl.col("days_past_due")
    days = positions.loans.select("loan_id", "as_of", "days_past_due", "oldest_unpaid_due_on")
    latest = positions.loans["as_of"].max()
    inclusive = portfolio.institution.policy_on(latest if isinstance(latest, date) else date.max).days_past_due == "inclusive"
    plain = (late - 1).clip(lower_bound=0) if inclusive else late
    return (
        days.join(by_loan, on=["loan_id", "as_of"], how="left", maintain_order="left")
        .with_columns(
            days_oldest_unpaid=plain,
            days_inclusive=pl.when(plain > 0).then(plain + 1).when(pl.col("_due_today")).then(1).otherwise(0).cast(pl.Int64),
            days_contractual=(pl.col("as_of") - pl.col("oldest_unpaid_due_on")).dt.total_days().fill_null(0).clip(lower_bound=0),
        )
        .drop("days_past_due", "oldest_unpaid_due_on", "_due_today")
    )


def _elsewhere(portfolio: Portfolio, positions: Positions) -> pl.DataFrame:
    """What a borrower owes other lenders by the latest report of each source and lender up to as_of, in the loan's currency only."""
    debts = portfolio.table("external_debts").drop(ROW)
    loans = portfolio.table("loans").select("loan_id", "borrower_id", loan_currency="currency_code")
    asked = positions.loans.select("loan_id", "as_of").join(loans, on="loan_id", how="inner")
    dated = debts.rename({"as_of": "reported_on"}).join(asked, on="borrower_id", how="inner").filter(pl.col("reported_on") <= pl.col("as_of"))
    dated = dated.filter(pl.col("currency_code").fill_null(pl.col("loan_currency")) == pl.col("loan_currency"))
    latest = dated.sort("reported_on").group_by("loan_id", "as_of", "source", "lender", maintain_order=True).agg(pl.all().last())
    return latest.group_by("loan_id", "as_of").agg(
        external_balance=pl.col("balance").fill_null(0).sum(),
        external_overdue=pl.col("overdue").fill_null(0).sum(),
        external_days_past_due=pl.col("days_past_due").max(),
        external_instalment=pl.col("instalment").fill_null(0).sum(),
        external_lenders=pl.len().cast(pl.Int64),
    )


def _operational_delay(portfolio: Portfolio, positions: Positions, known_at: date | None) -> pl.DataFrame:
    """For how many days a flag of operational delay has been running on as_of."""
    flags = portfolio.table("arrears_flags").filter(pl.col("kind") == "operational_delay")
    if known_at is not None:
        flags = flags.filter(pl.col("booked_on").fill_null(pl.col("from_on")) <= known_at)
    running = flags.join(positions.loans.select("loan_id", "as_of"), on="loan_id", how="inner").filter(
        (pl.col("from_on") <= pl.col("as_of")) & (pl.col("to_on").is_null() | (pl.col("to_on") >= pl.col("as_of")))
    )
    days = (pl.col("as_of") - pl.col("from_on")).dt.total_days() + 1
    return running.group_by("loan_id", "as_of").agg(operational_delay_days=days.max())


def _refinances(portfolio: Portfolio) -> pl.DataFrame:
    rows = portfolio.table("disbursements").filter(pl.col("refinanced_loan_id").is_not_null())
    return rows.group_by("loan_id").agg(refinances=pl.lit(True))


def _band(value: pl.Expr, edges: list[tuple[int, str]], last: str) -> pl.Expr:
    out: pl.Expr = pl.lit(last)
    for upper, name in reversed(edges):
        out = pl.when(value <= upper).then(pl.lit(name)).otherwise(out)
    return pl.when(value.is_not_null()).then(out)


def _rate_band() -> pl.Expr:
    ten = 10 * 10**7
    return _band(pl.col("current_rate_pct"), [(ten, "0-10%"), (2 * ten, "10-20%"), (24 * 10**7, "20-24%"), (36 * 10**7, "24-36%")], "over 36%")


def _size_band() -> pl.Expr:
    return _band(pl.col("principal"), [(10**5, "to 1000"), (10**6, "1001-10000"), (5 * 10**6, "10001-50000"), (2 * 10**7, "50001-200000")], "over 200000")


def _term_months() -> pl.Expr:
    end, start = pl.col("matures_on"), pl.col("disbursed_on")
    return (end.dt.year().cast(pl.Int64) - start.dt.year().cast(pl.Int64)) * 12 + end.dt.month().cast(pl.Int64) - start.dt.month().cast(pl.Int64)


def _days_band() -> pl.Expr:
    return _band(pl.col("days_past_due"), [(0, "0"), (30, "1-30"), (60, "31-60"), (90, "61-90"), (180, "91-180"), (360, "181-360")], "over 360")
