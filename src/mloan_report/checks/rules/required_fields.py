"""Required and related fields: what must stand beside what."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.model import fields_of, table_models
from mloan_report.model.finding import Rule


def _loans(book: Book) -> pl.DataFrame:
    return book.table("loans")


@check(
    Rule(
        "REQ-001",
        "error",
        "An interest loan without a rate",
        "Loan {key} bears interest but has no annual_rate_pct.",
        "Interest, accruals and the annual cost cannot be worked out.",
        "Give the contract rate, or finance_kind flat_fee.",
    )
)
def interest_without_rate(book: Book) -> Iterator[Broken]:
    yield Broken("loans", _loans(book).filter((pl.col("finance_kind") == "interest") & pl.col("annual_rate_pct").is_null()), "annual_rate_pct")


@check(
    Rule(
        "REQ-002",
        "error",
        "A loan without maturity",
        "Loan {key} has no matures_on and is not on demand.",
        "A loan that falls due has a last day.",
        "Give the contract's maturity.",
    )
)
def loan_without_maturity(book: Book) -> Iterator[Broken]:
    yield Broken("loans", _loans(book).filter(pl.col("matures_on").is_null() & (pl.col("repayment_method") != "on_demand")), "matures_on")


@check(
    Rule(
        "REQ-003",
        "warning",
        "A guaranteed loan without guarantor",
        "Loan {key} is {mode} but loan_parties names no guarantor of it.",
        "Bureaus ask for the guarantor of a guaranteed loan.",
        "Add the guarantor, or correct guarantee_mode.",
    )
)
def guarantor_missing(book: Book) -> Iterator[Broken]:
    named = book.table("loan_parties").filter(pl.col("role").is_in(["guarantor", "group_member"])).select("loan_id").unique()
    asks = pl.col("guarantee_mode").is_in(["guaranteed", "combined_with_guarantor"])
    yield Broken("loans", _loans(book).filter(asks).join(named, on="loan_id", how="anti", maintain_order="left"), "guarantee_mode", {"mode": "guarantee_mode"})


@check(
    Rule(
        "REQ-004",
        "warning",
        "A secured loan without collateral",
        "Loan {key} is {mode} but collateral_links names nothing that secures it.",
        "Classification and reserves depend on the security.",
        "Add the collateral, or correct guarantee_mode.",
    )
)
def collateral_missing(book: Book) -> Iterator[Broken]:
    linked = book.table("collateral_links").select("loan_id").unique()
    asks = pl.col("guarantee_mode").is_in(["mortgaged", "pledged", "combined_without_guarantor"])
    yield Broken("loans", _loans(book).filter(asks).join(linked, on="loan_id", how="anti", maintain_order="left"), "guarantee_mode", {"mode": "guarantee_mode"})


@check(
    Rule(
        "REQ-005",
        "warning",
        "A status without its date",
        "Loan {key} is {status} without status_on.",
        "From when the status counts is not known: a past date cannot be told from today.",
        "Give the day since when the loan has this status.",
    )
)
def status_without_date(book: Book) -> Iterator[Broken]:
    yield Broken("loans", _loans(book).filter((pl.col("status") != "active") & pl.col("status_on").is_null()), "status_on", {"status": "status"})


@check(
    Rule(
        "REQ-006",
        "warning",
        "A code without its scheme",
        "{table} {key}: {field} {value} has no scheme beside it.",
        "A code means nothing without its list.",
        "Name the scheme of the code.",
    )
)
def code_without_scheme(book: Book) -> Iterator[Broken]:
    for table, model in table_models().items():
        for scheme in fields_of(model):
            column = scheme.replace("_scheme", "_code")
            if scheme.endswith("_scheme") and column in fields_of(model):
                yield Broken(table, book.table(table).filter(pl.col(column).is_not_null() & pl.col(scheme).is_null()), column)


@check(
    Rule(
        "REQ-007",
        "warning",
        "A borrower without identity number",
        "Borrower {key} has no identity number.",
        "No bureau takes a record about a person without a number.",
        "Add the number to identifiers.",
    )
)
def borrower_without_number(book: Book) -> Iterator[Broken]:
    numbered = book.table("identifiers").filter(pl.col("value").is_not_null())["party_id"].unique().implode()
    yield Broken("borrowers", book.table("borrowers").filter(~pl.col("borrower_id").is_in(numbered)), "borrower_id")


@check(
    Rule(
        "REQ-008",
        "warning",
        "A court stage without its date",
        "Loan {key}: court_stage and court_filed_on come together.",
        "Files about loans in court ask for both.",
        "Give both or neither.",
    )
)
def court_stage_and_date(book: Book) -> Iterator[Broken]:
    yield Broken("loans", _loans(book).filter(pl.col("court_stage").is_null() != pl.col("court_filed_on").is_null()), "court_stage")


@check(
    Rule(
        "REQ-009",
        "warning",
        "A person without birth date",
        "Borrower {key} has no born_on.",
        "Identity checks and most bureaus need the birth date.",
        "Add the birth date.",
    )
)
def person_without_birth_date(book: Book) -> Iterator[Broken]:
    yield Broken("borrowers", book.table("borrowers").filter(pl.col("kind").is_in(["natural_person", "sole_trader"]) & pl.col("born_on").is_null()), "born_on")


@check(
    Rule(
        "REQ-010",
        "error",
        "A guarantee up to an amount without the amount",
        "{key}: liability is up_to_amount without an amount.",
        "For how much the guarantor stands is not known.",
        "Give the amount.",
    )
)
def guarantee_without_amount(book: Book) -> Iterator[Broken]:
    yield Broken("loan_parties", book.table("loan_parties").filter((pl.col("liability") == "up_to_amount") & pl.col("amount").is_null()), "amount")
