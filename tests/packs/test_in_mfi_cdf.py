"""India, the common data format of microfinance lenders: what a member and an account say of a loan book, with figures worked out by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from stdnum.in_ import aadhaar

from mloan_report.filing import build, check_files
from mloan_report.filing.building import request_for
from mloan_report.filing.composed import inside, joined_batches
from mloan_report.filing.ledger import SqliteLedger
from mloan_report.filing.making import Filing, make_filing
from mloan_report.identity import passes
from mloan_report.packs import packs
from mloan_report.packs.in_mfi_cdf.functions import content_on, default_cycle, previous_cut_off
from mloan_report.portfolio import Portfolio
from mloan_report.testing.cases import Case, case_portfolio
from mloan_report.testing.pack_examples import examples_of

PACK = packs()["in_mfi_cdf"]
AS_OF = date(2026, 10, 31)
SETTINGS = {"member_id": "MFI0000ABC", "relation_list": "relation_crif"}
MEMBER = {
    "borrower_id": "B1",
    "kind": "natural_person",
    "name": "LAKSHMI EXAMPLE",
    "sex": "female",
    "born_on": "1990-08-15",
    "marital_status": "married",
    "spouse_name": "RAVI EXAMPLE",
    "region_code": "TN",
    "address": "12 TEMPLE STREET",
    "postal_code": "600001",
    "phone": "+91 90000 00001",
    "branch_id": "BR01",
}
LOAN = {
    "loan_id": "L1",
    "borrower_id": "B1",
    "principal": "24000.00",
    "contract_on": "2026-01-14",
    "disbursed_on": "2026-01-15",
    "finance_kind": "flat_fee",
    "repayment_frequency": "monthly",
    "repayment_method": "equal_instalment",
    "matures_on": "2027-01-15",
    "purpose_code": "DAIRY",
    "purpose_scheme": "lender",
    "branch_id": "BR01",
}
NUMBERS = [{"scheme": "in_.epic", "value": "WKH1186253", "is_primary": "true"}]


def plan(loan: str = "L1", day: int = 15, first: int = 2, principal: str = "2000.00", interest: str = "150.00") -> list[dict[str, str]]:
    """Twelve months from the month *first* of 2026."""
    rows = []
    for n in range(12):
        year, month = divmod(first - 1 + n, 12)
        rows.append(
            {
                "loan_id": loan,
                "schedule_version": "1",
                "due_on": f"{2026 + year}-{month + 1:02d}-{day:02d}",
                "principal_due": principal,
                "interest_due": interest,
            }
        )
    return rows


def paid(count: int, loan: str = "L1", day: int = 15, amount: str = "2150.00", first: int = 2) -> list[dict[str, str]]:
    """The first *count* instalments on their due dates."""
    return [{"loan_id": loan, "paid_on": r["due_on"], "amount": amount} for r in plan(loan, day, first)[:count]]


def book(members: list[dict[str, str]] | None = None, accounts: list[dict[str, str]] | None = None, **tables: Any) -> Portfolio:
    facts = {
        "institution": {"name": "SAMPLE GRAMEEN FINANCE LTD", "country": "IN", "currency_code": "INR"},
        "borrowers": [MEMBER],
        "branches": [{"branch_id": "BR01", "name": "Chennai"}],
        "loans": [LOAN],
        "instalments": plan(),
        "repayments": paid(9),
        **tables,
    }
    made = case_portfolio(Case(Path("test"), {"facts": facts}))
    extra = {f"in_mfi_cdf_{n}": pl.DataFrame(rows) for n, rows in (("members", members), ("accounts", accounts)) if rows}
    return replace(made, extra=extra)


_MADE: dict[Any, tuple[Portfolio, Filing]] = {}
"""Filings of this run: several tests look at the same one."""


def filing(portfolio: Portfolio, as_of: date = AS_OF, **settings: str) -> Filing:
    key = (id(portfolio), as_of, tuple(sorted(settings.items())))
    if key not in _MADE:
        _MADE[key] = portfolio, make_filing(request_for(PACK, portfolio, as_of, settings={**SETTINGS, **settings}), [], quarantine=False)
    return _MADE[key][1]


@cache
def plain() -> Portfolio:
    """A member with one loan of 24,000 in twelve instalments, nine of them paid."""
    return book()


def account(portfolio: Portfolio, loan: str = "L1", as_of: date = AS_OF, **settings: str) -> dict[str, str | None]:
    """The text of one account's fields."""
    rows = filing(portfolio, as_of, **settings).records["ACTCRD"].text
    return rows.filter(pl.col("unique_account_reference") == loan).row(0, named=True)


def member(portfolio: Portfolio, as_of: date = AS_OF, **settings: str) -> dict[str, str | None]:
    return filing(portfolio, as_of, **settings).records["CNSCRD"].text.row(0, named=True)


def codes(found: Filing) -> set[str]:
    return {f.code.removeprefix("IN_MFI_CDF-") for f in found.findings}


# Accounts


def test_a_loan_paid_to_date_is_current() -> None:
    a = account(plain())
    assert (a["account_status"], a["amount_overdue"], a["days_past_due"]) == ("S04", "0", "0")
    assert a["current_balance"] == "6000"  # 24000 less nine instalments of 2000
    assert (a["instalment_count"], a["repayment_frequency"], a["instalment_amount"]) == ("12", "F03", "2150")
    assert (a["date_account_information"], a["date_of_last_payment"], a["date_opened"]) == ("31102026", "15102026", "15012026")
    assert (a["branch_id"], a["kendra_id"], a["loan_category"]) == ("BR01", "BR01", "T03")


def test_days_past_due_run_from_the_oldest_unpaid_due_date() -> None:
    """Seven paid: due 15 September and 15 October; 15 to 30 September are 15 days, and 31 of October."""
    a = account(book(repayments=paid(7)))
    assert (a["account_status"], a["days_past_due"], a["amount_overdue"], a["current_balance"]) == ("S05", "46", "4300", "10000")
    old = account(book(repayments=paid(7)), profile="cdf-1.9")
    assert old["days_past_due"] == "046"


def test_more_than_999_days_are_written_as_999() -> None:
    a = account(book(repayments=[]), as_of=date(2029, 10, 31))
    assert a["days_past_due"] == "999"


def test_before_the_first_due_date_there_is_no_history() -> None:
    tables = {"loans": [LOAN | {"disbursed_on": "2026-10-20", "contract_on": "2026-10-20"}], "instalments": plan(first=11), "repayments": []}
    assert account(book(**tables))["days_past_due"] == "XXX"


def test_rupees_are_rounded_half_up_once() -> None:
    due = plan(principal="2000.25", interest="0.25")
    a = account(book(loans=[LOAN | {"principal": "24003.00"}], instalments=due, repayments=paid(9, amount="2000.50")))
    assert a["instalment_amount"] == "2001"  # 2000.50
    assert a["current_balance"] == "6001"  # 24003.00 - 9 x 2000.25 = 6000.75
    assert a["amount_disbursed"] == "24003"


def test_the_usual_instalment_is_the_one_that_most_have() -> None:
    due = plan()
    due[0] |= {"interest_due": "400.00"}
    due[-1] |= {"interest_due": "90.00"}
    assert account(book(instalments=due, repayments=[]))["instalment_amount"] == "2150"


def test_the_balance_has_interest_only_where_the_setting_says_so() -> None:
    late = book(repayments=paid(7))
    assert account(late)["current_balance"] == "10000"
    assert account(late, balance_basis="principal_and_interest")["current_balance"] == "10300"  # two times 150 overdue


def test_a_closed_loan_is_filed_once_with_its_closing_date() -> None:
    """Paid off on 28 October: in the file of 31 October (the cut-off before is the 23rd), not in that of 9 November."""
    whole = [*paid(9), {"loan_id": "L1", "paid_on": "2026-10-28", "amount": "6450.00", "kind": "payoff"}]
    a = account(book(repayments=whole))
    assert (a["account_status"], a["date_closed"], a["date_account_information"]) == ("S07", "28102026", "28102026")
    assert (a["current_balance"], a["amount_overdue"], a["days_past_due"]) == ("0", "0", "0")
    after = filing(book(repayments=whole), date(2026, 11, 9))
    assert after.scope["in_scope"].to_list() == [False]
    assert "last reference date" in after.scope["reason"][0]
    # closed on the cut-off itself: it was in that day's file
    on = [*paid(9), {"loan_id": "L1", "paid_on": "2026-10-23", "amount": "6450.00", "kind": "payoff"}]
    assert filing(book(repayments=on)).scope["in_scope"].to_list() == [False]


def test_a_written_off_loan_keeps_its_arrears_and_tells_the_write_off() -> None:
    off = [{"written_off_on": "2026-09-30", "principal": "22000.00", "interest": "150.00"}]
    a = account(book(repayments=paid(1), write_offs=off))
    assert (a["account_status"], a["write_off_amount"], a["date_of_write_off"]) == ("S06", "22150", "30092026")
    # 15 March to 31 October: 16 days of March, then 30 + 31 + 30 + 31 + 31 + 30 + 31
    assert a["days_past_due"] == "230"


def test_statuses_of_one_source_are_written_only_where_the_lender_says_so() -> None:
    assert account(plain())["account_status"] == "S04"
    assert account(book(accounts=[{"loan_id": "L1", "account_status": "S08"}]))["account_status"] == "S08"


def test_days_that_are_not_the_borrowers_default_count_only_by_the_calendar() -> None:
    """Due on 15 September: 46 days to 31 October, of which the 20 from 16 September to 5 October were a payment in transit."""
    flags = [{"from_on": "2026-09-16", "to_on": "2026-10-05", "kind": "payment_in_transit"}]
    late = book(repayments=paid(7), arrears_flags=flags)
    assert account(late)["days_past_due"] == "26"
    assert account(late, days_counted="calendar")["days_past_due"] == "46"


def test_the_class_counts_the_due_date_as_day_one_more_than_the_file_does() -> None:
    """RBI: SMA-0 to 30 days, SMA-1 to 60, SMA-2 to 90, then NPA, the due date itself being day 1: token 25 and one."""
    classes = {1: "SMA-0", 29: "SMA-0", 30: "SMA-1", 59: "SMA-1", 60: "SMA-2", 89: "SMA-2", 90: "NPA", 91: "NPA"}
    people, loans, due = [], [], []
    for days in classes:
        people.append(MEMBER | {"borrower_id": f"B{days}"})
        loans.append(LOAN | {"loan_id": f"L{days}", "borrower_id": f"B{days}"})
        first = date.fromordinal(AS_OF.toordinal() - days).isoformat()
        for on, principal in ((first, "2000.00"), ("2027-07-15", "22000.00")):
            due.append({"loan_id": f"L{days}", "schedule_version": "1", "due_on": on, "principal_due": principal})
    made = filing(book(borrowers=people, loans=loans, instalments=due, repayments=[]))
    rows = made.views.view("loan").select("loan_id", "category", "days_inclusive")
    assert dict(rows.select("loan_id", "category").rows()) == {f"L{d}": c for d, c in classes.items()}
    said = made.records["ACTCRD"].text.select("unique_account_reference", "days_past_due")
    assert dict(said.rows()) == {f"L{d}": str(d) for d in classes}
    assert all(inclusive == int(loan[1:]) + 1 for loan, _, inclusive in rows.rows())


def test_a_co_lent_loan_waits_for_the_setting() -> None:
    shares = [
        {"funder_id": "SELF", "role": "own", "share_pct": "40", "from_on": "2026-01-15"},
        {"funder_id": "BANK", "role": "partner", "share_pct": "60", "from_on": "2026-01-15", "files_to_bureau": "false", "on_balance": "false"},
    ]
    shared = book(funding_shares=shares)
    assert "X05" in codes(filing(shared))
    assert account(shared, co_lent_amounts="full")["current_balance"] == "6000"
    own = account(shared, co_lent_amounts="own_share")
    assert (own["current_balance"], own["amount_disbursed"], own["instalment_amount"]) == ("2400", "9600", "860")


def test_a_purpose_is_cut_at_20_characters_and_said_so() -> None:
    made = filing(book(accounts=[{"loan_id": "L1", "purpose": "A SECOND COW AND A SHED"}]))
    assert made.records["ACTCRD"].text["loan_purpose"][0] == "A SECOND COW AND A S"
    assert "X04" in codes(made)


# Members


def test_ages_by_profile() -> None:
    """Born 15 August 1990: 35 when the loan was opened on 15 January 2026, 36 on 31 October."""
    m = member(plain())
    assert (m["member_birth_date"], m["member_age"], m["age_as_on"]) == ("15081990", "35", "36")
    old = member(plain(), profile="cdf-1.9")
    assert (old["member_age"], old["age_as_on"]) == ("35", "15012026")


def test_a_spouse_is_the_key_person_and_wives_wait_for_the_list() -> None:
    assert member(plain())["key_person_relationship"] == "K02"
    man = book(borrowers=[MEMBER | {"sex": "male"}])
    assert member(man)["key_person_relationship"] == "K04"
    assert member(man, relation_list="relation")["key_person_relationship"] == "K06"
    unset = make_filing(request_for(PACK, man, AS_OF, settings={"member_id": "MFI0000ABC"}), [], quarantine=False)
    assert unset.records["CNSCRD"].text["key_person_relationship"][0] is None
    assert "X02" in codes(unset)
    woman = make_filing(request_for(PACK, book(), AS_OF, settings={"member_id": "MFI0000ABC"}), [], quarantine=False)
    assert "X02" not in codes(woman)


def test_income_is_of_a_month_and_the_limit_of_a_year() -> None:
    """300,000 rupees a year are 25,000 a month and within the limit; 300,006 are 25,000.50, rounded 25,001."""
    at = filing(book(borrowers=[MEMBER | {"household_annual_income": "300000.00", "income_currency_code": "INR"}]))
    assert at.records["CNSCRD"].text["total_monthly_family_income"][0] == "25000"
    assert "042" not in codes(at)
    above = filing(book(borrowers=[MEMBER | {"household_annual_income": "300006.00", "income_currency_code": "INR"}]))
    assert above.records["CNSCRD"].text["total_monthly_family_income"][0] == "25001"
    assert "042" in codes(above)


def test_repayments_of_the_household_stay_within_half_its_income() -> None:
    """2,150 a month here and 350 elsewhere: half of 5,000 a month, that is of 60,000 a year."""
    elsewhere = [{"as_of": "2026-10-01", "instalment": "350.00", "balance": "3000.00", "currency_code": "INR"}]

    def found(income: str) -> set[str]:
        borrowers = [MEMBER | {"household_annual_income": income, "income_currency_code": "INR"}]
        return codes(filing(book(borrowers=borrowers, external_debts=elsewhere)))

    assert "043" not in found("60000.00")
    assert "043" in found("59999.99")


def test_aadhaar_is_left_out_unless_the_setting_says_otherwise() -> None:
    held = book(identifiers=[{"scheme": "in_.aadhaar", "value": "234123412346", "is_primary": "true"}])
    assert member(held)["uid"] is None
    assert member(held, uid_mode="last4")["uid"] == "2346"
    assert member(held, uid_mode="full")["uid"] == "234123412346"


def test_religion_and_caste_are_off_by_default() -> None:
    told = book(members=[{"borrower_id": "B1", "religion": "R01", "caste": "X"}])
    assert (member(told)["religion"], member(told)["caste"]) == (None, None)
    assert member(told, write_religion_caste="yes")["religion"] == "R01"


def test_names_are_written_in_ascii_and_other_scripts_are_found() -> None:
    accented = book(borrowers=[MEMBER | {"name": "JOSÉ D’SOUZA"}])
    assert member(accented)["member_name_1"] == "JOSE D'SOUZA"
    assert member(accented, allow_latin_1="yes")["member_name_1"] == "JOSÉ D'SOUZA"
    assert "044" in codes(filing(book(borrowers=[MEMBER | {"name": "लक्ष्मी"}])))


def test_a_mobile_number_loses_its_country_code() -> None:
    m = member(plain())
    assert (m["telephone_1_type"], m["telephone_1_number"]) == ("P03", "9000000001")


def test_an_address_in_ladakh_is_filed_under_jammu_and_kashmir_with_a_warning() -> None:
    made = filing(book(borrowers=[MEMBER | {"region_code": "LA", "postal_code": "194101"}]))
    assert made.records["ADRCRD"].text["current_state_code"][0] == "JK"
    assert "X08" in codes(made)


def test_one_member_has_all_accounts_or_each_account_its_member() -> None:
    two = book(loans=[LOAN, LOAN | {"loan_id": "L2"}], instalments=[*plan(), *plan("L2")], repayments=[*paid(9), *paid(9, "L2")])
    for settings, count in (({}, 1), ({"grouping": "per_loan"}, 2), ({"profile": "cdf-1.9"}, 2), ({"profile": "cdf-1.9", "grouping": "per_member"}, 1)):
        made = filing(two, **settings)
        form = PACK.form(AS_OF, made.request.settings)
        top = made.records["CNSCRD"]
        text = form.texts(top, inside("CNSCRD", top, made.records)).item()
        assert (text.count("CNSCRD|"), text.count("ADRCRD|"), text.count("ACTCRD|")) == (count, count, 2), settings


# The cycle


def test_cycles_by_their_dates() -> None:
    assert [default_cycle(date(*d)) for d in ((2024, 12, 31), (2025, 1, 1), (2026, 6, 30), (2026, 7, 1))] == ["week", "fortnight", "fortnight", "rbi_2026"]
    october = {d: content_on(date(2026, 10, d), None, None) for d in range(1, 32)}
    assert {d: c for d, c in october.items() if c} == {9: "incremental", 16: "incremental", 23: "incremental", 31: "full"}
    assert content_on(date(2026, 2, 28), None, None) == "full"
    assert content_on(date(2026, 10, 15), None, "15,last") == "incremental"
    assert content_on(date(2026, 10, 16), None, "15,last") is None


def test_the_cut_off_before() -> None:
    assert previous_cut_off(date(2026, 10, 31), None, None) == date(2026, 10, 23)
    assert previous_cut_off(date(2026, 10, 9), None, None) == date(2026, 9, 30)
    assert previous_cut_off(date(2026, 10, 12), None, None) == date(2026, 10, 9)
    assert previous_cut_off(date(2026, 10, 31), "month", None) == date(2026, 9, 30)
    assert previous_cut_off(date(2024, 10, 31), None, None) == date(2024, 10, 24)


def test_an_incremental_file_holds_what_changed_since_the_bureau_last_accepted(tmp_path: Path) -> None:
    """L1 is paid on 15 October, nothing happens to L2 (paid ahead), L3 is opened on the 12th: the file of the 16th has L1 and L3."""
    loans = [LOAN, LOAN | {"loan_id": "L2"}, LOAN | {"loan_id": "L3", "disbursed_on": "2026-10-12", "contract_on": "2026-10-12", "matures_on": "2027-10-12"}]
    ahead = {"loan_id": "L2", "paid_on": "2026-10-01", "amount": "2150.00"}
    due = [*plan(), *plan("L2"), *plan("L3", 12, 11)]
    told = book(loans=loans, instalments=due, repayments=[*paid(9), *paid(8, "L2"), ahead], identifiers=NUMBERS)
    ledger = SqliteLedger(tmp_path / "ledger.db")

    def accounts(as_of: date) -> list[str]:
        result = build(PACK, told, as_of, tmp_path / as_of.isoformat(), settings=SETTINGS, jobs=1, ledger=ledger)
        assert not result.refused, [f.message for f in result.findings]
        assert result.manifest is not None
        assert all(t["agrees"] for t in result.manifest["control_totals"])
        for step in ("sent", "accepted"):
            ledger.mark(result.ledger_id or 0, step)  # type: ignore[arg-type]
        text = (tmp_path / as_of.isoformat() / result.files[0].name).read_text(encoding="latin-1")
        return re.findall(r"ACTCRD\|(L[0-9])", text)

    assert accounts(date(2026, 9, 30)) == ["L1", "L2"]
    assert accounts(date(2026, 10, 9)) == ["L2"]
    assert accounts(date(2026, 10, 16)) == ["L1", "L3"]
    assert accounts(date(2026, 10, 31)) == ["L1", "L2", "L3"]


# The file


@pytest.mark.parametrize(("name", "profile"), [("facts_cdf_1_9.CDF", "cdf-1.9"), ("facts_crif_2_0.CDF", "crif-2.0")])
@pytest.mark.parametrize("ends", ["crlf", "lf"])
def test_the_examples_of_the_facts_are_written_back_the_same_with_both_line_ends(name: str, profile: str, ends: str) -> None:
    data = examples_of(PACK)[name] if ends == "crlf" else examples_of(PACK)[name].replace(b"\r\n", b"\n")
    form = PACK.form(AS_OF, PACK.settings_for({"profile": profile, "line_end": ends}, {}, need=False))
    batch = joined_batches(list(form.read(BytesIO(data), name)))
    assert batch.defects == []
    top = batch.records["CNSCRD"]
    body = form.texts(top, inside("CNSCRD", top, batch.records)).str.join("").item()
    assert (form.head(batch.records) + body + form.foot(batch.records)).encode("latin-1") == data


def test_a_file_is_built_named_and_good(tmp_path: Path) -> None:
    result = build(PACK, book(identifiers=NUMBERS), AS_OF, tmp_path / "out", settings=SETTINGS, jobs=1)
    assert not result.refused, [f.message for f in result.findings]
    name = result.files[0].name
    assert name.startswith("MFI0000ABC_20261031_")
    assert name.endswith(".CDF")
    text = (tmp_path / "out" / name).read_text(encoding="latin-1")
    assert text[171:].startswith("CNSCRD|B1|BR01|BR01||LAKSHMI EXAMPLE||||15081990|35|36|F|M01|RAVI EXAMPLE|K02|")
    assert len(text.splitlines()[-1]) == 41
    assert [f.message for f in check_files([tmp_path / "out" / name]).findings if f.severity == "error"] == []


def test_the_password_stands_in_the_file_and_nowhere_else(tmp_path: Path) -> None:
    secret = "Open|Sesame-77"  # a pipe, so that there is a finding about it as well
    told = book(identifiers=NUMBERS)
    result = build(PACK, told, AS_OF, tmp_path / "bad", settings={**SETTINGS, "password": secret}, jobs=1)
    assert any(f.code == "IN_MFI_CDF-044" and f.field == "password" for f in result.findings)
    said = json.dumps([[f.message, f.value, f.advice] for f in result.findings])
    written = "".join(p.read_text(encoding="latin-1") for p in tmp_path.rglob("*.json"))
    assert "Sesame" not in said + written
    good = build(PACK, told, AS_OF, tmp_path / "good", settings={**SETTINGS, "password": "Sesame-77", "file_name": "{password}-{member_id}.CDF"}, jobs=1)
    assert good.manifest is not None
    assert good.manifest["settings"]["password"] == "set"
    assert b"Sesame-77" in (tmp_path / "good" / good.files[0].name).read_bytes()
    assert "Sesame" not in "".join(p.read_text(encoding="latin-1") for p in (tmp_path / "good").glob("*.json"))
    assert good.files[0].name == "set-MFI0000ABC.CDF"


def test_findings_show_no_person(tmp_path: Path) -> None:
    """A file in which names, numbers and addresses are all wrong."""
    data = examples_of(PACK)["members_crif_2_0.CDF"].decode("latin-1")
    for old, new in (
        ("LAKSHMI EXAMPLE", "LAKSHMÍ SECRETNAME"),
        ("ABCPS1234F", "ABCPSSECRET"),
        ("9000000001", "0440000001"),
        ("4 LAKE ROAD", "SECRÉT ROAD"),
        ("lakshmi@", "sécret@"),
    ):
        data = data.replace(old, new)
    path = tmp_path / "x.CDF"
    path.write_bytes(data.encode("latin-1"))
    found = check_files([path], PACK.id, settings={"relation_list": "relation_crif"}).findings
    assert {"IN_MFI_CDF-044", "IN_MFI_CDF-016", "IN_MFI_CDF-019"} <= {f.code for f in found}
    said = " ".join(f"{f.message} {f.value} {f.key} {f.advice}" for f in found)
    for personal in ("SECRET", "SECRÉT", "0440000001", "sécret", "LAKSHMÍ"):
        assert personal not in said


def test_aadhaar_numbers_are_judged_as_python_stdnum_judges_them() -> None:
    rng = Random(1)
    numbers = [f"{rng.randrange(10**12):012d}" for _ in range(2000)] + ["234123412346", "234123412347", "2341 2341 2346", "222222222222", "23412341234"]
    assert passes("in_.aadhaar", pl.Series(numbers)).to_list() == [aadhaar.is_valid(n) for n in numbers]
