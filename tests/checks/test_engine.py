"""The engine of checks: selection, severities, what was not run; data quality; the forms in which findings are shown."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from mloan_report.checks import Book, all_rules, column_counts, data_quality, registry, run_checks
from mloan_report.checks.engine import check
from mloan_report.checks.outputs import output_forms, writer
from mloan_report.checks.quality import ColumnQuality
from mloan_report.filing.validation import validate
from mloan_report.model.finding import Finding, Rule, Severity
from mloan_report.portfolio import Portfolio, portfolio_from_frames

AS_OF = date(2026, 3, 1)
LENDER = {"name": "Example lender", "country": "SV", "currency_code": "USD"}


def _tiny(**loan: Any) -> Portfolio:
    """Two borrowers, the second without name and loan; one loan that TAB, KEY, REQ, DAT and AMT rules find something in."""
    row = {
        "loan_id": "L1",
        "borrower_id": "B1",
        "product": "other",
        "currency_code": "USD",
        "principal": "100.00",
        "disbursed_on": "2026-01-15",
        "first_due_on": "2026-01-14",
        "matures_on": "2026-02-15",
        "finance_kind": "interest",
        "repayment_method": "bullet",
        "repayment_frequency": "at_maturity",
        "guarantee_mode": "unsecured",
        "status": "active",
        **loan,
    }
    instalments = {
        "loan_id": ["L1", "L9"],
        "number": ["1", "1"],
        "due_on": ["2026-02-15", "2026-02-15"],
        "principal_due": ["90.00", "1,0"],
        "interest_due": ["1.00", "1.00"],
    }
    return portfolio_from_frames(
        LENDER,
        {
            "borrowers": pl.DataFrame({"borrower_id": ["B1", "B2"], "kind": ["natural_person"] * 2, "name": ["=ROSA", None]}),
            "loans": pl.DataFrame({name: [value] for name, value in row.items()}),
            "instalments": pl.DataFrame(instalments),
            "repayments": pl.DataFrame(schema=dict.fromkeys(("repayment_id", "loan_id", "paid_on", "amount", "kind"), pl.String)),
        },
    )


def _codes(portfolio: Portfolio, **options: Any) -> set[str]:
    return {f.code for f in validate(portfolio, AS_OF, **options).findings}


ALL = {"AMT-004", "DAT-003", "KEY-002", "KEY-006", "REQ-001", "REQ-007", "REQ-009", "TAB-003", "TAB-011", "TAB-015"}


def test_everything_is_run_where_nothing_is_selected() -> None:
    assert _codes(_tiny()) == ALL


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (["REQ"], {"REQ-001", "REQ-007", "REQ-009"}),
        (["REQ-00"], {"REQ-001", "REQ-007", "REQ-009"}),
        (["REQ-001"], {"REQ-001"}),
        (["TAB-", "KEY-006"], {"TAB-003", "TAB-011", "TAB-015", "KEY-006"}),
        (["EQ"], set()),
    ],
    ids=["family", "part of a number", "one rule", "two families", "none"],
)
def test_rules_are_selected_by_the_beginning_of_their_id(select: list[str], expected: set[str]) -> None:
    assert _codes(_tiny(), select=select) == expected


def test_rules_are_ignored_by_the_beginning_of_their_id() -> None:
    assert _codes(_tiny(), ignore=["REQ", "TAB-011"]) == ALL - {"REQ-001", "REQ-007", "REQ-009", "TAB-011"}


def test_ignoring_wins_over_selecting() -> None:
    assert _codes(_tiny(), select=["REQ"], ignore=["REQ-001"]) == {"REQ-007", "REQ-009"}
    assert _codes(_tiny(), select=["REQ-001"], ignore=["REQ"]) == set()


def test_the_longest_prefix_sets_the_severity() -> None:
    severities: dict[str, Severity] = {"REQ-001": "information", "R": "error", "REQ": "warning", "TAB": "warning"}
    found = {f.code: f.severity for f in validate(_tiny(), AS_OF, severities=severities).findings}
    assert found["REQ-001"] == "information"
    assert found["REQ-007"] == "warning"
    assert found["TAB-003"] == "warning"
    assert found["AMT-004"] == all_rules()["AMT-004"].severity == "error"


def test_a_severity_by_one_letter_reaches_every_rule_that_begins_with_it() -> None:
    found = {f.code: f.severity for f in validate(_tiny(), AS_OF, severities={"D": "information"}).findings}
    assert [code for code, severity in found.items() if severity == "information"] == ["DAT-003"]


def test_rules_that_need_the_position_are_named_when_there_is_none() -> None:
    checked = run_checks(Book(_tiny(), AS_OF))
    assert set(checked.not_run) == {r.rule.id for r in registry().values() if r.needs_position}
    assert set(checked.not_run) >= {"AMT-006", "STA-001", "STA-003", "CUR-003"}
    assert all(checked.not_run.values())


def test_rules_not_selected_are_not_named_as_not_run() -> None:
    assert set(run_checks(Book(_tiny(), AS_OF), select=["STA"], ignore=["STA-003"]).not_run) == {"STA-001"}


def test_every_rule_is_run_when_the_position_was_worked_out() -> None:
    assert validate(_tiny(), AS_OF).not_run == {}


def test_a_portfolio_of_nothing_is_checked_without_a_crash() -> None:
    empty = portfolio_from_frames(LENDER, {})
    checked = validate(empty, AS_OF)
    assert [f.code for f in checked.findings] == ["TAB-001"] * 4
    assert sorted(f.table or "" for f in checked.findings) == ["borrowers", "instalments", "loans", "repayments"]


def test_every_table_without_rows_is_checked_without_a_crash() -> None:
    from mloan_report.model import fields_of, table_models

    frames = {name: pl.DataFrame(schema=dict.fromkeys(fields_of(model), pl.String)) for name, model in table_models().items()}
    assert validate(portfolio_from_frames(LENDER, frames), AS_OF).findings == []


def test_findings_come_in_order_of_rule_and_row() -> None:
    codes = [f.code for f in validate(_tiny(), AS_OF).findings]
    checks = [c for c in codes if not c.startswith("TAB")]
    assert codes == ["TAB-003", "TAB-011", "TAB-015", *checks]
    assert checks == sorted(checks)


def test_two_checks_of_one_id_are_refused() -> None:
    registry()
    with pytest.raises(ValueError, match="KEY-001 stands twice"):
        check(Rule("KEY-001", "error", "A title", "A message.", "Why.", "What to do."))(lambda book: None)


def test_every_rule_says_what_why_and_what_to_do() -> None:
    for rule in all_rules().values():
        assert all((rule.title, rule.message, rule.why, rule.fix, rule.source)), rule.id
        assert rule.severity in ("error", "warning", "information"), rule.id
    assert len({rule.title for rule in all_rules().values()}) == len(all_rules())


def test_a_finding_says_where_it_is() -> None:
    [orphan] = validate(_tiny(), AS_OF, select=["KEY-002"]).findings
    assert (orphan.table, orphan.file, orphan.row, orphan.field, orphan.key, orphan.value) == ("instalments", "instalments", 3, "loan_id", "L9|1|1", "L9")
    assert orphan.loan_id == "L9"
    assert orphan.message == "instalments.loan_id is L9: there is no such row in loans."
    assert orphan.advice == "Add the missing row to loans, or correct the key."


def test_the_latest_date_in_the_data_is_the_day_of_the_checks_where_none_is_given() -> None:
    assert [f.code for f in validate(_tiny(disbursed_on="2026-05-01"), select=["DAT-008"]).findings] == []
    assert [f.code for f in validate(_tiny(disbursed_on="2026-05-01"), AS_OF, select=["DAT-008"]).findings] == ["DAT-008"]


# ---- data quality ----------------------------------------------------------------------------------------------------


def _quality(portfolio: Portfolio) -> dict[tuple[str, str], ColumnQuality]:
    return {(q.table, q.column): q for q in data_quality(column_counts(portfolio), validate(portfolio, AS_OF).findings)}


def test_quality_of_a_column_without_fault() -> None:
    q = _quality(_tiny())["loans", "status"]
    assert (q.required, q.rows, q.given, q.errors, q.accuracy, q.completeness) == (True, 1, 1, 0, Decimal(1), Decimal(1))


def test_a_value_that_could_not_be_read_is_given_and_wrong() -> None:
    q = _quality(_tiny())["instalments", "principal_due"]
    assert (q.rows, q.given, q.errors) == (2, 2, 1)
    assert (q.accuracy, q.completeness) == (Decimal("0.5000"), Decimal("1.0000"))


def test_a_value_that_breaks_a_rule_is_given_and_wrong() -> None:
    q = _quality(_tiny())["instalments", "loan_id"]
    assert (q.given, q.errors, q.accuracy) == (2, 1, Decimal("0.5000"))


def test_a_required_value_that_is_missing_lowers_completeness() -> None:
    assert _quality(_tiny())["borrowers", "name"].completeness == Decimal("0.5000")


def test_a_required_value_that_is_missing_does_not_lower_accuracy() -> None:
    assert _quality(_tiny())["borrowers", "name"].accuracy == Decimal("1.0000")


def test_every_value_of_a_column_of_floats_is_given_and_wrong() -> None:
    frame = pl.DataFrame({"loan_id": ["L1"] * 3, "number": [1, 2, 3], "due_on": ["2026-02-15"] * 3, "principal_due": [1.0, 2.0, 3.0], "interest_due": [0] * 3})
    portfolio = portfolio_from_frames(LENDER, {"instalments": frame})
    q = _quality(portfolio)["instalments", "principal_due"]
    assert (q.given, q.errors, q.accuracy, q.completeness) == (3, 3, Decimal(0), Decimal(1))


def test_a_column_that_may_be_empty_has_no_completeness_and_an_empty_one_no_accuracy() -> None:
    q = _quality(_tiny())["borrowers", "phone"]
    assert (q.required, q.given, q.accuracy, q.completeness) == (False, 0, None, None)
    assert q.as_dict() == {
        "table": "borrowers",
        "column": "phone",
        "required": False,
        "rows": 2,
        "given": 0,
        "errors": 0,
        "accuracy": None,
        "completeness": None,
    }


def test_warnings_do_not_lower_accuracy() -> None:
    q = _quality(_tiny())["borrowers", "borrower_id"]
    assert {f.code for f in validate(_tiny(), AS_OF).findings if (f.table, f.field) == ("borrowers", "borrower_id")} == {"KEY-006", "REQ-007"}
    assert (q.errors, q.accuracy) == (0, Decimal("1.0000"))


def test_two_errors_of_one_value_count_once() -> None:
    portfolio = _tiny()
    findings = validate(portfolio, AS_OF).findings
    doubled = {(q.table, q.column): q for q in data_quality(column_counts(portfolio), [*findings, *findings])}
    assert doubled == _quality(portfolio)


def test_a_table_without_rows_has_neither_accuracy_nor_completeness() -> None:
    q = _quality(_tiny())["repayments", "amount"]
    assert (q.rows, q.accuracy, q.completeness) == (0, None, None)


def test_tables_that_were_not_given_are_not_listed() -> None:
    assert {table for table, _ in _quality(_tiny())} == {"borrowers", "loans", "instalments", "repayments"}


# ---- the forms of findings -------------------------------------------------------------------------------------------


def _finding(**where: Any) -> Finding:
    return all_rules()["KEY-002"].finding(**{"table": "loans", "field": "borrower_id", "value": "B9", "parent": "borrowers", **where})


def test_there_are_three_forms_and_no_other() -> None:
    assert {"csv", "json", "text"} <= set(output_forms())
    with pytest.raises(KeyError):
        writer("xls")


def test_the_json_form_is_a_list_with_the_filled_message() -> None:
    text = writer("json")([_finding(file="loans.csv", row=2, key="L1", loan_id="L1"), _finding(value="王芳")])
    assert text.endswith("\n")
    assert "王芳" in text
    first, _second = json.loads(text)
    assert first == {
        "code": "KEY-002",
        "severity": "error",
        "message": "loans.borrower_id is B9: there is no such row in borrowers.",
        "table": "loans",
        "key": "L1",
        "field": "borrower_id",
        "value": "B9",
        "file": "loans.csv",
        "row": 2,
        "loan_id": "L1",
        "fix": "Add the missing row to borrowers, or correct the key.",
        "source": "data contract (docs/model)",
    }


def test_the_text_form_says_the_place_the_advice_and_the_count() -> None:
    text = writer("text")([_finding(file="loans.csv", row=2), _finding().with_severity("warning"), all_rules()["TAB-016"].finding(file="lons.csv")])
    assert text == (
        "loans.csv:2: error KEY-002: loans.borrower_id is B9: there is no such row in borrowers.\n"
        "    what to do: Add the missing row to borrowers, or correct the key.\n"
        "warning KEY-002: loans.borrower_id is B9: there is no such row in borrowers.\n"
        "    what to do: Add the missing row to borrowers, or correct the key.\n"
        "lons.csv: information TAB-016: lons.csv is not a table of the model: only a pack that declares such a table reads it.\n"
        "    what to do: Rename it if it was meant for a table of the model.\n"
        "1 errors, 1 warnings, 1 notes\n"
    )


@pytest.mark.parametrize(("form", "expected"), [("json", "[]\n"), ("text", "0 errors, 0 warnings, 0 notes\n")])
def test_no_findings_in_each_form(form: str, expected: str) -> None:
    assert writer(form)([]) == expected


def test_the_csv_form_has_a_header_and_one_row_a_finding() -> None:
    rows = list(csv.DictReader(io.StringIO(writer("csv")([_finding(file="loans.csv", row=2, key="L1"), _finding(value='B,"9')]))))
    assert [r["severity"] for r in rows] == ["error", "error"]
    assert rows[0]["row"] == "2"
    assert rows[0]["key"] == "L1"
    assert rows[1]["row"] == ""
    assert rows[1]["value"] == 'B,"9'
    assert rows[1]["message"] == 'loans.borrower_id is B,"9: there is no such row in borrowers.'


@pytest.mark.parametrize(
    "value",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
    ],
    ids=repr,
)
def test_no_cell_of_the_csv_form_is_a_formula(value: str) -> None:
    [row] = csv.DictReader(io.StringIO(writer("csv")([_finding(value=value)]), newline=""))
    assert row["value"] == f"'{value}"


def test_a_line_break_in_a_value_does_not_make_a_second_finding_in_the_csv_form() -> None:
    rows = list(csv.DictReader(io.StringIO(writer("csv")([_finding(value="B\n9")]), newline="")))
    assert [r["value"] for r in rows] == ["B\n9"]


def test_a_line_break_in_a_value_does_not_make_a_second_line_in_the_text_form() -> None:
    assert len(writer("text")([_finding(value="B9\n0 errors, 0 warnings, 0 notes")]).splitlines()) == 3


def test_positions_are_worked_out_only_for_rules_that_look_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the position was worked out")

    monkeypatch.setattr("mloan_report.filing.validation.work_out", never)
    assert not validate(_tiny(), AS_OF, select=["KEY"]).not_run
    with pytest.raises(AssertionError, match="worked out"):
        validate(_tiny(), AS_OF)
