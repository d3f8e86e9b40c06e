"""One strict grammar for dates, amounts, whole numbers and booleans, for scalars and for columns alike.

Nothing is guessed: no locale, no exponent, no thousands mark, no full-width digit, no day-first date.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
DECIMAL = r"^-?[0-9]{1,15}(\.[0-9]{1,10})?$"
WHOLE = r"^-?[0-9]{1,18}$"
BOOLEAN = r"^(true|false|TRUE|FALSE|True|False)$"
MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"

AMOUNT_BOUND = 10**15
"""No amount reaches this many minor units: sums of int64 would wrap around in silence beyond it."""

RATE_SCALE = 7
"""Rates are int64 in 10^-7 of a percent."""

RATE_BOUND = 10**6 * 10**RATE_SCALE
"""No rate reaches a million percent."""


def parse_date(text: str) -> date:
    """The calendar day that *text* (YYYY-MM-DD) names; ValueError when it is not one."""
    if not re.match(DATE, text, re.ASCII):
        raise ValueError(f"{text!r} is not a date as YYYY-MM-DD")
    return date.fromisoformat(text)


def parse_decimal(text: str) -> Decimal:
    """A plain decimal number (digits, one dot, at most ten decimals); ValueError otherwise."""
    if not re.match(DECIMAL, text, re.ASCII):
        raise ValueError(f"{text!r} is not a plain decimal number")
    return Decimal(text)


def parse_whole(text: str) -> int:
    """A whole number in ASCII digits; ValueError otherwise."""
    if not re.match(WHOLE, text, re.ASCII):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def parse_boolean(text: str) -> bool:
    """``true`` or ``false``; ValueError otherwise (``yes``, ``1`` and ``Y`` are not guessed)."""
    if not re.match(BOOLEAN, text, re.ASCII):
        raise ValueError(f"{text!r} is not true or false")
    return text.lower() == "true"


def to_minor(amount: Decimal, digits: int) -> int:
    """*amount* in minor units of a currency with *digits* decimals; ValueError when it has more decimals or is too large."""
    scaled = amount.scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {digits} decimals")
    if abs(scaled) >= AMOUNT_BOUND:
        raise ValueError(f"{amount} is beyond 10^15 minor units")
    return int(scaled)


def from_minor(minor: int, digits: int) -> Decimal:
    """The amount in major units, exact."""
    return Decimal(minor).scaleb(-digits)
