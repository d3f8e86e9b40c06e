"""What the data contract lacks, from the table us_metro2_facts: the value of a field in force on a day, for an account or one person on it."""

from __future__ import annotations

from datetime import date
from functools import cache

import polars as pl

from mloan_report.packs.us_metro2.lists import lists
from mloan_report.packs.views import Views


def facts(views: Views) -> pl.DataFrame:
    """The facts: loan_id, party_id (the person, the borrower where none is named; null for facts of the account), field, value, since, until."""
    raw = views.own_table("us_metro2_facts").rename({"borrower_id": "party_id", "from": "since", "to": "until"}).with_row_index("_n")
    loans = views.portfolio.table("loans").select("loan_id", "borrower_id").unique("loan_id", keep="first", maintain_order=True)
    own = pl.col("field").is_in(list(person_fields()))
    known = raw.join(loans, on="loan_id", how="inner", maintain_order="left")
    return known.with_columns(party_id=pl.when(own).then(pl.coalesce("party_id", "borrower_id"))).drop("borrower_id")


@cache
def person_fields() -> frozenset[str]:
    """Fields that are said of one person."""
    return frozenset(code for code, label in lists()["fact_field"].items() if label.startswith("person"))


@cache
def account_fields() -> frozenset[str]:
    """Fields that are said of the account."""
    return frozenset(lists()["fact_field"]) - person_fields()


def in_force(on: pl.Expr) -> pl.Expr:
    """Whether a fact holds on a day."""
    return (pl.col("since").is_null() | (pl.col("since") <= on)) & (pl.col("until").is_null() | (pl.col("until") >= on))


def account_facts(known: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """loan_id and one column ``fact_<field>`` for each field of an account, as of *as_of*: the newest that holds."""
    return _pivoted(known.filter(pl.col("field").is_in(list(account_fields())) & in_force(pl.lit(as_of))), ["loan_id"], account_fields())


def person_facts(known: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """loan_id, party_id and one column ``fact_<field>`` for each field of a person; ``fact_indicator_since`` is when the indicator came."""
    holding = known.filter(pl.col("field").is_in(list(person_fields())) & in_force(pl.lit(as_of)))
    out = _pivoted(holding, ["loan_id", "party_id"], person_fields())
    since = _newest(holding.filter(pl.col("field") == "ConsumerInformationIndicator"), ["loan_id", "party_id"])
    return out.join(since.select("loan_id", "party_id", fact_indicator_since="since"), on=["loan_id", "party_id"], how="left", maintain_order="left")


def facts_on(known: pl.DataFrame, field: str, days: pl.DataFrame) -> pl.DataFrame:
    """loan_id, on, ``fact_<field>`` and ``fact_since`` for each loan and day of *days* for which the fact holds."""
    dated = days.select("loan_id", "on").join(known.filter(pl.col("field") == field), on="loan_id", how="inner")
    dated = dated.filter(in_force(pl.col("on")))
    return _newest(dated, ["loan_id", "on"]).select("loan_id", "on", pl.col("value").alias(f"fact_{field}"), fact_since="since")


def _newest(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return rows.sort("since", "_n", nulls_last=False).unique(keys, keep="last", maintain_order=True)


def _pivoted(rows: pl.DataFrame, keys: list[str], fields: frozenset[str]) -> pl.DataFrame:
    newest = _newest(rows, [*keys, "field"])
    return newest.group_by(keys, maintain_order=True).agg([pl.col("value").filter(pl.col("field") == f).last().alias(f"fact_{f}") for f in sorted(fields)])
