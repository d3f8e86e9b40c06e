"""Identity numbers: each part's failure is its own finding; compared with sex and birth date of the holder's row."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mloan_report.checks.engine import Book, Broken, check
from mloan_report.identity import check_column, read_holder, scheme_for
from mloan_report.model.finding import Rule

OTHER_SCHEMES = ("passport", "other", "cn.passport", "lei_pending")


def _failing(book: Book, part: str, *, soft: bool) -> Iterator[Broken]:
    for rows, parts in book.once("identifiers by scheme", lambda: list(_by_scheme(book))):
        if part in parts and parts[part][0] == soft:
            yield Broken("identifiers", rows.filter(parts[part][1]), "value", {"scheme": "scheme"})


def _by_scheme(book: Book) -> Iterator[tuple[pl.DataFrame, dict[str, tuple[bool, pl.Series]]]]:
    """The numbers of each scheme that is known, with the parts that fail."""
    table = book.table("identifiers").filter(pl.col("value").is_not_null() & pl.col("scheme").is_not_null())
    for scheme in table["scheme"].unique(maintain_order=True).to_list():
        rows = table.filter(pl.col("scheme") == scheme)
        try:
            yield rows, check_column(scheme, rows["value"])
        except KeyError:
            continue


_WHY = "A number that does not follow its rule is refused by every bureau that checks it, or reports the loan on somebody else."
_FIX = "Compare with the document and correct the number."


@check(Rule("IDN-001", "error", "An identity number of the wrong length", "{scheme} {value} has not the length of its scheme.", _WHY, _FIX))
def wrong_length(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "length", soft=False)


@check(Rule("IDN-002", "error", "An identity number with wrong characters", "{scheme} {value} has characters that its scheme does not have.", _WHY, _FIX))
def wrong_characters(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "characters", soft=False)


@check(Rule("IDN-003", "error", "An identity number whose date does not exist", "{scheme} {value} holds a date that is not in the calendar.", _WHY, _FIX))
def wrong_date(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "date", soft=False)


@check(Rule("IDN-004", "error", "An identity number whose check digit does not hold", "{scheme} {value}: the check digit does not hold.", _WHY, _FIX))
def wrong_check_digit(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "check_digit", soft=False)


@check(
    Rule(
        "IDN-005",
        "warning",
        "An identity number of an unknown place",
        "{scheme} {value} begins with a place that the table of places does not have.",
        "Places are added and renamed, so this only asks for a look.",
        _FIX,
        "GB/T 2260",
    )
)
def unknown_place(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "place", soft=True)


@check(
    Rule(
        "IDN-006",
        "warning",
        "An identity number whose check digit looks wrong",
        "{scheme} {value}: the check digit does not hold by the rule as far as it is known.",
        "The rule of this scheme has one public source, or published samples fail it.",
        _FIX,
        "see docs/identity",
    )
)
def doubtful_check_digit(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "check_digit", soft=True)


@check(
    Rule(
        "IDN-007",
        "warning",
        "A number of the old form",
        "{scheme} {value} is of the old 15-digit form, whose cards stopped being valid in 2013.",
        "Bureaus take 18 digits only.",
        "Ask for the 18-digit number.",
        "GB 11643-1989",
    )
)
def old_form(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "old_form", soft=True)


@check(
    Rule(
        "IDN-008",
        "warning",
        "A social credit code whose organisation part does not hold",
        "{scheme} {value}: positions 9 to 17 do not hold under GB 11714.",
        "Genuine codes keep the organisation code inside them.",
        _FIX,
        "GB 32100-2015; GB 11714",
    )
)
def organisation_part(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "organisation_part", soft=True)


@check(
    Rule(
        "IDN-009",
        "error",
        "A number of another kind of error",
        "{scheme} {value} is not a valid number of its scheme.",
        _WHY,
        _FIX,
    )
)
def wrong_component(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "component", soft=False)


@check(
    Rule(
        "IDN-010",
        "warning",
        "A scheme that nobody knows",
        "The scheme {value} is neither ours nor a module of python-stdnum: its numbers are not checked.",
        "An unchecked number may be anything.",
        "Use the scheme's name as docs/identity lists it.",
    )
)
def unknown_scheme(book: Book) -> Iterator[Broken]:
    table = book.table("identifiers").filter(pl.col("scheme").is_not_null() & ~pl.col("scheme").is_in(OTHER_SCHEMES))
    unknown = [s for s in table["scheme"].unique().to_list() if not _known(s)]
    yield Broken("identifiers", table.filter(pl.col("scheme").is_in(unknown)), "scheme")


def _known(scheme: str) -> bool:
    if scheme in ("sv.niu", "sv.isss", "sv.residence"):
        return True
    try:
        scheme_for(scheme)
    except KeyError:
        return False
    return True


def _holders(book: Book) -> pl.DataFrame:
    people = pl.concat(
        [
            book.table("borrowers").select("borrower_id", "sex", "born_on").rename({"borrower_id": "party_id"}),
            book.table("parties").select("party_id", "sex", "born_on"),
        ]
    )
    table = book.table("identifiers").filter(pl.col("value").is_not_null())
    parts = []
    for scheme in table["scheme"].drop_nulls().unique(maintain_order=True).to_list():
        rows = table.filter(pl.col("scheme") == scheme)
        try:
            told = read_holder(scheme, rows["value"])
        except KeyError:
            continue
        if told is not None:
            parts.append(rows.with_columns(told_born=told["born_on"], told_sex=told["sex"]))
    if not parts:
        return pl.DataFrame()
    return pl.concat(parts).join(people.unique("party_id"), on="party_id", how="inner", maintain_order="left")


@check(
    Rule(
        "IDN-011",
        "error",
        "Birth date and identity number disagree",
        "{scheme} {value} says another birth date than the holder's row.",
        "One of the two is wrong, and the bureau checks both.",
        "Compare with the document.",
        "GB 11643",
    )
)
def birth_mismatch(book: Book) -> Iterator[Broken]:
    held = _holders(book)
    if held.height:
        yield Broken("identifiers", held.filter(pl.col("told_born") != pl.col("born_on")), "value", {"scheme": "scheme"})


@check(
    Rule(
        "IDN-012",
        "error",
        "Sex and identity number disagree",
        "{scheme} {value} says another sex than the holder's row ({sex}).",
        "One of the two is wrong, and the bureau checks both.",
        "Compare with the document.",
        "GB 11643",
    )
)
def sex_mismatch(book: Book) -> Iterator[Broken]:
    held = _holders(book)
    if held.height:
        known = pl.col("sex").is_in(["male", "female"])
        yield Broken("identifiers", held.filter(known & (pl.col("told_sex") != pl.col("sex"))), "value", {"scheme": "scheme", "sex": "sex"})


@check(
    Rule(
        "IDN-013",
        "warning",
        "A bank card number that does not hold",
        "Card {value}: the check digit (Luhn) does not hold, or the length is wrong.",
        "Repayments by this card would fail.",
        "Ask for the card again.",
        "ISO/IEC 7812-1",
    )
)
def bank_card(book: Book) -> Iterator[Broken]:
    cards = book.table("bank_accounts").filter((pl.col("kind") == "card") & pl.col("number").is_not_null())
    if cards.height:
        parts = check_column("bank_card", cards["number"])
        bad = parts["length"][1] | parts["characters"][1] | parts["check_digit"][1]
        yield Broken("bank_accounts", cards.filter(bad), "number")


@check(
    Rule(
        "IDN-014",
        "warning",
        "A Chinese mobile number that does not hold",
        "Phone {value} is not a mobile number of mainland China.",
        "The bureau's field takes 11 digits beginning 13 to 19.",
        "Correct the number, or leave it empty.",
        "MIIT numbering plan",
        "knowledge",
    )
)
def chinese_mobile(book: Book) -> Iterator[Broken]:
    for name in ("borrowers", "parties"):
        rows = book.table(name).filter((pl.col("residence_country") == "CN") & pl.col("phone").is_not_null() & ~pl.col("kind").is_in(["legal_entity", "group"]))
        if rows.height:
            parts = check_column("cn.mobile", rows["phone"])
            yield Broken(name, rows.filter(parts["length"][1] | parts["characters"][1] | parts["prefix"][1]), "phone")


@check(
    Rule(
        "IDN-015",
        "warning",
        "An identity number whose date part is no date",
        "{scheme} {value} holds digits that are no date where a date is expected.",
        "The rule of that part has one source only, so this asks for a look.",
        _FIX,
        certainty="knowledge",
    )
)
def doubtful_date(book: Book) -> Iterator[Broken]:
    yield from _failing(book, "date", soft=True)
