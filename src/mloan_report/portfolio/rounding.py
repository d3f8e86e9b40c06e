"""Rounding in whole numbers: the one place that says what half up is in columns."""

from __future__ import annotations

import polars as pl


def half_up(numerator: pl.Expr, divisor: pl.Expr) -> pl.Expr:
    """numerator / divisor rounded half away from zero to Int64, worked out in 128 bits; null for a divisor of 0."""
    n, d = numerator.cast(pl.Int128), divisor.cast(pl.Int128)
    zero = pl.lit(0, pl.Int64).cast(pl.Int128)
    n_size = pl.when(n < 0).then(zero - n).otherwise(n)
    d_size = pl.when(d < 0).then(zero - d).otherwise(d)
    two = pl.lit(2, pl.Int64).cast(pl.Int128)
    whole = (n_size * two + d_size) // (d_size * two)
    negative = (n < 0) != (d < 0)
    return pl.when(d != 0).then(pl.when(negative).then(zero - whole).otherwise(whole)).cast(pl.Int64)


def percent_of(amount: pl.Expr, percent: pl.Expr) -> pl.Expr:
    """percent (10^-7) of an amount, half up to the minor unit."""
    return half_up(amount.cast(pl.Int128) * percent.cast(pl.Int128), pl.lit(10**9, pl.Int64))


def half_even(value: pl.Expr, unit: pl.Expr | int) -> pl.Expr:
    """Whole units nearest to value / unit; from the middle to the even one."""
    low = value.floordiv(unit)
    rest = (value - low * unit) * 2
    up = (rest > unit) | ((rest == unit) & (low % 2 != 0))
    return low + up.cast(pl.Int64)
