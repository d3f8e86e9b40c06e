"""Which loans must be filed: each loan in or out, the reason, and the article it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from mloan_report.filing.building import request_for
from mloan_report.filing.making import prepare
from mloan_report.packs import Pack
from mloan_report.portfolio import Portfolio


def scope(pack: Pack | str, portfolio: Portfolio, as_of: date, known_at: date | None = None, settings: Mapping[str, str] | None = None) -> pl.DataFrame:
    """loan_id, borrower_id, in_scope, reason, source: one row for every loan given."""
    request = request_for(pack, portfolio, as_of, known_at=known_at, settings=settings, need_settings=False)
    _, result = prepare(request)
    return result.select("loan_id", "borrower_id", "in_scope", "reason", "source").sort("loan_id")
