"""Dates in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.model.finding import Rule

_FIX = "Correct the earlier or the later date."
_ORDER = "Dates out of order make terms and ages wrong."


def _rule(number: int, title: str, message: str, severity: str = "error") -> Rule:
    return Rule(f"DAT-{number:03d}", severity, title, message, _ORDER, _FIX)  # type: ignore[arg-type]


@check(_rule(1, "Maturity before disbursement", "Loan {key} matures on {value}, before it was disbursed ({other})."))
def maturity_before_disbursement(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter(pl.col("matures_on") < pl.col("disbursed_on")), "matures_on", {"other": "disbursed_on"})


@check(_rule(2, "Disbursed before the contract", "Loan {key} was disbursed on {value}, before its contract ({other})."))
def disbursed_before_contract(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter(pl.col("disbursed_on") < pl.col("contract_on")), "disbursed_on", {"other": "contract_on"})


@check(_rule(3, "First due date before disbursement", "Loan {key} is first due on {value}, before it was disbursed ({other})."))
def first_due_before_disbursement(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter(pl.col("first_due_on") < pl.col("disbursed_on")), "first_due_on", {"other": "disbursed_on"})


@check(_rule(4, "Instalments out of order", "Loan {loan}: instalment {number} is due on {value}, not after the one before."))
def instalments_out_of_order(book: Book) -> Iterator[Broken]:
    rows = (
        book.table("instalments")
        .sort("loan_id", "schedule_version", "number")
        .with_columns(before=pl.col("due_on").shift().over("loan_id", "schedule_version"))
    )
    yield Broken("instalments", rows.filter(pl.col("due_on") <= pl.col("before")).sort("_row"), "due_on", {"loan": "loan_id", "number": "number"})


@check(_rule(5, "An instalment due before disbursement", "Loan {loan}: instalment {number} is due on {value}, before the loan was disbursed."))
def due_before_disbursement(book: Book) -> Iterator[Broken]:
    bought = book.table("transfers").filter(pl.col("direction") == "in")["loan_id"].unique().implode()
    rows = book.table("instalments").join(
        book.table("loans").select("loan_id", "disbursed_on").unique("loan_id"), on="loan_id", how="inner", maintain_order="left"
    )
    bad = (pl.col("due_on") < pl.col("disbursed_on")) & ~pl.col("loan_id").is_in(bought)
    yield Broken("instalments", rows.filter(bad), "due_on", {"loan": "loan_id", "number": "number"})


@check(_rule(6, "Paid before disbursement", "Repayment {key} was paid on {value}, before loan {loan} was disbursed ({other})."))
def paid_before_disbursement(book: Book) -> Iterator[Broken]:
    rows = book.table("repayments").join(
        book.table("loans").select("loan_id", "disbursed_on").unique("loan_id"), on="loan_id", how="inner", maintain_order="left"
    )
    yield Broken("repayments", rows.filter(pl.col("paid_on") < pl.col("disbursed_on")), "paid_on", {"loan": "loan_id", "other": "disbursed_on"})


@check(_rule(7, "Paid after settlement", "Repayment {key} was paid on {value}, after loan {loan} was settled ({other}).", "warning"))
def paid_after_settlement(book: Book) -> Iterator[Broken]:
    settled = book.table("loans").filter(pl.col("status") == "settled").select("loan_id", "status_on").unique("loan_id")
    rows = book.table("repayments").filter(~pl.col("kind").is_in(["refund", "reversal"])).join(settled, on="loan_id", how="inner", maintain_order="left")
    yield Broken("repayments", rows.filter(pl.col("paid_on") > pl.col("status_on")), "paid_on", {"loan": "loan_id", "other": "status_on"})


@check(_rule(8, "A date in the future", "{table} {key}: {field} is {value}, after {as_of}.", "warning"))
def happened_in_the_future(book: Book) -> Iterator[Broken]:
    columns = {
        "repayments": "paid_on",
        "disbursements": "paid_on",
        "write_offs": "written_off_on",
        "restructurings": "agreed_on",
        "transfers": "transferred_on",
        "loans": "disbursed_on",
        "charges": "assessed_on",
    }
    # A book goes on after the date of a report; a payment a year later is a slip of the pen, and hides no other.
    days = book.portfolio.days_paid()
    paid = days.filter(days <= pl.select(pl.lit(book.as_of).dt.offset_by("1y")).item()).max()
    horizon = max(book.as_of, paid) if isinstance(paid, date) else book.as_of
    for table, column in columns.items():
        rows = book.table(table).filter(pl.col(column) > pl.lit(horizon)).with_columns(as_of=pl.lit(str(horizon)))
        yield Broken(table, rows, column, {"as_of": "as_of"})


@check(_rule(9, "Booked before it happened", "{table} {key} was booked on {value}, before its own day ({other}).", "warning"))
def booked_before_it_happened(book: Book) -> Iterator[Broken]:
    for table, on in (("repayments", "paid_on"), ("disbursements", "paid_on"), ("write_offs", "written_off_on"), ("transfers", "transferred_on")):
        rows = book.table(table)
        yield Broken(table, rows.filter(pl.col("booked_on") < pl.col(on)).with_columns(other=pl.col(on)), "booked_on", {"other": "other"})


@check(_rule(10, "Ends before it begins", "{table} {key}: {field} is {value}, before {other}."))
def ends_before_it_begins(book: Book) -> Iterator[Broken]:
    spans = {
        "payment_holidays": ("from_on", "to_on"),
        "arrears_flags": ("from_on", "to_on"),
        "funding_shares": ("from_on", "to_on"),
        "facilities": ("from_on", "to_on"),
        "loan_parties": ("from_on", "released_on"),
        "relations": ("from_on", "to_on"),
        "identifiers": ("issued_on", "expires_on"),
        "consents": ("given_on", "withdrawn_on"),
        "collateral": ("from_on", "to_on"),
        "write_offs": ("written_off_on", "reversed_on"),
    }
    for table, (start, end) in spans.items():
        yield Broken(table, book.table(table).filter(pl.col(end) < pl.col(start)).with_columns(other=pl.col(start)), end, {"other": "other"})


@check(
    _rule(
        11,
        "Born after becoming a customer, or too young",
        "Borrower {key}: born on {value}: after becoming a customer, or younger than 16 at the first loan.",
        "warning",
    )
)
def too_young(book: Book) -> Iterator[Broken]:
    first = book.table("loans").group_by("borrower_id").agg(pl.col("disbursed_on").min().alias("first"))
    rows = book.table("borrowers").join(first, on="borrower_id", how="left", maintain_order="left")
    young = (pl.col("born_on").dt.offset_by("16y") > pl.coalesce("first", "customer_since_on")).fill_null(False)
    unborn = (pl.col("born_on") > pl.col("customer_since_on")).fill_null(False)
    yield Broken("borrowers", rows.filter(young | unborn), "born_on")


@check(_rule(12, "An expired identity document", "{scheme} {value} expired on {other}.", "warning"))
def expired_document(book: Book) -> Iterator[Broken]:
    current = pl.col("status").fill_null("current") == "current"
    yield Broken(
        "identifiers", book.table("identifiers").filter(current & (pl.col("expires_on") < book.as_of)), "value", {"scheme": "scheme", "other": "expires_on"}
    )


@check(_rule(13, "A reversal before what it reverses", "Repayment {key} reverses {other} before it was paid."))
def reversal_too_early(book: Book) -> Iterator[Broken]:
    paid = book.table("repayments").select(reverses_id="repayment_id", original_on="paid_on").unique("reverses_id")
    rows = book.table("repayments").filter(pl.col("kind") == "reversal").join(paid, on="reverses_id", how="inner", maintain_order="left")
    yield Broken("repayments", rows.filter(pl.col("paid_on") < pl.col("original_on")), "paid_on", {"other": "reverses_id"})
