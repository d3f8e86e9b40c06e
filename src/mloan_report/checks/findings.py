"""A finding as plain data, the same in every output form."""

from __future__ import annotations

from typing import Any

from mloan_report.model.finding import Finding


def finding_as_dict(f: Finding) -> dict[str, Any]:
    """Plain data; ``value`` is masked where it is personal."""
    return {
        "code": f.code,
        "severity": f.severity,
        "message": f.message,
        "table": f.table,
        "key": f.key,
        "field": f.field,
        "value": f.value,
        "file": f.file,
        "row": f.row,
        "loan_id": f.loan_id,
        "fix": f.advice,
        "source": f.source,
    }
