"""Data quality by table and column: accuracy (values without an error finding / values given) and completeness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mloan_report.model import fields_of, table_models
from mloan_report.model.finding import Finding
from mloan_report.portfolio import Portfolio

WHOLE_COLUMN = ("TAB-014", "TAB-018")
"""Findings of a column of which no value could be read."""


@dataclass(frozen=True)
class ColumnQuality:
    """One column: rows, values given, rows with an error finding; shares are None where nothing is asked."""

    table: str
    column: str
    required: bool
    rows: int
    given: int
    errors: int

    @property
    def accuracy(self) -> Decimal | None:
        """Values without an error finding, over values given."""
        return None if self.given == 0 else (Decimal(max(0, self.given - self.errors)) / Decimal(self.given)).quantize(Decimal("0.0001"))

    @property
    def completeness(self) -> Decimal | None:
        """Values given, over the rows where one is required; None for a column that may be empty."""
        return None if not self.required or self.rows == 0 else (Decimal(self.given) / Decimal(self.rows)).quantize(Decimal("0.0001"))

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "table": self.table,
            "column": self.column,
            "required": self.required,
            "rows": self.rows,
            "given": self.given,
            "errors": self.errors,
            "accuracy": None if self.accuracy is None else str(self.accuracy),
            "completeness": None if self.completeness is None else str(self.completeness),
        }


def data_quality(portfolio: Portfolio, findings: Sequence[Finding]) -> list[ColumnQuality]:
    """The quality of every column of every table given. A value that could not be read counts as given and wrong."""
    wrong: dict[tuple[str, str], set[int | None]] = {}
    unread: dict[tuple[str, str], int] = {}
    for f in findings:
        if f.severity == "error" and f.table and f.field and f.code != "TAB-011":
            if f.code in WHOLE_COLUMN:
                unread[f.table, f.field] = portfolio.table(f.table).height
                wrong[f.table, f.field] = set(range(unread[f.table, f.field]))
                continue
            rows = wrong.setdefault((f.table, f.field), set())
            if f.row not in rows:
                rows.add(f.row)
                if f.code.startswith("TAB-") and f.code not in ("TAB-001", "TAB-002"):
                    unread[f.table, f.field] = unread.get((f.table, f.field), 0) + 1
    out = []
    for name, model in table_models().items():
        if not portfolio.has(name):
            continue
        frame = portfolio.table(name)
        for column, field in fields_of(model).items():
            given = frame.height - frame[column].null_count() + unread.get((name, column), 0)
            out.append(ColumnQuality(name, column, field.required, frame.height, given, len(wrong.get((name, column), ()))))
    return out
