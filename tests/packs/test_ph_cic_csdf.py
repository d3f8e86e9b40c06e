"""The CIC's submission data file: what becomes of a loan, person by person and field by field, with figures worked out by hand."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from mloan_report.filing import build, check_files, scope
from mloan_report.filing.building import BuildResult
from mloan_report.filing.error_summary import ErrorCount, read_summary, summarise, write_summary
from mloan_report.identity import passes
from mloan_report.packs import packs
from mloan_report.portfolio import UnusableInput, read_portfolio
from mloan_report.testing.pack_examples import example_settings, examples_of

PACK = packs()["ph_cic_csdf"]
DAY = date(2026, 6, 30)
DUE = timedelta(days=5)
Tables = dict[str, list[dict[str, str]]]

INSTITUTION = """name = "Lender"
country = "PH"
currency_code = "PHP"
time_zone = "Asia/Manila"

[[policies]]
from_on = 2020-01-01
classification = "PH-BSP-MF"

[packs.ph_cic_csdf]
provider_code = "LC009999"
filer_type = "NON_MFI"
send_branch = "yes"
provider_comments = "JUNE 2026"
"""


def loan_of_the_facts() -> Tables:
    """15,000 over six instalments of 2,700 (2,500 and 200) from April to September 2026; April and May paid, June not."""
    person = {"party_id": "C-00001", "title": "11", "place_of_birth": "CEBU CITY", "country_of_birth_code": "PH"}
    loan = {
        "loan_id": "L-2026-0001",
        "borrower_id": "C-00001",
        "application_id": "A1",
        "product": "personal_consumption",
        "currency_code": "PHP",
        "principal": "15000.00",
        "contract_on": "2026-03-01",
        "disbursed_on": "2026-03-01",
        "first_due_on": "2026-04-01",
        "matures_on": "2026-09-01",
        "finance_kind": "interest",
        "annual_rate_pct": "28",
        "repayment_method": "irregular",
        "repayment_frequency": "monthly",
        "guarantee_mode": "unsecured",
        "branch_id": "001",
        "status": "active",
    }
    return {
        "branches": [{"branch_id": "001", "name": "Cebu"}],
        "borrowers": [
            {
                "borrower_id": "C-00001",
                "kind": "natural_person",
                "name": "LUZ ABAD MERCADO",
                "given_name": "LUZ",
                "family_name": "MERCADO",
                "second_family_name": "ABAD",
                "sex": "female",
                "born_on": "1992-07-03",
                "nationality": "PH",
                "residence_country": "PH",
                "marital_status": "married",
                "address": "7 MANGO ST BRGY TALAMBAN CEBU CITY",
                "phone": "0917-000-0001",
                "branch_id": "001",
            }
        ],
        "identifiers": [{"party_id": "C-00001", "scheme": "ph.tin", "value": "123-456-789-000"}],
        "loans": [loan],
        "applications": [{"application_id": "A1", "borrower_id": "C-00001", "applied_on": "2026-02-23", "currency_code": "PHP", "decision": "approved"}],
        "instalments": [
            {"loan_id": "L-2026-0001", "number": str(n), "due_on": f"2026-{n + 3:02d}-01", "principal_due": "2500.00", "interest_due": "200.00"}
            for n in range(1, 7)
        ],
        "repayments": [paid("R1", "2026-04-01", "2500.00", "200.00"), paid("R2", "2026-05-02", "2500.00", "200.00")],
        "ph_cic_csdf_subjects": [person],
        "ph_cic_csdf_products": [{"product": "personal_consumption", "contract_type": "12", "purpose_of_credit": "23", "payment_method": "CAS"}],
    }


def paid(number: str, on: str, principal: str, interest: str, kind: str = "scheduled") -> dict[str, str]:
    amount = f"{(int(principal.replace('.', '')) + int(interest.replace('.', ''))) // 100}.00"
    row = {"repayment_id": number, "loan_id": "L-2026-0001", "paid_on": on, "amount": amount, "principal_paid": principal, "interest_paid": interest}
    return {**row, "kind": kind}


def filed(tables: Tables, folder: Path, as_of: date = DAY, **settings: str) -> BuildResult:
    book = folder / "book"
    book.mkdir()
    (book / "institution.toml").write_text(INSTITUTION, encoding="utf-8")
    for name, rows in tables.items():
        with (book / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(k for r in rows for k in r)))
            writer.writeheader()
            writer.writerows(rows)
    made_at = datetime.combine(as_of + DUE, time(1, 30), UTC)  # 09:30 in Manila
    return build(PACK, read_portfolio(book), as_of, folder / "out", settings=settings, made_at=made_at, jobs=1)


def records(result: BuildResult, kind: str) -> list[dict[str, str]]:
    assert result.folder is not None, [f.message for f in result.findings if f.severity == "error"]
    lines = (result.folder / result.files[0].name).read_text(encoding="utf-8").splitlines()
    names = [f.name for r in PACK.records() if r.name == kind for f in r.value_fields]
    return [dict(zip(names, line.split("|"), strict=True)) for line in lines if line.startswith(kind + "|")]


def contract(result: BuildResult) -> dict[str, str]:
    return records(result, "CI")[0]


def test_the_loan_of_the_facts_becomes_their_own_example_byte_for_byte(tmp_path: Path) -> None:
    result = filed(loan_of_the_facts(), tmp_path)
    assert result.folder is not None, [f.message for f in result.findings]
    assert result.files[0].name == "LC009999_CSDF_20260705093000.txt"
    made = (result.folder / result.files[0].name).read_bytes()
    assert made == examples_of(PACK)["LC009999_CSDF_20260705093000.txt"]


def test_the_filer_type_has_no_default(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="filer_type"):
        build(PACK, read_portfolio(_without_filer(tmp_path)), DAY, tmp_path / "out")


def _without_filer(folder: Path) -> Path:
    (folder / "institution.toml").write_text(INSTITUTION.replace('filer_type = "NON_MFI"\n', ""), encoding="utf-8")
    for name in ("borrowers", "loans"):
        row = loan_of_the_facts()[name][0]
        (folder / f"{name}.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("as_of", "number", "amount", "code", "status"), [
    (date(2026, 4, 30), "0", "0", "0", ""),  # April paid
    (date(2026, 6, 30), "1", "2700", "1", "PD"),  # June, 29 days
    (date(2026, 7, 31), "2", "5400", "2", "PD"),  # June, 60 days
    (date(2026, 8, 31), "3", "8100", "4", "PD"),  # June, 91 days
    (date(2026, 12, 31), "4", "10800", "5", "PD"),  # June, 213 days
    (date(2027, 6, 30), "4", "10800", "6", "PD"),  # June, 394 days
])  # fmt: skip
def test_arrears_become_number_amount_and_bucket(as_of: date, number: str, amount: str, code: str, status: str, tmp_path: Path) -> None:
    ci = contract(filed(loan_of_the_facts(), tmp_path, as_of))
    assert (ci["overdue_payments_number"], ci["overdue_payments_amount"], ci["overdue_days"], ci["contract_status"]) == (number, amount, code, status)


def test_a_loan_of_which_nothing_has_fallen_due_is_too_new(tmp_path: Path) -> None:
    ci = contract(filed(loan_of_the_facts(), tmp_path, date(2026, 3, 31)))
    assert (ci["overdue_days"], ci["overdue_payments_number"], ci["outstanding_payments_number"], ci["outstanding_balance"]) == ("N", "0", "6", "16200")
    assert (ci["last_payment_date"], ci["last_payment_amount"]) == ("", "0")


def test_an_instalment_of_the_reference_date_itself_is_overdue_unless_the_setting_says_not(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    for row in tables["instalments"]:
        row["due_on"] = row["due_on"][:8] + "30"  # June falls due on the 30th
    tables["loans"][0] |= {"first_due_on": "2026-04-30", "matures_on": "2026-09-30"}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    as_facts, other = filed(tables, tmp_path / "a"), filed(tables, tmp_path / "b", due_today="not_overdue")
    assert [contract(r)["overdue_payments_amount"] for r in (as_facts, other)] == ["2700", "0"]
    assert [contract(r)["contract_status"] for r in (as_facts, other)] == ["PD", ""]
    assert "PH_CIC_CSDF-013" in {f.code for f in as_facts.findings}


@pytest.mark.parametrize(
    ("frequency", "monthly"), [("weekly", "11571"), ("fortnightly", "5400"), ("monthly", "2700"), ("quarterly", "900"), ("irregular", "2641")]
)
def test_the_instalment_is_brought_to_a_month(frequency: str, monthly: str, tmp_path: Path) -> None:
    """2,700 x 30 / 7 = 11,571.43; x 30 / 90 = 900; irregular: 16,200 x 30 / 184 days from 1 March to 1 September = 2,641.30."""
    tables = loan_of_the_facts()
    tables["loans"][0]["repayment_frequency"] = frequency
    assert contract(filed(tables, tmp_path))["monthly_payment_amount"] == monthly


def test_the_balance_may_be_principal_alone(tmp_path: Path) -> None:
    assert contract(filed(loan_of_the_facts(), tmp_path, balance_basis="principal"))["outstanding_balance"] == "10000"


@pytest.mark.parametrize(("how", "amount"), [("half_up", "2701"), ("half_even", "2700"), ("down", "2700")])
def test_amounts_are_rounded_as_the_setting_says(how: str, amount: str, tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    for row in tables["instalments"]:
        row["interest_due"] = "200.50"
    assert contract(filed(tables, tmp_path, rounding=how))["next_payment"] == amount


def test_a_loan_repaid_early_ends_as_ca_and_owes_nothing(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    tables["repayments"].append(paid("R3", "2026-06-20", "10000.00", "200.00", "payoff"))
    tables["loans"][0] |= {"status": "settled", "status_on": "2026-06-20"}
    ci = contract(filed(tables, tmp_path))
    assert (ci["contract_phase"], ci["contract_end_actual_date"], ci["contract_status"]) == ("CA", "20062026", "")
    assert (ci["next_payment_date"], ci["next_payment"], ci["outstanding_balance"], ci["outstanding_payments_number"]) == ("", "", "0", "0")
    assert ci["last_payment_amount"] == "10200"


def test_a_loan_that_ended_before_the_month_is_left_out(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    tables["repayments"].append(paid("R3", "2026-05-20", "10000.00", "200.00", "payoff"))
    tables["loans"][0] |= {"status": "settled", "status_on": "2026-05-20"}
    filed(tables, tmp_path)
    assert scope(PACK, read_portfolio(tmp_path / "book"), DAY)["reason"].to_list() == ["ended before the reported month"]


def test_a_loan_written_off_or_in_court_says_so(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    tables["loans"][0] |= {"court_stage": "filed", "court_filed_on": "2026-06-15"}
    assert contract(filed(tables, tmp_path / "a"))["contract_status"] == "LT"
    tables["write_offs"] = [{"loan_id": "L-2026-0001", "number": "1", "written_off_on": "2026-06-25", "principal": "10000.00", "claim_kept": "true"}]
    tables["loans"][0] |= {"status": "written_off", "status_on": "2026-06-25"}
    ci = contract(filed(tables, tmp_path / "b"))
    assert (ci["contract_status"], ci["contract_phase"]) == ("WO", "AC")


def with_others(known: bool) -> Tables:
    """The loan with a co-borrower and a guarantor, whose data suffice for records of their own or not."""
    tables = loan_of_the_facts()
    other = {"kind": "natural_person", "given_name": "RAMON", "family_name": "OCAMPO", "sex": "male", "born_on": "1980-05-11", "nationality": "PH"}
    other |= {"residence_country": "PH", "address": "3 RIZAL AVE CEBU CITY", "phone": "09170000002"}
    tables["parties"] = [{"party_id": "P1", "name": "RAMON OCAMPO", **other}, {"party_id": "P2", "name": "ROSA OCAMPO", **other, "sex": "female"}]
    tables["loan_parties"] = [
        {"loan_id": "L-2026-0001", "party_id": "P1", "role": "co_borrower"},
        {"loan_id": "L-2026-0001", "party_id": "P2", "role": "guarantor", "amount": "8000.00", "from_on": "2026-03-01"},
    ]
    if known:
        tables["identifiers"] += [{"party_id": p, "scheme": "ph.sss", "value": f"041234567{p[1]}"} for p in ("P1", "P2")]
        tables["ph_cic_csdf_subjects"] += [{"party_id": p, "civil_status": "1", "place_of_birth": "CEBU"} for p in ("P1", "P2")]
    return tables


def test_co_borrower_and_guarantor_have_records_of_their_own(tmp_path: Path) -> None:
    result = filed(with_others(known=True), tmp_path)
    assert [r["provider_subject_no"] for r in records(result, "ID")] == ["C-00001", "P1", "P2"]
    assert [(r["provider_subject_no"], r["role"], r["outstanding_balance"]) for r in records(result, "CI")] == [
        ("C-00001", "B", "10800"),
        ("P1", "C", "10800"),
        ("P2", "G", "10800"),
    ]
    assert contract(result)["guarantee_1_guarantee_type"] == contract(result)["linked_subject_1_role"] == ""


def test_those_of_whom_too_little_is_known_stand_by_name_in_the_borrowers_record(tmp_path: Path) -> None:
    result = filed(with_others(known=False), tmp_path)
    assert len(records(result, "ID")) == len(records(result, "CI")) == 1
    ci = contract(result)
    assert (ci["linked_subject_1_subject_no"], ci["linked_subject_1_role"], ci["linked_subject_1_name"]) == ("", "C", "RAMON OCAMPO")
    block = [ci[f"guarantee_1_{x}"] for x in ("guarantor_subject_no", "guarantor_name", "guaranteed_amount", "currency", "guarantee_type", "customer_type")]
    assert block == ["", "ROSA OCAMPO", "8000", "PHP", "100", "D"]


def test_linked_block_names_them_by_number(tmp_path: Path) -> None:
    result = filed(with_others(known=True), tmp_path, joint_parties="linked_block")
    ci = contract(result)
    assert len(records(result, "CI")) == 1
    assert (ci["linked_subject_1_subject_no"], ci["guarantee_1_guarantor_subject_no"], ci["guarantee_1_guarantor_name"]) == ("P1", "P2", "")


def test_of_eight_collaterals_the_six_largest_are_written_and_the_rest_reported(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    tables["collateral"] = [{"collateral_id": f"K{n}", "kind": "vehicle", "value": f"{n}000.00", "currency_code": "PHP"} for n in range(1, 9)]
    tables["collateral_links"] = [{"loan_id": "L-2026-0001", "collateral_id": f"K{n}"} for n in range(1, 9)]
    result = filed(tables, tmp_path)
    ci = contract(result)
    assert [ci[f"guarantee_{n}_guaranteed_amount"] for n in range(1, 7)] == ["8000", "7000", "6000", "5000", "4000", "3000"]
    assert ci["guarantee_1_guarantor_subject_no"] == "C-00001"
    assert [f.loan_id for f in result.findings if f.code == "PH_CIC_CSDF-028"] == ["L-2026-0001"]


def restructured() -> Tables:
    tables = loan_of_the_facts()
    tables["restructurings"] = [{"loan_id": "L-2026-0001", "number": "1", "agreed_on": "2026-05-20", "kind": "term", "financial_difficulty": "true"}]
    return tables


def test_a_restructured_loan_is_reorganised_in_a_monthly_file_only(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert contract(filed(restructured(), tmp_path / "a"))["reorganized_credit_code"] == "1"
    correction = filed(restructured(), tmp_path / "b", submission_type="1")
    assert contract(correction)["reorganized_credit_code"] == "0"
    assert records(correction, "HD")[0]["submission_type"] == "1"


@pytest.mark.parametrize(("counts", "count"), [("details", "2"), ("all_lines", "4")])
def test_the_footer_counts_as_the_setting_says(counts: str, count: str, tmp_path: Path) -> None:
    result = filed(loan_of_the_facts(), tmp_path, footer_counts=counts)
    assert records(result, "FT")[0]["no_of_records"] == count


@pytest.mark.parametrize(("count", "code"), [("2", None), ("4", "PH_CIC_CSDF-026"), ("3", "30-011"), ("1", "30-011")])
def test_a_count_that_fits_only_the_other_reading_is_told_apart(count: str, code: str | None, tmp_path: Path) -> None:
    name = "LC009999_CSDF_20260705093000.txt"
    text = examples_of(PACK)[name].decode().replace("FT|LC009999|30062026|2", f"FT|LC009999|30062026|{count}")
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = {f.code for f in check_files([tmp_path / name], PACK.id, settings=example_settings(PACK, name)).findings}
    assert found == ({code} if code else set())


def test_a_product_without_contract_type_is_an_error_not_a_guess(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    tables["ph_cic_csdf_products"][0]["product"] = "housing"
    result = filed(tables, tmp_path)
    assert result.refused
    assert {f.loan_id for f in result.findings if f.code in ("10-023", "30-020")} == {"L-2026-0001"}


def test_a_value_with_a_pipe_is_refused_and_never_written(tmp_path: Path) -> None:
    tables = loan_of_the_facts()
    tables["borrowers"][0]["address"] = "7 MANGO ST | CEBU"
    result = filed(tables, tmp_path)
    assert result.refused
    assert "FIL-006" in {f.code for f in result.findings}


def test_personal_data_is_not_in_findings(tmp_path: Path) -> None:
    name = "LC009999_CSDF_20260706101500.txt"
    changes = ("03071992=>03072015", "0412345678=>04123456789", "09170000001=>0917000000X")
    text = examples_of(PACK)[name].decode()
    for change in changes:
        old, new = change.split("=>")
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / name).write_text(text, encoding="utf-8")
    result = check_files([tmp_path / name], PACK.id, settings=example_settings(PACK, name))
    assert {"20-137", "20-051", "PH_CIC_CSDF-018"} <= {f.code for f in result.findings}
    said = " ".join(f"{f.message} {f.value} {f.key}" for f in result.findings)
    for secret in ("03072015", "04123456789", "0917000000X", "MERCADO", "123456789000"):
        assert secret not in said


def summary_case(folder: Path) -> tuple[Mapping[str, int], list[ErrorCount]]:
    name = "LC009999_CSDF_20260706101500.txt"
    text = examples_of(PACK)[name].decode().replace("|F|03071992", "||03071992").replace("|F|25121999", "||25121999").replace("|4711|0", "|9998|0")
    (folder / name).write_text(text, encoding="utf-8")
    result = check_files([folder / name], PACK.id, settings=example_settings(PACK, name))
    rows = summarise(PACK, result.findings, "LC009999")
    return {r.code: r.count for r in rows}, rows


def test_findings_are_counted_by_error_code_and_read_back(tmp_path: Path) -> None:
    """Two persons without gender (20-001 and its bureau twin 60-003)."""
    counts, rows = summary_case(tmp_path)
    assert counts["20-001"] == counts["60-003"] == 2
    back = read_summary(PACK, write_summary(rows))
    assert list(back.rows) == rows
    assert back.unreadable == back.unknown_codes == ()


def test_a_summary_of_the_bureau_is_read_without_guessing() -> None:
    rows = ("LC009999|CPS|20-129|17|No TIN, SSS or GSIS", "LC009999|CPS|20-130|many|Two addresses", "short|line", "LC009999|X|77-777|1|?")
    text = "\n".join(["Provider|ErrorType|ErrorCode|Count|Description", *rows])
    read = read_summary(PACK, text)
    assert read.rows[0] == ErrorCount("LC009999", "CPS", "20-129", 17, "No TIN, SSS or GSIS")
    assert [n for n, _ in read.unreadable] == [3, 4]
    assert read.unknown_codes == ("77-777",)


def test_every_error_code_of_the_facts_is_a_rule() -> None:
    ids = {r.id for r in PACK.rules}
    assert len({i for i in ids if not i.startswith("PH_")}) == 703
    assert {f"PH_CIC_CSDF-{n:03d}" for n in range(1, 30)} == {i for i in ids if i.startswith("PH_")}


@pytest.mark.parametrize(
    ("scheme", "good", "bad"), [("ph.tin", "123-456-789-000", "12345678"), ("ph.sss", "04-1234567-8", "041234567"), ("ph.philsys", "1234567890123456", "12345")]
)
def test_numbers_have_their_shape(scheme: str, good: str, bad: str) -> None:
    assert passes(scheme, pl.Series([good, bad, None], dtype=pl.String)).to_list() == [True, False, None]
