"""Findings as text: one a line with its place, the advice under it, a count at the end."""

from __future__ import annotations

from collections.abc import Sequence

from mloan_report.model.finding import Finding


def write(findings: Sequence[Finding]) -> str:
    """One finding a paragraph; errors first as they come."""
    lines = []
    for f in findings:
        where = ":".join(str(p) for p in (f.file, f.row) if p is not None)
        lines.append(f"{where + ': ' if where else ''}{f.severity} {f.code}: {_one_line(f.message)}")
        lines.append(f"    what to do: {_one_line(f.advice)}")
    counts = {s: sum(1 for f in findings if f.severity == s) for s in ("error", "warning", "information")}
    lines.append(f"{counts['error']} errors, {counts['warning']} warnings, {counts['information']} notes")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """A value's own line breaks and control characters, shown as what they are."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
