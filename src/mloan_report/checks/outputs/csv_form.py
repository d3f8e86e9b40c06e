"""Findings as CSV with a header row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from mloan_report.checks.findings import finding_as_dict
from mloan_report.model.finding import Finding

COLUMNS = ("severity", "code", "message", "table", "key", "field", "value", "file", "row", "loan_id", "fix", "source")


def write(findings: Sequence[Finding]) -> str:
    """One row a finding. A cell that a spreadsheet would take for a formula is quoted with an apostrophe."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    rows.writerow(COLUMNS)
    for f in findings:
        data = finding_as_dict(f)
        rows.writerow([_safe(data[c]) for c in COLUMNS])
    return out.getvalue()


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "@", "-", "\t", "\r") else value
