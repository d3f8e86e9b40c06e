"""People under several ids or names; status against figures; given figures against worked-out ones; history that is missing."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.checks.standing import standing
from mloan_report.model.finding import Rule
from mloan_report.portfolio.sameness import folded_name, plain_number


def _people(book: Book) -> pl.DataFrame:
    columns = ["name", "born_on", "_row"]
    borrowers = book.table("borrowers").select(pl.col("borrower_id").alias("party_id"), *columns, table=pl.lit("borrowers"))
    parties = book.table("parties").select("party_id", *columns, table=pl.lit("parties"))
    return pl.concat([borrowers, parties])


@check(
    Rule(
        "DUP-001",
        "warning",
        "One identity number under two ids",
        "{scheme} {value} stands under {key} and under {other}.",
        "Limits, contagion and bureau files go by person: two ids hide that it is one.",
        "Merge the two, or correct the number.",
        "data contract: ids are unique over borrowers and parties",
    )
)
def same_number(book: Book) -> Iterator[Broken]:
    rows = book.table("identifiers").filter(pl.col("value").is_not_null()).with_columns(plain=plain_number("value"))
    first = rows.group_by("scheme", "plain", maintain_order=True).agg(other=pl.col("party_id").first())
    again = rows.join(first, on=["scheme", "plain"], how="left", maintain_order="left").filter(pl.col("party_id") != pl.col("other"))
    yield Broken("identifiers", again, "value", {"scheme": "scheme", "other": "other"})


@check(
    Rule(
        "DUP-002",
        "warning",
        "One name and birth date under two ids",
        "{table} {key} has the name and birth date of {other}.",
        "It is probably one person with two ids.",
        "Merge the two, or confirm that they are two people.",
    )
)
def same_name_and_birth(book: Book) -> Iterator[Broken]:
    people = _people(book).filter(pl.col("name").is_not_null() & pl.col("born_on").is_not_null()).with_columns(folded=folded_name("name"))
    first = people.group_by("folded", "born_on", maintain_order=True).agg(other=pl.col("party_id").first())
    again = people.join(first, on=["folded", "born_on"], how="left", maintain_order="left").filter(pl.col("party_id") != pl.col("other"))
    for table, key in (("borrowers", "borrower_id"), ("parties", "party_id")):
        yield Broken(table, again.filter(pl.col("table") == table).rename({"party_id": key}).drop("table"), "name", {"other": "other"})


@check(
    Rule(
        "DUP-003",
        "warning",
        "One person, two names",
        "Party {key} is called {value}, but {other_table} calls the holder of the same number otherwise.",
        "A bureau matches name and number together and refuses what differs.",
        "Correct the name, or record the change of name as an event.",
    )
)
def name_differs(book: Book) -> Iterator[Broken]:
    numbers = book.table("identifiers").filter(pl.col("value").is_not_null()).select("party_id", "scheme", value=plain_number("value"))
    named = numbers.join(_people(book).filter(pl.col("name").is_not_null()), on="party_id", how="inner", maintain_order="left").with_columns(
        folded=folded_name("name")
    )
    first = named.group_by("scheme", "value", maintain_order=True).agg(first_name=pl.col("folded").first(), other_table=pl.col("table").first())
    differs = named.join(first, on=["scheme", "value"], how="left", maintain_order="left").filter(pl.col("folded") != pl.col("first_name"))
    for table, key in (("borrowers", "borrower_id"), ("parties", "party_id")):
        rows = differs.filter(pl.col("table") == table).unique("party_id", keep="first", maintain_order=True).rename({"party_id": key}).drop("table")
        yield Broken(table, rows, "name", {"other_table": "other_table"})
    spouses = (
        book.table("borrowers")
        .filter(pl.col("spouse_id").is_not_null() & pl.col("spouse_name").is_not_null())
        .join(_people(book).select(spouse_id="party_id", known_name="name", other_table="table"), on="spouse_id", how="inner", maintain_order="left")
    )
    yield Broken("borrowers", spouses.filter(folded_name("spouse_name") != folded_name("known_name")), "spouse_name", {"other_table": "other_table"})


@check(
    Rule(
        "STA-001",
        "warning",
        "Status and figures disagree",
        "Loan {key} is said to be {value} since {since}, but by what happened it is {worked}.",
        "Reports follow what happened; the status given must not say otherwise.",
        "Book what is missing, or correct status and status_on.",
    ),
    needs_position=True,
)
def status_and_figures(book: Book) -> Iterator[Broken]:
    assert book.position is not None
    worked = book.position.select("loan_id", worked="status")
    rows = book.table("loans").unique("loan_id", keep="first", maintain_order=True).join(worked, on="loan_id", how="inner", maintain_order="left")
    said = pl.col("status_on").is_null() | (pl.col("status_on") <= book.as_of)
    differs = said & (pl.col("worked") != pl.col("status")) & (pl.col("worked") != "not_disbursed")
    rows = rows.filter(differs & ~((pl.col("status") == "active") & pl.col("status_on").is_null() & (pl.col("worked") == "settled")))
    yield Broken("loans", rows, "status", {"since": "status_on", "worked": "worked"})


@check(
    Rule(
        "STA-002",
        "warning",
        "Written off without a write-off",
        "Loan {key} is said to be written off, but write_offs has no row of it.",
        "How much was written off, and whether the claim is kept, is not known.",
        "Add the write-off.",
    )
)
def written_off_without_row(book: Book) -> Iterator[Broken]:
    known = book.table("write_offs").select("loan_id").unique()
    yield Broken("loans", book.table("loans").filter(pl.col("status") == "written_off").join(known, on="loan_id", how="anti", maintain_order="left"), "status")


@check(
    Rule(
        "STA-003",
        "warning",
        "Given position and worked-out one disagree",
        "Loan {loan_id} on {day}: {field} is given as {given} and worked out as {worked}.",
        "One of the two is wrong: the lender's own figure, or the history it was worked out from.",
        "Correct the history or the figure.",
    ),
    needs_position=True,
)
def given_position(book: Book) -> Iterator[Broken]:
    assert book.position is not None
    given = book.table("positions").filter(pl.col("as_of") == book.as_of)
    for column in ("claim_principal", "on_book_principal", "overdue_principal", "overdue_interest", "overdue_amount", "accrued_interest", "days_past_due"):
        worked = book.position.select("loan_id", worked=pl.col(f"computed_{column}" if f"computed_{column}" in book.position.columns else column))
        rows = given.join(worked, on="loan_id", how="inner", maintain_order="left").filter(pl.col(column) != pl.col("worked"))
        money = () if column == "days_past_due" else ("worked",)
        yield Broken("positions", rows, column, {"day": "as_of", "given": column, "worked": "worked"}, money=money)


@check(
    Rule(
        "HIS-001",
        "warning",
        "History that is missing",
        "Loan {loan_id} was changed on {on} ({kind}), but schedules has no version for it.",
        "A past date is worked out from what was in force then; without the version the first schedule goes on.",
        "Add the version to schedules and its instalments.",
    )
)
def restructured_without_version(book: Book) -> Iterator[Broken]:
    changing = book.table("restructurings").filter(pl.col("kind").is_in(["term", "rate", "instalment", "capitalised_arrears", "grace"]))
    versions = book.table("schedules").select("loan_id", "effective_on").filter(pl.col("effective_on").is_not_null())
    near = (
        changing.join(versions, on="loan_id", how="left")
        .with_columns(fits=(pl.col("effective_on") >= pl.col("agreed_on")).fill_null(False))
        .group_by("loan_id", "number")
        .agg(fits=pl.col("fits").any())
    )
    rows = changing.join(near, on=["loan_id", "number"], how="left", maintain_order="left").filter(~pl.col("fits"))
    yield Broken("restructurings", rows, "kind", {"on": "agreed_on", "kind": "kind"})


@check(
    Rule(
        "HIS-002",
        "information",
        "A due date that is carried over by default",
        "Loan {loan}: version {value} replaces a schedule with unpaid instalments and carries no due date over.",
        "A new schedule never resets days past due by itself: the old due date counts until the arrears are made good or the loan is cured.",
        "Give carried_oldest_due_on, or cured_on in restructurings.",
    )
)
def carried_by_default(book: Book) -> Iterator[Broken]:
    cured = book.table("restructurings").filter(pl.col("cured_on").is_not_null()).select("loan_id").unique()
    later = (
        book.table("schedules")
        .filter(pl.col("carried_oldest_due_on").is_null() & pl.col("reason").is_in(["restructured", "extended", "payment_holiday"]))
        .join(cured, on="loan_id", how="anti", maintain_order="left")
    )
    # What fell due while each version was in force: before the next one took effect.
    ends = (
        book.table("schedules")
        .sort("loan_id", "schedule_version")
        .select("loan_id", "schedule_version", "effective_on")
        .join(book.table("instalments").select("loan_id", "schedule_version").unique(), on=["loan_id", "schedule_version"], how="full", coalesce=True)
        .sort("loan_id", "schedule_version")
        .with_columns(replaced_on=pl.col("effective_on").shift(-1).over("loan_id"))
        .select("loan_id", "schedule_version", "replaced_on")
    )
    due = (
        book.table("instalments")
        .join(ends, on=["loan_id", "schedule_version"], how="left")
        .filter((pl.col("due_on") < pl.col("replaced_on")).fill_null(True))
        .join(later.select("loan_id", "schedule_version", "effective_on"), on="loan_id", suffix="_new")
        .filter((pl.col("schedule_version") < pl.col("schedule_version_new")) & (pl.col("due_on") < pl.col("effective_on")))
        .group_by("loan_id", pl.col("schedule_version_new").alias("schedule_version"))
        .agg(owed=(pl.col("principal_due") + pl.col("interest_due")).sum())
    )
    paid = (
        standing(book.table("repayments"), "repayment_id")
        .join(later.select("loan_id", "schedule_version", "effective_on"), on="loan_id")
        .filter(pl.col("paid_on") < pl.col("effective_on"))
        .group_by("loan_id", "schedule_version")
        .agg(paid=pl.col("amount").sum())
    )
    rows = (
        later.join(due, on=["loan_id", "schedule_version"], how="inner", maintain_order="left")
        .join(paid, on=["loan_id", "schedule_version"], how="left", maintain_order="left")
        .filter(pl.col("paid").fill_null(0) < pl.col("owed"))
    )
    yield Broken("schedules", rows, "schedule_version", {"loan": "loan_id"})
