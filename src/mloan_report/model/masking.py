"""How personal data is shown: enough to find the row, never enough to know the person."""

from __future__ import annotations

from mloan_report.model.columns import Pii

HIDDEN = "*"


def mask(value: str | None, pii: Pii | None) -> str | None:
    """*value* as it may stand in a finding, a log or a page.

    Identity numbers show at most their first 6 and last 4 characters and never more than half of them; accounts the
    last 4; names the first letter; dates of birth the year; everything else personal is hidden whole.
    """
    if value is None or pii is None or value == "":
        return value
    if pii == "identifier":
        shown = min(10, len(value) // 2)
        head, tail = min(6, shown - shown // 3), min(4, shown // 3)
        return value[:head] + HIDDEN * (len(value) - head - tail) + (value[-tail:] if tail else "")
    if pii == "account":
        tail = min(4, len(value) // 2)
        return HIDDEN * (len(value) - tail) + (value[-tail:] if tail else "")
    if pii == "name":
        return value[0] + HIDDEN * min(3, max(1, len(value) - 1))
    if pii == "birth":
        return value[:4] + "-**-**" if value[:4].isdigit() and value[4:5] == "-" else HIDDEN * 3
    return HIDDEN * 3
