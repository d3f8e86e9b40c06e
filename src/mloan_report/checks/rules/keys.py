"""Keys: duplicates, orphans in either direction, loans without instalments."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.model import fields_of, table_models
from mloan_report.model.finding import Rule

PARENTS = {
    "loan_id": ("loans", "loan_id"),
    "borrower_id": ("borrowers", "borrower_id"),
    "facility_id": ("facilities", "facility_id"),
    "branch_id": ("branches", "branch_id"),
    "collateral_id": ("collateral", "collateral_id"),
    "application_id": ("applications", "application_id"),
    "previous_loan_id": ("loans", "loan_id"),
}
"""Which table each key column points to. Old loans may be gone from the book: refinanced and previous loans only warn."""


@check(
    Rule(
        "KEY-001",
        "error",
        "The same key twice",
        "{table}: the key {key} stands more than once.",
        "A key names one row; with two rows nobody can say which counts, and sums count both.",
        "Remove the duplicate, or give it a key of its own.",
    )
)
def duplicate_key(book: Book) -> Iterator[Broken]:
    for name, model in table_models().items():
        frame = book.table(name)
        if frame.height < 2 or frame.select(model.KEY).hash_rows().n_unique() == frame.height:
            continue
        again = pl.struct(list(model.KEY)).is_duplicated() & (pl.struct(list(model.KEY)).cum_count().over(list(model.KEY)) > 1)
        # A key that is missing is a finding already (TAB-002, TAB-011), and no duplicate.
        given = pl.all_horizontal([pl.col(k).is_not_null() for k in model.KEY if fields_of(model)[k].required])
        yield Broken(name, frame.filter(again & given), model.KEY[-1])


@check(
    Rule(
        "KEY-002",
        "error",
        "A row whose parent is not there",
        "{table}.{field} is {value}: there is no such row in {parent}.",
        "The row cannot be joined to anything: its amounts would be lost without a word.",
        "Add the missing row to {parent}, or correct the key.",
    )
)
def orphan(book: Book) -> Iterator[Broken]:
    for name, _model in table_models().items():
        frame = book.table(name)
        for column, (parent, key) in PARENTS.items():
            if column not in frame.columns or frame.height == 0 or name == parent or column == "previous_loan_id":
                continue
            if not book.portfolio.has(parent) and column in ("branch_id", "application_id"):
                continue
            known = book.table(parent)[key].drop_nulls().implode()
            lost = frame.filter(pl.col(column).is_not_null() & ~pl.col(column).is_in(known)).with_columns(parent=pl.lit(parent))
            yield Broken(name, lost, column, {"parent": "parent"})


@check(
    Rule(
        "KEY-003",
        "error",
        "A person who is not there",
        "{table}.{field} is {value}: there is no such borrower or party.",
        "The file would name a person without name or number.",
        "Add the person to borrowers or parties, or correct the key.",
    )
)
def unknown_person(book: Book) -> Iterator[Broken]:
    known = pl.concat([book.table("borrowers")["borrower_id"], book.table("parties")["party_id"]]).drop_nulls().implode()
    columns = {
        "identifiers": ("party_id",),
        "relations": ("party_id", "related_id"),
        "party_events": ("party_id",),
        "bank_accounts": ("party_id",),
        "consents": ("party_id",),
        "loan_parties": ("party_id",),
        "collateral": ("owner_id",),
        "borrowers": ("spouse_id",),
    }
    for name, names in columns.items():
        frame = book.table(name)
        for column in names:
            yield Broken(name, frame.filter(pl.col(column).is_not_null() & ~pl.col(column).is_in(known)), column)


@check(
    Rule(
        "KEY-004",
        "error",
        "A loan without instalments",
        "Loan {key} has no instalments.",
        "What is due when is not known, so neither days past due nor what is overdue can be.",
        "Add its schedule to instalments.",
    )
)
def loan_without_instalments(book: Book) -> Iterator[Broken]:
    loans = book.table("loans").filter((pl.col("repayment_method") != "on_demand").fill_null(True) & (pl.col("status") != "cancelled").fill_null(True))
    lines = book.table("facilities").join(book.table("statements").select("facility_id").unique(), on="facility_id", how="semi")
    scheduled = book.table("instalments").select("loan_id").unique()
    bare = loans.join(scheduled, on="loan_id", how="anti", maintain_order="left").filter(
        ~pl.col("facility_id").is_in(lines["facility_id"].implode()).fill_null(False)
    )
    yield Broken("loans", bare, "loan_id")


@check(
    Rule(
        "KEY-005",
        "warning",
        "A party that nothing names",
        "Party {key} is named by no loan, relation, collateral or borrower.",
        "A row that nothing names is often a person whose link was lost.",
        "Add the link, or leave the row out.",
    )
)
def idle_party(book: Book) -> Iterator[Broken]:
    named = (
        pl.concat(
            [
                book.table("loan_parties")["party_id"],
                book.table("relations")["party_id"],
                book.table("relations")["related_id"],
                book.table("collateral")["owner_id"],
                book.table("borrowers")["spouse_id"],
                book.table("transfers")["counterparty_id"],
            ]
        )
        .drop_nulls()
        .implode()
    )
    yield Broken("parties", book.table("parties").filter(~pl.col("party_id").is_in(named)), "party_id")


@check(
    Rule(
        "KEY-006",
        "warning",
        "A borrower without a loan",
        "Borrower {key} has no loan, application or facility.",
        "Either the loan was lost on the way, or the borrower does not belong here.",
        "Add the loan, or leave the borrower out.",
    )
)
def borrower_without_loan(book: Book) -> Iterator[Broken]:
    named = pl.concat([book.table(t)["borrower_id"] for t in ("loans", "applications", "facilities")]).drop_nulls().implode()
    yield Broken("borrowers", book.table("borrowers").filter(~pl.col("borrower_id").is_in(named)), "borrower_id")


@check(
    Rule(
        "KEY-007",
        "error",
        "An id that is borrower and party",
        "Party {key} has the id of a borrower.",
        "Ids are unique over borrowers and parties: a link to this id could mean either.",
        "Give the party another id, or drop it and use the borrower.",
    )
)
def shared_id(book: Book) -> Iterator[Broken]:
    borrowers = book.table("borrowers")["borrower_id"].drop_nulls().implode()
    yield Broken("parties", book.table("parties").filter(pl.col("party_id").is_in(borrowers)), "party_id")


@check(
    Rule(
        "KEY-008",
        "error",
        "A reversal of nothing",
        "{table} {key} reverses {value}, which is no row of the table.",
        "What was undone cannot be told, so the money counts or does not count by chance.",
        "Correct reverses_id, or add the reversed row.",
    )
)
def reversal_of_nothing(book: Book) -> Iterator[Broken]:
    for name, key in (("repayments", "repayment_id"), ("disbursements", "disbursement_id")):
        frame = book.table(name)
        known = frame[key].drop_nulls().implode()
        lost = (pl.col("reverses_id").is_not_null() & ~pl.col("reverses_id").is_in(known)).fill_null(False)
        if name == "repayments":
            lost = lost | ((pl.col("kind") == "reversal") & pl.col("reverses_id").is_null()).fill_null(False)
        yield Broken(name, frame.filter(lost), "reverses_id")


@check(
    Rule(
        "KEY-009",
        "error",
        "A schedule version that nothing explains",
        "Loan {loan}: instalments of version {version} have no row in schedules.",
        "From when the version counts is not known: it is left out, and the loan's lowest version is used.",
        "Add the version to schedules with its effective_on and reason.",
    )
)
def unexplained_version(book: Book) -> Iterator[Broken]:
    rows = book.table("instalments").sort("_row").unique(["loan_id", "schedule_version"], keep="first", maintain_order=True)
    rows = rows.with_columns(lowest=pl.col("schedule_version").min().over("loan_id"))
    known = book.table("schedules").select("loan_id", "schedule_version").unique()
    bare = rows.filter(pl.col("schedule_version") > pl.col("lowest")).join(known, on=["loan_id", "schedule_version"], how="anti", maintain_order="left")
    yield Broken("instalments", bare, "schedule_version", {"loan": "loan_id", "version": "schedule_version"})


@check(
    Rule(
        "KEY-010",
        "warning",
        "A schedule version without instalments",
        "Loan {loan}: version {value} has no instalments.",
        "The version is never in force: the earlier one goes on.",
        "Add its instalments.",
    )
)
def empty_version(book: Book) -> Iterator[Broken]:
    known = book.table("instalments").select("loan_id", "schedule_version").unique()
    bare = book.table("schedules").join(known, on=["loan_id", "schedule_version"], how="anti", maintain_order="left")
    yield Broken("schedules", bare, "schedule_version", {"loan": "loan_id"})
