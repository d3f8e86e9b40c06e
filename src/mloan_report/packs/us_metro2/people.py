"""Who stands on an account: the person of the base segment, and the others with them, each with their part in it (ECOA)."""

from __future__ import annotations

import polars as pl

from mloan_report.packs.us_metro2.facts import person_facts
from mloan_report.packs.us_metro2.lists import lists, said
from mloan_report.packs.views import Views

NATURAL = ["natural_person", "sole_trader"]
_COLUMNS = (
    "kind",
    "name",
    "given_name",
    "middle_name",
    "family_name",
    "born_on",
    "deceased_on",
    "phone",
    "address",
    "postal_code",
    "district_code",
    "region_code",
    "residence_country",
    "housing_status",
    "id_us_ssn",
)


def links_of(views: Views, loans: pl.DataFrame) -> pl.DataFrame:
    """loan_id, party_id, role, released of co-borrowers and guarantors that stand on as_of, or were released in its month."""
    keys = loans.select("loan_id", "as_of", "borrower_id", "borrower_kind")
    links = views.portfolio.table("loan_parties").filter(pl.col("role").is_in(["co_borrower", "guarantor"]))
    dated = keys.join(links.select("loan_id", "party_id", "role", "from_on", "released_on"), on="loan_id", how="inner", maintain_order="left")
    month = pl.col("as_of").dt.month_start()
    dated = dated.filter(
        (pl.col("from_on").is_null() | (pl.col("from_on") <= pl.col("as_of"))) & (pl.col("released_on").is_null() | (pl.col("released_on") >= month))
    ).with_columns(released=(pl.col("released_on") <= pl.col("as_of")).fill_null(False))
    # co_borrower sorts before guarantor: who is both is a co-borrower
    return dated.sort("loan_id", "party_id", "role").unique(["loan_id", "party_id"], keep="first", maintain_order=True)


def with_base_person(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The loan view with base_party_id: the borrower; for a business the first co-borrower or else guarantor who is a person."""
    kinds = views.people.select("party_id", party_kind="kind")
    liable = links_of(views, view).filter(~pl.col("released")).join(kinds, on="party_id", how="left", maintain_order="left")
    first = (
        liable.filter(pl.col("party_kind").is_in(NATURAL))
        .sort("loan_id", "role", "party_id")
        .group_by("loan_id", maintain_order=True)
        .agg(liable_id=pl.col("party_id").first(), liable_role=pl.col("role").first())
    )
    own = pl.col("borrower_kind").is_in(NATURAL)
    view = view.join(first, on="loan_id", how="left", maintain_order="left").with_columns(
        base_party_id=pl.when(own).then("borrower_id").otherwise("liable_id"), base_role=pl.when(own).then(pl.lit("borrower")).otherwise("liable_role")
    )
    people = views.people.select(base_party_id="party_id", **{f"base_{c}": pl.col(c) for c in _COLUMNS})
    return view.join(people, on="base_party_id", how="left", maintain_order="left").drop("liable_id", "liable_role")


def joint(views: Views, accounts: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """One row for each further person of an account, with person_* columns, the account's keys, ecoa and same_address."""
    links = links_of(views, accounts).select("loan_id", "party_id", "role", "released")
    business = accounts.filter(~pl.col("borrower_kind").is_in(NATURAL) & (pl.col("base_role") == "guarantor"))
    owner = business.select("loan_id", party_id="borrower_id", role=pl.lit("business"), released=pl.lit(False))
    told = person_facts(known, views.as_of)
    users = told.filter(pl.col("fact_ECOACode").is_in(list(lists()["ecoa_of_users"]))).select(
        "loan_id", "party_id", role=pl.lit("user"), released=pl.lit(False)
    )
    rows = pl.concat([links, owner, users]).unique(["loan_id", "party_id"], keep="first", maintain_order=True)
    keys = accounts.select("loan_id", "borrower_id", "as_of", "currency_code", "base_party_id", "base_address", "base_postal_code", "base_district_code")
    people = views.people.select("party_id", **{f"person_{c}": pl.col(c) for c in _COLUMNS})
    rows = (
        keys.join(rows, on="loan_id", how="inner", maintain_order="left")
        .filter(pl.col("party_id") != pl.col("base_party_id"))
        .join(people, on="party_id", how="left", maintain_order="left")
        .join(told, on=["loan_id", "party_id"], how="left", maintain_order="left")
    )
    dead = (pl.col("person_deceased_on") <= pl.col("as_of")).fill_null(False)
    ecoa = (
        pl.when(pl.col("fact_ECOACode").is_not_null())
        .then("fact_ECOACode")
        .when(~pl.col("person_kind").is_in(NATURAL))
        .then(said("role_to_ecoa", "business"))
        .when(pl.col("released"))
        .then(said("role_to_ecoa", "terminated"))
        .when(dead)
        .then(said("role_to_ecoa", "deceased"))
        .when(pl.col("role") == "co_borrower")
        .then(said("role_to_ecoa", "joint"))
        .otherwise(said("role_to_ecoa", "co_maker"))
    )
    rows = rows.with_columns(ecoa=ecoa)
    lives_there = pl.all_horizontal([_same(f"person_{c}", f"base_{c}") for c in ("address", "postal_code", "district_code")])
    return rows.with_columns(same_address=lives_there & (pl.col("ecoa") != said("role_to_ecoa", "business"))).sort(
        "borrower_id", "loan_id", "party_id", nulls_last=True
    )


def _same(a: str, b: str) -> pl.Expr:
    """Whether two texts are the same but for case and blanks; never where one is not known."""
    plain = [pl.col(c).str.to_uppercase().str.replace_all("[^0-9A-Z]", "") for c in (a, b)]
    return (plain[0] == plain[1]).fill_null(False)


def base_ecoa(accounts: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The accounts with base_ecoa, which follows from who else is on them."""
    with_whom = others.group_by("loan_id").agg(
        _joint=(pl.col("ecoa") == said("role_to_ecoa", "joint")).any(), _maker=(pl.col("ecoa") == said("role_to_ecoa", "co_maker")).any()
    )
    dead = (pl.col("base_deceased_on") <= pl.col("as_of")).fill_null(False)
    code = (
        pl.when(pl.col("fact_ECOACode").is_not_null())
        .then("fact_ECOACode")
        .when(dead)
        .then(said("role_to_ecoa", "deceased"))
        .when(pl.col("base_role") == "guarantor")
        .then(said("role_to_ecoa", "co_maker"))
        .when(pl.col("_joint").fill_null(False))
        .then(said("role_to_ecoa", "joint"))
        .when(pl.col("_maker").fill_null(False))
        .then(said("role_to_ecoa", "maker"))
        .otherwise(said("role_to_ecoa", "individual"))
    )
    return accounts.join(with_whom, on="loan_id", how="left", maintain_order="left").with_columns(base_ecoa=code).drop("_joint", "_maker")
