"""What data cannot say of the file: views of accounts and of the people on them, and functions that its SQL calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from mloan_report import __version__
from mloan_report.packs.sql_functions import common_functions
from mloan_report.packs.us_metro2.facts import account_facts, facts, person_facts
from mloan_report.packs.us_metro2.filed import with_filed_history
from mloan_report.packs.us_metro2.lists import lists
from mloan_report.packs.us_metro2.people import base_ecoa, joint, with_base_person
from mloan_report.packs.us_metro2.status import with_status
from mloan_report.packs.us_metro2.terms import with_terms
from mloan_report.packs.views import Views

_FOLD = common_functions()["FOLD_ASCII"]


def _upper(text: pl.Expr) -> pl.Expr:
    """Upper-case printable ASCII, runs of blanks as one."""
    return _FOLD(text).str.to_uppercase().str.replace_all(" +", " ").str.strip_chars(" ")


def _person_name(text: pl.Expr, width: pl.Expr) -> pl.Expr:
    """A name as the bureaus take it: letters, hyphens and blanks; apostrophes and full stops fall away."""
    plain = _upper(text).str.replace_all("['.]", "").str.replace_all("[^A-Z -]", " ")
    return _cut(plain.str.replace_all(" +", " ").str.strip_chars(" "), width)


def _business_name(text: pl.Expr, width: pl.Expr) -> pl.Expr:
    plain = _upper(text).str.replace_all("['.]", "").str.replace_all("[^A-Z0-9& -]", " ")
    return _cut(plain.str.replace_all(" +", " ").str.strip_chars(" "), width)


def _cut(text: pl.Expr, width: pl.Expr) -> pl.Expr:
    return text.str.head(width).str.strip_chars_end(" ")


def _line(text: pl.Expr, width: pl.Expr) -> pl.Expr:
    """Free text of one line: upper-case printable ASCII, cut at *width*."""
    return _cut(_upper(text), width)


def _address_line(text: pl.Expr, number: pl.Expr) -> pl.Expr:
    """Line 1 or 2 of an address in lines of 32, broken between words where it can be."""
    whole = _upper(text)
    first = pl.coalesce(whole.str.extract(r"^(.{1,32})(?: |$)", 1), whole.str.head(32))
    rest = whole.str.slice(first.str.len_chars()).str.strip_chars(" ")
    return pl.when(number == 1).then(first).otherwise(rest.str.head(32).str.strip_chars_end(" "))


def _account_number(text: pl.Expr) -> pl.Expr:
    """A loan's number without signs."""
    return text.str.to_uppercase().str.replace_all("[^A-Z0-9]", "")


def _phone(text: pl.Expr) -> pl.Expr:
    """Ten digits; the 1 before them is the country's."""
    digits = text.str.replace_all("[^0-9]", "").str.replace("^1([0-9]{10})$", "${1}")
    return pl.when(digits.str.contains("^[0-9]{10}$")).then(digits)


def _zip(text: pl.Expr) -> pl.Expr:
    """Five or nine digits without a hyphen; anything else as it is, for the rules to find."""
    digits = text.str.replace_all("[^0-9]", "")
    return pl.when(digits.str.contains("^([0-9]{5}|[0-9]{9})$")).then(digits).otherwise(_upper(text))


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "CUT": lambda n, d: n.cast(pl.Int64).floordiv(d.cast(pl.Int64)),
    "CONTAINS": lambda text, part: text.str.contains(part, literal=True),
    "PERSON_NAME": _person_name,
    "BUSINESS_NAME": _business_name,
    "LINE": _line,
    "ADDRESS_LINE": _address_line,
    "ACCOUNT_NUMBER": _account_number,
    "PHONE": _phone,
    "ZIP": _zip,
    "SOFTWARE_VERSION": lambda: pl.lit(__version__[:5]),
    "HISTORY_OF": lambda status: status.replace_strict(
        {k: v for k, v in lists()["status_to_history"].items() if len(v) == 1 and len(k) == 2}, default=None, return_dtype=pl.String
    ),
}


def enrich_loan(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The loan view with its person, terms, status, history and date of first delinquency."""
    known = facts(views)
    view = with_base_person(views, view)
    view = with_terms(views, view)
    return with_status(views, view, known)


def view_account(views: Views) -> pl.DataFrame:
    """One row an account: the loan view with what the pack's table says of the account and of the person of its base segment."""
    known = facts(views)
    loans = views.loan.drop("in_scope", "fact_AccountStatus", "fact_since", "fact_rating", strict=False)
    rows = loans.join(account_facts(known, views.as_of), on="loan_id", how="left", maintain_order="left")
    said = person_facts(known, views.as_of).rename({"party_id": "base_party_id"})
    rows = rows.join(said, on=["loan_id", "base_party_id"], how="left", maintain_order="left")
    rows = with_filed_history(views, base_ecoa(rows, joint(views, rows, known)))
    rows = rows.with_columns(
        made_at=pl.lit(views.made_at, pl.Datetime("us")),
        given_first_delinquency_on=pl.col("fact_DateFirstDelinquency").str.to_date("%Y-%m-%d", strict=False),
    )
    _note_unknown_loans(views)
    _note_accounts(views, rows, known)
    _note_people(views, rows, "base")
    return rows


def view_joint(views: Views) -> pl.DataFrame:
    """One row for each further person on an account."""
    rows = joint(views, views.view("account"), facts(views))
    _note_people(views, rows, "person")
    return rows


def _note(views: Views, rows: pl.DataFrame, rule: str, field: str, where: pl.Expr, **shown: pl.Expr) -> None:
    """A finding of the pack's own *rule* for each account where something had to be decided; it shows nothing personal."""
    if views.findings is None:
        return
    hit = rows.filter(where.fill_null(False)).select("loan_id", **shown)
    about = views.pack.layout_codes.rules[rule]
    for row in hit.iter_rows(named=True):
        args: dict[str, Any] = {k: v for k, v in row.items() if k != "loan_id"}
        finding = about.finding(table="base", field=field, loan_id=row["loan_id"], record="base", **args)
        if finding not in views.findings:
            views.findings.append(finding)


def _note_unknown_loans(views: Views) -> None:
    loans = views.portfolio.table("loans").select("loan_id")
    about = views.pack.layout_codes.rules["M2-P011"]
    for loan in views.own_table("us_metro2_facts").join(loans, on="loan_id", how="anti")["loan_id"].drop_nulls().unique().sort().to_list():
        finding = about.finding(table="us_metro2_facts", field="loan_id", value=loan)
        if views.findings is not None and finding not in views.findings:
            views.findings.append(finding)


def _note_accounts(views: Views, rows: pl.DataFrame, known: pl.DataFrame) -> None:
    no_date = (pl.col("field") == "DateFirstDelinquency") & pl.col("value").str.to_date("%Y-%m-%d", strict=False).is_null()
    unknown = ~pl.col("field").is_in(list(lists()["fact_field"])) | no_date
    _note(views, known.join(rows.select("loan_id"), on="loan_id", how="semi"), "M2-P003", "field", unknown, said=pl.col("field"))
    for column, field in {
        "employer": "EmployerName",
        "first_creditor": "OriginalCreditorName",
        "bought_from": "PurchasedName",
        "sold_to": "PurchasedName",
    }.items():
        source = pl.col("borrower_employer_name") if column == "employer" else pl.col(column)
        _note(views, rows, "M2-P008", field, _upper(source).str.len_chars() > 30, name=pl.lit(field), width=pl.lit(30))
    frequency = pl.col("repayment_frequency")
    _note(views, rows, "M2-P004", "TermsFrequency", frequency.is_in(["daily", "irregular"]) & ~pl.col("is_line"), frequency=frequency)
    single = (frequency == "at_maturity") & pl.lit(views.settings.get("single_payment") == "zero")
    _note(views, rows, "M2-P005", "ScheduledMonthlyPaymentAmount", single)
    needs = pl.col("account_status").is_in(list(lists()["status_needs_dofd"]))
    _note(views, rows, "M2-P006", "DateFirstDelinquency", needs & pl.col("by_event"))
    _note(views, rows, "M2-P010", "ConsumerInformationIndicator", pl.col("borrower_bankrupt") & pl.col("fact_ConsumerInformationIndicator").is_null())


def _note_people(views: Views, rows: pl.DataFrame, who: str) -> None:
    unfoldable = common_functions()["UNFOLDABLE"]
    widths = {"family_name": ("Surname", 25), "given_name": ("FirstName", 20), "middle_name": ("MiddleName", 20), "district_code": ("City", 20)}
    for column, (field, width) in widths.items():
        text = pl.col(f"{who}_{column}")
        _note(views, rows, "M2-P007", field, unfoldable(text), name=pl.lit(field))
        _note(views, rows, "M2-P008", field, _upper(text).str.len_chars() > width, name=pl.lit(field), width=pl.lit(width))
    address = pl.col(f"{who}_address")
    _note(views, rows, "M2-P007", "FirstLineAddress", unfoldable(address), name=pl.lit("FirstLineAddress"))
    both = [_address_line(address, pl.lit(n)).str.len_chars() for n in (1, 2)]
    cut = _upper(address).str.len_chars() > both[0] + both[1] + (both[1] > 0).cast(pl.UInt32)
    _note(views, rows, "M2-P008", "SecondLineAddress", cut, name=pl.lit("SecondLineAddress"), width=pl.lit(32))
    _note(views, rows, "M2-P009", "SocialSecurityNumber", pl.col(f"{who}_id_us_ssn").str.starts_with("9"))
