"""Exchange rates: the one in force on a day, direct, turned round, or by one step over a third currency. Never summed without one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl

from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.schedule.rounding import EXACT


def rate_on(portfolio: Portfolio, currency_code: str, to_currency_code: str, on: date) -> Decimal | None:
    """Units of *to_currency_code* for one of *currency_code* by the latest row up to *on*; None where none leads there."""
    if currency_code == to_currency_code:
        return Decimal(1)
    rows = portfolio.table("exchange_rates").filter(pl.col("as_of") <= on).sort("as_of")
    pairs = {(a, b): value for a, b, value in rows.select("currency_code", "to_currency_code", "rate").rows() if value}
    return _direct(pairs, currency_code, to_currency_code) or _over_a_third(pairs, currency_code, to_currency_code)


def _direct(pairs: dict[tuple[str, str], str], one: str, other: str) -> Decimal | None:
    if (one, other) in pairs:
        return Decimal(pairs[one, other])
    if (other, one) in pairs:
        return EXACT.divide(Decimal(1), Decimal(pairs[other, one]))
    return None


def _over_a_third(pairs: dict[tuple[str, str], str], one: str, other: str) -> Decimal | None:
    for third in sorted({c for pair in pairs for c in pair} - {one, other}):
        first, second = _direct(pairs, one, third), _direct(pairs, third, other)
        if first is not None and second is not None:
            return EXACT.multiply(first, second)
    return None


def money_of(book: Portfolio, minor: int, code: str, home: str, on: date) -> Decimal:
    """Minor units of a currency in *home* at the closing rate of *on*; ValueError without a rate: nothing is summed silently."""
    rate = rate_on(book, code, home, on)
    if rate is None:
        raise ValueError(f"no exchange rate from {code} to {home} on or before {on}")
    return EXACT.multiply(from_minor(int(minor), minor_digits(code)), rate)
