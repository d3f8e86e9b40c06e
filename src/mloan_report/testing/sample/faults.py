"""Known defects put into a made-up book, and the list of what should be found: for trying out checks."""

from __future__ import annotations

import json
from pathlib import Path

from mloan_report.testing.sample.book import SampleBook


def add_faults(book: SampleBook, folder: Path) -> None:
    """Puts one defect of each kind into the book and writes faults.json (code, table, what was done)."""
    faults: list[dict[str, str]] = []

    def fault(code: str, table: str, what: str) -> None:
        faults.append({"code": code, "table": table, "what": what})

    loans, people, paid, due, numbers = (book.tables[t] for t in ("loans", "borrowers", "repayments", "instalments", "identifiers"))
    loans[0]["disbursed_on"] = "31/01/2026"
    fault("TAB-004", "loans", "a date written day first")
    loans[1]["principal"] = "1,000.00"
    fault("TAB-003", "loans", "a thousands mark")
    loans[2]["repayment_method"] = "annuity"
    fault("TAB-005", "loans", "a value that is not in the list")
    paid[0]["amount"] = "56.745"
    fault("TAB-006", "repayments", "three decimals in a currency of two")
    loans[3]["borrower_id"] = "B999999"
    fault("KEY-002", "loans", "a borrower who is not there")
    paid.append(dict(paid[1]))
    fault("KEY-001", "repayments", "a repayment twice")
    numbers[2]["value"] = numbers[2]["value"][:-1] + ("1" if numbers[2]["value"][-1] != "1" else "2")
    fault("IDN-004" if numbers[2]["scheme"].startswith("cn") else "IDN-006", "identifiers", "a wrong check digit")
    due[30]["principal_due"] = "1.00"
    fault("AMT-004", "loans", "a schedule that is not the loan's principal")
    loans[5]["annual_rate_pct"] = ""
    fault("REQ-001", "loans", "an interest loan without a rate")
    loans[6]["matures_on"] = "2001-01-01"
    fault("DAT-001", "loans", "a maturity before the disbursement")
    people[7]["kind"] = ""
    fault("TAB-011", "borrowers", "a required value left empty")
    (folder / "faults.json").write_text(json.dumps(faults, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
