"""Findings as a JSON list of objects; the keys are the finding's fields, ``message`` the filled text."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mloan_report.checks.findings import finding_as_dict
from mloan_report.model.finding import Finding


def write(findings: Sequence[Finding]) -> str:
    """A list, in order."""
    return json.dumps([finding_as_dict(f) for f in findings], ensure_ascii=False, indent=2) + "\n"
