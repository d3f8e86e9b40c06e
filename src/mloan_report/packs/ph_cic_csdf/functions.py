"""What data cannot say of the CSDF: subjects with their numbers in slots, one contract record a subject, guarantee blocks, and the own tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from csv import DictReader
from functools import cache
from pathlib import Path

import polars as pl

from mloan_report.layout.text import divided
from mloan_report.packs.views import Views
from mloan_report.portfolio.sameness import plain_number
from mloan_report.portfolio.sql import MACROS
from mloan_report.portfolio.typing import ROW

SLOTS = 6
"""Guarantees and linked subjects that one contract record has room for."""
DOCUMENT = ("type", "number", "issue_date", "issue_country", "expiry_date")
GUARANTEE: Mapping[str, pl.DataType] = {
    "no": pl.String(),
    "guarantor_subject_no": pl.String(),
    "guarantor_name": pl.String(),
    "guaranteed_amount": pl.Int64(),
    "currency": pl.String(),
    "validity_start_date": pl.Date(),
    "validity_end_date": pl.Date(),
    "guarantee_type": pl.String(),
    "asset_description": pl.String(),
    "asset_location": pl.String(),
    "asset_appraised_value": pl.Int64(),
    "customer_type": pl.String(),
}


def _units(amount: pl.Expr, digits: pl.Expr, how: pl.Expr) -> pl.Expr:
    """An amount in minor units as whole units, rounded as the setting says."""
    unit = digits.cast(pl.Int64).replace_strict(list(range(5)), [10**n for n in range(5)], return_dtype=pl.Int64)
    value = amount.cast(pl.Int64)
    other = pl.when(how == "down").then(divided("down")(value, unit)).otherwise(divided("half_even")(value, unit))
    return pl.when(how == "half_up").then(divided("half_up")(value, unit)).otherwise(other)


def _age_refused(on: pl.Expr, born: pl.Expr) -> pl.Expr:
    """Whether someone is on a day younger or older, in full years, than the list ``age`` lets file."""
    least, most = _ages()
    months = MACROS["MONTHS"](on, born)
    return (months < 12 * least) | (months >= 12 * (most + 1))


@cache
def _ages() -> tuple[int, int]:
    """The least and the most full years of the list ``age``."""
    rows = DictReader(Path(__file__).with_name("codes").joinpath("lists.csv").read_text(encoding="utf-8").splitlines())
    limits = {r["code"]: int(r["label_en"]) for r in rows if r["list"] == "age"}
    return limits["least"], limits["most"]


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "UNITS": _units,
    "AGE_REFUSED": _age_refused,
    "STAMP": lambda text: text.str.to_datetime("%Y%m%d%H%M%S", strict=False).dt.date(),
    "SAME_AS": lambda *values: pl.struct([v.alias(str(i)) for i, v in enumerate(values)]).hash(4),
}


# Loans


def enrich_loan(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The loan view with what falls due and is unpaid, the day applied for, sold or refinanced, and the user's tables of products and goods."""
    loans = view.select("loan_id", "as_of")
    for block in (_instalments(views, view), _sold(views, loans), _refinanced_away(views, loans)):
        view = view.join(block, on=["loan_id", "as_of"], how="left", maintain_order="left")
    applied = views.portfolio.table("applications").select("application_id", "applied_on").drop_nulls().unique("application_id", keep="first")
    goods = views.own_table("ph_cic_csdf_goods").unique("loan_id", keep="first", maintain_order=True)
    lines = views.own_table("ph_cic_csdf_lines").select("facility_id", in_line=pl.lit(True)).unique("facility_id")
    products = views.own_table("ph_cic_csdf_products").unique("product", keep="first", maintain_order=True)
    named = products["product"].drop_nulls().implode()
    known = pl.when(pl.col("product_code").is_in(named)).then("product_code").otherwise("product")
    return (
        view.join(applied, on="application_id", how="left", maintain_order="left")
        .join(goods, on="loan_id", how="left", maintain_order="left")
        .join(lines, on="facility_id", how="left", maintain_order="left")
        .with_columns(_product=known)
        .join(products.rename({"product": "_product"}), on="_product", how="left", maintain_order="left")
        .drop("_product")
        .with_columns(
            pl.col("unpaid_instalments", "unpaid_amount", "due_today_number", "due_today_amount", "fallen_due").fill_null(0),
            pl.col("refinanced_away", "in_line").fill_null(False),
        )
    )


def _instalments(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Of the schedule in force: what is unpaid, what falls due on the reference date itself, and the instalment that the monthly payment is taken from."""
    whole = pl.col("principal") + pl.col("interest") + pl.col("fees")
    rows = views.positions.items.filter("is_instalment").with_columns(
        whole=whole, left=whole - pl.col("principal_paid") - pl.col("interest_paid") - pl.col("fees_paid")
    )
    unpaid, today = pl.col("left") > 0, pl.col("due_on") == pl.col("as_of")
    next_one = pl.col("whole").filter((pl.col("due_on") > pl.col("as_of")) & unpaid).first()
    return (
        rows.sort("loan_id", "as_of", "due_on", "number")
        .group_by("loan_id", "as_of", maintain_order=True)
        .agg(
            unpaid_instalments=unpaid.sum().cast(pl.Int64),
            unpaid_amount=pl.col("left").sum(),
            due_today_number=(unpaid & today).sum().cast(pl.Int64),
            due_today_amount=pl.col("left").filter(today).sum(),
            fallen_due=(pl.col("due_on") <= pl.col("as_of")).sum().cast(pl.Int64),
            first_scheduled_on=pl.col("due_on").min(),
            scheduled_total=pl.col("whole").sum(),
            instalment_due=pl.coalesce(next_one, pl.col("whole").last()),
        )
    )


def _sold(views: Views, loans: pl.DataFrame) -> pl.DataFrame:
    sales = views.portfolio.table("transfers").filter(pl.col("direction") == "out").select("loan_id", "transferred_on")
    dated = sales.join(loans, on="loan_id").filter(pl.col("transferred_on") <= pl.col("as_of"))
    return dated.group_by("loan_id", "as_of").agg(sold_on=pl.col("transferred_on").max())


def _refinanced_away(views: Views, loans: pl.DataFrame) -> pl.DataFrame:
    paid = views.portfolio.table("disbursements").filter(pl.col("refinanced_loan_id").is_not_null() & pl.col("reverses_id").is_null())
    dated = paid.select("paid_on", loan_id="refinanced_loan_id").join(loans, on="loan_id").filter(pl.col("paid_on") <= pl.col("as_of"))
    return dated.select("loan_id", "as_of", refinanced_away=pl.lit(True)).unique()


# Subjects


def view_subjects(views: Views) -> pl.DataFrame:
    """Everybody in the portfolio as the CSDF names them, and whether what is known of them suffices for a record of their own."""
    own = views.own_table("ph_cic_csdf_subjects").unique("party_id", keep="first", maintain_order=True)
    people = views.people.drop([c for c in own.columns if c != "party_id" and c in views.people.columns])
    people = people.join(own, on="party_id", how="left", maintain_order="left")
    for prefix, scheme_map, count in (("identification", "map_identification.csv", 3), ("id", "map_id_document.csv", 3)):
        people = people.join(_numbers(views, prefix, scheme_map, count), on="party_id", how="left", maintain_order="left")
    further = views.settings["middle_name_from"] == "second_family_name"
    given = pl.concat_str("given_name", "middle_name", separator=" ", ignore_nulls=True) if further else pl.col("given_name")
    people = people.with_columns(
        first_name=pl.when(pl.col("given_name").is_not_null()).then(given),
        ph_middle_name=pl.col("second_family_name") if further else pl.col("middle_name"),
        last_name=pl.coalesce("married_name", "family_name"),
        previous_last_name=pl.coalesce("previous_last_name", pl.when(pl.col("married_name").is_not_null()).then("family_name")),
        second_is_first=pl.col("mailing_address").is_null() & pl.col("address_2_city").is_null(),
        **_contacts(),
    )
    tin = pl.coalesce([pl.when(pl.col(f"identification_{n}_type") == "10").then(f"identification_{n}_number") for n in (1, 2, 3)])
    return views.finished(people.with_columns(tin=tin)).with_columns(suffices=_suffices(views))


def _numbers(views: Views, prefix: str, scheme_map: str, count: int) -> pl.DataFrame:
    """party_id with *count* slots of numbers, in the order of the map, each type once."""
    text = views.pack.folder.joinpath("codes", scheme_map).read_text(encoding="utf-8")
    kinds = pl.DataFrame([(r["value"], r["code"], i) for i, r in enumerate(DictReader(text.splitlines()))], ["scheme", "type", "order"], orient="row")
    table = views.portfolio.table("identifiers").filter(pl.col("value").is_not_null() & (pl.col("status").fill_null("current") == "current"))
    table = table.with_columns(pl.col("is_primary").fill_null(False)).join(kinds, on="scheme", how="inner")
    table = table.sort("party_id", "order", "is_primary", descending=[False, False, True], nulls_last=True)
    table = table.unique(["party_id", "type"], keep="first", maintain_order=True).select(
        "party_id", "type", number=plain_number("value"), issue_date="issued_on", issue_country="issuing_country", expiry_date="expires_on"
    )
    return _in_slots(table, ["party_id"], prefix, DOCUMENT if prefix == "id" else DOCUMENT[:2], count)


def _in_slots(rows: pl.DataFrame, key: Sequence[str], prefix: str, columns: Sequence[str], count: int) -> pl.DataFrame:
    """*rows* (in order) side by side for each key: ``<prefix>_<n>_<column>``."""
    ranked = rows.with_columns(_n=pl.int_range(pl.len()).over(list(key)))
    out = ranked.select(key).unique(maintain_order=True)
    for n in range(count):
        one = ranked.filter(pl.col("_n") == n).select(*key, *(pl.col(c).alias(f"{prefix}_{n + 1}_{c}") for c in columns))
        out = out.join(one, on=list(key), how="left", maintain_order="left")
    return out


def _contacts() -> dict[str, pl.Expr]:
    """The first two of phone (a mobile number by its shape), e-mail address and home phone, each with its type."""
    phone, home = (pl.col(c).str.replace_all(r"[-+ ().]", "") for c in ("phone", "home_phone"))
    mobile = phone.str.contains("^(09[0-9]{9}|63[0-9]{10})$")
    listed = pl.concat_list(
        pl.when(mobile).then(pl.lit("3|")).otherwise(pl.lit("1|")) + phone,
        pl.lit("7|") + pl.col("email"),
        pl.when(mobile).then(pl.lit("1|")).otherwise(pl.lit("2|")) + home,
    ).list.drop_nulls()
    out: dict[str, pl.Expr] = {}
    for n in (1, 2):
        both = listed.list.get(n - 1, null_on_oob=True)
        out |= {f"contact_{n}_type": both.str.head(1), f"contact_{n}_value": both.str.slice(2)}
    return out


def _suffices(views: Views) -> pl.Expr:
    """Whether a record of this person or firm would lack nothing that the bureau requires."""
    given = [pl.col("contact_1_type").is_not_null(), pl.col("address").is_not_null() | pl.col("address_1_city").is_not_null()]
    types = [pl.col(f"identification_{n}_type") for n in (1, 2, 3)]
    primary = list(views.pack.codes["primary_identification"].codes)
    needed = ["first_name", "last_name"] + (["place_of_birth", "nationality"] if views.settings["filer_type"] != "MFI" else [])
    person = [pl.col(c).is_not_null() for c in needed] + [
        pl.col("gender_code").is_in(["M", "F"]),
        ~_age_refused(pl.lit(views.as_of), pl.col("born_on")),
        pl.any_horizontal([t.is_in(primary).fill_null(False) for t in types]) | (views.settings["missing_primary_id"] == "warning"),
        (pl.coalesce("civil_status", "civil_status_code").fill_null("") != "") | (views.settings["missing_civil_status"] == "warning"),
    ]
    whole = pl.all_horizontal([c.fill_null(False) for c in [*given, *person]])
    firm = pl.all_horizontal([c.fill_null(False) for c in [*given, pl.col("tin").is_not_null()]])
    return pl.when(pl.col("kind") == "legal_entity").then(firm).when(pl.col("kind") == "group").then(False).otherwise(whole)


def enrich_person(views: Views, frame: pl.DataFrame) -> pl.DataFrame:
    """Everyone the filing names, as the CSDF names them."""
    subjects = views.view("subjects")
    return frame.join(subjects.drop([c for c in frame.columns if c != "party_id"], strict=False), on="party_id", how="left", maintain_order="left")


def _known_subjects(views: Views) -> pl.DataFrame:
    """party_id, whether a record of theirs is in the filing, name, residence."""
    borrowers = views.loan["borrower_id"].implode()
    filed = pl.col("suffices") | (pl.col("party_id").is_in(borrowers) & (pl.col("kind") != "group"))
    return views.view("subjects").select("party_id", "name", "residence_country", is_subject=filed.fill_null(False))


def enrich_relation(views: Views, frame: pl.DataFrame) -> pl.DataFrame:
    """Relations, with whether the related person has a record in the filing; one a pair and role."""
    known = _known_subjects(views).select("party_id", party_is_subject="is_subject")
    return frame.join(known, on="party_id", how="left", maintain_order="left").unique(["borrower_id", "party_id"], keep="first", maintain_order=True)


# Contracts


def view_contract_party(views: Views) -> pl.DataFrame:
    """One row a loan and subject: the borrower with guarantee and linked-subject blocks, co-borrowers and guarantors as the setting joint_parties says."""
    loans = views.loan.drop("in_scope", strict=False).filter(~pl.col("in_line"))
    known = _known_subjects(views)
    links = views.view("guarantor").select("loan_id", "party_id", "role", "guarantee_amount", "guaranteed_from_on", "guarantee_contract_no", "borrower_id")
    links = links.filter(pl.col("party_id") != pl.col("borrower_id")).sort("loan_id", "role", "party_id")
    links = links.unique(["loan_id", "party_id"], keep="first", maintain_order=True).join(known, on="party_id", how="left", maintain_order="left")
    own_record = pl.col("is_subject").fill_null(False) & (views.settings["joint_parties"] == "records")
    inside = links.filter(~own_record)
    borrower = loans.with_columns(subject_no=pl.col("borrower_id"), subject_role=pl.lit("B"))
    for block in (_guarantees(views, loans, inside, known), _linked(views, inside)):
        borrower = borrower.join(block, on="loan_id", how="left", maintain_order="left")
    roles = pl.col("role").replace_strict({"co_borrower": "C", "guarantor": "G"}, return_dtype=pl.String)
    others = links.filter(own_record).select("loan_id", subject_no="party_id", subject_role=roles)
    joint = others.join(loans, on="loan_id", how="inner", maintain_order="left")
    return pl.concat([borrower, joint], how="diagonal").sort("borrower_id", "loan_id", "subject_role", "subject_no")


def _guarantees(views: Views, loans: pl.DataFrame, inside: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Guarantee blocks of each loan: its collateral, and guarantors without a record of their own; the six largest."""
    codes = next(m.values for m in views.pack.maps if m.into == "guarantee_code")
    mine = loans.select("loan_id", "borrower_id", "currency_code", "disbursed_principal")
    things = views.portfolio.table("collateral").filter(~pl.col("status").is_in(["released", "sold"]).fill_null(False)).drop(ROW)
    pledged = views.portfolio.table("collateral_links").drop(ROW).rename({"contract_no": "link_no"})
    real = (
        pledged.join(things.rename({"currency_code": "thing_currency"}), on="collateral_id", how="inner", maintain_order="left")
        .join(mine, on="loan_id", how="inner", maintain_order="left")
        .with_columns(party_id=pl.coalesce("owner_id", "borrower_id"))
        .join(known, on="party_id", how="left", maintain_order="left")
        .select(
            "loan_id",
            no=pl.coalesce("link_no", "collateral_id"),
            **_named(),
            guaranteed_amount=pl.coalesce("allocated_value", "value"),
            currency=pl.coalesce("thing_currency", "currency_code"),
            validity_start_date="from_on",
            validity_end_date="to_on",
            guarantee_type=pl.col("kind").replace_strict(codes, default=None, return_dtype=pl.String),
            asset_description="description",
            asset_appraised_value="value",
        )
    )
    personal = (
        inside.filter(pl.col("role") == "guarantor")
        .join(mine.drop("borrower_id"), on="loan_id", how="inner", maintain_order="left")
        .select(
            "loan_id",
            no="guarantee_contract_no",
            **_named(),
            guaranteed_amount=pl.coalesce("guarantee_amount", "disbursed_principal"),
            currency="currency_code",
            validity_start_date="guaranteed_from_on",
            guarantee_type=pl.lit("100"),
            customer_type=pl.when(pl.col("residence_country") == "PH").then(pl.lit("D")).when(pl.col("residence_country").is_not_null()).then(pl.lit("F")),
        )
    )
    both = pl.concat([pl.DataFrame(schema={"loan_id": pl.String, **GUARANTEE}), real, personal], how="diagonal")
    both = both.sort("loan_id", "guaranteed_amount", "no", descending=[False, True, False], nulls_last=True)
    _report_more(views, both)
    return _in_slots(both, ["loan_id"], "guarantee", list(GUARANTEE), SLOTS)


def _named() -> dict[str, pl.Expr]:
    """The guarantor by number where a record of theirs is in the filing, else by name."""
    filed = pl.col("is_subject").fill_null(False)
    return {"guarantor_subject_no": pl.when(filed).then("party_id"), "guarantor_name": pl.when(~filed).then("name")}


def _linked(views: Views, inside: pl.DataFrame) -> pl.DataFrame:
    """Linked-subject blocks of each loan: co-borrowers without a record of their own."""
    filed = pl.col("is_subject").fill_null(False)
    rows = inside.filter(pl.col("role") == "co_borrower").select(
        "loan_id", subject_no=pl.when(filed).then("party_id"), role=pl.lit("C"), name=pl.when(~filed).then("name")
    )
    _report_more(views, rows)
    return _in_slots(rows, ["loan_id"], "linked_subject", ["subject_no", "role", "name"], SLOTS)


def _report_more(views: Views, rows: pl.DataFrame) -> None:
    many = rows.group_by("loan_id", maintain_order=True).len().filter(pl.col("len") > SLOTS)
    for loan, count in many.rows():
        _report(views, "PH_CIC_CSDF-028", key=loan, loan_id=loan, value=str(count))


def _report(views: Views, rule: str, **args: str) -> None:
    finding = views.pack.layout_codes.rules[rule].finding(**args)
    if views.findings is not None and finding not in views.findings:
        views.findings.append(finding)


# What stands in the pack's own tables


def _customers(views: Views) -> pl.DataFrame:
    """borrower_id with the loans of the filing that they have."""
    by_loan = views.loan.filter(pl.col("borrower_kind") != "group").group_by("borrower_id", maintain_order=True)
    return by_loan.agg(_links=pl.col("loan_id").unique().sort(), branch_id=pl.col("branch_id").first())


def _of_customers(views: Views, table: str, column: str = "borrower_id") -> pl.DataFrame:
    """An own table with the customers' loans; rows of others are named and left out."""
    name = f"ph_cic_csdf_{table}"
    customers = _customers(views).rename({"borrower_id": column})
    rows = views.own_table(name)
    for (other,) in rows.join(customers, on=column, how="anti").select(column).unique(maintain_order=True).rows():
        _report(views, "PH_CIC_CSDF-029", table=name, value=str(other))
    return rows.join(customers, on=column, how="inner", maintain_order="left").with_columns(as_of=pl.lit(views.as_of))


def view_card(views: Views) -> pl.DataFrame:
    """Cards and revolving credit of the table ph_cic_csdf_cards."""
    return _of_customers(views, "cards").sort("borrower_id", "provider_contract_no")


def view_service(views: Views) -> pl.DataFrame:
    """Service and utility contracts of the table ph_cic_csdf_services."""
    return _of_customers(views, "services").sort("borrower_id", "provider_contract_no")


def view_event(views: Views) -> pl.DataFrame:
    """Negative events of the table ph_cic_csdf_events, and the death of a borrower (code U)."""
    own = _of_customers(views, "events", "party_id")
    dead = views.portfolio.table("borrowers").filter(pl.col("deceased_on") <= pl.lit(views.as_of)).select(party_id="borrower_id", event_date="deceased_on")
    dead = dead.join(_customers(views).rename({"borrower_id": "party_id"}), on="party_id", how="inner", maintain_order="left").with_columns(
        event_code=pl.lit("U"), event_detail=pl.lit("DECEASED"), as_of=pl.lit(views.as_of)
    )
    new = dead.join(own, on=["party_id", "event_code"], how="anti")
    return pl.concat([own, new], how="diagonal").sort("party_id", "event_code")


def view_line(views: Views) -> pl.DataFrame:
    """Facilities that the table ph_cic_csdf_lines files as non-instalment contracts, with what is drawn on them."""
    drawn = (
        views.loan.filter("in_line")
        .group_by("facility_id", maintain_order=True)
        .agg(
            _links=pl.col("loan_id").unique().sort(),
            branch_id=pl.col("branch_id").first(),
            drawn=pl.col("claim_principal").sum(),
            overdue_drawn=(pl.col("overdue_principal") + pl.col("overdue_interest") + pl.col("overdue_fees")).sum(),
            last_paid_on=pl.col("last_paid_on").max(),
        )
    )
    facilities = views.portfolio.table("facilities").drop(ROW).unique("facility_id", keep="first", maintain_order=True)
    rows = views.own_table("ph_cic_csdf_lines").unique("facility_id", keep="first", maintain_order=True)
    for (other,) in rows.join(drawn, on="facility_id", how="anti").select("facility_id").rows():
        _report(views, "PH_CIC_CSDF-029", table="ph_cic_csdf_lines", value=str(other))
    ended = pl.min_horizontal("cancelled_on", "to_on")
    is_over = ((ended <= pl.lit(views.as_of)) & (pl.col("drawn") == 0)).fill_null(False)
    return (
        rows.join(facilities, on="facility_id", how="inner", maintain_order="left")
        .join(drawn, on="facility_id", how="inner", maintain_order="left")
        .with_columns(
            as_of=pl.lit(views.as_of),
            phase=pl.when(is_over).then(pl.lit("CL")).otherwise(pl.lit("AC")),
            actual_end=pl.when(is_over).then(ended),
        )
        .sort("borrower_id", "facility_id")
    )
