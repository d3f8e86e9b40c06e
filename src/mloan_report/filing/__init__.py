"""Filings: build, verify, manifest, check of finished files, gaps and scope, the ledger of what was filed."""

from __future__ import annotations

from mloan_report.filing.building import BuildResult, build
from mloan_report.filing.checking import CheckResult, check_files
from mloan_report.filing.everywhere import Outcome, file_everywhere
from mloan_report.filing.gap_report import GapReport, gaps
from mloan_report.filing.ledger import Changes, Ledger, Point, SqliteLedger
from mloan_report.filing.scoping import scope
from mloan_report.filing.validation import validate

__all__ = [
    "BuildResult",
    "Changes",
    "CheckResult",
    "GapReport",
    "Ledger",
    "Outcome",
    "Point",
    "SqliteLedger",
    "build",
    "check_files",
    "file_everywhere",
    "gaps",
    "scope",
    "validate",
]
