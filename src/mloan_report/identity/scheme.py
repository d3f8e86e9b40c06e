"""What an identity scheme is: parts that can fail, each its own outcome, checked for a whole column at once.

A scalar check is the column check on one value: there is one implementation. Parts that only look doubtful (a place
unknown to the table, a check digit whose rule has one public source) are ``soft``: warnings, never errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

DIGITS: Mapping[str, int] = {str(n): n for n in range(10)}
Parts = Callable[[pl.Series], Mapping[str, pl.Series]]


@dataclass(frozen=True)
class Scheme:
    """An identity scheme.

    ``parts`` gives, for a column of numbers, the violations by part (True = this part fails). ``soft`` parts are warnings.
    ``reads`` gives what a number says of its holder (``born_on``, ``sex``) where it does.
    """

    id: str
    title_en: str
    title_zh: str
    source: str
    certainty: str
    parts: Parts
    soft: frozenset[str] = frozenset()
    reads: Callable[[pl.Series], pl.DataFrame] | None = None


def weighted_sum(text: pl.Series, weights: tuple[int, ...], values: Mapping[str, int]) -> pl.Series:
    """Sum of value × weight over the first characters; null where a character has no value."""
    if len(weights) <= 18 and values == DIGITS:
        return _digit_sum(text, weights)
    total = pl.Series([0]).new_from_index(0, text.len()).cast(pl.Int64)
    for i, weight in enumerate(weights):
        total = total + text.str.slice(i, 1).replace_strict(values, default=None, return_dtype=pl.Int64) * weight
    return total


def _digit_sum(text: pl.Series, weights: tuple[int, ...]) -> pl.Series:
    """:func:`weighted_sum` of digits: the characters as one whole number, taken apart by division."""
    head = pl.lit(text).str.head(len(weights))
    number = pl.when(head.str.contains(f"^[0-9]{{{len(weights)}}}$")).then(head).cast(pl.Int64)
    total = sum((number // 10 ** (len(weights) - 1 - i) % 10 * w for i, w in enumerate(weights)), start=pl.lit(0, pl.Int64))
    return pl.select(total.alias("sum")).to_series()


def no(text: pl.Series) -> pl.Series:
    """A part that never fails."""
    return pl.Series([False]).new_from_index(0, text.len())
