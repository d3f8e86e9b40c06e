"""The recipient's error summary: one line an error code with how often it occurred, written from findings and read back typed.

The layout is the one that a bureau returns after a submission (``Provider|ErrorType|ErrorCode|Count|Description``), so that what was
found before sending and what came back can be laid side by side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mloan_report.model.finding import Finding
from mloan_report.packs import Pack

HEAD = ("Provider", "ErrorType", "ErrorCode", "Count", "Description")


@dataclass(frozen=True)
class ErrorCount:
    """How often a code was raised to a provider. ``kind`` is the recipient's word for it."""

    provider: str
    kind: str
    code: str
    count: int
    description: str


@dataclass(frozen=True)
class ReadSummary:
    """A summary as read: its rows, the lines that are no rows (with the reason), and the codes that the pack does not know."""

    rows: tuple[ErrorCount, ...]
    unreadable: tuple[tuple[int, str], ...]
    unknown_codes: tuple[str, ...]


def summarise(pack: Pack, findings: Sequence[Finding], provider: str) -> list[ErrorCount]:
    """*findings* under the pack's own rules counted by code and severity, in the order of codes; what other rules found is left out."""
    rules = pack.layout_codes.rules
    counts: dict[tuple[str, str], int] = {}
    for f in findings:
        if f.code in rules:
            counts[f.code, f.severity] = counts.get((f.code, f.severity), 0) + 1
    rows = [ErrorCount(provider, kind, code, n, _described(rules[code].why)) for (code, kind), n in counts.items()]
    return sorted(rows, key=lambda r: (_order(r.code), r.kind))


def write_summary(rows: Sequence[ErrorCount]) -> str:
    """The lines of a summary, its head first."""
    lines = ["|".join(HEAD)]
    lines += [f"{r.provider}|{r.kind}|{r.code}|{r.count}|{_described(r.description)}" for r in rows]
    return "\n".join(lines) + "\n"


def read_summary(pack: Pack, text: str) -> ReadSummary:
    """The rows of a summary, whoever made it; a line that is no row is named, and nothing is guessed."""
    rows: list[ErrorCount] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        parts = [p.strip() for p in line.split("|", len(HEAD) - 1)]
        if not line.strip() or tuple(parts) == HEAD:
            continue
        if len(parts) != len(HEAD):
            bad.append((number, f"has {len(parts)} fields instead of {len(HEAD)}"))
        elif not re.fullmatch("[0-9]{1,12}", parts[3]):
            bad.append((number, "its count is not a number"))
        else:
            rows.append(ErrorCount(parts[0], parts[1], parts[2], int(parts[3]), parts[4]))
    known = {r.id for r in pack.rules}
    return ReadSummary(tuple(rows), tuple(bad), tuple(sorted({r.code for r in rows} - known)))


def _described(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _order(code: str) -> list[tuple[int, str]]:
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split("[-_]", code)]
