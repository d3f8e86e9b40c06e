"""US accounts for the bureaus: statuses, histories, dates and amounts of loans whose figures were worked out by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mloan_report.filing import build, check_files
from mloan_report.filing.building import BuildResult
from mloan_report.filing.checking import CheckResult
from mloan_report.filing.ledger import SqliteLedger
from mloan_report.packs import packs
from mloan_report.portfolio import read_portfolio
from mloan_report.testing.pack_examples import examples_of
from mloan_report.testing.sample import make_sample

PACK = "us_metro2"
AS_OF = date(2026, 7, 31)
MADE = datetime(2026, 8, 2, 12, 30, tzinfo=UTC)
INSTITUTION = """name = "Example micro lending"
country = "US"
currency_code = "USD"
time_zone = "UTC"
[contact]
address = "100 Sample Road"
[packs.us_metro2]
identification_number = "EXML0001"
equifax_id = "12345"
"""
PERSON = {
    "kind": "natural_person",
    "name": "Anna Muster",
    "given_name": "Anna",
    "family_name": "Muster",
    "born_on": "1990-05-31",
    "address": "12 Elm Street",
    "postal_code": "44000",
    "region_code": "OH",
    "district_code": "Anytown",
    "phone": "330-555-0111",
}
LOAN = {
    "loan_id": "L1",
    "borrower_id": "B1",
    "product": "personal_consumption",
    "currency_code": "USD",
    "principal": "1200.00",
    "disbursed_on": "2026-01-10",
    "first_due_on": "2026-02-10",
    "matures_on": "2027-01-10",
    "finance_kind": "flat_fee",
    "rate_type": "fixed",
    "repayment_method": "flat",
    "repayment_frequency": "monthly",
    "guarantee_mode": "unsecured",
    "status": "active",
}
"""1,200 dollars in twelve instalments of 100 and 15 of charge, due on the tenth of each month from February."""
Row = dict[str, str]


def month(n: int, day: int = 10) -> str:
    """The day in the n-th month from January 2026."""
    return date(2026 + (n - 1) // 12, (n - 1) % 12 + 1, day).isoformat()


def instalments(loan: str = "L1", first: int = 2, count: int = 12, principal: str = "100.00", interest: str = "15.00") -> list[Row]:
    return [
        {"loan_id": loan, "schedule_version": "1", "number": str(i + 1), "due_on": month(first + i), "principal_due": principal, "interest_due": interest}
        for i in range(count)
    ]


def paid(*days: str, amount: str = "115.00", kind: str = "scheduled", loan: str = "L1") -> list[Row]:
    return [{"repayment_id": f"R{loan}-{d}-{kind}", "loan_id": loan, "paid_on": d, "amount": amount, "kind": kind} for d in days]


def on_time(last: int) -> list[Row]:
    return paid(*(month(n) for n in range(2, last + 1)))


class Filed:
    """A build with its file taken apart by the layout's columns; of many stories in one book, that of one *loan*."""

    def __init__(self, result: BuildResult, loan: str | None = None) -> None:
        self.result, self.loan = result, loan
        self.lines: list[str] = []
        if result.folder is not None:
            self.lines = (result.folder / result.files[0].name).read_bytes().decode("ascii").split("\r\n")

    @property
    def codes(self) -> set[str]:
        return {f.code for f in self.result.findings if self.loan is None or f.loan_id == self.loan}

    def account(self) -> Any:
        found = [x for x in self.lines[1:-2] if self.loan is None or Account(x).ConsumerAccountNumber == self.loan]
        assert len(found) == 1, (self.loan, [f.message for f in self.result.findings if f.severity == "error"])
        return Account(found[0])


class Account:
    def __init__(self, line: str) -> None:
        self.line = line

    def __getattr__(self, name: str) -> str:
        return self.of("base", name, self.line)

    @staticmethod
    def of(record: str, name: str, text: str) -> str:
        for f in csv.DictReader(packs()[PACK].folder.joinpath("records", f"{record}.csv").read_text(encoding="utf-8").splitlines()):
            if f["name"] == name:
                start = int(f["start"]) - 1
                return text[start : start + int(f["length"])].rstrip(" ")
        raise AttributeError(name)

    def segments(self) -> dict[str, list[str]]:
        widths = {"J1": 100, "J2": 200, "K1": 34, "K2": 34, "K3": 40, "K4": 30, "L1": 54, "N1": 146}
        out: dict[str, list[str]] = {}
        rest = self.line[426:]
        while rest:
            tag = rest[:2]
            out.setdefault(tag, []).append(rest[: widths[tag]])
            rest = rest[widths[tag] :]
        return out

    def segment(self, tag: str, name: str, n: int = 0) -> str:
        return self.of(tag, name, self.segments()[tag][n])


DEFAULT: dict[str, list[Row]] = {
    "borrowers": [{"borrower_id": "B1", **PERSON}],
    "identifiers": [{"party_id": "B1", "scheme": "us.ssn", "value": "899-01-0001"}],
    "loans": [LOAN],
    "instalments": instalments(),
}


def book(folder: Path, **tables: list[Row]) -> Path:
    given = {**DEFAULT, **tables}
    path = folder / "book"
    path.mkdir()
    (path / "institution.toml").write_text(INSTITUTION, encoding="utf-8")
    for name, rows in given.items():
        with (path / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(c for r in rows for c in r)), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return path


def filed(folder: Path, settings: dict[str, str] | None = None, as_of: date = AS_OF, **tables: list[Row]) -> Filed:
    return Filed(build(PACK, read_portfolio(book(folder, **tables)), as_of, folder / "out", settings=settings, made_at=MADE, jobs=1))


STORIES: dict[str, dict[str, list[Row]]] = {}
"""The books of tests that ask for one account under the default settings: they are filed as one book."""
_IDS = ("loan_id", "borrower_id", "party_id", "counterparty_id", "collateral_id", "transfer_id", "repayment_id", "charge_id")


def story(**tables: list[Row]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The book of a test; its loan is L1, its borrower B1."""

    def kept(test: Callable[..., None]) -> Callable[..., None]:
        STORIES[test.__name__] = tables
        return test

    return kept


@pytest.fixture(scope="module")
def all_stories(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    """One book of all stories, each with ids of its own, filed once."""
    merged: dict[str, list[Row]] = {}
    for name, tables in STORIES.items():
        mark = f"S{list(STORIES).index(name):02d}"
        for table, rows in {**DEFAULT, **tables}.items():
            merged.setdefault(table, []).extend({c: v + mark if c in _IDS and v else v for c, v in r.items()} for r in rows)
    for n, row in enumerate(merged["identifiers"]):
        row["value"] = row["value"].replace("899-01-0001", f"899-01-{n + 1:04d}")
    folder = tmp_path_factory.mktemp("stories")
    return build(PACK, read_portfolio(book(folder, **merged)), AS_OF, folder / "out", made_at=MADE, jobs=1)


@pytest.fixture
def told(request: pytest.FixtureRequest, all_stories: BuildResult) -> Filed:
    return Filed(all_stories, f"L1S{list(STORIES).index(request.node.originalname):02d}")


def fact(field: str, value: str, since: str = "", person: str = "") -> Row:
    return {"loan_id": "L1", "borrower_id": person, "field": field, "value": value, "from": since, "to": ""}


@story(repayments=on_time(7))
def test_a_loan_paid_on_time_is_current_with_a_month_of_history_for_each_month_since_it_was_opened(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.PaymentRating, a.PaymentHistoryProfile) == ("11", "", "000000" + "B" * 18)
    assert (a.PortfolioType, a.AccountType, a.TermsDuration, a.TermsFrequency) == ("I", "01", "012", "M")
    assert (a.HighestCredit, a.CurrentBalance, a.AmountPastDue) == ("000001200", "000000600", "000000000")
    assert (a.ScheduledMonthlyPaymentAmount, a.ActualPaymentAmount, a.DateLastPayment) == ("000000115", "000000115", "07102026")
    assert (a.DateAccountInformation, a.DateFirstDelinquency, a.DateClosed) == ("07312026", "00000000", "00000000")
    assert (a.Surname, a.FirstName, a.SocialSecurityNumber, a.DateBirth, a.TelephoneNumber) == ("MUSTER", "ANNA", "899010001", "05311990", "3305550111")
    assert (a.FirstLineAddress, a.City, a.State, a.ZipCode, a.ECOACode) == ("12 ELM STREET", "ANYTOWN", "OH", "44000", "1")


@story(repayments=on_time(3))
def test_a_late_loan_has_the_status_of_its_days_and_the_date_on_which_it_was_thirty_days_late(told: Filed) -> None:
    # unpaid since 10 April: 112 days on 31 July, 81 on 30 June, 51 on 31 May, 20 on 30 April
    a = told.account()
    assert (a.AccountStatus, a.PaymentHistoryProfile) == ("80", "210000" + "B" * 18)
    assert (a.AmountPastDue, a.CurrentBalance) == ("000000460", "000001060")
    assert a.DateFirstDelinquency == "05102026"


def test_the_setting_takes_the_due_date_itself(tmp_path: Path) -> None:
    assert filed(tmp_path, {"dofd_basis": "due_date"}, repayments=on_time(3)).account().DateFirstDelinquency == "04102026"


@story(repayments=[*on_time(3), *paid("2026-07-05")])
def test_a_payment_in_part_does_not_move_the_date_while_the_loan_stays_late(told: Filed) -> None:
    # it pays April; May is 82 days late on 31 July and was 51 on 30 June, which was after the payment's month end already 81 by April
    a = told.account()
    assert (a.AccountStatus, a.DateFirstDelinquency, a.PaymentHistoryProfile[:3]) == ("78", "05102026", "210")


@story(repayments=[*on_time(3), *paid("2026-06-15", amount="230.00")])
def test_a_loan_that_was_made_good_at_a_month_end_begins_anew(told: Filed) -> None:
    # April and May paid on 15 June: on 30 June only June is unpaid, 20 days; on 31 July June is 51 days late
    a = told.account()
    assert (a.AccountStatus, a.DateFirstDelinquency, a.PaymentHistoryProfile[:4]) == ("71", "07102026", "0100")


SHORT = {
    "instalments": instalments(count=5),
    "repayments": [*on_time(5), *paid(month(6), amount="114.40")],
    "loans": [LOAN | {"principal": "500.00", "matures_on": "2026-06-10"}],
}
"""Five instalments, of which 0.60 is unpaid since 10 June: 51 days on 31 July."""


@story(**SHORT)
def test_less_than_a_dollar_past_due_is_current(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.AmountPastDue, a.DateFirstDelinquency) == ("11", "000000000", "00000000")


def test_without_the_minimum_such_a_loan_is_late_with_nothing_past_due_and_is_refused(tmp_path: Path) -> None:
    out = filed(tmp_path, {"minimum_past_due": "0"}, **SHORT)
    assert out.result.refused
    assert {f.code for f in out.result.findings if f.severity == "error"} == {"M2-B046"}


FEES = [
    {"charge_id": f"X{n}", "loan_id": "L1", "kind": "service", "payee": "lender", "assessed_on": d, "due_on": d, "amount": "0.99"}
    for n, d in enumerate(("2026-07-28", "2026-07-29"))
]


@story(repayments=on_time(7), charges=FEES)
def test_cents_are_cut_once_from_the_sum(told: Filed) -> None:
    # 1,200.00 - 600.00 + 0.99 + 0.99 of two FEES that have fallen due: 601.98 is 601, not 600
    assert told.account().CurrentBalance == "000000601"


@story(repayments=[*on_time(5), *paid("2026-07-20", amount="920.00", kind="payoff")])
def test_a_loan_paid_off_late_is_13_with_the_rating_of_the_day_before(told: Filed) -> None:
    # June unpaid; on 19 July it was 39 days late; all 920 are paid on 20 July
    a = told.account()
    assert (a.AccountStatus, a.PaymentRating, a.DateFirstDelinquency) == ("13", "1", "07102026")
    assert (a.DateAccountInformation, a.DateClosed, a.CurrentBalance, a.ScheduledMonthlyPaymentAmount) == ("07202026", "07202026", "000000000", "000000000")
    assert a.PaymentHistoryProfile == "000000" + "B" * 18


def test_what_was_paid_off_in_an_earlier_month_is_out_of_scope(tmp_path: Path) -> None:
    out = filed(tmp_path, repayments=[*on_time(5), *paid("2026-06-09", amount="920.00", kind="payoff")])
    assert out.result.refused
    assert {f.code for f in out.result.findings} == {"FIL-004"}


def test_what_was_paid_off_since_the_last_cycle_is_told_with_the_history_and_the_payments_of_its_own_month(tmp_path: Path) -> None:
    # cycles end on the fifteenth; 920 were paid off on 20 June: the newest month of history is May
    rows = [*on_time(5), *paid("2026-06-20", amount="920.00", kind="payoff")]
    a = filed(tmp_path, {"cycle": "15"}, date(2026, 7, 15), repayments=rows).account()
    assert (a.AccountStatus, a.DateAccountInformation, a.CycleIdentifier) == ("13", "06202026", "15")
    assert (a.PaymentHistoryProfile, a.ActualPaymentAmount) == ("00000" + "B" * 19, "000000920")


WRITE_OFF = {"loan_id": "L1", "number": "1", "written_off_on": "2026-06-15", "principal": "1000.00", "interest": "45.50", "claim_kept": "true"}


RECOVERED = [*on_time(3), *paid("2026-07-05", kind="recovery_after_write_off")]


@story(repayments=RECOVERED, write_offs=[WRITE_OFF])
def test_a_charged_off_loan_keeps_amount_and_date_whatever_is_paid_later(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.OriginalChargeOffAmount, a.DateFirstDelinquency) == ("97", "000001045", "05102026")
    assert a.PaymentHistoryProfile == "L10000" + "B" * 18
    assert a.CurrentBalance != "000000000"


@story(repayments=on_time(3), write_offs=[WRITE_OFF | {"written_off_on": "2026-04-20"}])
def test_a_loan_charged_off_before_it_was_late_takes_the_day_of_the_charge_off_with_a_warning(told: Filed) -> None:
    # April is 10 days late on 20 April
    assert (told.account().AccountStatus, told.account().DateFirstDelinquency) == ("97", "04202026")
    assert "M2-P006" in told.codes


RECOVERED_WHOLE = [*on_time(3), *paid("2026-07-15", amount="1150.00", kind="recovery_after_write_off")]


@story(repayments=RECOVERED_WHOLE, write_offs=[WRITE_OFF | {"interest": "0.00"}])
def test_a_charged_off_loan_that_is_paid_is_64(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.OriginalChargeOffAmount, a.CurrentBalance, a.DateClosed) == ("64", "000001000", "000000000", "07152026")
    assert (a.DateFirstDelinquency, a.PaymentHistoryProfile[:2]) == ("05102026", "L1")


@story(repayments=on_time(3), us_metro2_facts=[fact("AccountStatus", "93", "2026-06-20")])
def test_a_collector_is_told_by_the_packs_table_from_the_day_on_which_it_began(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.PaymentRating, a.DateFirstDelinquency, a.PaymentHistoryProfile[:3]) == ("93", "", "05102026", "G10")


def test_a_loan_in_court_is_in_collection_and_62_once_it_is_paid(tmp_path: Path) -> None:
    court = [LOAN | {"court_stage": "filed", "court_filed_on": "2026-06-20"}]
    a = filed(tmp_path, loans=court, repayments=on_time(3)).account()
    assert (a.AccountStatus, a.PaymentHistoryProfile[:3]) == ("93", "G10")
    later = tmp_path / "paid"
    later.mkdir()
    b = filed(later, loans=court, repayments=[*on_time(3), *paid("2026-07-15", amount="1150.00", kind="payoff")]).account()
    assert (b.AccountStatus, b.PaymentRating, b.DateFirstDelinquency) == ("62", "", "05102026")


SALE = {
    "transfer_id": "T1",
    "loan_id": "L1",
    "direction": "out",
    "transferred_on": "2026-07-28",
    "counterparty_id": "P9",
    "counterparty_kind": "fund",
    "share_pct": "100",
    "principal": "700.00",
    "derecognised": "true",
    "servicing_kept": "false",
}
FUND = {"party_id": "P9", "kind": "legal_entity", "name": "Example Debt Fund LP"}


@story(repayments=on_time(6), transfers=[SALE], parties=[FUND])
def test_a_sold_loan_is_05_with_its_buyer(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.PaymentRating, a.SpecialComment, a.CurrentBalance, a.DateClosed) == ("05", "0", "AH", "000000000", "07282026")
    assert (a.segment("K2", "PurchasedIndicator"), a.segment("K2", "PurchasedName")) == ("2", "EXAMPLE DEBT FUND LP")


PURCHASE = {
    "transfer_id": "T1",
    "loan_id": "L1",
    "direction": "in",
    "transferred_on": "2026-04-20",
    "counterparty_id": "P9",
    "counterparty_kind": "bank",
    "share_pct": "100",
    "principal": "900.00",
    "derecognised": "false",
    "servicing_kept": "false",
    "original_creditor": "First Example Bank",
}
BANK = {"party_id": "P9", "kind": "legal_entity", "name": "Second Example Bank"}
BOUGHT = LOAN | {"principal": "900.00"}


@story(loans=[BOUGHT], instalments=instalments(first=5, count=9), repayments=paid(*(month(n) for n in (5, 6, 7))), transfers=[PURCHASE], parties=[BANK])
def test_a_bought_debt_names_its_first_lender(told: Filed) -> None:
    a = told.account()
    assert (a.segment("K1", "OriginalCreditorName"), a.segment("K1", "CreditorClassification")) == ("FIRST EXAMPLE BANK", "08")
    assert (a.segment("K2", "PurchasedIndicator"), a.segment("K2", "PurchasedName")) == ("1", "SECOND EXAMPLE BANK")
    # nothing is known of the months before the purchase
    assert a.PaymentHistoryProfile == "000DDD" + "B" * 18


OTHER = {"party_id": "P1", **PERSON, "name": "Paul Specimen", "given_name": "Paul", "family_name": "Specimen", "born_on": "1985-01-02"}


def link(role: str, party: str = "P1", **more: str) -> Row:
    return {"loan_id": "L1", "party_id": party, "role": role, "from_on": "2026-01-10", **more}


@story(repayments=on_time(7), parties=[OTHER | {"address": "12  ELM STREET"}], loan_parties=[link("co_borrower")])
def test_a_co_borrower_of_the_same_address_is_a_j1_and_joint(told: Filed) -> None:
    a = told.account()
    assert (a.ECOACode, list(a.segments())) == ("2", ["J1"])
    assert (a.segment("J1", "Surname"), a.segment("J1", "ECOACode"), a.segment("J1", "DateBirth")) == ("SPECIMEN", "2", "01021985")


@story(repayments=on_time(7), parties=[OTHER | {"address": "7 Oak Avenue"}], loan_parties=[link("guarantor")])
def test_a_guarantor_of_another_address_is_a_j2_and_the_borrower_a_maker(told: Filed) -> None:
    a = told.account()
    assert (a.ECOACode, a.SpecialComment, list(a.segments())) == ("7", "CH", ["J2"])
    assert (a.segment("J2", "ECOACode"), a.segment("J2", "FirstLineAddress"), a.segment("J2", "State")) == ("5", "7 OAK AVENUE", "OH")
    assert a.line[:4] == "0626"
    assert told.codes == set()


def test_a_person_released_in_the_month_is_told_as_such_once(tmp_path: Path) -> None:
    a = filed(tmp_path, repayments=on_time(7), parties=[OTHER], loan_parties=[link("co_borrower", released_on="2026-07-15")]).account()
    assert (a.ECOACode, a.segment("J1", "ECOACode")) == ("1", "T")
    later = tmp_path / "before"
    later.mkdir()
    b = filed(later, repayments=on_time(7), parties=[OTHER], loan_parties=[link("co_borrower", released_on="2026-06-15")]).account()
    assert b.segments() == {}


FIRM = {"borrower_id": "B1", **PERSON, "kind": "legal_entity", "name": "Sample & Partners LLC", "given_name": "", "family_name": "", "born_on": ""}


@story(
    borrowers=[FIRM],
    identifiers=[{"party_id": "P1", "scheme": "us.ssn", "value": "899010002"}],
    repayments=on_time(7),
    parties=[OTHER],
    loan_parties=[link("guarantor")],
)
def test_the_loan_of_a_business_is_told_of_the_individual_who_is_liable(told: Filed) -> None:
    a = told.account()
    assert (a.AccountType, a.ECOACode, a.Surname, a.SocialSecurityNumber) == ("6A", "5", "SPECIMEN", "899010002")
    assert (a.segment("J2", "ECOACode"), a.segment("J2", "Surname")) == ("W", "SAMPLE & PARTNERS LLC")


def test_a_taxpayer_number_is_left_out_and_a_person_without_number_and_birth_date_is_not_filed(tmp_path: Path) -> None:
    numbers = [{"party_id": "B1", "scheme": "us.ssn", "value": "912-70-0001"}]
    out = filed(tmp_path, identifiers=numbers, repayments=on_time(7))
    found = {f.code for f in out.result.findings}
    assert not out.lines or out.account().SocialSecurityNumber == "000000000"
    assert "M2-P009" in found
    later = tmp_path / "nobody"
    later.mkdir()
    none = filed(
        later,
        identifiers=[{"party_id": "B1", "scheme": "us.itin", "value": "912-70-0001"}],
        borrowers=[{"borrower_id": "B1", **PERSON, "born_on": ""}],
        repayments=on_time(7),
    )
    assert none.result.refused


@pytest.mark.parametrize(
    ("frequency", "settings", "monthly"),
    [
        ("weekly", {}, 498),
        ("weekly", {"monthly_factor": "rounded"}, 497),
        ("fortnightly", {}, 249),
        ("semimonthly", {}, 230),
        ("quarterly", {}, 38),
        ("annual", {}, 9),
    ],
)
def test_an_instalment_of_115_is_brought_to_a_month(tmp_path: Path, frequency: str, settings: dict[str, str], monthly: int) -> None:
    # 115 x 52/12 = 498.33; x 4.33 = 497.95; x 26/12 = 249.17; x 2; / 3 = 38.33; / 12 = 9.58
    a = filed(tmp_path, settings, loans=[LOAN | {"repayment_frequency": frequency}], repayments=on_time(7)).account()
    assert int(a.ScheduledMonthlyPaymentAmount) == monthly


@story(loans=[LOAN | {"repayment_frequency": "irregular"}], repayments=on_time(7))
def test_irregular_payments_are_monthly_with_the_average_and_a_warning(told: Filed) -> None:
    # 12 x 115 over 12 months
    assert (told.account().TermsFrequency, told.account().ScheduledMonthlyPaymentAmount) == ("M", "000000115")
    assert told.codes == {"M2-P004"}


@pytest.mark.parametrize(("setting", "monthly"), [("zero", 0), ("whole", 1380)])
def test_a_single_payment_is_zero_or_whole(tmp_path: Path, setting: str, monthly: int) -> None:
    loan = LOAN | {"repayment_frequency": "at_maturity", "repayment_method": "bullet", "first_due_on": "2027-01-10"}
    rows = [{"loan_id": "L1", "schedule_version": "1", "number": "1", "due_on": "2027-01-10", "principal_due": "1200.00", "interest_due": "180.00"}]
    out = filed(tmp_path, {"single_payment": setting}, loans=[loan], instalments=rows, repayments=paid("2026-07-31", amount="1.00"))
    assert (out.account().TermsFrequency, int(out.account().ScheduledMonthlyPaymentAmount)) == ("P", monthly)
    assert ("M2-P005" in out.codes) == (setting == "zero")


LAST = {"loan_id": "L1", "schedule_version": "1", "number": "12", "due_on": "2027-01-10", "principal_due": "650.00", "interest_due": "15.00"}
BALLOON = [*instalments(count=11, principal="50.00"), LAST]


@story(instalments=BALLOON, repayments=paid(*(month(n) for n in range(2, 8)), amount="65.00"))
def test_a_last_instalment_above_twice_the_others_is_a_balloon(told: Filed) -> None:
    a = told.account()
    assert (a.ScheduledMonthlyPaymentAmount, a.segment("K4", "SpecializedPaymentIndicator")) == ("000000065", "01")
    assert (a.segment("K4", "BalloonPaymentDueDate"), a.segment("K4", "BalloonPaymentAmount")) == ("01102027", "000000665")


HOLIDAY = {"loan_id": "L1", "from_on": "2026-07-01", "to_on": "2026-08-31", "defers": "both", "interest": "accrues", "days_past_due": "frozen"}


@story(repayments=on_time(6), payment_holidays=[HOLIDAY])
def test_payments_put_off_are_told_with_the_day_on_which_they_begin(told: Filed) -> None:
    a = told.account()
    assert (a.AccountStatus, a.TermsFrequency, a.ScheduledMonthlyPaymentAmount, a.SpecialComment) == ("11", "D", "000000000", "CP")
    assert (a.segment("K4", "SpecializedPaymentIndicator"), a.segment("K4", "DeferredPaymentStartDate")) == ("02", "09012026")


ODD_PERSON = PERSON | {"family_name": "Müller-O'Neil", "given_name": "Łucja", "address": "1234 Avenue of the Long Example Names, Apartment 12"}


@story(borrowers=[{"borrower_id": "B1", **ODD_PERSON}], repayments=on_time(7))
def test_names_and_addresses_are_folded_cut_and_said_so(told: Filed) -> None:
    a = told.account()
    assert (a.Surname, a.FirstName) == ("MULLER-ONEIL", "UCJA")
    assert (a.FirstLineAddress, a.SecondLineAddress) == ("1234 AVENUE OF THE LONG EXAMPLE", "NAMES, APARTMENT 12")
    assert told.codes == {"M2-P007"}


@story(repayments=on_time(7), us_metro2_facts=[fact("CorrectionIndicator", "1", "2026-07-01")])
def test_a_replacement_carries_the_moment_at_which_it_was_made(told: Filed) -> None:
    a = told.account()
    assert (a.CorrectionIndicator, a.TimeStamp) == ("1", "08022026123000")


CANCELLED = LOAN | {"status": "cancelled", "status_on": "2026-07-02"}


@story(loans=[CANCELLED], repayments=on_time(2), us_metro2_facts=[fact("AccountStatus", "DA", "2026-07-02")])
def test_an_account_reported_in_error_is_deleted_even_when_its_contract_was_cancelled(told: Filed) -> None:
    a = told.account()
    assert a.AccountStatus == "DA"


def test_a_bankruptcy_of_a_current_borrower_takes_the_day_of_the_petition(tmp_path: Path) -> None:
    event = [{"party_id": "B1", "kind": "bankruptcy_filed", "occurred_on": "2026-07-03"}]
    a = filed(tmp_path, repayments=on_time(7), party_events=event, us_metro2_facts=[fact("ConsumerInformationIndicator", "A", "2026-07-06")]).account()
    assert (a.AccountStatus, a.ConsumerInformationIndicator, a.DateFirstDelinquency) == ("11", "A", "07032026")
    later = tmp_path / "unsaid"
    later.mkdir()
    out = filed(later, repayments=on_time(7), party_events=event)
    assert (out.account().ConsumerInformationIndicator, out.account().DateFirstDelinquency, out.codes) == ("", "00000000", {"M2-P010"})


@pytest.mark.parametrize(("events", "code"), [(["2026-05-03"], "XB"), (["2026-05-03", "2026-07-04"], "XH"), (["2026-05-03", "2026-06-04"], "")])
def test_a_dispute_is_told_while_it_runs_and_in_the_month_of_its_end(tmp_path: Path, events: list[str], code: str) -> None:
    kinds = ("dispute_opened", "dispute_closed")
    rows = [{"party_id": "B1", "kind": k, "occurred_on": d, "loan_id": "L1"} for k, d in zip(kinds, events, strict=False)]
    assert filed(tmp_path, repayments=on_time(7), party_events=rows).account().ComplianceConditionCode == code


@story(repayments=on_time(7), us_metro2_facts=[fact("NewConsumerAccountNumber", "N-1", "2026-07-01")])
def test_a_new_number_is_announced_beside_the_old_one(told: Filed) -> None:
    a = told.account()
    assert (a.ConsumerAccountNumber, a.segment("L1", "ChangeIndicator"), a.segment("L1", "NewConsumerAccountNumber")) == (told.loan, "1", "N1")


PRODUCTS = [{"product_code": "P20", "portfolio_type": "I", "account_type": "20"}]


@story(loans=[LOAN | {"product_code": "P20"}], repayments=on_time(7), us_metro2_products=PRODUCTS)
def test_the_lenders_products_name_portfolio_and_type(told: Filed) -> None:
    assert told.account().AccountType == "20"


@pytest.mark.parametrize(("value", "kind"), [("1200.00", "02"), ("1199.99", "03")])
def test_collateral_that_covers_the_principal_makes_the_type(tmp_path: Path, value: str, kind: str) -> None:
    a = filed(
        tmp_path,
        loans=[LOAN | {"guarantee_mode": "pledged"}],
        repayments=on_time(7),
        collateral=[{"collateral_id": "C1", "kind": "vehicle", "value": value, "currency_code": "USD"}],
        collateral_links=[{"loan_id": "L1", "collateral_id": "C1", "allocated_value": value}],
    ).account()
    assert a.AccountType == kind


def test_a_fact_under_a_wrong_name_stops_its_loan(tmp_path: Path) -> None:
    out = filed(tmp_path, repayments=on_time(7), us_metro2_facts=[fact("Occupatoin", "Baker")])
    assert {f.code for f in out.result.findings if f.severity == "error"} == {"M2-P003"}


def test_a_fixed_file_has_records_of_one_length(tmp_path: Path) -> None:
    out = filed(tmp_path, {"layout": "fixed"}, repayments=on_time(7))
    assert {len(x) for x in out.lines if x} == {1064}
    assert {x[:4] for x in out.lines if x} == {"1064"}


# Reading


def read(folder: Path, data: bytes, **settings: str) -> CheckResult:
    path = folder / "file.txt"
    path.write_bytes(data)
    return check_files([path], PACK, settings=settings)


GOOD = examples_of(packs()[PACK])["two_loans.txt"]


def kinds(result: CheckResult) -> set[str]:
    return {f.code for f in result.findings}


def test_records_without_line_ends_are_cut_by_their_length_words(tmp_path: Path) -> None:
    result = read(tmp_path, GOOD.replace(b"\r\n", b""))
    assert (kinds(result), result.records["base"], result.records["J1"]) == ({"M2-S008"}, 2, 1)


def test_block_words_are_read_and_compared(tmp_path: Path) -> None:
    lines = GOOD.split(b"\r\n")[:-1]
    blocked = [b"%04d" % (len(x) + 4) + x for x in lines[:-1]] + lines[-1:]
    assert kinds(read(tmp_path, b"\r\n".join(blocked) + b"\r\n")) == set()
    blocked[1] = b"9999" + lines[1]
    assert kinds(read(tmp_path, b"\r\n".join(blocked) + b"\r\n")) == {"M2-S015"}


def test_a_packed_file_is_refused(tmp_path: Path) -> None:
    result = read(tmp_path, b"\x01\x6e\x00\x00HEADER" + b" " * 356 + b"\x01\x6e\x00\x00" + b"1" * 362)
    assert kinds(result) >= {"M2-S013"}
    assert result.records.get("base", 0) == 0


def test_a_lenient_reader_mends_and_says_so(tmp_path: Path) -> None:
    lines = GOOD.split(b"\r\n")[:-1]
    mended = [lines[1][4:], b"0006" + lines[2][4:400], lines[3]]  # no header; no length word; a length word that is a dummy, and a short line
    data = b"\r\n".join(mended) + b"\r\n"
    result = read(tmp_path, data, lenient="yes")
    assert [f for f in result.findings if f.code == "M2-S015"]
    assert result.records["base"] == 2
    assert not {f.code for f in result.findings if f.severity == "error"} - {"M2-S009", "M2-B038"}
    assert {"M2-S001", "M2-S002"} <= kinds(read(tmp_path, data))


def test_joined_files_have_further_headers_where_the_setting_says_so(tmp_path: Path) -> None:
    lines = GOOD.split(b"\r\n")
    data = b"\r\n".join([*lines[:2], lines[0], *lines[2:]])
    assert kinds(read(tmp_path, data)) == {"M2-S002"}
    assert kinds(read(tmp_path, data, joined_reporters="yes")) == set()


def test_nothing_personal_stands_in_a_finding(tmp_path: Path) -> None:
    personal = {"899010001", "05311990", "1990", "MUSTER", "ANNA", "3305550111", "ELM", "L2025000101", "MODEL BAKERY", "SPECIMEN", "899010002"}
    good = examples_of(packs()[PACK])["segments.txt"]
    lines = good.split(b"\r\n")[:-1]
    spoilt = []
    for line in lines[1:-1]:
        for at in range(0, len(line), 23):
            spoilt += [line[:at] + b"%" + line[at + 1 :], line[:at] + line[at + 3 :], line[:at] + b" " + line[at:], line[:at].lower() + line[at:]]
    found = 0
    for data in (b"\r\n".join([lines[0], *spoilt, lines[-1], b""]), good.replace(b"ELM", b"elm"), good.lower(), good[5:]):
        for f in read(tmp_path, data).findings:
            found += 1
            said = f"{f.message} {f.args} {f.value} {f.key}"
            assert not [p for p in personal if p in said or p.lower() in said], said
    assert found > len(spoilt)


# Last month's filing


def with_ledger(
    folder: Path, settings: dict[str, str] | None = None, june: date = date(2026, 6, 30), **then: list[Row]
) -> tuple[SqliteLedger, dict[str, list[Row]]]:
    """A ledger in which the filing of a month end was accepted."""
    ledger = SqliteLedger(":memory:")
    folder.mkdir()
    first = build(PACK, read_portfolio(book(folder, **then)), june, folder / "out", settings=settings, made_at=MADE, jobs=1, ledger=ledger)
    assert first.ledger_id is not None
    ledger.mark(first.ledger_id, "sent")
    ledger.mark(first.ledger_id, "accepted")
    return ledger, then


def next_month(folder: Path, ledger: SqliteLedger, **now: list[Row]) -> Filed:
    return Filed(build(PACK, read_portfolio(book(folder, **now)), AS_OF, folder / "out", made_at=MADE, jobs=1, ledger=ledger))


ACROSS = {f"M2-B{n:03d}" for n in (40, 41, 42, 58, 59, 60, 61)}


def test_a_month_that_goes_on_from_the_last_breaks_no_rule_across_months(tmp_path: Path) -> None:
    ledger, then = with_ledger(tmp_path / "june", repayments=on_time(3))
    out = next_month(tmp_path, ledger, **then)
    assert out.codes == set()
    assert out.result.manifest is not None
    assert not ACROSS & set(out.result.manifest["rules"]["not_run"])
    assert out.account().PaymentHistoryProfile == "210000" + "B" * 18


def test_the_history_that_was_filed_goes_before_one_that_is_worked_out_again(tmp_path: Path) -> None:
    # in June the payments of April to June were not booked yet: 81 days late was told, and stays told
    ledger, _ = with_ledger(tmp_path / "june", repayments=on_time(3))
    out = next_month(tmp_path, ledger, repayments=on_time(7))
    assert (out.account().AccountStatus, out.account().PaymentHistoryProfile) == ("11", "210000" + "B" * 18)
    assert out.codes == set()


def test_a_month_without_a_filing_is_worked_out(tmp_path: Path) -> None:
    ledger, then = with_ledger(tmp_path / "may", june=date(2026, 5, 31), repayments=on_time(3))
    assert next_month(tmp_path, ledger, **then).account().PaymentHistoryProfile == "210000" + "B" * 18


def test_what_may_not_change_is_found_against_the_last_month(tmp_path: Path) -> None:
    ledger, _ = with_ledger(tmp_path / "june", repayments=on_time(3), write_offs=[WRITE_OFF])
    other = [LOAN | {"disbursed_on": "2026-01-11", "principal": "1300.00"}]
    rows = [
        *instalments(count=11),
        {"loan_id": "L1", "schedule_version": "1", "number": "12", "due_on": "2027-01-10", "principal_due": "200.00", "interest_due": "15.00"},
    ]
    # another day and amount of opening, the charge-off taken back, and April paid: the delinquency would begin in May
    out = next_month(tmp_path, ledger, loans=other, instalments=rows, repayments=[*on_time(4)], write_offs=[WRITE_OFF | {"reversed_on": "2026-07-02"}])
    assert out.account().AccountStatus == "78"
    assert out.codes == {"M2-B042", "M2-B058", "M2-B059", "M2-B061"}


def test_a_deletion_of_an_account_that_was_never_sent_and_an_open_one_that_is_missing_are_found(tmp_path: Path) -> None:
    other = paid(*(month(n) for n in range(2, 7)), loan="L9")
    ledger, _ = with_ledger(tmp_path / "june", repayments=other, loans=[LOAN | {"loan_id": "L9"}], instalments=instalments("L9"))
    # and the one that was sent is missing now
    assert next_month(tmp_path, ledger, repayments=on_time(7), us_metro2_facts=[fact("AccountStatus", "DA")]).codes == {"M2-B040", "M2-B060"}


def test_what_was_booked_later_is_not_known(tmp_path: Path) -> None:
    # July and all before it were paid on time, but the payments from April on were booked on 20 July
    rows = [r | {"booked_on": r["paid_on"] if r["paid_on"] < "2026-04-01" else "2026-07-20"} for r in on_time(7)]
    portfolio = read_portfolio(book(tmp_path, repayments=rows))
    known = [date(2026, 7, 19), date(2026, 7, 31)]
    told = [Filed(build(PACK, portfolio, AS_OF, tmp_path / f"{d}", known_at=d, made_at=MADE, jobs=1)).account() for d in known]
    assert [(a.AccountStatus, a.PaymentHistoryProfile[:6], a.DateFirstDelinquency) for a in told] == [
        ("80", "210000", "05102026"),
        ("11", "000000", "00000000"),
    ]


def test_each_month_goes_on_from_the_one_before_and_no_date_of_first_delinquency_moves(tmp_path: Path) -> None:
    """Of a made-up book, with no ledger: what is worked out again for a month end is what its own file said."""
    portfolio = read_portfolio(make_sample(94, "US", 7, tmp_path / "book", as_of=date(2026, 10, 31)))
    characters = {"11": "0", "71": "1", "78": "2", "80": "3", "82": "4", "83": "5", "84": "6", "93": "G", "97": "L"}
    months = []
    for day in (date(2026, 9, 30), date(2026, 10, 31)):
        filing = Filed(build(PACK, portfolio, day, tmp_path / f"{day}", quarantine=True, made_at=MADE.replace(month=11), jobs=1))
        months.append({a.ConsumerAccountNumber: a for a in map(Account, filing.lines[1:-2])})
    compared = late = 0
    for number, before in months[0].items():
        now = months[1].get(number)
        if now is None or before.AccountStatus not in characters:
            continue
        compared += 1
        assert now.PaymentHistoryProfile == characters[before.AccountStatus] + before.PaymentHistoryProfile[:23], number
        if before.AccountStatus != "11" and now.AccountStatus not in ("11", "13"):
            late += 1
            assert now.DateFirstDelinquency == before.DateFirstDelinquency, number
    assert compared > 40
    assert late > 8
