"""What the contract says of an account: the regular instalment, the balloon, deferred payments, highest balance, charge-off, where a debt came from."""

from __future__ import annotations

import polars as pl

from mloan_report.packs.us_metro2.status import is_line
from mloan_report.packs.views import Views
from mloan_report.portfolio.typing import ROW

_LEFT = ("fees", "interest", "penalty")


def with_terms(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The loan view with what fields of the base and K segments take from schedule, events and tables around the loan."""
    for block in (
        _instalments(views),
        _dues(views),
        _holidays(views, view),
        _charged_off(views, view),
        _highest(views, view),
        _statements(views, view),
        _bought(views, view),
        _sold_to(views, view),
        _refinanced(views),
        _disputes(views, view),
        _products(views, view),
    ):
        view = view.join(block, on="loan_id", how="left", maintain_order="left")
    return view.with_columns(is_line=is_line(), dues=pl.col("dues").fill_null(0))


def _instalments(views: Views) -> pl.DataFrame:
    """regular_instalment: the next one due, the last of the schedule left aside; else the latest one; the only one where there is one.

    last_instalment and its day; the sum of all; how many there are.
    """
    items = views.positions.items.filter("is_instalment").with_columns(whole=pl.sum_horizontal("fees", "interest", "principal"))
    items = items.sort("loan_id", "due_on", "number").with_columns(place=pl.int_range(pl.len()).over("loan_id"), of=pl.len().over("loan_id"))
    ordinary = (pl.col("place") < pl.col("of") - 1) | (pl.col("of") == 1)
    ahead = ordinary & (pl.col("due_on") > pl.col("as_of"))
    return items.group_by("loan_id", maintain_order=True).agg(
        regular_instalment=pl.coalesce(pl.col("whole").filter(ahead).first(), pl.col("whole").filter(ordinary).last()),
        last_instalment=pl.col("whole").last(),
        last_instalment_on=pl.col("due_on").last(),
        instalments_sum=pl.col("whole").sum(),
        instalments=pl.len().cast(pl.Int64),
    )


def _dues(views: Views) -> pl.DataFrame:
    """Interest, fees and penalties that have fallen due by as_of and are not paid."""
    due = views.positions.items.filter(pl.col("due_on") <= pl.col("as_of"))
    return due.group_by("loan_id").agg(dues=pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in _LEFT]).sum())


def _holidays(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """holiday_to: until when all payments are deferred, where they are on as_of."""
    rows = views.portfolio.table("payment_holidays").join(view.select("loan_id", "as_of"), on="loan_id", how="inner")
    running = rows.filter((pl.col("from_on") <= pl.col("as_of")) & (pl.col("to_on") >= pl.col("as_of")) & (pl.col("defers") == "both"))
    return running.group_by("loan_id").agg(holiday_to=pl.col("to_on").max())


def _charged_off(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """charged_off_amount: principal, interest and fees of the write-offs that stand."""
    rows = views.portfolio.table("write_offs").join(view.select("loan_id", "as_of"), on="loan_id", how="inner")
    standing = rows.filter((pl.col("written_off_on") <= pl.col("as_of")) & ~(pl.col("reversed_on") <= pl.col("as_of")).fill_null(False))
    whole = pl.sum_horizontal([pl.col(c).fill_null(0) for c in ("principal", "interest", "fees")])
    return standing.group_by("loan_id").agg(charged_off_amount=whole.sum())


def _highest(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """highest_balance: the most principal that a line ever had out at the end of a day."""
    lines = view.filter(is_line()).select("loan_id", "as_of", "principal", "disbursed_on")
    rows = views.portfolio.table("disbursements")
    undone = rows["reverses_id"].drop_nulls().implode()
    drawn = rows.filter(~pl.col("disbursement_id").is_in(undone) & pl.col("reverses_id").is_null()).select("loan_id", on="paid_on", change="amount")
    told = drawn.join(lines.select("loan_id"), on="loan_id", how="semi")
    untold = lines.join(told.select("loan_id").unique(), on="loan_id", how="anti").select("loan_id", on="disbursed_on", change="principal")
    paid = views.positions.payments.join(lines.select("loan_id"), on="loan_id", how="semi").select("loan_id", on="paid_on", change=-pl.col("to_principal"))
    moves = pl.concat([told, untold, paid]).join(lines.select("loan_id", "as_of"), on="loan_id").filter(pl.col("on") <= pl.col("as_of"))
    daily = moves.group_by("loan_id", "on").agg(pl.col("change").sum()).sort("loan_id", "on")
    return daily.with_columns(out=pl.col("change").cum_sum().over("loan_id")).group_by("loan_id").agg(highest_balance=pl.col("out").max())


def _statements(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """minimum_due of a line's latest statement."""
    rows = views.portfolio.table("statements").join(view.filter(is_line()).select("loan_id", "facility_id", "as_of"), on="facility_id", how="inner")
    latest = rows.filter(pl.col("statement_on") <= pl.col("as_of")).sort("loan_id", "statement_on")
    return latest.group_by("loan_id", maintain_order=True).agg(minimum_due=pl.col("minimum_due").last())


def _names(views: Views) -> pl.DataFrame:
    return views.people.select(counterparty_id="party_id", counterparty_name="name")


def _transfers(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    rows = views.portfolio.table("transfers").drop(ROW).join(view.select("loan_id", "as_of"), on="loan_id", how="inner")
    dated = rows.filter(pl.col("transferred_on") <= pl.col("as_of")).join(_names(views), on="counterparty_id", how="left", maintain_order="left")
    return dated.sort("loan_id", "transferred_on", "transfer_id")


def _bought(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Of a bought debt: its first lender, from whom it came, and what kind that is."""
    rows = _transfers(views, view).filter(pl.col("direction") == "in")
    return rows.group_by("loan_id", maintain_order=True).agg(
        bought_from=pl.col("counterparty_name").last(),
        first_creditor=pl.coalesce("original_creditor", "counterparty_name").last(),
        first_creditor_kind=pl.col("counterparty_kind").last(),
    )


def _sold_to(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """To whom a debt was sold."""
    rows = _transfers(views, view).filter(pl.col("direction") == "out")
    return rows.group_by("loan_id", maintain_order=True).agg(sold_to=pl.col("counterparty_name").last())


def _refinanced(views: Views) -> pl.DataFrame:
    """is_refinanced: another loan was paid out to take this one's place."""
    rows = views.portfolio.table("disbursements").filter(pl.col("refinanced_loan_id").is_not_null() & (pl.col("paid_on") <= views.as_of))
    return rows.select(loan_id="refinanced_loan_id").unique(maintain_order=True).with_columns(is_refinanced=pl.lit(True))


def _products(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """given_portfolio_type, given_account_type: what the table us_metro2_products says of the loan's product code."""
    table = views.own_table("us_metro2_products").unique("product_code", keep="last", maintain_order=True)
    said = view.select("loan_id", "product_code").join(table, on="product_code", how="inner")
    return said.select("loan_id", given_portfolio_type="portfolio_type", given_account_type="account_type")


def _disputes(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """dispute: ``open`` while the borrower disputes the account, ``closed`` in the month in which that ended."""
    rows = views.portfolio.table("party_events").filter(pl.col("kind").is_in(["dispute_opened", "dispute_closed"]))
    rows = rows.select("party_id", "kind", "occurred_on", about="loan_id")
    dated = view.select("loan_id", "as_of", party_id="base_party_id").join(rows, on="party_id", how="inner")
    dated = dated.filter((pl.col("occurred_on") <= pl.col("as_of")) & (pl.col("about").is_null() | (pl.col("about") == pl.col("loan_id"))))
    last = dated.sort("loan_id", "occurred_on", "kind", descending=[False, False, True]).group_by("loan_id", maintain_order=True).agg(pl.all().last())
    this_month = pl.col("occurred_on") >= pl.col("as_of").dt.month_start()
    said = pl.when(pl.col("kind") == "dispute_opened").then(pl.lit("open")).when(this_month).then(pl.lit("closed"))
    return last.select("loan_id", dispute=said)
