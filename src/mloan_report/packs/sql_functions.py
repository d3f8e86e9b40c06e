"""Vectorised functions that any pack's SQL may call: identity checks, byte lengths, lists."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from mloan_report.identity import SCHEMES, check_column, passes
from mloan_report.portfolio.sql import Function


def common_functions() -> dict[str, Function]:
    """VALID_<SCHEME>(number) and CHECKDIGIT_<SCHEME>(number) for every scheme of ours (null stays null), GBK_LENGTH(text), LISTED(code, 'A,B,C').

    FOLD_ASCII(text): marks taken off letters, and a blank for what is then still not printable ASCII; UNFOLDABLE(text): whether there is such.
    """
    out: dict[str, Function] = {f"VALID_{scheme.replace('.', '_').upper()}": _validity(scheme) for scheme in SCHEMES}
    out |= {f"CHECKDIGIT_{scheme.replace('.', '_').upper()}": _check_digit(scheme) for scheme in SCHEMES}
    out["GBK_LENGTH"] = lambda text: text.map_batches(_gbk_lengths, return_dtype=pl.Int64)
    out["LISTED"] = lambda code, codes: (pl.lit(",") + codes + pl.lit(",")).str.contains(pl.lit(",") + code + pl.lit(","), literal=True)
    out["POWER_OF_TEN"] = lambda n: n.replace_strict(list(range(11)), [10**i for i in range(11)], return_dtype=pl.Int64)
    out["DIGITS"] = lambda text: text.str.replace_all("[^0-9]", "")
    out["FOLD_ASCII"] = lambda text: _without_marks(text).str.replace_all("[^ -~]", " ")
    out["UNFOLDABLE"] = lambda text: _without_marks(text).str.contains("[^ -~]")
    return out


def _without_marks(text: pl.Expr) -> pl.Expr:
    return text.str.normalize("NFKD").str.replace_all(r"\p{M}", "")


def _validity(scheme: str) -> Function:
    return lambda number: number.map_batches(lambda s: _by_value(s, lambda v: passes(scheme, v)), return_dtype=pl.Boolean)


def _check_digit(scheme: str) -> Function:
    def holds(numbers: pl.Series) -> pl.Series:
        bad = check_column(scheme, numbers)["check_digit"][1]
        return pl.select(pl.when(numbers.is_not_null()).then(~bad)).to_series()

    return lambda number: number.map_batches(lambda s: _by_value(s, holds), return_dtype=pl.Boolean)


def _by_value(numbers: pl.Series, holds: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """*holds* of each number, worked out once a value where few values repeat."""
    values = numbers.unique().drop_nulls()
    if values.len() * 4 > numbers.len():
        return holds(numbers)
    return numbers.replace_strict(values, holds(values), default=None, return_dtype=pl.Boolean)


def _gbk_lengths(text: pl.Series) -> pl.Series:
    return pl.Series([None if t is None else len(t.encode("gb18030")) for t in text.to_list()], dtype=pl.Int64)
