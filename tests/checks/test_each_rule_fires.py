"""Every portfolio rule is broken by a small book and not by its good twin (examples.yaml; books of files and frames below)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mloan_report.checks import all_rules, finding_as_dict
from mloan_report.filing.validation import validate
from mloan_report.model import Institution, fields_of, table_models
from mloan_report.model.finding import Finding
from mloan_report.model.masking import mask
from mloan_report.portfolio import Portfolio, build_portfolio, portfolio_from_frames, read_portfolio

AS_OF = date(2026, 3, 1)
LENDER = {"name": "Example lender", "country": "SV", "currency_code": "USD"}
Rows = dict[str, list[dict[str, str | None]]]


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = yaml.load((Path(__file__).parent / "examples.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return data


@dataclass(frozen=True)
class Example:
    """A book that breaks ``rule`` at ``table``, ``row``, ``field``, and its good twin."""

    rule: str
    case: str
    table: str | None
    row: int | None
    field: str | None
    good: Mapping[str, Any]
    bad: Mapping[str, Any]
    hidden: tuple[str, ...] = ()


def _example(data: Mapping[str, Any]) -> Example:
    at = data["at"]
    return Example(
        rule=data["rule"],
        case=data.get("case", ""),
        table=at.get("table"),
        row=int(at["row"]) if "row" in at else None,
        field=at.get("field"),
        good=data["good"],
        bad=data["bad"],
        hidden=tuple(data.get("hidden", ())),
    )


EXAMPLES = [_example(e) for e in _data()["examples"]]


def _rows(book: Mapping[str, Any]) -> Rows:
    """The tables of *book* over those of the base; ``~`` in YAML (read as text) is an empty cell."""
    defaults = _data()["defaults"]
    tables = {**_data()["base"], **{t: rows for t, rows in book.items() if t not in ("without", "drop")}}
    return {
        table: [{c: None if v in ("~", "") else v for c, v in {**defaults[table], **row}.items()} for row in rows]
        for table, rows in tables.items()
        if table not in book.get("without", ())
    }


def _frames(book: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    frames = {}
    for table, rows in _rows(book).items():
        names = [*(n for n, f in fields_of(table_models()[table]).items() if f.required), *(n for row in rows for n in row)]
        columns = [n for n in dict.fromkeys(names) if n not in book.get("drop", {}).get(table, ())]
        frames[table] = pl.DataFrame({n: [row.get(n) for row in rows] for n in columns}, schema=dict.fromkeys(columns, pl.String))
    return frames


def _portfolio(book: Mapping[str, Any]) -> Portfolio:
    frames = _frames(book)
    return build_portfolio(Institution.model_validate(LENDER), frames, files={t: f"{t}.csv" for t in frames})


def _of(rule: str, portfolio: Portfolio) -> list[Finding]:
    return validate(portfolio, AS_OF, select=[rule]).findings


def _is_well_said(finding: Finding) -> None:
    rule = all_rules()[finding.code]
    assert finding.severity == rule.severity
    assert finding.source
    for text in (finding.message, finding.advice):
        assert text
        assert not set(text) & set("{}?"), text
        assert "None" not in text, text


def _hides_the_person(finding: Finding, row: Mapping[str, str | None], more: tuple[str, ...] = ()) -> None:
    shown = json.dumps(finding_as_dict(finding), ensure_ascii=False)
    table = finding.table or ""
    columns = {} if table == "adjustments" else fields_of(table_models()[table])
    personal = [value for name, value in row.items() if value and name in columns and columns[name].column.pii]
    for value in (*personal, *more):
        assert value not in shown, shown
    if finding.field in columns and finding.value is not None and (pii := columns[finding.field].column.pii):
        assert finding.value == mask(row[finding.field], pii)
        if pii == "birth":
            assert finding.value[:4] in ("***", *(str(year) for year in range(1850, 2100)))


def _marked(example: Example | Made) -> Any:
    return pytest.param(example, id=f"{example.rule} {example.case}".strip())


def test_the_base_of_the_examples_breaks_no_rule() -> None:
    assert [(f.code, f.message) for f in validate(_portfolio({}), AS_OF).findings] == []


@pytest.mark.parametrize("example", [_marked(e) for e in EXAMPLES])
def test_a_bad_book_breaks_the_rule_and_its_good_twin_does_not(example: Example) -> None:
    assert [f.message for f in _of(example.rule, _portfolio(example.good))] == []
    found = [f for f in _of(example.rule, _portfolio(example.bad)) if (f.table, f.row, f.field) == (example.table, example.row, example.field)]
    assert len(found) == 1, [(f.table, f.row, f.field, f.message) for f in _of(example.rule, _portfolio(example.bad))]
    finding = found[0]
    assert finding.file == f"{example.table}.csv"
    _is_well_said(finding)
    if example.row is not None:
        assert finding.key
        _hides_the_person(finding, _rows(example.bad)[example.table or ""][example.row - 2], example.hidden)


def _folder(path: Path, book: Mapping[str, Any] | None = None, **files: str | bytes | pl.DataFrame) -> Portfolio:
    path.mkdir()
    lines = [f'{name} = "{value}"' for name, value in LENDER.items()]
    (path / "institution.toml").write_text("\n".join(lines), encoding="utf-8")
    for table, frame in _frames(book or {}).items():
        frame.write_csv(path / f"{table}.csv")
    for name, content in files.items():
        stem, _, suffix = name.rpartition("__")
        file = path / f"{stem}.{suffix}"
        if isinstance(content, pl.DataFrame):
            content.write_parquet(file)
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_portfolio(path)


def _with_column(table: str, column: str, values: list[Any], dtype: Any = None) -> Portfolio:
    frames = _frames({})
    frames[table] = frames[table].with_columns(pl.Series(column, values, dtype=dtype))
    return portfolio_from_frames(LENDER, frames)


@dataclass(frozen=True)
class Made:
    """An example whose books cannot be said as rows: files, or columns that are not text."""

    rule: str
    case: str
    good: Callable[[Path], Portfolio]
    bad: Callable[[Path], Portfolio]
    at: Mapping[str, str]
    row: int | None = None


PARTIES = "party_id,kind,name\nB9,natural_person,ANA RIVAS\n"
MADE = [
    Made("TAB-001", "no repayments", lambda p: _folder(p), lambda p: _folder(p, {"without": ["repayments"]}), {"table": "repayments"}),
    Made(
        "TAB-013",
        "an empty file",
        lambda p: _folder(p, parties__csv=PARTIES),
        lambda p: _folder(p, parties__csv=""),
        {"table": "parties", "file": "parties.csv"},
    ),
    Made(
        "TAB-013",
        "a file that is not UTF-8",
        lambda p: _folder(p, parties__csv=PARTIES.replace("ANA", "Á").encode("utf-8-sig")),
        lambda p: _folder(p, parties__csv=PARTIES.replace("ANA", "Á").encode("latin-1")),
        {"table": "parties", "file": "parties.csv"},
    ),
    Made(
        "TAB-013",
        "a row with too many cells",
        lambda p: _folder(p, parties__csv=PARTIES),
        lambda p: _folder(p, parties__csv=PARTIES.replace("ANA RIVAS", "RIVAS, ANA")),
        {"table": "parties", "file": "parties.csv"},
    ),
    Made(
        "TAB-013",
        "a file that is not Parquet",
        lambda p: _folder(p, branches__parquet=pl.DataFrame({"branch_id": ["BR1"], "name": ["Centro"]})),
        lambda p: _folder(p, branches__parquet=b"PAR1 cut off"),
        {"table": "branches", "file": "branches.parquet"},
    ),
    Made(
        "TAB-014",
        "an amount",
        lambda p: _with_column("loans", "principal", ["300.00"]),
        lambda p: _with_column("loans", "principal", [300.0]),
        {"table": "loans", "field": "principal", "file": "loans"},
    ),
    Made(
        "TAB-014",
        "a rate",
        lambda p: _with_column("loans", "annual_rate_pct", [24]),
        lambda p: _with_column("loans", "annual_rate_pct", [24.0]),
        {"table": "loans", "field": "annual_rate_pct", "file": "loans"},
    ),
    Made(
        "TAB-016",
        "a misspelt name",
        lambda p: _folder(p, branches__csv="branch_id,name\nBR1,Centro\n"),
        lambda p: _folder(p, brnches__csv="branch_id,name\nBR1,Centro\n"),
        {"file": "brnches.csv"},
    ),
    Made(
        "TAB-016",
        "a misspelt name of two words",
        lambda p: _folder(p, bank_accounts__csv="party_id,number,kind\nB1,6222021234567890128,card\n"),
        lambda p: _folder(p, bank_acounts__csv="party_id,number,kind\nB1,6222021234567890128,card\n"),
        {"file": "bank_acounts.csv"},
    ),
    Made(
        "TAB-017",
        "as CSV and as Parquet",
        lambda p: _folder(p),
        lambda p: _folder(p, loans__parquet=pl.DataFrame({"loan_id": ["L1"]})),
        {"table": "loans", "file": "loans.csv"},
    ),
    Made(
        "TAB-018",
        "a time of day",
        lambda p: _with_column("repayments", "paid_on", [datetime(2026, 2, 15)]),
        lambda p: _with_column("repayments", "paid_on", [datetime(2026, 2, 15, 23, 30)]),
        {"table": "repayments", "field": "paid_on", "file": "repayments"},
    ),
    Made(
        "TAB-007",
        "an integer that leaves 64 bits",
        lambda p: _with_column("loans", "principal", [300]),
        lambda p: _with_column("loans", "principal", [10**17]),
        {"table": "loans", "field": "principal", "file": "loans"},
        2,
    ),
]


@pytest.mark.parametrize("example", [_marked(e) for e in MADE])
def test_bad_files_and_frames_break_the_rule_and_good_ones_do_not(example: Made, tmp_path: Path) -> None:
    assert [f.message for f in _of(example.rule, example.good(tmp_path / "good"))] == []
    found = _of(example.rule, example.bad(tmp_path / "bad"))
    assert len(found) == 1, [f.message for f in found]
    assert {name: getattr(found[0], name) for name in example.at} == dict(example.at)
    assert found[0].row == example.row
    _is_well_said(found[0])


def test_every_rule_has_an_example_that_holds() -> None:
    holding = {e.rule for e in (*EXAMPLES, *MADE)}
    assert holding == set(all_rules())


def test_the_field_of_a_finding_is_a_column_of_its_table() -> None:
    wrong = [(e.rule, e.table, e.field) for e in EXAMPLES if e.field and e.field not in fields_of(table_models()[e.table or ""])]
    assert [w for w in wrong if w[0] not in ("TAB-012", "TAB-020", "TAB-021")] == []


FAULTS = {
    "PLA-001": "annual_rate_pct",
    "PLA-002": "annual_rate_pct",
    "PLA-003": "penalty_rate_pct",
    "PLA-005": "effective_rate_pct",
    "AMT-005": "amount",
    "CUR-003": "limit_amount",
}


@pytest.mark.parametrize("rule", FAULTS)
def test_the_field_of_a_finding_is_the_column_at_fault(rule: str) -> None:
    bad = next(e for e in EXAMPLES if e.rule == rule).bad
    assert [f.field for f in _of(rule, _portfolio(bad))] == [FAULTS[rule]]


MAJOR = [
    ("AMT-001", {"loans": [{"principal": "-300.00"}]}, "-300.00"),
    ("AMT-004", {"loans": [{"principal": "300.01"}]}, "300.01"),
    ("PLA-007", {"funding_shares": [{"share_pct": "100.01"}]}, "100.01"),
    ("STA-003", {"positions": [{"claim_principal": "200.01"}]}, "200.01"),
]


@pytest.mark.parametrize(("rule", "bad", "value"), MAJOR, ids=[m[0] for m in MAJOR])
def test_the_value_of_a_finding_is_as_the_source_has_it(rule: str, bad: Mapping[str, Any], value: str) -> None:
    assert [f.value for f in _of(rule, _portfolio(bad))] == [value]


def test_a_message_says_amounts_in_major_units() -> None:
    [finding] = _of("STA-003", _portfolio({"positions": [{"claim_principal": "200.01"}]}))
    assert "200.01" in finding.message


def test_a_limit_passed_is_said_with_what_was_lent() -> None:
    [finding] = _of("CUR-003", _portfolio({"facilities": [{"limit_amount": "199.99"}], "loans": [{"facility_id": "F1"}]}))
    assert "200" in finding.message


def test_a_spouse_who_borrows_too_is_looked_up_in_borrowers() -> None:
    couple = [{"spouse_id": "B2", "spouse_name": "JOSE DIAZ PAZ"}, {"borrower_id": "B2", "name": "JOSE PAZ DIAZ"}]
    [finding] = _of("DUP-003", _portfolio({"borrowers": couple}))
    assert "but borrowers calls" in finding.message


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("STA-003", {"positions": [{"claim_principal": "200.01"}]}),
        ("HIS-001", {"restructurings": [{}]}),
    ],
    ids=["STA-003", "HIS-001"],
)
def test_a_message_about_a_loan_says_the_loan(rule: str, bad: Mapping[str, Any]) -> None:
    [finding] = _of(rule, _portfolio(bad))
    assert finding.message.startswith("Loan L1 ")


def test_the_advice_on_an_unknown_currency_names_the_missing_loan() -> None:
    [finding] = _of("TAB-015", _portfolio({"repayments": [{}, {"repayment_id": "R2", "loan_id": "L9"}]}))
    assert "Add the loan L9" in finding.advice


def test_an_adjustment_may_fill_an_empty_cell() -> None:
    filled = _portfolio({"adjustments": [{"old_value": "~"}]})
    assert filled.table("borrowers")["district_code"].to_list() == ["0614"]
    assert [f.code for f in filled.findings] == ["TAB-021"]


def test_an_adjustment_of_a_rate_with_too_many_decimals_does_not_fit() -> None:
    adjustment = {"table": "loans", "key": "L1", "field": "annual_rate_pct", "old_value": "24", "new_value": "24.123456789"}
    assert [f.code for f in _portfolio({"adjustments": [adjustment]}).findings] == ["TAB-020"]


def test_an_adjustment_with_half_a_key_does_not_fit() -> None:
    adjustment = {"table": "instalments", "key": "L1", "field": "interest_due", "old_value": "6.00", "new_value": "7.00"}
    book = {"instalments": [{"number": "1", "due_on": "2026-02-15", "interest_due": "6.00"}], "adjustments": [adjustment]}
    assert [f.code for f in _portfolio(book).findings] == ["TAB-020"]


def test_an_adjustment_that_nobody_approved_is_not_applied() -> None:
    book = {"borrowers": [{"district_code": "0600"}], "adjustments": [{"approved_by": "~"}]}
    assert _portfolio(book).table("borrowers")["district_code"].to_list() == ["0600"]
