"""Amounts: signs, sums, and what a payment says against what a schedule says."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.checks.standing import standing
from mloan_report.model import fields_of, table_models
from mloan_report.model.finding import Rule
from mloan_report.portfolio.writing import minor_to_text

MAY_BE_NEGATIVE = {
    ("repayments", "amount"),
    ("repayments", "principal_paid"),
    ("repayments", "interest_paid"),
    ("repayments", "fees_paid"),
    ("repayments", "penalty_paid"),
    ("ledger_balances", "balance"),
    ("financials", "net_assets"),
    ("financials", "regulatory_capital"),
}


@check(
    Rule(
        "AMT-001",
        "error",
        "A negative amount",
        "{table} {key}: {field} is negative.",
        "Only a refund is negative; a minus elsewhere turns a debt into a claim.",
        "Correct the sign, or use a reversal.",
    )
)
def negative_amount(book: Book) -> Iterator[Broken]:
    for name, model in table_models().items():
        frame = book.table(name)
        for column, field in fields_of(model).items():
            if frame.height and field.column.kind == "amount" and (name, column) not in MAY_BE_NEGATIVE:
                yield Broken(name, frame.filter(pl.col(column) < 0), column)


@check(
    Rule(
        "AMT-002",
        "error",
        "A repayment of the wrong sign",
        "Repayment {key} of kind {kind} has the wrong sign.",
        "A payment is positive; a refund is negative.",
        "Correct the sign or the kind.",
    )
)
def repayment_sign(book: Book) -> Iterator[Broken]:
    wrong = ((pl.col("kind") == "refund") & (pl.col("amount") > 0)) | ((pl.col("kind") != "refund") & (pl.col("amount") < 0))
    yield Broken("repayments", book.table("repayments").filter(wrong), "kind", {"kind": "kind"})


@check(
    Rule(
        "AMT-003",
        "error",
        "A principal of nothing",
        "Loan {key} has a principal of 0.",
        "Nothing was lent, or the amount was lost.",
        "Give the principal disbursed, or mark the loan cancelled.",
    )
)
def principal_of_nothing(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter((pl.col("principal") == 0) & (pl.col("status") != "cancelled")), "principal")


@check(
    Rule(
        "AMT-004",
        "error",
        "Schedule and loan disagree",
        "Loan {key}: the principal of its first schedule ({scheduled}) is not the loan's principal ({lent}).",
        "What is scheduled must be what was lent: balances and arrears depend on it.",
        "Correct the schedule or the principal; a bought loan's schedule is the principal bought.",
    )
)
def schedule_principal(book: Book) -> Iterator[Broken]:
    bought = book.table("transfers").filter(pl.col("direction") == "in").group_by("loan_id").agg(bought=pl.col("principal").sum())
    first = (
        book.table("instalments").with_columns(lowest=pl.col("schedule_version").min().over("loan_id")).filter(pl.col("schedule_version") == pl.col("lowest"))
    )
    sums = first.group_by("loan_id").agg(sum=pl.col("principal_due").sum(), gaps=pl.col("principal_due").null_count())
    capital = book.table("charges").filter(pl.col("capitalised_on").is_not_null()).group_by("loan_id").agg(capitalised=pl.col("amount").sum())
    rows = (
        book.table("loans")
        .join(sums, on="loan_id", how="inner", maintain_order="left")
        .join(bought, on="loan_id", how="left", maintain_order="left")
        .join(capital, on="loan_id", how="left", maintain_order="left")
    )
    expected = pl.coalesce("bought", "principal")
    wrong = (pl.col("gaps") == 0) & (pl.col("sum") != expected) & (pl.col("sum") != expected + pl.col("capitalised").fill_null(0))
    shown = _money(rows.filter(wrong), ("sum", "scheduled"), ("principal", "lent"))
    yield Broken("loans", shown, "principal", {"scheduled": "scheduled", "lent": "lent"})


@check(
    Rule(
        "AMT-005",
        "error",
        "Parts that do not add up",
        "Repayment {key}: its parts do not add up to its amount.",
        "The rest of the money would belong to nothing.",
        "Correct the parts, or leave them all empty: the allocation policy then splits the amount.",
    )
)
def parts_of_repayment(book: Book) -> Iterator[Broken]:
    parts = ["principal_paid", "interest_paid", "fees_paid", "penalty_paid"]
    given = pl.any_horizontal([pl.col(p).is_not_null() for p in parts])
    total = pl.sum_horizontal([pl.col(p).fill_null(0) for p in parts])
    yield Broken("repayments", book.table("repayments").filter(given & (total != pl.col("amount"))), "amount")


@check(
    Rule(
        "AMT-006",
        "warning",
        "Repaid more than owed",
        "Loan {key}: {excess} was paid beyond all that its schedule asks.",
        "Overpaid money is a debt to the borrower, never a negative balance.",
        "Refund it, or book it where it belongs.",
    ),
    needs_position=True,
)
def repaid_more_than_owed(book: Book) -> Iterator[Broken]:
    assert book.position is not None
    over = book.position.filter(pl.col("unapplied_amount") > 0).select("loan_id", "unapplied_amount", code="currency_code")
    rows = book.table("loans").unique("loan_id", keep="first", maintain_order=True).join(over, on="loan_id", how="inner", maintain_order="left")
    yield Broken("loans", _money(rows, ("unapplied_amount", "excess")), "loan_id", {"excess": "excess"})


@check(
    Rule(
        "AMT-007",
        "error",
        "Disbursed in all and principal disagree",
        "Loan {key}: its disbursements sum to {paid_out}, its principal is {lent}.",
        "principal is what was disbursed in all.",
        "Correct the principal, or add the missing disbursement.",
    )
)
def disbursed_in_all(book: Book) -> Iterator[Broken]:
    rows = book.table("disbursements")
    left = standing(rows, "disbursement_id")
    sums = left.group_by("loan_id").agg(sum=pl.col("amount").sum())
    joined = (
        book.table("loans")
        .join(sums, on="loan_id", how="inner", maintain_order="left")
        .filter((pl.col("sum") != pl.col("principal")) & (pl.col("status") != "cancelled"))
    )
    yield Broken("loans", _money(joined, ("sum", "paid_out"), ("principal", "lent")), "principal", {"paid_out": "paid_out", "lent": "lent"})


@check(
    Rule(
        "AMT-008",
        "error",
        "Collateral shared out beyond its value",
        "Collateral {key}: its parts sum to more than its value.",
        "The same value would secure two loans.",
        "Share it out anew.",
    )
)
def collateral_beyond_value(book: Book) -> Iterator[Broken]:
    parts = book.table("collateral_links").group_by("collateral_id").agg(parts=pl.col("allocated_value").sum())
    rows = book.table("collateral").join(parts, on="collateral_id", how="inner", maintain_order="left")
    yield Broken("collateral", rows.filter(pl.col("parts") > pl.col("value")), "value")


@check(
    Rule(
        "AMT-009",
        "error",
        "Shares that do not sum to 100",
        "Loan {loan}: the funding shares of {day} do not sum to 100 percent.",
        "Own share and partners' shares are figures of every report.",
        "Correct the shares of that day.",
    )
)
def shares_of_a_day(book: Book) -> Iterator[Broken]:
    shares = book.table("funding_shares")
    begins = shares.select("loan_id", day="from_on")
    after = shares.select("loan_id", day=pl.col("to_on").dt.offset_by("1d")).drop_nulls()
    last = shares.group_by("loan_id").agg(end=pl.col("to_on").max(), open=pl.col("to_on").null_count() > 0)
    # The day after the last share ends is nobody's, and no defect; before that every day has its shares.
    after = after.join(last, on="loan_id").filter(pl.col("open") | (pl.col("day") <= pl.col("end"))).select("loan_id", "day")
    days = pl.concat([begins, after]).unique(maintain_order=True)
    each = days.join(shares.select("loan_id", "share_pct", "from_on", "to_on", "_row"), on="loan_id").filter(
        (pl.col("from_on") <= pl.col("day")) & (pl.col("to_on").is_null() | (pl.col("to_on") >= pl.col("day")))
    )
    wrong = each.group_by("loan_id", "day").agg(share_pct=pl.col("share_pct").sum(), _row=pl.col("_row").min()).filter(pl.col("share_pct") != 100 * 10**7)
    first = wrong.sort("_row", "day").unique("loan_id", keep="first", maintain_order=True)
    yield Broken("funding_shares", first, "share_pct", {"loan": "loan_id", "day": "day"})


@check(
    Rule(
        "AMT-010",
        "error",
        "A reversal of another amount",
        "Repayment {key} reverses {other} with another amount.",
        "A reversal repeats the amount of what it undoes.",
        "Correct the amount, or reverse and book anew.",
    )
)
def reversal_amount(book: Book) -> Iterator[Broken]:
    paid = book.table("repayments").select(reverses_id="repayment_id", original="amount").unique("reverses_id")
    rows = book.table("repayments").filter(pl.col("kind") == "reversal").join(paid, on="reverses_id", how="inner", maintain_order="left")
    yield Broken("repayments", rows.filter(pl.col("amount") != pl.col("original")), "reverses_id", {"other": "reverses_id"})


@check(
    Rule(
        "AMT-011",
        "warning",
        "A schedule of a sum that cannot have been owed",
        "Loan {loan}: version {value} schedules more principal than was ever owed, or less than is still owed.",
        "The balance by the schedule and the balance by what happened part ways.",
        "Give what was capitalised, forgiven or carried over, or correct the schedule.",
    ),
    needs_position=True,
)
def version_principal(book: Book) -> Iterator[Broken]:
    assert book.position is not None
    later = book.position.filter((pl.col("schedule_version") > 1) & (pl.col("status") == "active"))
    carried = book.table("schedules").select("loan_id", "schedule_version", extra=pl.col("carried_arrears_principal").fill_null(0))
    left = book.table("instalments").group_by("loan_id", "schedule_version").agg(planned=pl.col("principal_due").sum(), _row=pl.col("_row").min())
    rows = later.join(left, on=["loan_id", "schedule_version"], how="inner").join(carried, on=["loan_id", "schedule_version"], how="left")
    owed = pl.col("disbursed_principal") + pl.col("capitalised_principal") + pl.col("bought_principal") - pl.col("forgiven_principal")
    scheduled = pl.col("planned") + pl.col("extra").fill_null(0)
    too_much = scheduled > owed
    too_little = scheduled < pl.col("claim_principal") + pl.col("sold_principal") + pl.col("extinguished_principal")
    yield Broken(
        "instalments", rows.filter(too_much | too_little).sort("_row").select("loan_id", "schedule_version", "_row"), "schedule_version", {"loan": "loan_id"}
    )


def _money(rows: pl.DataFrame, *pairs: tuple[str, str]) -> pl.DataFrame:
    from mloan_report.model.currency import currencies

    digits = rows["currency_code"].replace_strict(currencies(), default=2, return_dtype=pl.Int64)
    rows = rows.with_columns(digits.alias("_d"))
    return rows.with_columns([minor_to_text(pl.col(column), pl.col("_d")).alias(name) for column, name in pairs])
