"""Checks of a portfolio: rules, the engine that runs them, and the forms in which findings are shown."""

from __future__ import annotations

from mloan_report.checks.engine import Book, Checked, all_rules, needs_positions, registry, run_checks
from mloan_report.checks.findings import finding_as_dict
from mloan_report.checks.quality import ColumnQuality, column_counts, data_quality

__all__ = ["Book", "Checked", "ColumnQuality", "all_rules", "column_counts", "data_quality", "finding_as_dict", "needs_positions", "registry", "run_checks"]
