"""What is to be filed, and what rules may name beside fields."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from mloan_report.packs import Pack
from mloan_report.portfolio import Portfolio


@dataclass(frozen=True)
class FilingRequest:
    """What is to be filed: the pack, the book, the date, what was known, the settings, and when the filing is made."""

    pack: Pack
    portfolio: Portfolio
    as_of: date
    known_at: date | None
    settings: Mapping[str, str | None]
    made_at: datetime
    previous: Mapping[str, pl.DataFrame] | None = None
    """By kind of record what its recipient last accepted (see filing/remembering.py); None where that is not known."""


def constants(request: FilingRequest) -> dict[str, Any]:
    """What rules may name beside fields: the dates, and the settings."""
    settings = {f"set_{n}": v for n, v in request.settings.items()}
    days = [d for frame in (request.previous or {}).values() for d in [frame["as_of"].max()] if d is not None]
    return {"as_of": request.as_of, "today": request.made_at.date(), "previous_filing": max(days, default=None), **settings}


def clock() -> datetime:
    """Now; SOURCE_DATE_EPOCH where it is set, so that two runs say the same."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


def today(zone: str) -> date:
    """The day of :func:`clock` in a time zone (IANA name)."""
    return clock().astimezone(ZoneInfo(zone)).date()
