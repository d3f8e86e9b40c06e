"""Rates, terms and currencies that cannot be, or hardly can."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.model.finding import Rule

PERCENT = 10**7


@check(
    Rule(
        "PLA-001",
        "warning",
        "A rate that looks like a fraction or a daily rate",
        "Loan {key}: annual_rate_pct is below 1 percent.",
        "0.24 is often meant as 24 %, and 0.05 as a daily rate.",
        "Give percent a year: 24 for 24 %.",
    )
)
def rate_like_a_fraction(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter((pl.col("annual_rate_pct") > 0) & (pl.col("annual_rate_pct") < PERCENT)), "annual_rate_pct")


@check(
    Rule(
        "PLA-002",
        "warning",
        "A rate beyond what is plausible",
        "Loan {key}: annual_rate_pct is above 200 percent.",
        "A rate this high is mostly a slip of the decimal point.",
        "Check the contract.",
    )
)
def rate_too_high(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter(pl.col("annual_rate_pct") > 200 * PERCENT), "annual_rate_pct")


@check(Rule("PLA-003", "error", "A negative rate", "{table} {key}: {field} is {value}.", "Interest is never negative here.", "Correct the rate."))
def negative_rate(book: Book) -> Iterator[Broken]:
    for column in ("annual_rate_pct", "penalty_rate_pct", "effective_rate_pct"):
        yield Broken("loans", book.table("loans").filter(pl.col(column) < 0), column)
    yield Broken("rates", book.table("rates").filter(pl.col("annual_rate_pct") < 0), "annual_rate_pct")


@check(
    Rule(
        "PLA-004",
        "warning",
        "A term beyond what is plausible",
        "Loan {key}: matures on {value}, more than 40 years after disbursement.",
        "A microloan this long is mostly a slip of the year.",
        "Check the maturity.",
    )
)
def term_too_long(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter(pl.col("matures_on") > pl.col("disbursed_on").dt.offset_by("40y")), "matures_on")


@check(
    Rule(
        "PLA-005",
        "warning",
        "Effective rate below the nominal one",
        "Loan {key}: effective_rate_pct is below annual_rate_pct.",
        "With fees and compounding the effective rate is never lower.",
        "Check both rates.",
    )
)
def effective_below_nominal(book: Book) -> Iterator[Broken]:
    yield Broken("loans", book.table("loans").filter(pl.col("effective_rate_pct") < pl.col("annual_rate_pct")), "effective_rate_pct")


@check(
    Rule(
        "PLA-006",
        "warning",
        "A loan that goes on after its schedule",
        "Loan {key}: matures on {value}, but its first schedule ends on {other}.",
        "Maturity and last due date are one day, unless the loan was extended.",
        "Correct matures_on or the schedule.",
    )
)
def maturity_and_schedule(book: Book) -> Iterator[Broken]:
    first = (
        book.table("instalments").with_columns(lowest=pl.col("schedule_version").min().over("loan_id")).filter(pl.col("schedule_version") == pl.col("lowest"))
    )
    ends = first.group_by("loan_id").agg(ends=pl.col("due_on").max())
    rows = book.table("loans").join(ends, on="loan_id", how="inner", maintain_order="left")
    apart = (pl.col("matures_on") - pl.col("ends")).dt.total_days().abs() > 31
    yield Broken("loans", rows.filter(apart), "matures_on", {"other": "ends"})


@check(
    Rule(
        "PLA-007",
        "error",
        "A share that is no share",
        "{table} {key}: {field} is outside 0 to 100 percent.",
        "A share lies between 0 and 100 percent.",
        "Correct the share.",
    )
)
def share_out_of_bounds(book: Book) -> Iterator[Broken]:
    for table, column in (
        ("funding_shares", "share_pct"),
        ("funding_shares", "loss_cover_pct"),
        ("relations", "share_pct"),
        ("transfers", "share_pct"),
        ("loan_parties", "share_pct"),
    ):
        yield Broken(table, book.table(table).filter((pl.col(column) < 0) | (pl.col(column) > 100 * PERCENT)), column)


@check(
    Rule(
        "CUR-001",
        "error",
        "An exchange rate is missing",
        "Loan {key} is in {value}, and exchange_rates has no rate from {value} to {home} on or before {as_of}.",
        "Sums over several currencies need a rate; amounts are never added as if they were one currency.",
        "Add the closing rate.",
    )
)
def exchange_rate_missing(book: Book) -> Iterator[Broken]:
    home = book.portfolio.institution.currency_code
    known = book.table("exchange_rates").filter((pl.col("to_currency_code") == home) & (pl.col("as_of") <= book.as_of))["currency_code"].unique().implode()
    foreign = book.table("loans").filter((pl.col("currency_code") != home) & ~pl.col("currency_code").is_in(known))
    first = foreign.unique("currency_code", keep="first", maintain_order=True).with_columns(home=pl.lit(home), as_of=pl.lit(str(book.as_of)))
    yield Broken("loans", first, "currency_code", {"home": "home", "as_of": "as_of"})


@check(Rule("CUR-002", "error", "An exchange rate of nothing", "exchange_rates {key}: the rate is not above 0.", "Amounts would vanish.", "Correct the rate."))
def exchange_rate_of_nothing(book: Book) -> Iterator[Broken]:
    bad = ~pl.col("rate").str.contains("[1-9]") | pl.col("rate").str.starts_with("-")
    yield Broken("exchange_rates", book.table("exchange_rates").filter(bad), "rate")


@check(
    Rule(
        "CUR-003",
        "error",
        "More owed than the limit",
        "Facility {key}: {owed} is owed under a limit of {value}.",
        "The limit is the most that may be owed at once.",
        "Correct the limit, or the loans drawn under it.",
    ),
    needs_position=True,
)
def beyond_the_limit(book: Book) -> Iterator[Broken]:
    assert book.position is not None
    under = book.table("loans").select("loan_id", "facility_id").unique("loan_id")
    drawn = book.position.join(under, on="loan_id").group_by("facility_id", "currency_code").agg(owed=pl.col("claim_principal").sum())
    stated = (
        book.table("statements")
        .join(book.table("facilities").select("facility_id", "currency_code").unique("facility_id"), on="facility_id")
        .filter(pl.col("statement_on") <= book.as_of)
        .sort("statement_on")
        .group_by("facility_id", "currency_code")
        .agg(owed=pl.col("closing_balance").last())
    )
    owed = pl.concat([drawn, stated]).group_by("facility_id", "currency_code").agg(pl.col("owed").max())
    # Only what is owed in the limit's own currency is compared: a rate of the day would make the finding come and go.
    rows = book.table("facilities").join(owed, on=["facility_id", "currency_code"], how="inner", maintain_order="left")
    yield Broken("facilities", rows.filter(pl.col("owed") > pl.col("limit_amount")), "limit_amount", {"owed": "owed"}, money=("owed",))
