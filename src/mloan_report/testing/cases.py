"""The case book: short stories of one loan or borrower that a lawyer or vendor can read and extend, run as tests.

A case is a YAML file: ``title``, ``rests_on`` (the text it rests on), ``facts`` (table rows; what is not said takes the
defaults below), and ``expected`` (by date: position, category, ratios of the date or of a period, limits, migration, record
fields, findings).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.filing.building import request_for
from mloan_report.filing.making import make_filing
from mloan_report.filing.validation import validate
from mloan_report.measures import classify, provision_tables, ratios, regime_with, regimes
from mloan_report.measures.limit import limit_sets
from mloan_report.measures.limit_check import check_limits
from mloan_report.measures.migration import migration_matrix
from mloan_report.measures.period import period_ratios
from mloan_report.model import Institution, fields_of, table_models
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio, build_portfolio
from mloan_report.position import POSITION_COLUMNS, work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.position.position import HISTORY_MONTHS

_DEFAULTS: dict[str, dict[str, Any]] = {
    "borrowers": {"borrower_id": "B1", "kind": "natural_person", "name": "CASE PERSON", "residence_country": "SV"},
    "loans": {
        "loan_id": "L1",
        "borrower_id": "B1",
        "product": "personal_consumption",
        "finance_kind": "flat_fee",
        "repayment_method": "irregular",
        "repayment_frequency": "monthly",
        "guarantee_mode": "unsecured",
        "status": "active",
    },
    "instalments": {"loan_id": "L1", "interest_due": "0"},
    "repayments": {"loan_id": "L1", "kind": "scheduled"},
    "charges": {"loan_id": "L1", "kind": "other", "payee": "lender"},
    "schedules": {"loan_id": "L1"},
    "rates": {"loan_id": "L1"},
    "disbursements": {"loan_id": "L1"},
    "payment_holidays": {"loan_id": "L1"},
    "arrears_flags": {"loan_id": "L1", "kind": "operational_delay"},
    "write_offs": {"loan_id": "L1", "number": 1, "claim_kept": "true"},
    "restructurings": {"loan_id": "L1", "number": 1, "financial_difficulty": "true"},
    "funding_shares": {"loan_id": "L1", "funder_id": "SELF", "on_balance": "true", "files_to_bureau": "true"},
    "transfers": {"loan_id": "L1", "counterparty_kind": "other", "share_pct": "100", "servicing_kept": "false", "derecognised": "true"},
    "classifications": {"loan_id": "L1", "source": "lender"},
    "loan_parties": {"loan_id": "L1"},
    "collateral_links": {"loan_id": "L1"},
    "facilities": {"facility_id": "F1", "borrower_id": "B1", "kind": "revolving"},
    "statements": {"facility_id": "F1"},
    "identifiers": {"party_id": "B1"},
    "party_events": {"party_id": "B1"},
    "positions": {"loan_id": "L1"},
    "external_debts": {"borrower_id": "B1", "source": "bureau", "lender": "Other lender"},
    "financials": {"scope": "solo"},
}
_AMOUNTS = {c.name for c in POSITION_COLUMNS if c.kind == "amount"}
_PERCENTS = {c.name for c in POSITION_COLUMNS if c.kind == "percent"}


@dataclass(frozen=True)
class Case:
    """A story, as read."""

    path: Path
    data: Mapping[str, Any]

    @property
    def title(self) -> str:
        """One sentence of the domain."""
        return str(self.data["title"])


def load_case(path: Path) -> Case:
    """The case in *path*. ValueError when title, rests_on, facts or expected is missing."""
    import yaml

    data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # libyaml's where it is there: ten times as fast
    for name in ("title", "rests_on", "facts", "expected"):
        if not data.get(name):
            raise ValueError(f"{path}: {name} is missing")
    return Case(path, data)


def case_portfolio(case: Case) -> Portfolio:
    """The facts as a portfolio: what a row does not say takes the defaults of its table."""
    facts = dict(case.data["facts"])
    institution = {"name": "Case lender", "country": "SV", "currency_code": "USD", **facts.pop("institution", {})}
    facts.setdefault("borrowers", [{}])
    facts.setdefault("instalments", [])
    facts.setdefault("repayments", [])
    raw = {}
    for table, rows in facts.items():
        model = table_models()[table]
        base = dict(_DEFAULTS.get(table, {}))
        if "currency_code" in fields_of(model) and table in ("loans", "facilities"):
            base["currency_code"] = institution["currency_code"]
        filled = [{**base, **row} for row in rows]
        if table == "repayments":
            filled = [{"repayment_id": f"R{i}", **row} for i, row in enumerate(filled, start=1)]
        if table == "instalments":
            filled = _numbered(filled)
        if table in ("disbursements", "charges", "transfers"):
            key = model.KEY[0]
            filled = [{key: f"{table[0].upper()}{i}", **row} for i, row in enumerate(filled, start=1)]
        columns = list(dict.fromkeys([*(c for c in fields_of(model) if fields_of(model)[c].required), *(c for row in filled for c in row)]))
        raw[table] = pl.DataFrame({c: [_text(row.get(c)) for row in filled] for c in columns}, schema=dict.fromkeys(columns, pl.String))
    return build_portfolio(Institution.model_validate(institution), raw, files={t: f"{t}.csv" for t in raw})


def run_case(case: Case) -> list[str]:
    """What the engine says otherwise than the case expects, one line a difference; none when all holds."""
    portfolio = case_portfolio(case)
    out = [f"facts: {f.code} {f.message}" for f in portfolio.findings if f.severity == "error"]
    for expected in case.data["expected"]:
        as_of = _day(expected["as_of"])
        known_at = _day(expected["known_at"]) if expected.get("known_at") else None
        asks_history = any("payment_history" in figures for figures in expected.get("position", {}).values())
        positions = work_out(portfolio, as_of, known_at, history_months=HISTORY_MONTHS if asks_history else 0)
        where = f"{as_of}" + (f" known at {known_at}" if known_at else "")
        for loan, figures in expected.get("position", {}).items():
            out += _compare_position(positions.loans, loan, figures, where)
        view = loan_view(portfolio, positions, known_at)
        for regime, categories in expected.get("category", {}).items():
            table = provision_tables().get(expected.get("provisions", ""))
            chosen = regime_with(regime, expected["settings"]) if "settings" in expected else regimes()[regime]
            got = classify(view, chosen, portfolio, table, positions=positions, known_at=known_at)
            out += _compare_categories(got.loans, categories, f"{where} {regime}")
        if "ratios" in expected:
            regime = expected.get("regime")
            classified = classify(view, regimes()[regime], portfolio, positions=positions, known_at=known_at) if regime else None
            values = {r.ratio.id: r.value for r in ratios(view, portfolio, as_of, classified)}
            for name, value in expected["ratios"].items():
                wanted = None if value is None else Decimal(str(value))
                if (values[name] is None) != (wanted is None) or (wanted is not None and abs((values[name] or 0) - wanted) > Decimal("1e-9")):
                    out.append(f"{where}: ratio {name} is {values[name]}, expected {value}")
        out += _compare_measures(portfolio, expected, as_of, known_at, where)
        if "findings" in expected:
            found = {f.code for f in validate(portfolio, as_of, known_at).findings}
            out += [f"{where}: finding {code} is missing" for code in expected["findings"] if code not in found]
        for pack, records in expected.get("records", {}).items():
            out += _compare_records(portfolio, pack, records, as_of, where)
    return out


def _compare_measures(portfolio: Portfolio, expected: Mapping[str, Any], as_of: date, known_at: date | None, where: str) -> list[str]:
    """Limits, ratios of a period and migration of a whole book."""
    out: list[str] = []
    regime = regimes()[expected["regime"]] if expected.get("regime") else None
    if period := expected.get("period"):
        inputs = {name: Decimal(str(value)) for name, value in period.get("inputs", {}).items()}
        values = period_ratios(portfolio, _day(period["from"]), as_of, known_at, average=period.get("average", "ends"), inputs=inputs)
        found = {v.ratio.id: v.value for v in values}
        out += [f"{where}: {n} is {found[n]}, expected {v}" for n, v in period["ratios"].items() if not _near(found[n], v)]
    if moved := expected.get("migration"):
        assert regime is not None
        matrix = migration_matrix(portfolio, _day(moved["from"]), as_of, regime, known_at, basis=moved.get("basis", "count"))
        for category, row in moved["rows"].items():
            got = {state: str(w) for state, w in matrix.weights[str(category)].items()}
            wanted = {str(state): str(w) for state, w in row.items()}
            out += [f"{where}: row {category} is {got}, expected {wanted}"] if got != wanted else []
    if limits := expected.get("limits"):
        results = {r.limit.id: r for r in check_limits(portfolio, as_of, limit_sets()[limits["rules"]], known_at, regime=regime)}
        for name, wanted in limits["expect"].items():
            shown = results[name].as_dict()
            for field_name, value in wanted.items():
                got_value: Any = [h["key"] for h in shown["holders"] if h["status"] == "breach"] if field_name == "who" else shown[field_name]
                value = value if field_name == "who" or value is None else str(value)
                got_value = str(got_value) if isinstance(got_value, int) else got_value
                out += [f"{where}: {name}.{field_name} is {got_value}, expected {value}"] if got_value != value else []
    return out


def _near(found: Decimal | None, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is None and wanted is None
    return abs(found - Decimal(str(wanted))) <= Decimal("1e-9")


def _numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts: dict[tuple[Any, Any], int] = {}
    out = []
    for row in rows:
        key = (row["loan_id"], row.get("schedule_version", 1))
        counts[key] = counts.get(key, 0) + 1
        out.append({"number": counts[key], **row})
    return out


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _compare_position(frame: pl.DataFrame, loan: str, figures: Mapping[str, Any], where: str) -> list[str]:
    rows = frame.filter(pl.col("loan_id") == loan)
    if rows.height != 1:
        return [f"{where}: loan {loan} has {rows.height} positions"]
    row = rows.row(0, named=True)
    digits = minor_digits(row["currency_code"])
    out = []
    for name, wanted in figures.items():
        got = row[name]
        if got is not None and name in _AMOUNTS:
            got = from_minor(got, digits)
        if got is not None and name in _PERCENTS:
            got = from_minor(got, 7)
        if isinstance(wanted, list):
            got = None if got is None else list(got)[: len(wanted)]
            same = got == wanted
        elif isinstance(got, Decimal):
            same = wanted is not None and got == Decimal(str(wanted))
        elif isinstance(got, date):
            same = wanted is not None and got == _day(wanted)
        else:
            same = got == wanted
        if not same:
            out.append(f"{where}: {loan}.{name} is {got}, expected {wanted}")
    return out


def _compare_categories(frame: pl.DataFrame, categories: Mapping[str, Any], where: str) -> list[str]:
    out = []
    for loan, wanted in categories.items():
        row = frame.filter(pl.col("loan_id") == loan).row(0, named=True)
        expected = wanted if isinstance(wanted, Mapping) else {"category": wanted}
        for name, value in expected.items():
            got = row[name]
            if name.startswith("provision") and name not in ("provision_reason", "provision_pct") and got is not None:
                got = from_minor(got, minor_digits(row["currency_code"]))
                value = Decimal(str(value))
            elif name == "reasons":
                missing = [part for part in value if not any(part in reason for reason in got or [])]
                out += [f"{where}: {loan}: no reason says {part!r}; there are {got}" for part in missing]
                continue
            elif isinstance(got, date):
                value = _day(value)
            else:
                value = None if value is None else str(value) if isinstance(got, str) or not isinstance(value, bool | int) else value
            if got != value:
                out.append(f"{where}: {loan}.{name} is {got}, expected {value}")
    return out


def _compare_records(portfolio: Portfolio, pack: str, records: Mapping[str, Any], as_of: date, where: str) -> list[str]:
    filing = make_filing(request_for(pack, portfolio, as_of), [], quarantine=False)
    out = []
    for name, wanted in records.items():
        made = filing.records.get(name)
        if wanted is None or wanted == []:
            if made is not None:
                out.append(f"{where}: {pack} {name}: {made.height} records, expected none")
            continue
        if made is None:
            out.append(f"{where}: {pack}: no record {name}")
            continue
        for i, fields in enumerate(wanted):
            if i >= made.height:
                out.append(f"{where}: {pack} {name}: no record {i + 1}")
                continue
            for field, value in fields.items():
                got = made.text[field][i]
                if got != (None if value is None else str(value)):
                    out.append(f"{where}: {pack} {name}[{i}].{field} is {got}, expected {value}")
    return out
