"""Identity numbers that no one country gives."""

from __future__ import annotations

import polars as pl

from mloan_report.identity.scheme import Scheme

_VALUES = {**{str(n): str(n) for n in range(10)}, **{chr(ord("A") + n): str(10 + n) for n in range(26)}}


def _lei(number: pl.Series) -> dict[str, pl.Series]:
    shaped = number.str.contains("^[0-9A-Z]{18}[0-9]{2}$")
    rest = pl.Series([0]).new_from_index(0, number.len()).cast(pl.Int64)
    for i in range(20):
        value = number.str.slice(i, 1).replace_strict(_VALUES, default="0", return_dtype=pl.String)
        rest = (rest * value.str.len_chars().replace_strict([0, 1, 2], [1, 10, 100], default=1, return_dtype=pl.Int64) + value.cast(pl.Int64)) % 97
    return {"length": number.str.len_chars() != 20, "characters": ~number.str.contains("^[0-9A-Z]*$"), "check_digit": shaped & (rest != 1)}


INTERNATIONAL = (Scheme("lei", "Legal entity identifier (LEI)", "法人机构识别编码", "ISO 17442-1, ISO 7064 (modulus 97)", "official", _lei),)
