"""Filings: build, verify, manifest, check of finished files, gaps and scope."""

from __future__ import annotations

from mloan_report.filing.building import BuildResult, build
from mloan_report.filing.checking import CheckResult, check_files
from mloan_report.filing.gap_report import GapReport, gaps
from mloan_report.filing.scoping import scope
from mloan_report.filing.validation import validate

__all__ = ["BuildResult", "CheckResult", "GapReport", "build", "check_files", "gaps", "scope", "validate"]
