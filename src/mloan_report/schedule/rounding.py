"""How a figure of a plan is rounded to the currency's unit."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from typing import Literal

from mloan_report.model.currency import currencies

Rounding = Literal["half_up", "half_even", "up", "down"]

ROUNDINGS: dict[str, str] = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "up": ROUND_UP, "down": ROUND_DOWN}
EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)


def to_unit(value: Decimal, unit: Decimal, rounding: Rounding) -> Decimal:
    """*value* as a whole number of *unit* (0.01, 1, 5 ...), by *rounding*; up and down are away from and towards zero."""
    count = EXACT.divide(value, unit).quantize(Decimal(1), ROUNDINGS[rounding], EXACT)
    return EXACT.multiply(count, unit)


def unit_of(currency_code: str) -> Decimal:
    """The smallest unit of a currency by ISO 4217: 0.01, 1 (JPY, VND ...), 0.001 (KWD ...). KeyError for a code that it lacks."""
    return Decimal(1).scaleb(-currencies()[currency_code])
