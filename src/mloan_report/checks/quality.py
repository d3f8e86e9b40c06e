"""Data quality by table and column: accuracy (values without an error finding / values given) and completeness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from mloan_report.model import fields_of, table_models
from mloan_report.model.finding import Finding
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.typing import ROW

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


ColumnCounts = dict[tuple[str, str], tuple[int, int]]
"""Rows and values that could be read, by table and column; of parts of a book they add up."""


def column_counts(portfolio: Portfolio) -> ColumnCounts:
    """The counts of every column of every table given; guests are counted where they have their home."""
    out: ColumnCounts = {}
    for name, model in table_models().items():
        if not portfolio.has(name):
            continue
        frame = portfolio.table(name)
        if rows := portfolio.guest_rows.get(name):
            frame = frame.filter(~pl.col(ROW).is_in(list(rows)))
        for column in fields_of(model):
            out[name, column] = (frame.height, frame.height - frame[column].null_count())
    return out


def data_quality(counts: ColumnCounts, findings: Sequence[Finding]) -> list[ColumnQuality]:
    """The quality of every column of every table given. A value that could not be read counts as given and wrong."""
    wrong: dict[tuple[str, str], set[int | None]] = {}
    unread: dict[tuple[str, str], int] = {}
    for f in findings:
        if f.severity == "error" and f.table and f.field and f.code != "TAB-011":
            if f.code in WHOLE_COLUMN:
                unread[f.table, f.field] = counts.get((f.table, f.field), (0, 0))[0]
                wrong[f.table, f.field] = set(range(unread[f.table, f.field]))
                continue
            rows = wrong.setdefault((f.table, f.field), set())
            if f.row not in rows:
                rows.add(f.row)
                if f.code.startswith("TAB-") and f.code not in ("TAB-001", "TAB-002"):
                    unread[f.table, f.field] = unread.get((f.table, f.field), 0) + 1
    models = table_models()
    out = []
    for (name, column), (height, read) in counts.items():
        given = read + unread.get((name, column), 0)
        out.append(ColumnQuality(name, column, fields_of(models[name])[column].required, height, given, len(wrong.get((name, column), ()))))
    return out
